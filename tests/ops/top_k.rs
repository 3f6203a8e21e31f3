use macula::Tensor;
use macula::ops::TopK;

use crate::support::{case, every_type, random, to_dtype};

fn k(k: i64) -> Tensor {
    Tensor::vector(vec![k])
}

#[test]
fn every_axis_and_type() {
    for axis in -3..3 {
        for x in every_type(axis as u64, [3, 5, 7]).into_iter().filter(|x| x.dtype() != macula::DType::Bool) {
            for largest in [false, true] {
                case(TopK { axis, largest }).runtime(x.clone()).constant(k(2)).outputs(2).check();
                case(TopK { axis, largest }).runtime(x.clone()).constant(k(3)).check();
            }
        }
    }
}

#[test]
fn equals_keep_their_order() {
    for columns in [1, 2, 63, 64, 65, 1000] {
        let x = random(columns as u64, [2, columns, 3], -4.0..4.0);
        let x = Tensor::new([2, columns, 3], x.data::<f32>().unwrap().iter().map(|v| v.round()).collect()).unwrap();
        for largest in [false, true] {
            for count in [1, columns.div_ceil(2), columns] {
                case(TopK { axis: 1, largest }).runtime(x.clone()).constant(k(count as i64)).outputs(2).check();
            }
        }
    }
}

#[test]
fn nan_counts_as_the_largest() {
    let x = Tensor::new([2, 5], vec![1.0, f32::NAN, f32::INFINITY, f32::NAN, f32::NEG_INFINITY, f32::NAN, 0.0, -0.0, 2.0, 0.0]).unwrap();
    for largest in [false, true] {
        for count in 1..=5 {
            case(TopK { axis: -1, largest }).runtime(x.clone()).runtime(k(count)).outputs(2).check();
        }
    }
}

#[test]
fn long_columns_and_wide_integers_are_sorted_on_the_cpu() {
    case(TopK { axis: 0, largest: true }).runtime(random(1, [20_001], -1.0..1.0)).constant(k(7)).outputs(2).check_on_cpu();
    let x = to_dtype(&random(2, [3, 5], 0.0..100.0), macula::DType::U64);
    case(TopK { axis: 0, largest: true }).runtime(x.clone()).constant(k(2)).outputs(2).check_on_cpu();
    case(TopK { axis: 0, largest: true }).runtime(random(3, [3, 5], 0.0..1.0)).constant(k(0)).outputs(2).check_on_cpu();
}

#[test]
fn bad_inputs_are_refused() {
    let x = || random(1, [2, 3], -1.0..1.0);
    let op = TopK { axis: 1, largest: true };
    case(op).runtime(x()).constant(k(4)).fails_with("`K` must hold one integer from 0 to 3, the extent of axis 1, got [4]");
    case(op).runtime(x()).constant(k(-1)).fails_with("got [-1]");
    case(op).runtime(x()).fails_with("input 1 (`K`) is missing");
    case(TopK { axis: 2, ..op }).runtime(x()).constant(k(1)).fails_with("axis 2 is out of range for [2,3]");
}
