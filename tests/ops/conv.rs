//! Convolution.

use macula::ops::{Conv, Padding, Spatial};
use macula::{DType, Tensor};

use crate::support::{Case, case, random, to_dtype, to_f16};

fn strided(stride: impl Into<Spatial>, padding: Padding) -> Conv {
    Conv { stride: Some(stride.into()), padding, ..Conv::default() }
}

fn padded(padding: impl Into<Spatial>) -> Conv {
    Conv { padding: Padding::symmetric(padding), ..Conv::default() }
}

fn explicit<const N: usize>(before: [usize; N], after: [usize; N]) -> Padding
where
    Spatial: From<[usize; N]>,
{
    Padding::Explicit { before: before.into(), after: after.into() }
}

/// A case with a constant weight and bias, which every kernel can serve.
fn with_bias<const N: usize>(op: Conv, x: [usize; N], w: [usize; N]) -> Case {
    without_bias(op, x, w).constant(random(3, [w[0]], -1.0..1.0))
}

fn without_bias<const N: usize>(op: Conv, x: [usize; N], w: [usize; N]) -> Case {
    case(op).runtime(random(1, x, -1.0..1.0)).constant(random(2, w, -1.0..1.0))
}

#[test]
fn kernels_of_three_by_five() {
    with_bias(padded([1, 2]), [2, 3, 7, 9], [5, 3, 3, 5]).check();
    without_bias(Conv::default(), [1, 4, 6, 11], [3, 4, 3, 5]).check();
}

#[test]
fn pointwise_over_whole_vectors_and_not() {
    for (x, m) in [([2, 3, 4, 5], 5), ([1, 5, 3, 7], 4), ([3, 7, 1, 3], 9), ([2, 33, 6, 10], 17), ([1, 2, 2, 130], 16)] {
        with_bias(Conv::default(), x, [m, x[1], 1, 1]).check();
        without_bias(Conv::default(), x, [m, x[1], 1, 1]).check();
    }
}

/// Work that is large enough for every tile, and its edges in both directions.
#[test]
fn every_tile_of_every_kernel() {
    with_bias(Conv::default(), [1, 530, 26, 34], [75, 530, 1, 1]).check_every_candidate();
    with_bias(padded([1, 1]), [1, 59, 30, 35], [75, 59, 3, 3]).check_every_candidate();
    with_bias(strided([2, 3], explicit([1, 0], [0, 2])), [2, 61, 33, 55], [70, 61, 3, 5]).check_every_candidate();
}

#[test]
fn pointwise_with_groups_and_strides() {
    with_bias(Conv { groups: 3, ..Conv::default() }, [2, 6, 4, 7], [15, 2, 1, 1]).check();
    with_bias(strided([2, 3], Padding::Valid), [2, 5, 7, 8], [6, 5, 1, 1]).check();
    with_bias(padded([1, 2]), [1, 3, 4, 6], [4, 3, 1, 1]).check();
}

/// One below, at and above the rows and the columns of the register tiles.
#[test]
fn around_the_tiles() {
    for m in [1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33] {
        with_bias(padded([1, 1]), [1, 2, 3, 5], [m, 2, 3, 3]).check();
    }
    for width in [31, 32, 33, 63, 64, 65] {
        with_bias(padded([0, 1]), [1, 3, 1, width], [8, 3, 1, 3]).check();
        with_bias(Conv::default(), [2, 3, 1, 4 * width], [8, 3, 1, 1]).check();
    }
}

#[test]
fn input_channels_of_every_kind() {
    for c in [1, 3, 5, 96, 104, 440] {
        with_bias(padded([1, 1]), [2, c, 4, 5], [6, c, 3, 3]).check();
        with_bias(Conv::default(), [1, c, 4, 6], [6, c, 1, 1]).check();
    }
}

#[test]
fn groups() {
    with_bias(Conv { groups: 2, ..padded([1, 1]) }, [3, 6, 5, 7], [8, 3, 3, 3]).check();
    with_bias(Conv { groups: 5, ..padded([0, 1]) }, [1, 10, 4, 6], [15, 2, 2, 3]).check();
}

