use macula::ops::{Reduce, ReduceFunction};
use macula::{DType, Tensor};

use crate::support::{case, random, to_dtype, to_f16};

const FUNCTIONS: [ReduceFunction; 10] = [
    ReduceFunction::Mean,
    ReduceFunction::Sum,
    ReduceFunction::Max,
    ReduceFunction::Min,
    ReduceFunction::Prod,
    ReduceFunction::L1,
    ReduceFunction::L2,
    ReduceFunction::LogSum,
    ReduceFunction::LogSumExp,
    ReduceFunction::SumSquare,
];

/// Of the functions that share a kernel's arithmetic one each, for the large cases.
const FEW: [ReduceFunction; 4] = [ReduceFunction::Mean, ReduceFunction::Min, ReduceFunction::L2, ReduceFunction::LogSumExp];

/// Values that a function takes: long products neither overflow nor vanish, logarithms have positive sums.
fn values(function: ReduceFunction, seed: u64, shape: impl Into<macula::Shape>) -> Tensor {
    match function {
        ReduceFunction::Prod => random(seed, shape, 0.99..1.01),
        ReduceFunction::LogSum => random(seed, shape, 0.1..5.0),
        _ => random(seed, shape, -3.0..5.0),
    }
}

fn reduce(function: ReduceFunction) -> Reduce {
    Reduce { function, keep_dims: false, noop_with_empty_axes: false }
}

fn axes(axes: &[i64]) -> Tensor {
    Tensor::vector(axes.to_vec())
}

#[test]
fn every_choice_of_axes() {
    for function in FUNCTIONS {
        for chosen in 1..16i64 {
            let chosen: Vec<i64> =
                (0..4).filter(|axis| chosen & (1 << axis) != 0).map(|axis| if axis % 2 == 0 { axis } else { axis - 4 }).collect();
            let x = values(function, chosen.len() as u64, [2, 3, 5, 7]);
            case(reduce(function)).runtime(x.clone()).constant(axes(&chosen)).check();
            case(Reduce { keep_dims: true, ..reduce(function) }).runtime(to_f16(&x)).constant(axes(&chosen)).check();
        }
    }
}

#[test]
fn rows_of_every_length() {
    for function in FUNCTIONS {
        for columns in [1, 2, 3, 4, 5, 127, 128, 129, 257, 4095, 4097, 10_007] {
            case(reduce(function)).runtime(values(function, 7, [3, 5, columns])).constant(axes(&[-1])).check();
            case(reduce(function)).runtime(values(function, 8, [columns, 3])).constant(axes(&[0])).check();
            case(reduce(function)).runtime(values(function, 9, [3, columns, 5])).constant(axes(&[1])).check();
        }
        case(reduce(function)).runtime(values(function, 10, [1500, 3])).constant(axes(&[1])).check();
        case(reduce(function)).runtime(values(function, 11, [3, 2, 5000])).constant(axes(&[1])).check();
    }
}

#[test]
fn a_million_elements() {
    for function in FEW {
        let x = random(3, [1009, 1013], 0.0..1.0);
        case(reduce(function)).runtime(x.clone()).check();
        case(reduce(function)).runtime(x.reshape([1009, 1, 1013]).unwrap()).constant(axes(&[0])).check();
        case(reduce(function)).runtime(x.reshape([1_022_117, 1]).unwrap()).constant(axes(&[0])).check();
    }
    let two = random(4, [1 << 20, 2], 1.0..2.0);
    case(reduce(ReduceFunction::Sum)).runtime(two).constant(axes(&[0])).check();
}

#[test]
fn axes_absent_empty_and_of_extent_one() {
    for function in FUNCTIONS {
        let x = || values(function, 5, [2, 1, 5]);
        case(reduce(function)).runtime(x()).absent().check();
        case(reduce(function)).runtime(x()).constant(axes(&[])).check();
        case(Reduce { noop_with_empty_axes: true, ..reduce(function) }).runtime(x()).constant(axes(&[])).check();
        case(Reduce { noop_with_empty_axes: true, ..reduce(function) }).runtime(x()).check();
        case(reduce(function)).runtime(x()).constant(axes(&[1])).check();
        case(reduce(function)).runtime(Tensor::scalar(3f32)).check();
        case(reduce(function)).runtime(x()).runtime(axes(&[0, 2])).check();
    }
}

