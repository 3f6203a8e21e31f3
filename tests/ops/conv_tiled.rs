//! Convolution in blocks that go through workgroup memory: every tile of every such kernel.

use macula::ops::{Binary, Conv, Fused, Op, Padding, Spatial, Step, Unary};
use macula::{DType, Tensor};

use crate::support::{Case, case, every_type, random, to_f16};

/// `[rows, columns, depth]`
const BLOCKS: [[usize; 3]; 5] = [[128, 128, 16], [128, 64, 16], [64, 64, 8], [64, 32, 32], [32, 256, 8]];
/// For the pointwise kernel alone.
const DEEP: [usize; 3] = [64, 64, 16];

const POINTWISE: &str = "conv2d_pointwise_tiled";
const BY_TAPS: &str = "conv2d_implicit_gemm_tiled";
const FOLDED: &str = "conv2d_implicit_gemm_folded";

fn name(kernel: &str, elem: &str, [rows, columns, depth]: [usize; 3]) -> String {
    format!("{kernel} {elem} block_{rows}x{columns}x{depth}")
}

fn blocks(kernel: &str) -> impl Iterator<Item = [usize; 3]> {
    let deep = (kernel == POINTWISE).then_some(DEEP);
    BLOCKS.into_iter().chain(deep)
}

fn with_bias(op: impl Into<Op>, x: [usize; 4], w: [usize; 4]) -> Case {
    case(op).runtime(random(1, x, -1.0..1.0)).constant(random(2, w, -1.0..1.0)).constant(random(3, [w[0]], -1.0..1.0))
}

/// Every tile of a kernel, for a node with a bias.
fn whole(kernel: &str) -> impl Iterator<Item = String> {
    blocks(kernel).map(move |block| name(kernel, "f32", block) + " HAS_BIAS=1")
}

/// Every tile of a kernel in slices of the inner dimension, which leave the bias to their sum.
fn sliced(kernel: &str) -> impl Iterator<Item = String> {
    blocks(kernel).map(move |block| name(kernel, "f32", block) + " HAS_BIAS=0")
}

fn check(kernel: &str, op: Conv, x: [usize; 4], w: [usize; 4]) {
    with_bias(op, x, w).check_variants(whole(kernel));
}

fn check_sliced(kernel: &str, op: Conv, x: [usize; 4], w: [usize; 4]) {
    with_bias(op, x, w).check_variants(sliced(kernel));
}

fn padded(before: impl Into<Spatial>, after: impl Into<Spatial>) -> Conv {
    Conv { padding: Padding::Explicit { before: before.into(), after: after.into() }, ..Conv::default() }
}

/// Two groups; stride, dilation and padding other along each axis.
fn crooked() -> Conv {
    Conv { stride: Some([2, 1].into()), dilation: Some([1, 2].into()), groups: 2, ..padded([1, 2], [2, 1]) }
}

#[test]
fn odd_shapes_on_every_tile() {
    check(POINTWISE, Conv { groups: 2, ..Conv::default() }, [2, 74, 4, 37], [140, 37, 1, 1]);
    check(BY_TAPS, crooked(), [2, 74, 9, 11], [140, 37, 3, 2]);
    check(FOLDED, Conv { groups: 1, ..crooked() }, [3, 3, 9, 11], [70, 3, 3, 5]);
    check(FOLDED, crooked(), [2, 10, 11, 9], [34, 5, 5, 3]);
}

/// One below, at and above the rows, the columns and the depth of each tile.
#[test]
fn around_the_tiles() {
    for kernel in [POINTWISE, BY_TAPS, FOLDED] {
        for block in blocks(kernel) {
            let [rows, columns, depth] = block;
            for by in [-1isize, 0, 1] {
                let near = |n: usize| n.checked_add_signed(by).unwrap();
                let (op, x, w) = match kernel {
                    POINTWISE => (Conv::default(), [1, depth.max(near(depth)), 4, near(columns / 4)], [1, 1]),
                    BY_TAPS => (padded([0, 1], [0, 0]), [1, depth.max(near(depth)), 1, near(columns)], [1, 2]),
                    _ => (padded([0, 3], [0, 3]), [1, near(depth).div_ceil(7).max(1), 1, near(columns)], [1, 7]),
                };
                let case = with_bias(op, x, [near(rows), x[1], w[0], w[1]]);
                if x[1] * w[0] * w[1] >= depth && (kernel != FOLDED || x[1] % 8 != 0) {
                    case.check_variants([name(kernel, "f32", block)]);
                }
            }
        }
    }
}

/// First layers: one, three and four channels.
#[test]
fn few_channels_fill_the_inner_dimension_together() {
    for (c, k, stride) in [(1, 7, 1), (3, 7, 2), (4, 3, 2), (3, 4, 4)] {
        let op = Conv { stride: Some([stride, stride].into()), ..padded([k / 2, k / 2], [k / 2, k / 2 - 1]) };
        check(FOLDED, op, [2, c, 13, 18], [33, c, k, k]);
    }
}

