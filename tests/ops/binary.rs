use macula::ops::Binary;
use macula::{DType, Tensor};

use crate::support::{case, random, to_dtype, to_f16};

const OPERATORS: &[Binary] = &[Binary::Add, Binary::Sub, Binary::Mul, Binary::Div];

/// Pairs of shapes that broadcast, one of every pattern the kernels tell apart.
const SHAPES: &[(&[usize], &[usize])] = &[
    (&[2, 3, 5, 7], &[2, 3, 5, 7]),
    (&[2, 3, 5, 7], &[3, 1, 1]),
    (&[2, 3, 4, 5], &[1, 3, 1, 1]),
    (&[3, 1, 1], &[2, 3, 4, 5]),
    (&[2, 3, 5, 7], &[]),
    (&[1], &[2, 3, 5, 7]),
    (&[5, 8], &[8]),
    (&[9], &[5, 9]),
    (&[5, 9], &[5, 1]),
    (&[2, 1, 5, 1], &[3, 1, 7]),
    (&[2, 3, 5, 7], &[2, 1, 5, 7]),
    (&[2, 3, 1, 7], &[2, 3, 5, 7]),
    (&[4, 1, 6], &[3, 6]),
    (&[1], &[1]),
    (&[], &[]),
    (&[2, 1, 2, 1, 3, 1, 2, 1], &[1, 3, 1, 2, 1, 2, 1, 5]),
];

#[test]
fn every_broadcast_pattern() {
    for (seed, (a, b)) in SHAPES.iter().enumerate() {
        for operator in OPERATORS {
            let a = random(seed as u64, *a, -4.0..4.0);
            let b = random(100 + seed as u64, *b, 0.5..4.0);
            case(*operator).runtime(a.clone()).runtime(b.clone()).check();
            case(*operator).constant(a).runtime(b).check();
        }
    }
}

#[test]
fn half_precision() {
    for (seed, (a, b)) in SHAPES.iter().enumerate() {
        for operator in OPERATORS {
            let a = random(seed as u64, *a, -4.0..4.0);
            let b = random(100 + seed as u64, *b, 0.5..4.0);
            case(*operator).runtime(to_f16(&a)).runtime(to_f16(&b)).check();
        }
    }
}

#[test]
fn integers() {
    for dtype in [DType::I32, DType::I64, DType::U32] {
        let a = to_dtype(&random(1, [2, 3, 5, 7], -90.0..90.0), dtype);
        for b in [vec![2, 3, 5, 7], vec![3, 1, 1], vec![2, 1, 5, 1], vec![]] {
            let b = to_dtype(&random(2, b, 1.0..9.0), dtype);
            for operator in OPERATORS {
                case(*operator).runtime(a.clone()).constant(b.clone()).check();
            }
        }
    }
    let extremes = || Tensor::vector(vec![i32::MIN, i32::MAX, -7, 7, 7]);
    case(Binary::Div).runtime(extremes()).constant(Tensor::vector(vec![-1, 1, 2, -2, 3])).check();
    case(Binary::Mul).runtime(extremes()).runtime(Tensor::vector(vec![3, 5, 2, -2, 3])).check();
}

#[test]
fn narrow_integers_wrap_on_the_cpu() {
    let a = Tensor::vector(vec![250u8, 3, 7]);
    case(Binary::Add).runtime(a.clone()).runtime(Tensor::vector(vec![10u8, 1, 2])).check_on_cpu();
    case(Binary::Sub).runtime(a).constant(Tensor::scalar(5u8)).check_on_cpu();
    case(Binary::Mul).runtime(Tensor::vector(vec![100i8, -100])).constant(Tensor::scalar(3i8)).check_on_cpu();
}

#[test]
fn divisors_that_may_be_zero_stay_on_the_cpu() {
    let a = || Tensor::vector(vec![7i32, -7, 9]);
    case(Binary::Div).runtime(a()).runtime(Tensor::vector(vec![2i32, 2, 1])).check_on_cpu();
    case(Binary::Div).runtime(a()).constant(Tensor::vector(vec![2i32, 0, 1])).fails_with("integer division of -7 by 0");
    let zeros = Tensor::vector(vec![0f32, -0.0, 1.0]);
    case(Binary::Div).runtime(Tensor::vector(vec![1f32, 1.0, 0.0])).runtime(zeros).check();
}

#[test]
fn powers() {
    let shape = [2, 3, 5, 7];
    for exponent in [2.0f32, 3.0, 0.5, 1.0, 0.0, -1.0, -2.0, 1.7, 31.0, 33.0, -0.3] {
        case(Binary::Pow).runtime(random(1, shape, 0.1..4.0)).constant(Tensor::scalar(exponent)).check();
    }
    for exponent in [2.0f32, 3.0, -3.0, 0.0, 1.0, 35.0, 36.0, 0.5] {
        case(Binary::Pow).runtime(random(2, shape, -2.0..2.0)).constant(Tensor::scalar(exponent)).check();
    }
    case(Binary::Pow).runtime(random(3, shape, 0.1..9.0)).runtime(random(4, [3, 1, 7], -3.0..3.0)).check();
    case(Binary::Pow).runtime(to_f16(&random(3, shape, 0.1..4.0))).runtime(to_f16(&random(4, shape, -2.0..2.0))).check();
}

#[test]
fn powers_at_the_ends() {
    // No power of these is subnormal, which WGSL allows a device to flush to 0.
    let values = [0.0f32, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e15, 41.0];
    for x in values {
        for y in values {
            case(Binary::Pow).runtime(Tensor::full([1, 2], x)).runtime(Tensor::full([1, 2], y)).check();
        }
    }
}

#[test]
fn powers_of_mixed_types_and_integers_run_on_the_cpu() {
    let x = random(5, [2, 3, 4], -2.0..2.0);
    case(Binary::Pow).runtime(x.clone()).constant(Tensor::scalar(2i64)).check_on_cpu();
    case(Binary::Pow).runtime(to_dtype(&x, DType::I32)).constant(Tensor::scalar(3i32)).check_on_cpu();
}

#[test]
fn large_operands_fold_their_workgroups() {
    let (a, b) = (random(6, [3, 1201, 1203], -4.0..4.0), random(7, [1201, 1], -4.0..4.0));
    case(Binary::Add).runtime(a.clone()).runtime(b).check();
    case(Binary::Mul).runtime(a).constant(Tensor::scalar(0.5f32)).check();
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    let x = |shape: &[usize]| random(1, shape, -1.0..1.0);
    case(Binary::Add).runtime(x(&[2, 3])).runtime(x(&[2])).fails_with("[2,3] and [2] do not broadcast");
    case(Binary::Add).runtime(x(&[2])).runtime(Tensor::full([2], 1i32)).fails_with("input 0 is f32, input 1 is i32");
    case(Binary::Mul).runtime(Tensor::full([2], true)).runtime(x(&[2])).fails_with("input 0 (`A`) is bool");
    case(Binary::Sub).runtime(x(&[2])).fails_with("input 1 (`B`) is missing");
}
