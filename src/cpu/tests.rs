//! Every fast path against the reference, over tables of shapes that differ in every axis.

use super::*;
use crate::inspect::Comparison;
use crate::ops::{
    AveragePool, BatchNormalization, Binary, Clip, Concat, Conv, ConvTranspose, DepthOrder, DepthToSpace, Expand, Gather, Gemm, GlobalPool,
    GridPadding, GridSample, GroupNormalization, InstanceNormalization, Interpolation, LayerNormalization, MatMul, MaxPool, NearestMode,
    Op, PRelu, Pad, PadMode, Padding, PoolKind, Reduce, ReduceFunction, Resize, ResizeCoordinates, ResizeMode, Slice, Softmax,
    SpaceToDepth, Split, Tile, Transpose, Unary, Window,
};
use crate::shape::Shape;

/// Repeatable values in −2 … 2 without a pattern that a wrong stride would keep.
fn wave(seed: usize, shape: impl Into<Shape>) -> Tensor {
    let shape = shape.into();
    let value = |i: usize| ((i * 7919 + seed * 104_729) % 6151) as f32 / 6151.0 * 4.0 - 2.0;
    let values = (0..shape.elements()).map(value).collect();
    Tensor::new(shape, values).unwrap()
}

fn halves(tensor: &Tensor) -> Tensor {
    Tensor::from_f64(DType::F16, tensor.shape(), tensor.to_f64()).unwrap()
}

fn integers(values: &[i64]) -> Tensor {
    Tensor::vector(values.to_vec())
}

/// The fast path takes the node and agrees with the reference, twice with the same bits.
fn check(op: impl Into<Op>, inputs: &[&Tensor]) {
    check_with(op.into(), &inputs.iter().map(|&t| Some(t)).collect::<Vec<_>>(), 1);
}

fn check_with(op: Op, inputs: &[Option<&Tensor>], outputs: usize) {
    let shapes: Vec<_> = inputs.iter().map(|t| t.map_or("–".into(), |t| format!("{}{}", t.dtype(), t.shape()))).collect();
    let is_half = inputs.iter().flatten().any(|t| t.dtype() == DType::F16);
    let fast = match movement::evaluate(&op, inputs, outputs).unwrap() {
        Some(tensors) => Some(tensors),
        None if is_half => compute_f16(&op, inputs, outputs).unwrap(),
        None => compute(&op, inputs, outputs, None).unwrap(),
    };
    let fast = fast.unwrap_or_else(|| panic!("{op:?} of {shapes:?} has no fast path"));
    let again = evaluate(&op, inputs, outputs).unwrap();
    let expected = op.operator().reference(inputs, outputs).unwrap();
    assert_eq!(fast.len(), expected.len().min(outputs), "{op:?} of {shapes:?}");
    for ((fast, again), expected) in fast.iter().zip(&again).zip(&expected) {
        let comparison = Comparison::new(fast, expected, op.operator().tolerance(expected.dtype()));
        assert!(comparison.passed(), "{op:?} of {shapes:?}: {comparison}");
        assert_eq!(fast.bytes(), again.bytes(), "{op:?} of {shapes:?} twice");
    }
}

fn padding(before: [usize; 2], after: [usize; 2]) -> Padding {
    Padding::Explicit { before: before.into(), after: after.into() }
}

/// Input `[N, C, H, W]`, output channels, kernel, stride, dilation, padding, groups.
type Convolution = ([usize; 4], usize, [usize; 2], [usize; 2], [usize; 2], Padding, usize);

