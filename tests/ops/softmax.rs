use macula::Tensor;
use macula::ops::{Hardmax, Softmax};

use crate::support::{case, random, to_f16};

fn softmax(axis: i64, log: bool) -> Softmax {
    Softmax { axis, log, flatten: false }
}

#[test]
fn every_axis() {
    for log in [false, true] {
        for axis in -4..4 {
            let x = random(1, [2, 3, 5, 7], -6.0..6.0);
            case(softmax(axis, log)).runtime(x.clone()).check();
            case(Softmax { flatten: true, ..softmax(axis, log) }).runtime(x.clone()).check();
            case(softmax(axis, log)).runtime(to_f16(&x)).check();
        }
    }
}

#[test]
fn rows_of_every_length() {
    for log in [false, true] {
        for columns in [1, 2, 63, 127, 128, 129, 1000, 4095, 4096, 100_003] {
            case(softmax(-1, log)).runtime(random(2, [3, columns], -8.0..8.0)).check();
            case(softmax(0, log)).runtime(random(3, [columns, 2], -8.0..8.0)).check_where_loops_may_be_long();
        }
        case(softmax(1, log)).runtime(random(4, [700, 10], -8.0..8.0)).check();
        case(softmax(1, log)).runtime(random(5, [2, 21, 33, 65], -8.0..8.0)).check();
    }
}

/// Groups of rows that together are whole vectors, the last of them with fewer: rows that begin anywhere in a vector, shorter than one, longer
/// than a subgroup holds.
#[test]
fn groups_of_rows() {
    for log in [false, true] {
        for (rows, columns) in
            [(1, 1), (5, 1), (6, 2), (3, 3), (9, 5), (70, 31), (66, 33), (7, 197), (257, 49), (5, 1020), (2, 1024), (2, 1021), (3, 1025)]
        {
            case(softmax(-1, log)).runtime(random(12, [rows, columns], -8.0..8.0)).check();
        }
        for (rows, columns) in [(1, 4), (63, 28), (64, 32), (65, 36), (300, 8)] {
            case(softmax(-1, log)).runtime(random(13, [rows, columns], -8.0..8.0)).check();
            case(softmax(-1, log)).runtime(to_f16(&random(14, [rows, columns], -8.0..8.0))).check();
        }
    }
}

#[test]
fn large_logits_do_not_overflow() {
    for log in [false, true] {
        case(softmax(1, log)).runtime(random(6, [3, 150], 500.0..580.0)).check();
        case(softmax(1, log)).runtime(random(6, [3, 11], -1e6..1e6)).check();
    }
}

#[test]
fn infinities_and_nan() {
    for columns in [5, 200] {
        for log in [false, true] {
            let mut x = random(7, [6, columns], -3.0..3.0);
            let values = x.data_mut::<f32>().unwrap();
            values[..columns].fill(f32::NEG_INFINITY);
            values[columns + 1] = f32::NEG_INFINITY;
            values[2 * columns] = f32::NAN;
            values[3 * columns + 3] = f32::NAN;
            values[4 * columns + 2] = f32::INFINITY;
            case(softmax(1, log)).runtime(x.clone()).check();
            case(softmax(0, log)).runtime(x.reshape([6, columns, 1]).unwrap()).check();
        }
    }
}

#[test]
fn bad_inputs_are_refused() {
    case(softmax(2, false)).runtime(random(1, [2, 3], -1.0..1.0)).fails_with("axis 2 is out of range for [2,3]");
    case(softmax(0, true)).runtime(Tensor::full([3], 1i32)).fails_with("input 0 (`input`) is i32");
}

#[test]
fn hardmax() {
    for axis in -4..4 {
        for flatten in [false, true] {
            let x = random(8, [2, 3, 5, 7], -3.0..3.0);
            case(Hardmax { axis, flatten }).runtime(to_f16(&x)).check();
            let rounded = x.data::<f32>().unwrap().iter().map(|v| v.round()).collect();
            case(Hardmax { axis, flatten }).runtime(Tensor::new([2, 3, 5, 7], rounded).unwrap()).check();
            case(Hardmax { axis, flatten }).runtime(x).check();
        }
    }
    let mut x = random(9, [3, 70, 2], -3.0..3.0);
    x.data_mut::<f32>().unwrap()[30..34].fill(f32::NAN);
    case(Hardmax { axis: 1, flatten: false }).runtime(x).check();
    case(Hardmax { axis: 0, flatten: false }).runtime(Tensor::full([3, 2], f32::NEG_INFINITY)).check();
    case(Hardmax { axis: 3, flatten: false }).runtime(Tensor::full([3, 2], 1f32)).fails_with("axis 3 is out of range for [3,2]");
}