#[test]
fn depthwise_with_multipliers() {
    with_bias(Conv { groups: 5, ..padded([1, 1]) }, [2, 5, 6, 9], [5, 1, 3, 3]).check();
    without_bias(Conv { groups: 3, ..padded([2, 2]) }, [1, 3, 7, 8], [6, 1, 5, 5]).check();
    with_bias(Conv { groups: 3, ..strided([2, 2], Padding::symmetric([1, 1])) }, [2, 3, 9, 10], [9, 1, 3, 3]).check();
    with_bias(Conv { groups: 2, ..padded([0, 1]) }, [1, 2, 1, 6], [10, 1, 1, 3]).check();
    for (height, width) in [(1, 3), (2, 4), (3, 5), (4, 7), (5, 8)] {
        with_bias(Conv { groups: 4, ..padded([1, 1]) }, [1, 4, height, width], [4, 1, 3, 3]).check();
    }
}

/// Blocks of four rows, whole and not.
#[test]
fn depthwise_on_larger_maps() {
    for (height, width) in [(16, 18), (17, 15), (19, 21)] {
        with_bias(Conv { groups: 2, ..padded([1, 1]) }, [2, 2, height, width], [2, 1, 3, 3]).check();
        let narrow = Conv { groups: 2, ..strided([1, 2], Padding::symmetric([2, 1])) };
        with_bias(narrow, [1, 2, height, 2 * width], [4, 1, 5, 3]).check();
        let tall = Conv { groups: 2, ..strided([2, 1], Padding::symmetric([2, 1])) };
        with_bias(tall, [1, 2, 2 * height, width], [2, 1, 5, 4]).check();
        without_bias(Conv { dilation: Some([2, 1].into()), groups: 2, ..padded([2, 1]) }, [1, 2, height, width], [2, 1, 3, 3]).check();
    }
}

/// Strips of whole vectors, and whole planes where the device has subgroups of eight: square kernels on widths of every remainder.
#[test]
fn depthwise_by_strips_and_planes() {
    let square = |c: usize, k: usize, stride: usize, before: [usize; 2], after: [usize; 2]| {
        (Conv { groups: c, ..strided([stride, stride], explicit(before, after)) }, [c, 1, k, k])
    };
    for k in [3, 5, 7] {
        let half = k / 2;
        for (height, width) in [(1, 4), (5, 8), (3, 9), (8, 12), (7, 7), (4, 6), (9, 5)] {
            let (op, w) = square(5, k, 1, [half; 2], [half; 2]);
            with_bias(op, [2, 5, height, width], w).check();
        }
        // Every padding on the left, and outputs of other sizes than the input.
        for left in 0..=3 {
            let (op, w) = square(3, k, 1, [left, left], [half, (k - 1).abs_diff(left) + if left < k { 0 } else { 2 }]);
            without_bias(op, [2, 3, 9, 12], w).check();
            let (op, w) = square(3, k, 2, [half, left], [half, if left < k { k - 1 - left } else { 1 }]);
            with_bias(op, [2, 3, 11, 16], w).check();
            let (op, w) = square(2, k, 2, [0, left], [half, k + 6 - left]);
            without_bias(op, [1, 2, 17, 24], w).check();
        }
        with_bias(Conv { groups: 3, ..padded([half, half]) }, [2, 3, 6, 8], [6, 1, k, k]).check();
    }
}

/// Eight planes share a subgroup: fewer, as many, more; vectors that hold the end of one plane and the start of the next.
#[test]
fn depthwise_on_many_small_maps() {
    for (n, c, height, width) in [(1, 1, 3, 5), (1, 8, 7, 7), (1, 9, 7, 7), (2, 12, 5, 7), (3, 7, 3, 6), (1, 17, 14, 14), (1, 4, 11, 28)] {
        with_bias(Conv { groups: c, ..padded([1, 1]) }, [n, c, height, width], [c, 1, 3, 3]).check();
    }
    for (width, k) in [(19, 5), (38, 3), (40, 3), (14, 7), (19, 7), (29, 5)] {
        without_bias(Conv { groups: 3, ..padded([k / 2, k / 2]) }, [1, 3, 10, width], [3, 1, k, k]).check();
    }
}