#[test]
fn convolutions() {
    let table: &[Convolution] = &[
        ([2, 3, 11, 13], 5, [3, 3], [1, 1], [1, 1], padding([1, 1], [1, 1]), 1),
        ([1, 4, 9, 14], 6, [3, 2], [2, 3], [1, 1], padding([0, 1], [2, 3]), 1),
        ([3, 2, 12, 7], 4, [5, 3], [1, 2], [2, 1], padding([3, 0], [1, 2]), 2),
        ([2, 6, 10, 9], 9, [3, 3], [2, 1], [1, 2], padding([1, 2], [0, 1]), 3),
        ([2, 7, 5, 6], 3, [1, 1], [1, 1], [1, 1], Padding::Valid, 1),
        ([1, 8, 7, 5], 4, [1, 1], [2, 2], [1, 1], Padding::Valid, 2),
        ([1, 5, 6, 7], 4, [1, 1], [1, 1], [1, 1], padding([1, 0], [0, 2]), 1),
        // Several panels, several blocks of taps, several tiles of channels.
        ([1, 130, 19, 23], 131, [3, 3], [1, 1], [1, 1], padding([1, 1], [1, 1]), 1),
        ([1, 3, 70, 61], 65, [7, 7], [2, 2], [1, 1], padding([3, 3], [2, 1]), 1),
        ([2, 512, 7, 7], 140, [1, 1], [1, 1], [1, 1], Padding::Valid, 1),
        // Taps so far apart that a padded copy would be mostly padding.
        ([1, 33, 20, 21], 16, [3, 3], [1, 1], [6, 6], padding([6, 6], [6, 6]), 1),
        ([2, 35, 40, 45], 34, [3, 2], [3, 2], [2, 5], padding([6, 1], [2, 6]), 1),
        // Depthwise.
        ([2, 4, 9, 70], 8, [3, 5], [1, 1], [1, 1], padding([1, 2], [1, 2]), 4),
        ([2, 5, 9, 11], 5, [3, 3], [1, 1], [1, 1], padding([1, 1], [1, 1]), 5),
        ([2, 4, 13, 10], 8, [3, 3], [2, 2], [1, 1], padding([0, 1], [1, 0]), 4),
        ([1, 3, 17, 16], 3, [5, 7], [3, 2], [2, 1], padding([4, 1], [2, 5]), 3),
        ([3, 2, 6, 8], 2, [2, 1], [1, 1], [1, 3], padding([0, 7], [1, 9]), 2),
        ([1, 2, 4, 5], 2, [3, 3], [1, 1], [3, 2], Padding::SameUpper, 2),
        ([1, 6, 8, 9], 6, [3, 3], [2, 2], [1, 1], Padding::SameLower, 6),
        // Padding wider than the input.
        ([1, 2, 3, 2], 3, [3, 3], [2, 1], [1, 1], padding([5, 4], [6, 7]), 1),
    ];
    for &(shape, out_channels, kernel, stride, dilation, padding, groups) in table {
        let x = wave(1, shape);
        let w = wave(2, [out_channels, shape[1] / groups, kernel[0], kernel[1]]);
        let b = wave(3, [out_channels]);
        let op = Conv { stride: Some(stride.into()), dilation: Some(dilation.into()), padding, groups };
        check(op, &[&x, &w]);
        check(op, &[&x, &w, &b]);
    }
    let (x, w) = (wave(1, [2, 6, 19]), wave(2, [4, 3, 5]));
    check(Conv { stride: Some([2].into()), padding: Padding::symmetric([3]), groups: 2, ..Conv::default() }, &[&x, &w]);
    let (x, w) = (wave(1, [2, 3, 5, 6, 7]), wave(2, [4, 3, 2, 3, 3]));
    check(Conv { stride: Some([1, 2, 1].into()), padding: Padding::symmetric([1, 0, 2]), ..Conv::default() }, &[&x, &w]);
    let (x, w) = (wave(1, [1, 3, 5, 6, 7]), wave(2, [3, 1, 2, 3, 3]));
    check(Conv { groups: 3, ..Conv::default() }, &[&x, &w]);
    let (x, w, b) = (halves(&wave(1, [2, 3, 9, 8])), halves(&wave(2, [5, 3, 3, 3])), halves(&wave(3, [5])));
    check(Conv::default(), &[&x, &w, &b]);
}

