//! Transposed convolution.

use macula::DType;
use macula::ops::{ConvTranspose, Padding, Spatial};

use crate::support::{Case, case, random, to_dtype, to_f16};

const PLAIN: ConvTranspose =
    ConvTranspose { stride: None, dilation: None, padding: Padding::Valid, output_padding: None, output_size: None, groups: 1 };

fn strided(stride: impl Into<Spatial>) -> ConvTranspose {
    ConvTranspose { stride: Some(stride.into()), ..PLAIN }
}

fn explicit<const N: usize>(before: [usize; N], after: [usize; N]) -> Padding
where
    Spatial: From<[usize; N]>,
{
    Padding::Explicit { before: before.into(), after: after.into() }
}

/// A case with a constant weight `[C, M/groups, …]` and a bias, which every kernel can serve.
fn with_bias<const N: usize>(op: ConvTranspose, x: [usize; N], w: [usize; N]) -> Case {
    without_bias(op, x, w).constant(random(3, [w[1] * op.groups], -1.0..1.0))
}

fn without_bias<const N: usize>(op: ConvTranspose, x: [usize; N], w: [usize; N]) -> Case {
    case(op).runtime(random(1, x, -1.0..1.0)).constant(random(2, w, -1.0..1.0))
}

/// Stride 2 with kernels of 2, 3 and 4, which decoders are made of.
#[test]
fn decoders_double_the_resolution() {
    with_bias(strided([2, 2]), [2, 5, 7, 6], [5, 9, 2, 2]).check();
    let padding = Padding::symmetric([1, 1]);
    with_bias(ConvTranspose { padding, ..strided([2, 2]) }, [1, 6, 5, 9], [6, 8, 4, 4]).check();
    with_bias(ConvTranspose { padding, output_padding: Some([1, 1].into()), ..strided([2, 2]) }, [2, 4, 6, 5], [4, 3, 3, 3]).check();
    without_bias(ConvTranspose { output_size: Some([12, 20].into()), ..strided([2, 2]) }, [1, 3, 5, 9], [3, 2, 3, 3]).check();
}

#[test]
fn stride_one_is_a_convolution() {
    with_bias(PLAIN, [2, 3, 5, 6], [3, 4, 3, 2]).check();
    with_bias(ConvTranspose { padding: Padding::symmetric([2, 1]), ..PLAIN }, [1, 4, 7, 5], [4, 17, 5, 3]).check();
    with_bias(PLAIN, [2, 7, 4, 3], [7, 5, 1, 1]).check();
}

/// Strides that share factors with the dilation or not, and phases that no tap meets.
#[test]
fn strides_and_dilations() {
    for (stride, dilation) in [([2, 3], [3, 2]), ([4, 2], [2, 4]), ([3, 3], [3, 3]), ([1, 2], [2, 1]), ([5, 4], [1, 1])] {
        let op = ConvTranspose { dilation: Some(dilation.into()), ..strided(stride) };
        with_bias(op, [2, 3, 4, 5], [3, 5, 3, 2]).check();
    }
    with_bias(strided([7, 9]), [1, 2, 3, 4], [2, 3, 2, 1]).check();
    with_bias(strided([7, 9]), [1, 2, 1, 1], [2, 3, 2, 3]).check();
}

#[test]
fn around_the_tiles() {
    for m in [1, 4, 5, 8, 9, 16, 17, 33] {
        with_bias(strided([2, 1]), [1, 2, 3, 5], [2, m, 3, 3]).check();
    }
    for width in [31, 32, 33, 63, 64, 65] {
        with_bias(strided([1, 2]), [1, 3, 1, width], [3, 8, 1, 3]).check();
    }
}

#[test]
fn padding_cuts_off() {
    with_bias(ConvTranspose { padding: explicit([1, 0], [0, 2]), ..strided([2, 3]) }, [2, 3, 4, 5], [3, 4, 3, 4]).check();
    with_bias(ConvTranspose { padding: explicit([0, 5], [3, 1]), ..strided([1, 2]) }, [1, 2, 6, 7], [2, 3, 2, 2]).check();
    for padding in [Padding::SameUpper, Padding::SameLower] {
        with_bias(ConvTranspose { padding, ..strided([2, 3]) }, [2, 3, 5, 4], [3, 2, 3, 4]).check();
        with_bias(ConvTranspose { padding, ..strided([3, 2]) }, [1, 3, 4, 5], [3, 2, 1, 5]).check();
        with_bias(ConvTranspose { padding, output_size: Some([8, 14].into()), ..strided([2, 3]) }, [1, 2, 5, 4], [2, 3, 3, 5]).check();
    }
}

#[test]
fn groups() {
    with_bias(ConvTranspose { groups: 2, ..strided([2, 2]) }, [3, 6, 4, 5], [6, 5, 3, 2]).check();
    with_bias(ConvTranspose { groups: 5, ..strided([1, 2]) }, [1, 5, 3, 6], [5, 2, 2, 3]).check();
    let dilation = Some([2, 1].into());
    with_bias(ConvTranspose { groups: 4, dilation, ..strided([2, 1]) }, [2, 4, 5, 3], [4, 1, 3, 3]).check();
}

