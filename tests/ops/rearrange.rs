//! Repetition, triangles, reversal, blocks of pixels, one-hot vectors, conditions.

use macula::ops::{
    CenterCropPad, Compress, DepthOrder, DepthToSpace, EyeLike, NonZero, OneHot, Range, ReverseSequence, Size, SpaceToDepth, Tile, Trilu,
    Unique,
};
use macula::{DType, Tensor};

use crate::support::{case, every_type, integers, random, to_dtype};

#[test]
fn tiles() {
    for (shape, repeats) in [
        (&[2, 3, 5, 7][..], &[1, 2, 1, 3][..]),
        (&[2, 3, 5, 8], &[3, 1, 2, 1]),
        (&[4, 8], &[2, 1]),
        (&[65], &[2]),
        (&[1, 1, 3], &[2, 5, 1]),
        (&[2, 3], &[1, 1]),
    ] {
        case(Tile).runtime(random(1, shape, -9.0..9.0)).constant(integers(repeats)).check();
    }
    for x in every_type(2, [2, 3, 4]) {
        case(Tile).runtime(x).constant(integers(&[2, 1, 3])).check();
    }
    case(Tile).runtime(random(1, [2, 3], -9.0..9.0)).constant(integers(&[0, 1])).check_on_cpu();
    case(Tile).runtime(random(1, [2, 3], -9.0..9.0)).constant(integers(&[2])).fails_with("one for each axis of [2,3]");
}

#[test]
fn blocks_of_pixels() {
    for mode in [DepthOrder::DepthColumnRow, DepthOrder::ColumnRowDepth] {
        for (block_size, shape) in [(2, [2, 12, 3, 5]), (3, [1, 18, 2, 7]), (1, [2, 3, 4, 5]), (4, [3, 16, 1, 8])] {
            case(DepthToSpace { block_size, mode }).runtime(random(3, shape, -9.0..9.0)).check();
        }
        for x in every_type(4, [2, 8, 3, 4]) {
            case(DepthToSpace { block_size: 2, mode }).runtime(x).check();
        }
        case(DepthToSpace { block_size: 2, mode }).runtime(random(3, [1, 6, 2, 2], 0.0..1.0)).fails_with("6 channels, not a multiple of 4");
    }
    for (block_size, shape) in [(2, [2, 3, 4, 10]), (3, [1, 2, 9, 6]), (1, [2, 3, 4, 5]), (4, [3, 1, 8, 16])] {
        case(SpaceToDepth { block_size }).runtime(random(5, shape, -9.0..9.0)).check();
    }
    case(SpaceToDepth { block_size: 2 }).runtime(random(3, [1, 6, 3, 2], 0.0..1.0)).fails_with("cannot be cut in blocks");
}

#[test]
fn centres() {
    for extents in [[3, 4], [9, 8], [2, 9], [5, 7], [8, 3]] {
        let op = CenterCropPad { axes: Some(vec![2, -1]) };
        case(op).runtime(random(6, [2, 3, 5, 7], -9.0..9.0)).constant(integers(&extents)).check();
    }
    case(CenterCropPad::default()).runtime(random(6, [3, 5], -9.0..9.0)).constant(integers(&[4, 2])).check();
    case(CenterCropPad::default()).runtime(random(6, [3, 5], -9.0..9.0)).constant(integers(&[4])).fails_with("1 extents for 2 axes");
}

#[test]
fn triangles() {
    for upper in [false, true] {
        for k in [-9, -2, 0, 1, 9, i64::MAX] {
            case(Trilu { upper }).runtime(random(7, [2, 3, 5, 7], -9.0..9.0)).constant(Tensor::scalar(k)).check();
        }
        for x in every_type(8, [2, 9, 5]) {
            case(Trilu { upper }).runtime(x).check();
        }
        case(Trilu { upper }).runtime(Tensor::full([3, 3], f32::NAN)).check();
        case(Trilu { upper }).runtime(random(7, [3], 0.0..1.0)).fails_with("has no rows and columns");
    }
}