/// Rows that begin and end anywhere in a vector, at both strides and with every padding on the left.
#[test]
fn depthwise_by_blocks_of_rows() {
    for (n, c, height, width) in [(1, 9, 14, 14), (2, 3, 9, 7), (1, 5, 28, 28), (3, 2, 7, 30), (1, 2, 3, 1), (2, 2, 2, 2), (1, 3, 13, 57)] {
        for k in [3, 5, 7] {
            let half = k / 2;
            with_bias(Conv { groups: c, ..strided([2, 2], Padding::symmetric([half, half])) }, [n, c, height, width], [c, 1, k, k]).check();
            with_bias(Conv { groups: c, ..padded([half, half]) }, [n, c, height, width], [c, 1, k, k]).check();
        }
    }
    for left in 0..=3 {
        let op = Conv { groups: 3, ..strided([2, 2], explicit([1, left], [2, 3])) };
        without_bias(op, [2, 3, 10, 13], [6, 1, 3, 3]).check();
    }
}

/// What is not finite stays in the windows that reach it: nothing outside a plane or in the padding is multiplied.
#[test]
fn depthwise_keeps_nan_in_its_windows() {
    for (height, width) in [(5, 7), (4, 8), (6, 6)] {
        for stride in [1, 2] {
            let mut x = vec![0.5f32; 3 * height * width];
            for at in [0, height * width - 1, height * width, 2 * height * width - width, 3 * height * width - 1] {
                x[at] = f32::NAN;
            }
            let op = Conv { groups: 3, ..strided([stride, stride], Padding::symmetric([1, 1])) };
            let x = Tensor::new([1, 3, height, width], x).unwrap();
            case(op).runtime(x).constant(random(2, [3, 1, 3, 3], -1.0..1.0)).check();
        }
    }
}

#[test]
fn dilation() {
    with_bias(Conv { dilation: Some([2, 3].into()), ..padded([2, 3]) }, [2, 3, 8, 11], [4, 3, 3, 3]).check();
    with_bias(Conv { dilation: Some([3, 2].into()), groups: 3, ..padded([1, 2]) }, [1, 6, 9, 10], [9, 2, 3, 3]).check();
    with_bias(Conv { dilation: Some([2, 2].into()), groups: 4, ..strided([2, 1], Padding::symmetric([2, 1])) }, [2, 4, 9, 8], [8, 1, 3, 3])
        .check();
}

#[test]
fn asymmetric_padding() {
    with_bias(strided([1, 1], explicit([2, 0], [0, 1])), [2, 3, 5, 6], [4, 3, 3, 2]).check();
    with_bias(strided([2, 1], explicit([0, 3], [1, 0])), [1, 2, 6, 5], [3, 2, 2, 4]).check();
    with_bias(Conv { groups: 3, ..strided([1, 1], explicit([0, 2], [2, 1])) }, [1, 3, 5, 6], [3, 1, 3, 4]).check();
}

#[test]
fn padding_wider_than_the_input() {
    with_bias(padded([4, 5]), [1, 2, 2, 3], [3, 2, 3, 3]).check();
    with_bias(Conv { groups: 2, ..padded([4, 5]) }, [1, 2, 2, 3], [2, 1, 3, 3]).check();
}

#[test]
fn same_padding_at_stride_two_on_odd_sizes() {
    for padding in [Padding::SameUpper, Padding::SameLower] {
        with_bias(strided([2, 2], padding), [2, 3, 7, 10], [4, 3, 3, 3]).check();
        with_bias(strided([2, 3], padding), [1, 3, 9, 5], [5, 3, 2, 4]).check();
        with_bias(Conv { groups: 3, ..strided([2, 2], padding) }, [1, 3, 11, 6], [3, 1, 3, 3]).check();
    }
}