#[test]
fn integers() {
    let x = random(6, [3, 5, 140], -100.0..100.0);
    for dtype in [DType::I8, DType::I16, DType::I32, DType::I64, DType::U8, DType::U16, DType::U32] {
        for function in FUNCTIONS {
            for chosen in [&[0][..], &[1], &[2], &[0, 2]] {
                let case = case(reduce(function)).runtime(to_dtype(&x, dtype)).constant(axes(chosen));
                match function {
                    ReduceFunction::L2 | ReduceFunction::LogSum | ReduceFunction::LogSumExp => {}
                    _ => case.check(),
                }
            }
        }
        case(reduce(ReduceFunction::L2)).runtime(to_dtype(&x, dtype)).check_on_cpu();
    }
    for function in [ReduceFunction::Max, ReduceFunction::Min] {
        let truth = Tensor::new([2, 3, 5], (0..30).map(|i| i % 7 < 3).collect()).unwrap();
        for chosen in [&[0][..], &[1], &[2], &[0, 1, 2]] {
            case(reduce(function)).runtime(truth.clone()).constant(axes(chosen)).check();
        }
    }
}

#[test]
fn integers_wrap_at_their_width() {
    let functions = [ReduceFunction::Sum, ReduceFunction::Prod, ReduceFunction::L1, ReduceFunction::SumSquare];
    for function in functions {
        case(reduce(function)).runtime(Tensor::vector(vec![i32::MAX, i32::MAX, 5])).check();
        case(reduce(function)).runtime(Tensor::vector(vec![250u8, 10, 7])).check();
        case(reduce(function)).runtime(Tensor::vector(vec![-128i8, -128, 100, 3])).check();
        case(reduce(function)).runtime(Tensor::vector(vec![i16::MIN, 30_000, 12_345])).check();
        case(reduce(function)).runtime(Tensor::vector(vec![60_000u16, 60_001, 5])).check();
        case(Reduce { noop_with_empty_axes: true, ..reduce(function) }).runtime(Tensor::vector(vec![-128i8, 100, 3])).check();
    }
}

#[test]
fn means_of_integers_do_not_overflow() {
    let mean = |x: Tensor| case(reduce(ReduceFunction::Mean)).runtime(x).constant(axes(&[-1])).check();
    let large = [i32::MAX, i32::MAX - 5, i32::MAX - 7, i32::MIN, i32::MIN, i32::MIN + 1, -7, 3, -1];
    mean(Tensor::new([3, 3], large.to_vec()).unwrap());
    mean(Tensor::new([3, 3], large.iter().map(|&v| i64::from(v) << 32).collect()).unwrap());
    mean(Tensor::new([3, 3], large.iter().map(|&v| v as u32).collect()).unwrap());
    mean(to_dtype(&random(20, [5, 1001], -128.0..128.0), DType::I8));
    mean(to_dtype(&random(21, [3, 5, 7001], -9.0..3.0), DType::I32));
    case(reduce(ReduceFunction::Mean)).runtime(to_dtype(&random(22, [7, 5, 3], -9.0..3.0), DType::I16)).constant(axes(&[0, 2])).check();
}

#[test]
fn nan_and_infinities() {
    for function in FUNCTIONS {
        for at in 0..9 {
            let mut x = values(function, 12, [9, 131]);
            x.data_mut::<f32>().unwrap()[at * 131 + at * 16] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][at % 3];
            case(reduce(function)).runtime(x.clone()).constant(axes(&[1])).check();
            case(reduce(function)).runtime(x.clone()).constant(axes(&[0])).check();
            case(reduce(function)).runtime(x).check();
        }
        case(reduce(function)).runtime(Tensor::full([2, 5], f32::NEG_INFINITY)).constant(axes(&[1])).check();
    }
}

#[test]
fn nothing_to_reduce() {
    for function in FUNCTIONS {
        case(reduce(function)).runtime(Tensor::full([2, 0, 3], 0f32)).constant(axes(&[1])).check_on_cpu();
    }
}

#[test]
fn bad_axes_are_refused() {
    let x = || random(1, [2, 3, 5], -1.0..1.0);
    let sum = reduce(ReduceFunction::Sum);
    case(sum).runtime(x()).constant(axes(&[3])).fails_with("axis 3 is out of range for 3 axes");
    case(sum).runtime(x()).constant(axes(&[1, -2])).fails_with("axes [1, -2] name axis 1 of 3 twice");
    case(sum).runtime(x()).constant(Tensor::scalar(1f32)).fails_with("input 1 (`axes`) must hold integers, got f32");
    case(sum).runtime(Tensor::full([2], true)).fails_with("input 0 (`data`) is bool");
    let none = Tensor::full([2, 0], 1i32);
    case(reduce(ReduceFunction::Mean)).runtime(none).constant(axes(&[1])).fails_with("the mean of no elements");
}