/// Panels and tiles differ with the number of threads, the order of every sum does not.
#[test]
fn convolutions_are_the_same_on_any_number_of_threads() {
    for (x, w, stride) in [([1, 70, 23, 29], [136, 70, 3, 3], 1), ([2, 5, 31, 40], [67, 5, 3, 3], 2), ([1, 300, 9, 7], [90, 300, 1, 1], 1)]
    {
        let (x, w) = (wave(1, x), wave(2, w));
        let op = Op::from(Conv { stride: Some([stride, stride].into()), padding: Padding::symmetric([1, 1]), ..Conv::default() });
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| evaluate(&op, &[Some(&x), Some(&w)], 1).unwrap().remove(0))
        };
        let one = on(1);
        for threads in [2, 3, 16] {
            assert_eq!(one.bytes(), on(threads).bytes(), "{} by {} on {threads} threads", x.shape(), w.shape());
        }
    }
}

#[test]
fn transposed_convolutions() {
    // Input `[N, C, H, W]`, output channels of a group, kernel, stride, dilation, padding, groups; the last has several bands.
    let table: &[Convolution] = &[
        ([2, 3, 5, 7], 4, [3, 2], [2, 3], [1, 1], padding([1, 0], [0, 2]), 1),
        ([1, 6, 4, 9], 5, [2, 2], [2, 2], [1, 1], Padding::Valid, 3),
        ([3, 2, 6, 5], 3, [3, 4], [1, 1], [2, 1], padding([3, 5], [0, 1]), 2),
        ([1, 4, 3, 4], 2, [1, 2], [5, 4], [1, 3], Padding::SameUpper, 1),
        ([2, 5, 7, 4], 3, [4, 4], [2, 1], [1, 1], Padding::SameLower, 1),
        ([1, 2, 67, 71], 40, [3, 3], [2, 2], [1, 1], padding([1, 1], [1, 0]), 1),
    ];
    for &(shape, out_channels, kernel, stride, dilation, padding, groups) in table {
        let x = wave(1, shape);
        let w = wave(2, [shape[1], out_channels, kernel[0], kernel[1]]);
        let b = wave(3, [out_channels * groups]);
        let op =
            ConvTranspose { stride: Some(stride.into()), dilation: Some(dilation.into()), padding, groups, ..ConvTranspose::default() };
        check(op, &[&x, &w]);
        check(op, &[&x, &w, &b]);
    }
    let (x, w) = (wave(1, [2, 3, 4, 5, 3]), wave(2, [3, 2, 2, 3, 3]));
    let (stride, padding) = (Some([2, 1, 3].into()), Padding::symmetric([1, 0, 2]));
    check(ConvTranspose { stride, padding, ..ConvTranspose::default() }, &[&x, &w]);
    let (x, w) = (halves(&wave(1, [2, 3, 9])), halves(&wave(2, [3, 5, 3])));
    check(ConvTranspose { stride: Some([2].into()), ..ConvTranspose::default() }, &[&x, &w]);
}

#[test]
fn pools() {
    let window = |kernel: [usize; 2], stride: [usize; 2], dilation: [usize; 2], padding, ceil_mode| Window {
        kernel_size: kernel.into(),
        stride: stride.into(),
        dilation: dilation.into(),
        padding,
        ceil_mode,
    };
    for window in [
        window([3, 3], [2, 2], [1, 1], padding([1, 1], [1, 1]), false),
        window([2, 3], [2, 1], [1, 1], Padding::Valid, true),
        window([3, 2], [1, 3], [2, 1], padding([1, 0], [2, 1]), true),
        window([2, 2], [2, 2], [1, 1], Padding::SameUpper, false),
        window([5, 4], [3, 2], [1, 2], Padding::SameLower, false),
    ] {
        for shape in [[2, 3, 13, 11], [1, 5, 10, 16]] {
            let x = wave(1, shape);
            check(MaxPool { window, column_major: false }, &[&x]);
            check(AveragePool { window, count_include_pad: false }, &[&x]);
            check(AveragePool { window, count_include_pad: true }, &[&x]);
        }
    }
    let mut x = wave(1, [1, 2, 7, 9]);
    x.data_mut::<f32>().unwrap()[17] = f32::NAN;
    x.data_mut::<f32>().unwrap()[70] = f32::NEG_INFINITY;
    let sliding = window([3, 3], [1, 2], [1, 1], padding([1, 1], [1, 1]), false);
    check(MaxPool { window: sliding, column_major: false }, &[&x]);
    check(GlobalPool { kind: PoolKind::Max }, &[&x]);
    for kind in [PoolKind::Average, PoolKind::Max] {
        check(GlobalPool { kind }, &[&wave(2, [3, 5, 7, 6])]);
        check(GlobalPool { kind }, &[&halves(&wave(2, [2, 3, 4, 5]))]);
    }
}