#[test]
fn one_dimension_and_three() {
    with_bias(strided([3]), [2, 4, 11], [4, 5, 4]).check();
    with_bias(ConvTranspose { padding: Padding::SameLower, groups: 2, ..strided([2]) }, [1, 6, 9], [6, 2, 5]).check();
    with_bias(strided([2, 1, 3]), [2, 3, 4, 2, 5], [3, 4, 3, 2, 2]).check();
    let padding = explicit([1, 0, 2], [0, 1, 1]);
    with_bias(
        ConvTranspose { padding, groups: 2, dilation: Some([2, 1, 3].into()), ..strided([3, 2, 2]) },
        [1, 4, 3, 5, 2],
        [4, 3, 2, 3, 4],
    )
    .check();
}

#[test]
fn more_outputs_than_one_dimension_of_a_dispatch() {
    with_bias(strided([2, 2]), [1, 1, 1024, 1025], [1, 1, 2, 2]).check();
    // More phases than workgroups along z: one kernel is left.
    with_bias(strided([300, 301]), [1, 1, 2, 3], [1, 1, 2, 2]).check();
}

#[test]
fn weights_computed_at_run_time() {
    let op = ConvTranspose { groups: 2, ..strided([2, 3]) };
    let (x, w, b) = (random(1, [2, 4, 5, 6], -1.0..1.0), random(2, [4, 3, 3, 2], -1.0..1.0), random(3, [6], -1.0..1.0));
    case(op).runtime(x).runtime(w).runtime(b).check();
}

#[test]
fn half_precision() {
    let (x, w, b) = (random(1, [1, 5, 6, 7], -1.0..1.0), random(2, [5, 9, 3, 3], -1.0..1.0), random(3, [9], -1.0..1.0));
    case(strided([2, 2])).runtime(to_f16(&x)).constant(to_f16(&w)).constant(to_f16(&b)).check();
}

#[test]
fn double_precision_runs_on_the_cpu() {
    let double = |t| to_dtype(&t, DType::F64);
    let (x, w) = (random(1, [2, 3, 4, 5], -1.0..1.0), random(2, [3, 2, 3, 2], -1.0..1.0));
    case(strided([2, 1])).runtime(double(x)).constant(double(w)).check_on_cpu();
}

#[test]
fn nan_reaches_its_windows_only() {
    let mut x = random(1, [1, 2, 5, 6], -1.0..1.0);
    x.data_mut::<f32>().unwrap()[17] = f32::NAN;
    case(strided([2, 2])).runtime(x).constant(random(2, [2, 3, 3, 3], -1.0..1.0)).check();
}

#[test]
fn what_does_not_fit_is_refused_in_numbers() {
    let bad = |op, x: &[usize], w: &[usize]| case(op).runtime(random(1, x, 0.0..1.0)).constant(random(2, w, 0.0..1.0));
    bad(PLAIN, &[1, 3, 8, 9], &[4, 2, 3, 3]).fails_with("weight has 4 input channels, input has 3");
    bad(ConvTranspose { groups: 2, ..PLAIN }, &[1, 3, 8, 9], &[3, 2, 3, 3]).fails_with("3 input channels do not divide into 2 groups");
    bad(ConvTranspose { groups: 0, ..PLAIN }, &[1, 3, 8, 9], &[3, 2, 3, 3]).fails_with("0 groups");
    bad(PLAIN, &[1, 3, 8], &[3, 2, 3, 3]).fails_with("the input needs 4 axes");
    bad(PLAIN, &[1, 3], &[3, 2]).fails_with("needs 3 to 5 axes");
    bad(PLAIN, &[1, 3, 0, 2], &[3, 2, 3, 3]).fails_with("axis 2 of the input is empty");
    bad(strided([0, 1]), &[1, 3, 8, 9], &[3, 2, 3, 3]).fails_with("stride [0, 1] must be 1 to");
    bad(strided([2]), &[1, 3, 8, 9], &[3, 2, 3, 3]).fails_with("stride [2] has 1 axes");
    bad(ConvTranspose { output_padding: Some([0, 2].into()), ..strided([2, 2]) }, &[1, 3, 8, 9], &[3, 2, 3, 3])
        .fails_with("output padding [0, 2] must be less than stride [2, 2]");
    bad(ConvTranspose { padding: Padding::symmetric([4, 1]), ..PLAIN }, &[1, 3, 6, 9], &[3, 2, 3, 3])
        .fails_with("axis 2 has 8 elements before padding 4 + 4 is cut off");
    bad(strided([1 << 30, 1]), &[1, 3, 8, 9], &[3, 2, 3, 3]).fails_with("gives more than");
    bad(PLAIN, &[1, 3, 8, 9], &[3, 2, 3, 3]).constant(random(3, [3], 0.0..1.0)).fails_with("bias has shape [3], the weight has 2");
}
