use macula::Tensor;
use macula::ops::ArgReduce;

use crate::support::{case, every_type, random, to_f16};

fn arg(largest: bool, axis: i64, select_last_index: bool) -> ArgReduce {
    ArgReduce { largest, axis, keep_dims: false, select_last_index }
}

/// Every choice but the axis.
fn choices(axis: i64) -> impl Iterator<Item = ArgReduce> {
    [(false, false), (false, true), (true, false), (true, true)].into_iter().map(move |(largest, last)| arg(largest, axis, last))
}

#[test]
fn every_axis_and_type() {
    for axis in -4..4 {
        for x in every_type(axis as u64, [2, 3, 5, 7]).into_iter().filter(|x| x.dtype() != macula::DType::Bool) {
            for op in choices(axis) {
                case(op).runtime(x.clone()).check();
            }
            case(ArgReduce { keep_dims: true, ..arg(true, axis, false) }).runtime(x).check();
        }
    }
}

#[test]
fn columns_of_every_length_with_equals() {
    for columns in [1, 2, 15, 63, 64, 65, 127, 128, 129, 257, 4095, 4097, 10_007] {
        // Few distinct values, so that the first and the last of equals differ.
        let x = random(columns as u64, [3, columns, 2], -8.0..8.0);
        let x = Tensor::new([3, columns, 2], x.data::<f32>().unwrap().iter().map(|v| v.round()).collect()).unwrap();
        for op in choices(1) {
            case(op).runtime(x.clone()).check();
            case(op).runtime(to_f16(&x).reshape([3, 2 * columns]).unwrap()).check();
        }
    }
    // A segmentation map.
    case(arg(true, 1, false)).runtime(random(1, [2, 21, 65, 67], -3.0..3.0)).check();
}

#[test]
fn nan_beats_every_number() {
    for columns in [5, 300] {
        let mut x = random(2, [4, columns], -3.0..5.0);
        let values = x.data_mut::<f32>().unwrap();
        values[2] = f32::NAN;
        values[columns - 1] = f32::NAN;
        values[columns + 1] = f32::INFINITY;
        values[columns + 3] = f32::NEG_INFINITY;
        values[2 * columns..3 * columns].fill(f32::NAN);
        values[3 * columns..].fill(f32::NEG_INFINITY);
        for op in choices(1).chain(choices(0)) {
            case(op).runtime(x.clone()).check();
        }
    }
}

#[test]
fn bad_inputs_are_refused() {
    case(arg(true, 2, false)).runtime(random(1, [2, 3], -1.0..1.0)).fails_with("axis 2 is out of range for [2,3]");
    case(arg(false, 1, false)).runtime(Tensor::full([2, 0], 1f32)).fails_with("axis 1 of [2,0] is empty: it has no extremum");
    case(arg(true, 0, false)).runtime(Tensor::full([2], true)).fails_with("input 0 (`data`) is bool");
}
