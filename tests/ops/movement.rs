use macula::ops::{Concat, Expand, Gather, Pad, PadMode, Slice, Split, Transpose};
use macula::{DType, GraphBuilder, Tensor};

use crate::support::{Case, case, every_type, gpu, integers, random};

const MODES: [PadMode; 4] = [PadMode::Constant, PadMode::Reflect, PadMode::Edge, PadMode::Wrap];

fn transposed(x: Tensor, permutation: &[usize]) -> Case {
    case(Transpose { permutation: permutation.to_vec() }).runtime(x)
}

fn sliced(x: Tensor, lists: &[&[i64]]) -> Case {
    lists.iter().fold(case(Slice).runtime(x), |case, list| case.constant(integers(list)))
}

fn padded(mode: PadMode, x: Tensor, pads: &[i64]) -> Case {
    case(Pad { mode }).runtime(x).constant(integers(pads))
}

#[test]
fn transposes_of_every_rank() {
    let orders: [&[usize]; 9] =
        [&[0, 2, 3, 1], &[0, 3, 1, 2], &[1, 0, 2, 3], &[3, 2, 1, 0], &[0, 1, 3, 2], &[0, 1, 2, 3], &[2, 3, 0, 1], &[1, 2, 3, 0], &[]];
    for shape in [[2, 3, 5, 7], [2, 8, 3, 4], [3, 1, 9, 16], [1, 5, 1, 1]] {
        for order in orders {
            transposed(random(1, shape, -9.0..9.0), order).check();
        }
    }
    transposed(random(2, [2, 3], -9.0..9.0), &[]).check();
    transposed(random(2, [65, 129], -9.0..9.0), &[1, 0]).check();
    transposed(random(2, [2, 4, 3, 5, 7], -9.0..9.0), &[0, 2, 1, 3, 4]).check();
    transposed(random(3, [2, 3, 2, 3, 2, 3, 2, 3], -9.0..9.0), &[]).check();
    // Nine axes of which two are walked as one still fit in eight; nine that all differ do not.
    transposed(random(4, [2, 3, 2, 3, 2, 3, 2, 2, 2], -9.0..9.0), &[8, 6, 7, 5, 4, 3, 2, 1, 0]).check();
    transposed(random(4, [2, 3, 2, 3, 2, 3, 2, 2, 2], -9.0..9.0), &[]).check_on_cpu();
}

/// Everything a multiple of four: blocks of rows and columns turned in registers, and rows that move as runs of vectors.
#[test]
fn transposes_of_whole_vectors() {
    for shape in [[2, 4, 8, 12], [3, 12, 4, 4], [1, 20, 12, 36]] {
        for order in [[0, 2, 3, 1], [0, 3, 1, 2], [3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1], [0, 2, 1, 3], [1, 2, 0, 3]] {
            transposed(random(1, shape, -9.0..9.0), &order).check();
        }
    }
    transposed(random(2, [260, 516], -9.0..9.0), &[1, 0]).check();
    transposed(random(2, [4, 4], -9.0..9.0), &[1, 0]).check();
    transposed(random(3, [3, 5, 300], -9.0..9.0), &[1, 0, 2]).check();
    transposed(random(4, [2, 3, 2, 3, 2, 3, 4, 4], -9.0..9.0), &[0, 4, 2, 1, 3, 5, 7, 6]).check();
    transposed(random(5, [2, 3, 2, 3, 2, 3, 8], -9.0..9.0), &[5, 4, 3, 2, 1, 0, 6]).check();
    transposed(random(6, [2, 3, 2, 3, 2, 3, 2, 8], -9.0..9.0), &[6, 5, 4, 3, 2, 1, 0, 7]).check();
    for x in every_type(7, [3, 8, 12]) {
        transposed(x.clone(), &[0, 2, 1]).check();
        transposed(x, &[1, 0, 2]).check();
    }
}

