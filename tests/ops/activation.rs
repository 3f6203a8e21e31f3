use macula::ops::{Clip, GeluApproximation, PRelu, Unary};
use macula::{DType, Tensor};

use crate::support::{case, random, to_dtype, to_f16};

const FUNCTIONS: &[Unary] = &[
    Unary::Relu,
    Unary::LeakyRelu { alpha: 0.1 },
    Unary::Sigmoid,
    Unary::HardSigmoid { alpha: 0.2, beta: 0.5 },
    Unary::HardSwish,
    Unary::Tanh,
    Unary::Erf,
    Unary::Gelu(GeluApproximation::None),
    Unary::Gelu(GeluApproximation::Tanh),
    Unary::Exp,
    Unary::Sqrt,
];

fn scalar(value: f32) -> Tensor {
    Tensor::scalar(value)
}

#[test]
fn unary_functions_on_odd_sizes() {
    for (seed, function) in FUNCTIONS.iter().enumerate() {
        let range = if *function == Unary::Sqrt { 0.0..9.0 } else { -6.0..6.0 };
        case(*function).runtime(random(seed as u64, [2, 3, 5, 7], range)).check();
    }
}

#[test]
fn unary_functions_in_half_precision() {
    for (seed, function) in FUNCTIONS.iter().enumerate() {
        let range = if *function == Unary::Sqrt { 0.0..9.0 } else { -6.0..6.0 };
        case(*function).runtime(to_f16(&random(seed as u64, [3, 5, 2], range))).check();
    }
}

/// Each piece alone, so that no large element elsewhere widens the bound.
#[test]
fn unary_functions_keep_their_digits_in_every_range() {
    for range in [-9.0..-6.0, -6.0..-3.0, -3.0..-1.0, -1.0..-0.4, -0.6..-0.1, -0.2..0.2, -1e-3..1e-3, 0.4..1.0, 1.0..4.0, 4.0..12.0] {
        for (seed, function) in FUNCTIONS.iter().enumerate() {
            if *function != Unary::Sqrt || range.start >= 0.0 {
                case(*function).runtime(random(seed as u64, [3, 7, 11, 5], range.clone())).check();
            }
        }
    }
}

#[test]
fn unary_functions_at_the_ends() {
    let ends = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e30, -1e30, 50.0, -50.0, f32::MAX, f32::MIN, 1.0, -1.0];
    for function in FUNCTIONS {
        for x in ends {
            case(*function).runtime(Tensor::full([1, 3], x)).check();
        }
    }
}

#[test]
fn unary_functions_refuse_integers() {
    case(Unary::Relu).runtime(Tensor::full([2, 3], 1i32)).fails_with("input 0 (`X`) is i32, expected f32, f16, f64");
}

#[test]
fn clip_with_bounds_known_and_unknown() {
    let x = || random(1, [2, 3, 5, 7], -4.0..4.0);
    case(Clip).runtime(x()).constant(scalar(0.0)).constant(scalar(2.5)).check();
    case(Clip).runtime(x()).runtime(scalar(-1.0)).runtime(scalar(1.5)).check();
    case(Clip).runtime(x()).runtime(scalar(-1.0)).constant(scalar(1.5)).check();
    case(Clip).runtime(x()).absent().constant(scalar(1.5)).check();
    case(Clip).runtime(x()).absent().runtime(scalar(1.5)).check();
    case(Clip).runtime(x()).constant(scalar(-0.5)).check();
    case(Clip).runtime(x()).check();
    case(Clip).runtime(x()).constant(Tensor::full([1], 0f32)).check();
}

#[test]
fn clip_lets_the_maximum_win_and_nan_pass() {
    case(Clip).runtime(random(2, [3, 4, 2, 5], -4.0..4.0)).constant(scalar(2.0)).constant(scalar(1.0)).check();
    case(Clip).runtime(random(2, [3, 4, 2, 5], -4.0..4.0)).runtime(scalar(2.0)).runtime(scalar(-3.0)).check();
    let ends = || Tensor::vector(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.0, -0.0]);
    case(Clip).runtime(ends()).constant(scalar(-2.0)).constant(scalar(2.0)).check();
    case(Clip).runtime(ends()).check();
    case(Clip).runtime(ends()).runtime(scalar(-2.0)).check();
}

#[test]
fn clip_takes_any_number() {
    let x = random(3, [2, 5, 3, 7], -120.0..120.0);
    for dtype in [DType::F16, DType::I8, DType::I16, DType::I32, DType::I64] {
        let as_type = |t: Tensor| to_dtype(&t, dtype);
        case(Clip).runtime(as_type(x.clone())).constant(as_type(scalar(-7.0))).runtime(as_type(scalar(50.0))).check();
        case(Clip).runtime(as_type(x.clone())).constant(as_type(scalar(-7.0))).constant(as_type(scalar(50.0))).check();
    }
    let bytes = to_dtype(&random(4, [3, 37], 0.0..255.0), DType::U8);
    case(Clip).runtime(bytes).constant(Tensor::scalar(3u8)).constant(Tensor::scalar(200u8)).check();
    let doubles = to_dtype(&x, DType::F64);
    case(Clip).runtime(doubles).constant(Tensor::scalar(-1f64)).check_on_cpu();
}

#[test]
fn clip_refuses_other_bounds() {
    let x = || random(1, [2, 3], -4.0..4.0);
    case(Clip).runtime(x()).constant(Tensor::scalar(1i32)).fails_with("input 1 (`min`) is i32, the input is f32");
    case(Clip).runtime(x()).absent().constant(Tensor::full([2], 1f32)).fails_with("input 2 (`max`) must be a scalar, got [2]");
    case(Clip).runtime(Tensor::full([2], true)).fails_with("input 0 (`input`) is bool");
}

#[test]
fn prelu_broadcasts_its_slope() {
    for slope in [vec![3, 1, 1], vec![1], vec![], vec![2, 3, 5, 7], vec![1, 3, 1, 1], vec![7], vec![5, 1], vec![2, 1, 5, 1]] {
        let slope = random(5, slope, -0.5..0.5);
        case(PRelu).runtime(random(6, [2, 3, 5, 7], -4.0..4.0)).constant(slope.clone()).check();
        case(PRelu).runtime(to_f16(&random(6, [2, 3, 5, 7], -4.0..4.0))).runtime(to_f16(&slope)).check();
    }
    let ends = Tensor::vector(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 2.0]);
    case(PRelu).runtime(ends).constant(scalar(0.25)).check();
    let x = to_dtype(&random(7, [2, 3, 5], -9.0..9.0), DType::I32);
    case(PRelu).runtime(x).constant(Tensor::new([3, 1], vec![2i32, -3, 0]).unwrap()).check();
}

#[test]
fn prelu_refuses_slopes_that_do_not_fit() {
    let x = || random(1, [2, 3, 5, 7], -4.0..4.0);
    case(PRelu).runtime(x()).constant(Tensor::full([3], 1f32)).fails_with("slope [3] does not broadcast to the input's [2,3,5,7]");
    case(PRelu).runtime(x()).constant(Tensor::full([4, 2, 3, 5, 7], 1f32)).fails_with("slope [4,2,3,5,7]");
    case(PRelu).runtime(x()).constant(Tensor::full([1], 1i64)).fails_with("input 1 (`slope`) is i64, expected f32");
}