#[test]
fn movements() {
    let x = wave(1, [2, 3, 35, 67]);
    let bytes = Tensor::new([3, 4, 5], (0..60u8).collect()).unwrap();
    for permutation in [vec![0, 2, 3, 1], vec![3, 1, 0, 2], vec![0, 1, 3, 2], vec![2, 0, 1, 3], vec![1, 0, 2, 3], vec![]] {
        check(Transpose { permutation }, &[&x]);
    }
    check(Transpose { permutation: vec![2, 0, 1] }, &[&bytes]);
    check(Transpose::default(), &[&Tensor::scalar(3i64)]);
    let slice = |starts: &[i64], ends: &[i64], axes: &[i64], steps: &[i64]| {
        check(Slice, &[&x, &integers(starts), &integers(ends), &integers(axes), &integers(steps)]);
    };
    slice(&[1, 5], &[2, -3], &[1, 3], &[1, 7]);
    slice(&[-1, 60], &[-100, 2], &[2, -1], &[-2, -1]);
    slice(&[3], &[3], &[2], &[1]);
    check(Expand, &[&wave(2, [3, 1, 5]), &integers(&[2, 1, 4, 1])]);
    check_with(Split { axis: 2 }.into(), &[Some(&x), Some(&integers(&[5, 0, 30]))], 3);
    let (a, b) = (wave(1, [2, 3, 40, 101]), wave(2, [2, 5, 40, 101]));
    check(Concat { axis: 1 }, &[&a, &b, &a]);
    for mode in [PadMode::Constant, PadMode::Reflect, PadMode::Edge, PadMode::Wrap] {
        check(Pad { mode }, &[&x, &integers(&[0, 1, 2, 5, 1, 0, -3, 4])]);
        check(Pad { mode }, &[&bytes, &integers(&[2, 0, 0, 1, 3, -1])]);
    }
    check(Pad { mode: PadMode::Constant }, &[&x, &integers(&[0, 0, 1, 1, 0, 2, 0, 3]), &Tensor::scalar(7f32)]);
}

#[test]
fn halves_are_rounded_once() {
    let x = Tensor::vector(vec![f16::from_f32(1.0), f16::from_f32(-2.5), f16::NAN]);
    check(Unary::Relu, &[&x]);
    check(Unary::Tanh, &[&x]);
}

#[test]
fn matrix_products() {
    for [m, n, k] in [[5, 7, 3], [1, 300, 70], [300, 1, 70], [3, 1, 1], [65, 129, 40], [210, 401, 33], [1, 1, 9]] {
        for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false), (true, true)] {
            let a = wave(1, if transpose_a { [k, m] } else { [m, k] });
            let b = wave(2, if transpose_b { [n, k] } else { [k, n] });
            let op = Gemm { alpha: 0.75, beta: -1.5, transpose_a, transpose_b };
            check(op, &[&a, &b]);
            check(op, &[&a, &b, &wave(3, [n])]);
            check(op, &[&a, &b, &wave(3, [m, 1])]);
            check(op, &[&a, &b, &Tensor::scalar(0.5f32)]);
        }
    }
    let shapes: &[(&[usize], &[usize])] = &[
        (&[5], &[5]),
        (&[4, 5], &[5]),
        (&[5], &[2, 5, 3]),
        (&[2, 3, 4, 5], &[5, 6]),
        (&[2, 1, 4, 5], &[3, 5, 6]),
        (&[3, 1, 1, 5], &[2, 5, 6]),
        (&[4, 5], &[3, 5, 6]),
    ];
    for &(a, b) in shapes {
        check(MatMul, &[&wave(1, a), &wave(2, b)]);
        check(MatMul, &[&halves(&wave(1, a)), &halves(&wave(2, b))]);
        if let [.., _, columns] = *b {
            check(MatMul, &[&wave(1, a), &wave(2, b), &wave(3, [columns])]);
        }
    }
}