#[test]
fn deep_small_maps_in_slices() {
    check_sliced(POINTWISE, Conv::default(), [2, 500, 4, 3], [70, 500, 1, 1]);
    check_sliced(POINTWISE, Conv { groups: 2, ..Conv::default() }, [3, 1040, 2, 6], [68, 520, 1, 1]);
    check_sliced(BY_TAPS, padded([1, 1], [1, 1]), [1, 123, 7, 7], [65, 123, 3, 3]);
    check_sliced(BY_TAPS, crooked(), [2, 200, 6, 7], [66, 100, 3, 2]);
    check_sliced(BY_TAPS, Conv::default(), [1, 513, 7, 7], [33, 513, 1, 1]);
}

/// What is not finite stays in the windows that reach it, of its own image.
#[test]
fn nan_stays_in_its_windows() {
    let (n, h, w) = (2, 5, 8);
    for (kernel, c, size) in [(POINTWISE, 36, 1), (BY_TAPS, 36, 3), (FOLDED, 4, 3)] {
        let mut x = vec![0.5f32; n * c * h * w];
        for at in [0, h * w - 1, c * h * w - 1, c * h * w, n * c * h * w - 1] {
            x[at] = f32::NAN;
        }
        let x = Tensor::new([n, c, h, w], x).unwrap();
        let op = padded([size / 2, size / 2], [size / 2, size / 2]);
        let case = case(op).runtime(x).constant(random(2, [9, c, size, size], -1.0..1.0));
        case.check_variants(blocks(kernel).map(|block| name(kernel, "f32", block)));
    }
}

/// An epilogue in the kernel, and in the sum of its slices.
#[test]
fn epilogues_end_every_tile() {
    let steps = vec![Step::Binary { op: Binary::Add, operand: 3, swapped: false }, Step::Unary(Unary::Relu)];
    let fused = |base: Conv| Fused { base: Some(Box::new(base.into())), base_inputs: 3, steps: steps.clone() };
    let check = |op: Conv, x: [usize; 4], w: [usize; 4], variants: Vec<String>| {
        let held = random(4, [x[0], w[0], x[2], x[3]], -1.0..1.0);
        with_bias(fused(op), x, w).runtime(held).check_variants(variants);
    };
    let (same, wide) = (padded([1, 1], [1, 1]), padded([1, 0], [1, 2]));
    check(Conv::default(), [2, 37, 4, 5], [70, 37, 1, 1], whole(POINTWISE).collect());
    check(wide, [2, 37, 5, 6], [65, 37, 3, 3], whole(BY_TAPS).collect());
    check(same, [2, 5, 7, 9], [35, 5, 3, 3], whole(FOLDED).collect());
    check(Conv::default(), [2, 520, 4, 5], [70, 520, 1, 1], sliced(POINTWISE).collect());
    check(wide, [2, 131, 5, 6], [65, 131, 3, 3], sliced(BY_TAPS).collect());
}

#[test]
fn half_precision() {
    if !every_type(1, [1]).iter().any(|t| t.dtype() == DType::F16) {
        return;
    }
    for (kernel, x, w) in
        [(POINTWISE, [2, 37, 4, 3], [70, 37, 1, 1]), (BY_TAPS, [2, 37, 5, 3], [70, 37, 3, 2]), (FOLDED, [2, 5, 5, 3], [70, 5, 3, 3])]
    {
        let half = |seed, shape: &[usize]| to_f16(&random(seed, shape, -0.5..0.5));
        let case = case(Conv::default()).runtime(half(1, &x)).constant(half(2, &w)).constant(half(3, &[w[0]]));
        case.check_variants(blocks(kernel).map(|block| name(kernel, "f16", block)));
    }
}

/// Winograd's products in blocks, as GPUs compute them: output channels as rows, and as columns.
#[test]
fn winograd_planes_in_blocks() {
    for (x, m) in [([2, 37, 21, 36], 70), ([1, 33, 14, 15], 130), ([3, 20, 7, 6], 34)] {
        let case = || with_bias(padded([1, 1], [1, 1]), x, [m, x[1], 3, 3]);
        let tile = |outputs: usize, vectors: bool| {
            format!("conv2d_winograd_input f32 winograd_{outputs} VECTORS={} WORKGROUP_SIZE=64", u32::from(vectors))
        };
        let offered: Vec<_> = [2, 4].map(|outputs| tile(outputs, x[3] % 4 == 0)).into_iter().filter(|name| case().offers(name)).collect();
        assert!(!offered.is_empty(), "neither tile is offered");
        case().check_variants(offered);
    }
}