#[test]
fn strides_beyond_the_kernel() {
    with_bias(strided([3, 4], Padding::Valid), [2, 3, 10, 11], [4, 3, 2, 2]).check();
    with_bias(Conv { groups: 3, ..strided([4, 3], Padding::Valid) }, [1, 3, 9, 11], [3, 1, 2, 2]).check();
}

#[test]
fn a_kernel_as_large_as_the_input() {
    with_bias(Conv::default(), [3, 4, 5, 6], [7, 4, 5, 6]).check();
    without_bias(Conv::default(), [2, 13, 1, 1], [18, 13, 1, 1]).check();
    with_bias(Conv { groups: 2, ..Conv::default() }, [2, 6, 1, 1], [4, 3, 1, 1]).check();
}

#[test]
fn more_than_32768_pixels() {
    with_bias(Conv::default(), [1, 2, 173, 192], [3, 2, 1, 1]).check();
    with_bias(padded([1, 1]), [1, 1, 182, 181], [2, 1, 3, 3]).check();
}

/// A large image with one channel; the reference is slow, so the kernel is small.
#[test]
fn an_image_of_4096_by_4096() {
    let image = random(1, [1, 1, 4096, 4096], -1.0..1.0);
    case(Conv::default()).runtime(image).constant(random(2, [1, 1, 1, 2], -1.0..1.0)).constant(random(3, [1], -1.0..1.0)).check();
}

/// 65,536 maps and more, along every dimension of a dispatch.
#[test]
fn more_than_65535_workgroups() {
    without_bias(Conv { groups: 66_000, ..Conv::default() }, [1, 66_000, 2, 3], [66_000, 1, 1, 2]).check();
    without_bias(Conv::default(), [66_001, 2, 1, 3], [1, 2, 1, 2]).check();
    without_bias(Conv::default(), [1, 1, 2, 3], [66_002, 1, 1, 2]).check();
}

#[test]
fn one_dimension() {
    with_bias(padded([2]), [2, 3, 17], [5, 3, 4]).check();
    with_bias(strided([3], explicit([1], [2])), [1, 5, 20], [4, 5, 3]).check();
    with_bias(Conv { groups: 4, dilation: Some([2].into()), ..padded([2]) }, [3, 4, 11], [8, 1, 3]).check();
    with_bias(Conv::default(), [2, 6, 12], [5, 6, 1]).check();
}

#[test]
fn three_dimensions() {
    with_bias(padded([1, 0, 2]), [2, 3, 4, 5, 6], [4, 3, 3, 2, 3]).check();
    with_bias(Conv { groups: 2, ..strided([2, 1, 3], Padding::SameUpper) }, [1, 4, 5, 3, 7], [6, 2, 2, 3, 2]).check();
    with_bias(Conv { dilation: Some([2, 3, 1].into()), ..padded([3, 1, 0]) }, [1, 2, 4, 8, 3], [17, 2, 3, 2, 3]).check();
    with_bias(strided([1, 2, 2], explicit([0, 1, 2], [2, 0, 1])), [2, 5, 3, 7, 6], [8, 5, 2, 3, 4]).check();
    with_bias(Conv { groups: 3, ..padded([1, 1, 1]) }, [2, 3, 4, 5, 7], [6, 1, 3, 3, 3]).check();
    without_bias(Conv::default(), [2, 6, 2, 3, 6], [5, 6, 1, 1, 1]).check();
    let (x, w) = (to_f16(&random(1, [1, 3, 4, 5, 6], -1.0..1.0)), to_f16(&random(2, [5, 3, 2, 3, 2], -1.0..1.0)));
    case(padded([1, 0, 1])).runtime(x).constant(w).check();
}