#[test]
fn elementwise() {
    let x = wave(1, [2, 3, 70, 83]);
    for op in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div] {
        let shapes: &[&[usize]] = &[&[2, 3, 70, 83], &[], &[3, 1, 1], &[83], &[70, 1], &[2, 1, 1, 83], &[5, 1, 1, 1, 1], &[2, 1, 70, 1]];
        for &shape in shapes {
            check(op, &[&x, &wave(2, shape)]);
            check(op, &[&wave(2, shape), &x]);
        }
    }
    let positive = Tensor::new([3, 5], (1..16).map(|i| i as f32 * 0.3).collect()).unwrap();
    check(Binary::Pow, &[&positive, &wave(2, [5])]);
    check(Binary::Pow, &[&x, &Tensor::scalar(2f32)]);
    check(Binary::Add, &[&wave(1, [0, 3]), &wave(2, [1, 3])]);
    check(PRelu, &[&x, &wave(2, [3, 1, 1])]);
    check_with(Clip.into(), &[Some(&x), None, Some(&Tensor::scalar(0.3f32))], 1);
    check(Clip, &[&halves(&x), &halves(&Tensor::scalar(-0.2f32))]);
    check(Unary::HardSwish, &[&x]);
}

#[test]
fn normalizations() {
    let x = wave(1, [2, 6, 7, 11]);
    // A mean that is large beside the deviation: sums of squares would cancel.
    let mut shifted = x.clone();
    shifted.data_mut::<f32>().unwrap().iter_mut().for_each(|x| *x += 1e4);
    let c = |seed| wave(seed, [6]);
    let mut var = c(5);
    var.data_mut::<f32>().unwrap().iter_mut().for_each(|v| *v = v.abs() + 0.5);
    for x in [&x, &shifted] {
        check(BatchNormalization { eps: 1e-5, momentum: 0.9, training: false }, &[x, &c(2), &c(3), &Tensor::full([6], 9999.5f32), &var]);
        check(InstanceNormalization { eps: 1e-5 }, &[x, &c(2), &c(3)]);
        check(GroupNormalization { groups: 3, eps: 1e-3 }, &[x, &c(2), &c(3)]);
        check(LayerNormalization { axis: -2, eps: 1e-5 }, &[x, &wave(2, [7, 11]), &wave(3, [7, 11])]);
        check(LayerNormalization { axis: -1, eps: 1e-5 }, &[x, &wave(2, [11])]);
    }
    check(BatchNormalization { eps: 1e-5, momentum: 0.9, training: false }, &[&halves(&x), &c(2), &c(3), &c(4), &var]);
}

#[test]
fn products_of_integers_and_doubles() {
    for dtype in [DType::I32, DType::U32, DType::I64, DType::U64, DType::F64] {
        let of = |seed, shape: &[usize]| {
            let values = wave(seed, shape).to_f64().into_iter().map(|x| (x + 2.0) * 1e4);
            Tensor::from_f64(dtype, shape, values.collect()).unwrap()
        };
        for (a, b) in
            [(&[3, 5][..], &[5, 7][..]), (&[2, 1, 33, 40], &[3, 40, 70]), (&[300, 40], &[40, 50]), (&[9], &[9]), (&[2, 0], &[0, 3])]
        {
            check(MatMul, &[&of(1, a), &of(2, b)]);
            if let [.., _, columns] = *b {
                check(MatMul, &[&of(1, a), &of(2, b), &of(3, &[columns])]);
            }
        }
        let op = |transpose_a, transpose_b| Gemm { transpose_a, transpose_b, ..Gemm::default() };
        check(op(true, false), &[&of(1, &[6, 5]), &of(2, &[6, 7]), &of(3, &[7])]);
        check(op(false, true), &[&of(1, &[5, 6]), &of(2, &[7, 6]), &of(3, &[5, 1])]);
    }
}

