use macula::ops::CumSum;
use macula::{DType, Tensor};

use crate::support::{case, every_type, random, to_dtype, to_f16};

fn choices() -> impl Iterator<Item = CumSum> {
    [(false, false), (false, true), (true, false), (true, true)].into_iter().map(|(exclusive, reverse)| CumSum { exclusive, reverse })
}

#[test]
fn every_axis_and_type() {
    for axis in -4..4i64 {
        for x in every_type(axis as u64, [2, 3, 5, 7]) {
            for op in choices() {
                let case = case(op).runtime(x.clone()).constant(Tensor::scalar(axis));
                match x.dtype() {
                    DType::Bool => case.fails_with("input 0 (`x`) is bool"),
                    DType::I8 | DType::I16 | DType::U8 | DType::U16 => case.check_on_cpu(),
                    _ => case.check(),
                }
            }
        }
    }
}

#[test]
fn long_rows_and_wrapping() {
    for op in choices() {
        for columns in [1, 63, 64, 65, 129, 10_007] {
            let x = random(3, [3, columns, 2], 0.0..1.0);
            case(op).runtime(x.clone()).constant(Tensor::scalar(1i32)).check();
            case(op).runtime(to_f16(&random(4, [2, 63], -1.0..1.0))).constant(Tensor::vector(vec![-1i64])).check();
        }
        case(op).runtime(Tensor::vector(vec![i32::MAX, 5, i32::MAX, -7])).constant(Tensor::scalar(0i32)).check();
        case(op).runtime(to_dtype(&random(5, [3, 5], -1.0..1.0), DType::F64)).runtime(Tensor::scalar(1i64)).check_on_cpu();
    }
}

#[test]
fn bad_axes_are_refused() {
    let x = || random(1, [2, 3], -1.0..1.0);
    case(CumSum::default()).runtime(x()).constant(Tensor::scalar(2i64)).fails_with("axis 2 is out of range for [2,3]");
    case(CumSum::default()).runtime(x()).constant(Tensor::vector(vec![0i64, 1])).fails_with("`axis` must hold one integer, got [0, 1]");
    case(CumSum::default()).runtime(x()).fails_with("input 1 (`axis`) is missing");
}