#[test]
fn one_hot_vectors() {
    let indices = || Tensor::new([2, 3], vec![1i64, -1, 0, 7, -8, 6]).unwrap();
    for axis in [-1, 0, 1, -3] {
        for values in every_type(9, [2]) {
            case(OneHot { axis }).runtime(indices()).constant(Tensor::scalar(7i64)).runtime(values).check();
        }
        let values = || Tensor::vector(vec![0f32, 1.0]);
        case(OneHot { axis }).constant(indices()).constant(Tensor::vector(vec![5i32])).runtime(values()).check();
        for dtype in [DType::I32, DType::F32, DType::U8, DType::I8, DType::U32] {
            let indices = to_dtype(&random(10, [65], 0.0..9.0), dtype);
            case(OneHot { axis: 1 }).runtime(indices).constant(Tensor::scalar(9f32)).constant(values()).check();
        }
    }
    case(OneHot { axis: 3 }).runtime(indices()).constant(Tensor::scalar(7i64)).constant(integers(&[0, 1])).fails_with("axis 3 is outside");
    case(OneHot { axis: 0 }).runtime(indices()).constant(Tensor::scalar(7i64)).constant(integers(&[1])).fails_with("two elements");
}

#[test]
fn reversed_sequences() {
    for batch_first in [false, true] {
        for shape in [&[3, 5][..], &[3, 5, 7], &[3, 5, 2, 4]] {
            let lengths = if batch_first { integers(&[5, 0, 3]) } else { integers(&[3, 1, 0, 2, 3]) };
            case(ReverseSequence { batch_first }).runtime(random(11, shape, -9.0..9.0)).runtime(lengths.clone()).check();
            case(ReverseSequence { batch_first }).runtime(random(11, shape, -9.0..9.0)).constant(lengths).check();
        }
    }
    for x in every_type(12, [3, 2, 4]) {
        case(ReverseSequence { batch_first: true }).runtime(x).constant(integers(&[2, 1, 2])).check();
    }
    let x = || random(11, [3, 2], 0.0..1.0);
    case(ReverseSequence { batch_first: true }).runtime(x()).constant(integers(&[3, 0, 0])).fails_with("a sequence of 3 steps");
}

#[test]
fn conditions() {
    let flags = |values: &[bool]| Tensor::vector(values.to_vec());
    for axis in [0, 1, -1] {
        let x = random(13, [4, 3, 8], -9.0..9.0);
        case(Compress { axis: Some(axis) }).runtime(x).constant(flags(&[false, true, true])).check();
    }
    case(Compress { axis: None }).runtime(random(13, [3, 5], -9.0..9.0)).constant(flags(&[true, false, false, false, true, true])).check();
    case(Compress { axis: Some(0) }).runtime(random(13, [3, 5], -9.0..9.0)).constant(flags(&[false])).check_on_cpu();
    case(Compress { axis: Some(0) }).runtime(random(13, [1, 5], -9.0..9.0)).constant(flags(&[true; 2])).fails_with("at most 1 for [1,5]");
}

#[test]
fn what_follows_from_values_is_folded() {
    use macula::ops::Op;
    let ops: [(Op, Vec<Tensor>); 6] = [
        (Size.into(), vec![random(14, [2, 3], 0.0..1.0)]),
        (EyeLike { dtype: None, diagonal: 1 }.into(), vec![random(14, [2, 3], 0.0..1.0)]),
        (Range.into(), vec![Tensor::scalar(1f32), Tensor::scalar(9f32), Tensor::scalar(2f32)]),
        (NonZero.into(), vec![Tensor::vector(vec![0i32, 3, 0, 4])]),
        (Unique { axis: None, sorted: true }.into(), vec![Tensor::vector(vec![2f32, 3.0, 2.0])]),
        (Compress { axis: None }.into(), vec![Tensor::vector(vec![2f32, 3.0]), Tensor::vector(vec![true])]),
    ];
    for (op, tensors) in ops {
        let expected = op.operator().reference(&tensors.iter().map(Some).collect::<Vec<_>>(), 1).unwrap().remove(0);
        for device in [crate::support::gpu(), &macula::Device::cpu()] {
            let mut b = macula::GraphBuilder::new("folded");
            let inputs: Vec<_> = (0..).zip(&tensors).map(|(i, t)| b.input(format!("in{i}"), t.dtype(), t.shape().to_vec())).collect();
            let y = b.node("y", op.clone(), &inputs).unwrap();
            b.output("y", y);
            let session = device.compile(b.finish().unwrap()).unwrap();
            let names: Vec<_> = (0..tensors.len()).map(|i| format!("in{i}")).collect();
            let given: Vec<_> = names.iter().map(String::as_str).zip(tensors.iter().map(Tensor::view)).collect();
            assert_eq!(session.run(&given).unwrap()[0], expected, "{op:?}");
        }
    }
}