/// Rows that begin anywhere in a vector, in groups of four of which the last has fewer.
#[test]
fn rows_that_are_no_whole_vectors() {
    for (a, b, columns) in [(2, 3, 49), (5, 7, 9), (3, 35, 197), (1, 2, 10), (9, 1, 11), (33, 5, 8)] {
        transposed(random(1, [a, b, columns], -9.0..9.0), &[1, 0, 2]).check();
        sliced(random(2, [a, b, columns + 3], -9.0..9.0), &[&[2], &[columns as i64 + 2], &[2]]).check();
        sliced(random(3, [a + 2, b, columns], -9.0..9.0), &[&[-1, 0], &[0, columns as i64 - 1], &[0, 2], &[-1, 1]]).check();
    }
    for x in every_type(4, [3, 5, 9]) {
        transposed(x, &[1, 0, 2]).check();
    }
    transposed(random(5, [2, 3, 2, 3, 2, 3, 9], -9.0..9.0), &[5, 4, 3, 2, 1, 0, 6]).check();
}

#[test]
fn slices_of_every_kind() {
    let x = || random(5, [2, 3, 9, 16], -9.0..9.0);
    sliced(x(), &[&[1, 2], &[9, 7], &[1, 2]]).check();
    sliced(x(), &[&[4], &[12], &[3]]).check();
    sliced(x(), &[&[3], &[14], &[-1]]).check();
    sliced(x(), &[&[0, 0], &[i64::MAX, i64::MAX], &[2, 3], &[2, 2]]).check();
    sliced(x(), &[&[1, 1], &[i64::MAX, i64::MAX], &[2, 3], &[2, 3]]).check();
    sliced(x(), &[&[-1, -1, -1, -1], &[i64::MIN, i64::MIN, i64::MIN, i64::MIN], &[0, 1, 2, 3], &[-1, -1, -1, -1]]).check();
    sliced(x(), &[&[i64::MAX, -2], &[0, -99], &[3, 0], &[-5, -1]]).check();
    sliced(x(), &[&[0], &[i64::MAX], &[0]]).check();
    sliced(x(), &[&[5], &[5], &[2]]).check_on_cpu();
    sliced(x(), &[&[0], &[1], &[0], &[0]]).fails_with("step by 0");
    sliced(x(), &[&[0, 0], &[1, 1], &[3, -1]]).fails_with("name axis 3 twice");
    case(Slice).runtime(x()).constant(integers(&[1])).constant(integers(&[0])).absent().constant(integers(&[-1])).check();
}

#[test]
fn splits_of_equal_and_given_parts() {
    for (axis, outputs) in [(1, 2), (1, 3), (2, 2), (3, 2), (-1, 4), (0, 2)] {
        case(Split { axis }).runtime(random(6, [2, 6, 5, 16], -9.0..9.0)).outputs(outputs).check();
    }
    case(Split { axis: 1 }).runtime(random(6, [3, 5, 2], -9.0..9.0)).constant(integers(&[5])).check();
    case(Split { axis: 1 }).runtime(random(6, [3, 5, 2], -9.0..9.0)).constant(integers(&[1, 3, 1])).outputs(3).check();
    case(Split { axis: 1 }).runtime(random(6, [3, 5, 2], -9.0..9.0)).constant(integers(&[4, 0, 1])).outputs(3).check_on_cpu();
    case(Split { axis: 1 }).runtime(random(6, [3, 5, 2], -9.0..9.0)).outputs(4).fails_with("cannot be cut in 4 parts of 2");
    case(Split { axis: 1 }).runtime(random(6, [3, 5], -9.0..9.0)).constant(integers(&[2, 2])).outputs(2).fails_with("add up to 5");
}