#[test]
fn softmaxes_and_reductions() {
    let x = wave(1, [3, 5, 7, 70]);
    for axis in [0, 1, 2, -1] {
        for log in [false, true] {
            check(Softmax { axis, log, flatten: false }, &[&x]);
            check(Softmax { axis, log, flatten: true }, &[&x]);
        }
    }
    for function in [ReduceFunction::Mean, ReduceFunction::Sum, ReduceFunction::Max] {
        for keep_dims in [false, true] {
            let op = Reduce { function, keep_dims, noop_with_empty_axes: false };
            check(op, &[&x]);
            for axes in [&[0][..], &[1], &[-1], &[2, 3], &[1, 3], &[0, 2], &[0, 1], &[1, 2]] {
                check(op, &[&x, &integers(axes)]);
            }
        }
    }
}

#[test]
fn resizes() {
    let modes = [ResizeMode::Nearest(NearestMode::RoundPreferFloor), ResizeMode::Linear, ResizeMode::Cubic { coefficient: -0.75 }];
    for mode in modes {
        for (coordinates, antialias) in
            [(ResizeCoordinates::HalfPixel, false), (ResizeCoordinates::AlignCorners, false), (ResizeCoordinates::HalfPixel, true)]
        {
            let op = Resize { mode, coordinates, antialias: antialias && mode != modes[0], ..Resize::default() };
            for (shape, sizes) in [
                (&[2, 3, 7, 9][..], &[2, 3, 20, 31][..]),
                (&[1, 2, 40, 33], &[1, 2, 11, 8]),
                (&[1, 2, 40, 9], &[1, 2, 11, 200]),
                (&[2, 5, 7, 3], &[2, 9, 4, 3]),
                (&[2, 3, 4, 5, 6], &[2, 3, 7, 3, 13]),
                (&[70], &[300]),
                (&[1, 1, 65, 75], &[1, 1, 130, 150]),
            ] {
                let (x, sizes) = (wave(51, shape), integers(sizes));
                check_with(op.clone().into(), &[Some(&x), None, None, Some(&sizes)], 1);
                check_with(op.clone().into(), &[Some(&halves(&x)), None, None, Some(&sizes)], 1);
            }
        }
    }
    let crop = Resize { coordinates: ResizeCoordinates::CropAndResize, extrapolation_value: 3.0, ..Resize::default() };
    let roi = Tensor::vector(vec![0f32, -0.5, 1.0, 1.5]);
    check_with(crop.into(), &[Some(&wave(52, [3, 5])), Some(&roi), None, Some(&integers(&[4, 9]))], 1);
}

#[test]
fn grids() {
    for mode in [Interpolation::Nearest, Interpolation::Linear, Interpolation::Cubic] {
        for padding in [GridPadding::Zeros, GridPadding::Border, GridPadding::Reflection] {
            for align_corners in [false, true] {
                let op = GridSample { mode, padding, align_corners };
                check(op, &[&wave(53, [2, 3, 5, 7]), &wave(54, [2, 9, 4, 2])]);
                check(op, &[&wave(53, [1, 2, 1, 6]), &wave(55, [1, 3, 5, 2])]);
            }
        }
    }
}

#[test]
fn blocks_rows_and_copies() {
    for mode in [DepthOrder::DepthColumnRow, DepthOrder::ColumnRowDepth] {
        check(DepthToSpace { block_size: 2, mode }, &[&wave(56, [2, 12, 3, 5])]);
    }
    check(SpaceToDepth { block_size: 3 }, &[&wave(57, [2, 4, 6, 9])]);
    check(Tile, &[&wave(58, [2, 3, 5]), &integers(&[3, 1, 2])]);
    let indices = Tensor::new([3, 2], vec![4i64, -1, 0, 2, 2, -5]).unwrap();
    for axis in [0, 1, 2] {
        check(Gather { axis }, &[&wave(59, [5, 71, 63]), &indices]);
    }
}
