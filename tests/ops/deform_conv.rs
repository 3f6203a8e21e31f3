//! Deformable convolution.

use macula::ops::{Conv, DeformConv, Padding};
use macula::{DType, Tensor};

use crate::support::{case, random, to_dtype, to_f16};

fn padded<const N: usize>(padding: [usize; N]) -> Conv
where
    macula::ops::Spatial: From<[usize; N]>,
{
    Conv { padding: Padding::symmetric(padding), ..Conv::default() }
}

/// Input, weight, the output's extents; offsets reach over the border.
fn inputs<const N: usize>(op: DeformConv, x: [usize; N], w: [usize; N], output: &[usize]) -> [Tensor; 5] {
    let taps: usize = w[2..].iter().product();
    let of_taps = |per_tap: usize| [&[x[0], op.offset_groups * taps * per_tap], output].concat();
    [
        random(1, x, -1.0..1.0),
        random(2, w, -1.0..1.0),
        random(3, of_taps(N - 2), -2.5..2.5),
        random(4, [w[0]], -1.0..1.0),
        random(5, of_taps(1), 0.0..1.0),
    ]
}

/// With bias and mask, without, and without a constant weight.
fn check<const N: usize>(op: DeformConv, x: [usize; N], w: [usize; N], output: &[usize]) {
    let [x, w, offset, b, mask] = inputs(op, x, w, output);
    case(op).runtime(x.clone()).constant(w.clone()).runtime(offset.clone()).constant(b).runtime(mask.clone()).check();
    case(op).runtime(x.clone()).constant(w.clone()).runtime(offset.clone()).check();
    case(op).runtime(x).runtime(w).runtime(offset).absent().runtime(mask).check();
}

#[test]
fn offsets_and_masks() {
    check(DeformConv { conv: padded([1, 1]), offset_groups: 1 }, [2, 3, 7, 5], [4, 3, 3, 3], &[7, 5]);
    check(DeformConv { conv: padded([0, 1]), offset_groups: 1 }, [1, 5, 6, 9], [17, 5, 3, 2], &[4, 10]);
}

#[test]
fn groups_of_channels_and_of_offsets() {
    let conv = Conv { groups: 2, ..padded([1, 0]) };
    check(DeformConv { conv, offset_groups: 3 }, [2, 6, 5, 7], [4, 3, 3, 2], &[5, 6]);
    check(DeformConv { conv, offset_groups: 1 }, [1, 4, 4, 6], [6, 2, 2, 3], &[5, 4]);
    check(DeformConv { conv: Conv { groups: 4, ..conv }, offset_groups: 2 }, [1, 4, 6, 5], [8, 1, 3, 3], &[6, 3]);
}

#[test]
fn strides_dilations_and_padding() {
    let padding = Padding::Explicit { before: [2, 0].into(), after: [1, 3].into() };
    let conv = Conv { stride: Some([2, 3].into()), dilation: Some([2, 1].into()), padding, groups: 1 };
    check(DeformConv { conv, offset_groups: 2 }, [2, 4, 9, 11], [5, 4, 3, 3], &[4, 4]);
}

#[test]
fn one_dimension_and_three() {
    check(DeformConv { conv: padded([1]), offset_groups: 2 }, [2, 4, 13], [3, 4, 3], &[13]);
    check(DeformConv { conv: padded([1, 0, 1]), offset_groups: 1 }, [1, 2, 4, 5, 6], [3, 2, 3, 2, 3], &[4, 4, 6]);
}

#[test]
fn positions_beyond_the_input_count_zero() {
    let (x, w) = (random(1, [1, 2, 3, 5], -1.0..1.0), random(2, [2, 2, 1, 1], -1.0..1.0));
    let mut offset = random(3, [1, 2, 3, 5], -6.0..6.0);
    let values = offset.data_mut::<f32>().unwrap();
    (values[0], values[4], values[7], values[21]) = (f32::NAN, -1.0, 1e9, -3e38);
    case(DeformConv::default()).runtime(x).constant(w).runtime(offset).check();
}

#[test]
fn other_precisions() {
    let op = DeformConv { conv: padded([1, 1]), offset_groups: 1 };
    let [x, w, offset, b, mask] = inputs(op, [1, 3, 5, 6], [5, 3, 3, 3], &[5, 6]);
    // Quarters are exact in both precisions: where an element lies must not depend on rounding.
    let quarters = Tensor::new(offset.shape(), offset.to_f64().iter().map(|v| (v * 4.0).round() as f32 / 4.0).collect()).unwrap();
    let half = to_f16;
    case(op).runtime(half(&x)).constant(half(&w)).runtime(half(&quarters)).constant(half(&b)).runtime(half(&mask)).check();
    let double = |t: &Tensor| to_dtype(t, DType::F64);
    case(op).runtime(double(&x)).constant(double(&w)).runtime(double(&offset)).check_on_cpu();
}

#[test]
fn what_does_not_fit_is_refused_in_numbers() {
    let (x, w) = (random(1, [1, 4, 5, 6], 0.0..1.0), random(2, [2, 4, 3, 3], 0.0..1.0));
    let bad = |op, offset: &[usize]| case(op).runtime(x.clone()).constant(w.clone()).runtime(random(3, offset, 0.0..1.0));
    let plain = DeformConv::default();
    bad(plain, &[1, 9, 3, 4]).fails_with("`offset` has shape [1,9,3,4], expected [1, 18, 3, 4]");
    bad(plain, &[1, 18, 5, 6]).fails_with("expected [1, 18, 3, 4]");
    bad(DeformConv { offset_groups: 3, ..plain }, &[1, 54, 3, 4]).fails_with("4 input channels do not divide into 3 offset groups");
    bad(DeformConv { offset_groups: 0, ..plain }, &[1, 0, 3, 4]).fails_with("0 offset groups");
    bad(plain, &[1, 18, 3, 4]).absent().runtime(random(4, [1, 18, 3, 4], 0.0..1.0)).fails_with("`mask` has shape [1,18,3,4]");
    bad(plain, &[1, 18, 3, 4]).constant(random(4, [3], 0.0..1.0)).fails_with("bias has shape [3]");
}