/// One slice that is padded is three: the only output looks at the padding, and is the bias.
#[test]
fn padding_along_a_depth_of_one_is_no_second_dimension() {
    with_bias(Conv { groups: 4, ..strided([3, 1, 1], explicit([1, 0, 1], [1, 0, 2])) }, [2, 4, 1, 6, 7], [4, 1, 1, 3, 3]).check();
    with_bias(strided([3, 1, 1], explicit([1, 1, 0], [1, 0, 0])), [2, 17, 1, 5, 6], [9, 17, 1, 3, 2]).check();
}

#[test]
fn weights_computed_at_run_time() {
    let case = |x: [usize; 4], w: [usize; 4], groups| {
        let op = Conv { groups, ..padded([1, 0]) };
        case(op).runtime(random(1, x, -1.0..1.0)).runtime(random(2, w, -1.0..1.0)).runtime(random(3, [w[0]], -1.0..1.0))
    };
    case([2, 3, 5, 7], [4, 3, 3, 2], 1).check();
    case([1, 4, 6, 5], [4, 1, 3, 3], 4).check();
    case([1, 6, 3, 4], [4, 3, 1, 1], 2).check();
}

#[test]
fn half_precision() {
    let half = |op, x: [usize; 4], w: [usize; 4]| {
        let (x, w, b) = (random(1, x, -1.0..1.0), random(2, w, -1.0..1.0), random(3, [w[0]], -1.0..1.0));
        case(op).runtime(to_f16(&x)).constant(to_f16(&w)).constant(to_f16(&b)).check();
    };
    half(padded([1, 1]), [2, 5, 6, 7], [9, 5, 3, 3]);
    half(Conv::default(), [2, 5, 6, 2], [17, 5, 1, 1]);
    half(Conv { groups: 6, ..padded([1, 1]) }, [1, 6, 5, 7], [6, 1, 3, 3]);
}

#[test]
fn double_precision_runs_on_the_cpu() {
    let double = |t| to_dtype(&t, DType::F64);
    case(padded([1, 1]))
        .runtime(double(random(1, [2, 3, 4, 5], -1.0..1.0)))
        .constant(double(random(2, [2, 3, 3, 2], -1.0..1.0)))
        .check_on_cpu();
}

#[test]
fn what_does_not_fit_is_refused_in_numbers() {
    let bad = |op, x: &[usize], w: &[usize]| case(op).runtime(random(1, x, 0.0..1.0)).constant(random(2, w, 0.0..1.0));
    let plain = Conv::default();
    bad(plain, &[1, 3, 8, 9], &[8, 64, 3, 3]).fails_with("weight has 64 input channels per group × 1 groups, input has 3");
    bad(Conv { groups: 3, ..plain }, &[1, 6, 8, 9], &[8, 2, 3, 3]).fails_with("8 output channels do not divide into 3 groups");
    bad(Conv { groups: 0, ..plain }, &[1, 6, 8, 9], &[8, 2, 3, 3]).fails_with("0 groups");
    bad(plain, &[1, 3, 8, 9], &[8, 3, 3]).fails_with("input needs 3 axes");
    bad(plain, &[1, 3, 8, 9], &[8, 3]).fails_with("weight [8,3] needs 3 to 5 axes");
    bad(plain, &[1, 3, 2, 9], &[8, 3, 3, 3]).fails_with("spans 3 on axis 2, more than the input's 2");
    bad(strided([0, 1], Padding::Valid), &[1, 3, 8, 9], &[8, 3, 3, 3]).fails_with("stride [0, 1] must be at least 1");
    bad(plain, &[1, 3, 8, 9], &[8, 3, 3, 3]).constant(random(3, [7], 0.0..1.0)).fails_with("bias has shape [7], the weight has 8");
    case(plain).runtime(random(1, [1, 3, 4, 5], 0.0..1.0)).fails_with("input 1 (`W`) is missing");
    case(plain)
        .runtime(random(1, [1, 3, 4, 5], 0.0..1.0))
        .constant(to_f16(&random(2, [2, 3, 1, 1], 0.0..1.0)))
        .fails_with("is f16, expected f32");
}