#[test]
fn concatenations_of_any_number() {
    let parts = |axis, shapes: &[[usize; 4]]| {
        let part = |case: Case, (seed, shape): (usize, &[usize; 4])| case.runtime(random(seed as u64, *shape, -9.0..9.0));
        shapes.iter().enumerate().fold(case(Concat { axis }), part)
    };
    parts(1, &[[2, 3, 5, 7], [2, 1, 5, 7], [2, 8, 5, 7]]).check();
    parts(1, &[[2, 4, 3, 8], [2, 12, 3, 8]]).check();
    parts(0, &[[1, 3, 5, 7], [3, 3, 5, 7]]).check();
    parts(3, &[[2, 3, 5, 4], [2, 3, 5, 8], [2, 3, 5, 16]]).check();
    parts(-1, &[[2, 3, 5, 1], [2, 3, 5, 7], [2, 3, 5, 1], [2, 3, 5, 2], [2, 3, 5, 3]]).check();
    parts(-2, &[[2, 3, 63, 1], [2, 3, 65, 1]]).check();
    parts(1, &[[2, 3, 5, 7]]).check();
    parts(1, &[[2, 3, 5, 7], [2, 0, 5, 7]]).check_on_cpu();
    parts(1, &[[2, 3, 5, 7], [2, 3, 6, 7]]).fails_with("input 1 is f32[2,3,6,7], input 0 is f32[2,3,5,7]");
    let constant = random(7, [2, 1, 5], -9.0..9.0);
    case(Concat { axis: 1 }).constant(constant).runtime(random(8, [2, 4, 5], -9.0..9.0)).check();
}

#[test]
fn padding_in_every_mode() {
    for mode in MODES {
        for shape in [[2, 3, 5, 7], [1, 4, 9, 8], [3, 1, 1, 2]] {
            for pads in [[0, 0, 1, 2, 0, 0, 3, 0], [1, 0, 0, 0, 0, 2, 0, 1], [0, 0, 9, 11, 0, 0, 12, 10], [0, 1, 0, -1, 2, 0, 3, 0]] {
                padded(mode, random(9, shape, -9.0..9.0), &pads).check();
            }
        }
        padded(mode, random(9, [3, 5, 7], -9.0..9.0), &[-1, 0, -2, 0, -1, -3]).check();
        padded(mode, random(9, [3, 5, 7], -9.0..9.0), &[0; 6]).check();
        padded(mode, random(9, [67], -9.0..9.0), &[65, 130]).check();
        padded(mode, random(9, [2, 3, 2, 2, 3, 2], -9.0..9.0), &[1; 12]).check();
        padded(mode, random(9, [3, 5], -9.0..9.0), &[0, -4, 0, -3]).fails_with("crop more than there is");
    }
}

#[test]
fn padding_with_a_constant() {
    let pads = [0, 1, 2, 0, 0, 3];
    let (x, fill) = (|| random(10, [3, 5, 7], -9.0..9.0), || Tensor::scalar(4.5f32));
    padded(PadMode::Constant, x(), &pads).constant(fill()).check();
    padded(PadMode::Constant, x(), &pads).runtime(fill()).check();
    padded(PadMode::Constant, x(), &[1, 2, -1, 3]).constant(fill()).constant(integers(&[-1, 0])).check();
    padded(PadMode::Edge, x(), &[1, 2]).absent().constant(integers(&[1])).check();
    padded(PadMode::Constant, x(), &pads).constant(Tensor::scalar(1i32)).fails_with("constant_value is i32[], expected one f32");
    padded(PadMode::Constant, Tensor::full([2, 0, 3], 0f32), &pads).constant(fill()).check_on_cpu();
}

#[test]
fn expansions_both_ways() {
    for (shape, target) in [
        (&[2, 1, 5][..], &[2, 3, 5][..]),
        (&[2, 3, 1], &[2, 3, 8]),
        (&[1, 3, 1, 4], &[2, 1, 5, 4]),
        (&[3, 1], &[2, 1, 7]),
        (&[1], &[65]),
        (&[], &[2, 3]),
        (&[2, 3], &[1, 1, 1, 1]),
        (&[2, 1, 3, 1, 2, 1, 3, 1], &[2, 3, 3, 2, 2, 3, 3, 2]),
    ] {
        case(Expand).runtime(random(11, shape, -9.0..9.0)).constant(integers(target)).check();
    }
    case(Expand).runtime(random(11, [2, 3], -9.0..9.0)).constant(integers(&[4, 3])).fails_with("[2,3] and [4,3] do not broadcast");
}

#[test]
fn gathers_along_every_axis() {
    let indices = || Tensor::new([2, 3], vec![1i64, -1, 0, 2, -3, 1]).unwrap();
    for axis in [0, 1, 2, -1] {
        let x = || random(12, [3, 5, 8], -9.0..9.0);
        case(Gather { axis }).runtime(x()).constant(indices()).check();
        case(Gather { axis }).runtime(x()).runtime(indices()).check();
        let narrow = Tensor::new([4], vec![1i32, -1, 0, -3]).unwrap();
        case(Gather { axis }).runtime(x()).constant(narrow.clone()).check();
        case(Gather { axis }).runtime(x()).runtime(narrow).check();
        case(Gather { axis }).runtime(x()).constant(Tensor::scalar(-2i64)).check();
        case(Gather { axis }).constant(x()).runtime(indices()).check();
    }
    let rows = Tensor::vector((0..67).map(|i| i * 31 % 65 - 32).collect::<Vec<i64>>());
    case(Gather { axis: 0 }).runtime(random(13, [65, 7], -9.0..9.0)).runtime(rows).check();
}

/// Indices that only the GPU sees: they come from another kernel.
#[test]
fn indices_computed_on_the_gpu_are_clamped() {
    let mut b = GraphBuilder::new("clamped");
    let (x, raw) = (b.input("x", DType::F32, [3, 2]), b.input("raw", DType::I32, [2, 3]));
    let indices = b.node("indices", Transpose::default(), &[raw]).unwrap();
    let y = b.node("y", Gather { axis: 0 }, &[x, indices]).unwrap();
    b.output("y", y);
    let session = gpu().compile(b.finish().unwrap()).unwrap();
    let x = Tensor::new([3, 2], vec![0f32, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
    let raw = Tensor::new([2, 3], vec![3, i32::MIN, -1, -4, i32::MAX, 1]).unwrap();
    let outputs = session.run(&[("x", x.view()), ("raw", raw.view())]).unwrap();
    assert_eq!(outputs[0].data::<f32>().unwrap(), [4.0, 5.0, 0.0, 1.0, 0.0, 1.0, 4.0, 5.0, 4.0, 5.0, 2.0, 3.0]);
}

#[test]
fn indices_out_of_range_are_refused() {
    let x = || random(14, [3, 5], -9.0..9.0);
    case(Gather { axis: 1 }).runtime(x()).constant(integers(&[0, 5])).fails_with("index 5 at [1] is outside axis 1 of [3,5]");
    case(Gather { axis: 0 }).runtime(x()).runtime(integers(&[-4])).fails_with("index -4 at [0] is outside axis 0 of [3,5]");
    case(Gather { axis: 2 }).runtime(x()).constant(integers(&[0])).fails_with("axis 2 is outside");
    case(Gather { axis: 0 }).runtime(x()).constant(random(15, [2], 0.0..1.0)).fails_with("expected i32, i64");
}

#[test]
fn every_element_type_keeps_its_bits() {
    for x in every_type(16, [2, 3, 5, 8]) {
        transposed(x.clone(), &[0, 3, 1, 2]).check();
        sliced(x.clone(), &[&[4], &[8], &[3]]).check();
        sliced(x.clone(), &[&[-1], &[0], &[3], &[-1]]).check();
        case(Split { axis: 1 }).runtime(x.clone()).outputs(2).check();
        case(Concat { axis: 1 }).runtime(x.clone()).runtime(x.clone()).check();
        case(Expand).runtime(x.clone()).constant(integers(&[3, 1, 1, 1, 1])).check();
        case(Gather { axis: 1 }).runtime(x.clone()).constant(integers(&[2, 0])).check();
        case(Gather { axis: 3 }).runtime(x.clone()).constant(integers(&[7, -8, 3])).check();
        for mode in MODES {
            padded(mode, x.clone(), &[0, 0, 1, 2, 0, 0, 1, 3]).check();
        }
    }
}
