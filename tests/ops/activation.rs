use std::ops::Range;

use macula::ops::{Classify, Clip, GeluApproximation, PRelu, Unary};
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
    Unary::Abs,
    Unary::Neg,
    Unary::Sign,
    Unary::Ceil,
    Unary::Floor,
    Unary::Round,
    Unary::Reciprocal,
    Unary::Log,
    Unary::Sin,
    Unary::Cos,
    Unary::Tan,
    Unary::Asin,
    Unary::Acos,
    Unary::Atan,
    Unary::Sinh,
    Unary::Cosh,
    Unary::Asinh,
    Unary::Acosh,
    Unary::Atanh,
    Unary::Elu { alpha: 0.7 },
    Unary::Celu { alpha: 1.7 },
    Unary::Selu { alpha: 1.6732632, gamma: 1.050701 },
    Unary::Softplus,
    Unary::Softsign,
    Unary::Mish,
    Unary::Swish { alpha: 1.3 },
    Unary::Shrink { lambda: 0.5, bias: 0.25 },
    Unary::ThresholdedRelu { alpha: 0.7 },
    Unary::Affine { alpha: 150.0, beta: -3.0 },
    Unary::ScaledTanh { alpha: 1.7, beta: 0.6 },
    Unary::ParametricSoftplus { alpha: 0.8, beta: 0.5 },
];

/// Where a function is real and finite.
fn domain(function: Unary) -> Range<f32> {
    match function {
        Unary::Sqrt => 0.0..9.0,
        Unary::Log | Unary::Reciprocal => 0.01..9.0,
        Unary::Asin | Unary::Acos => -1.0..1.0,
        Unary::Atanh => -0.999..0.999,
        Unary::Acosh => 1.0..9.0,
        Unary::Tan => -1.4..1.4,
        _ => -6.0..6.0,
    }
}

fn scalar(value: f32) -> Tensor {
    Tensor::scalar(value)
}

#[test]
fn unary_functions_on_odd_sizes() {
    for (seed, function) in FUNCTIONS.iter().enumerate() {
        case(*function).runtime(random(seed as u64, [2, 3, 5, 7], domain(*function))).check();
    }
}

#[test]
fn unary_functions_in_half_precision() {
    for (seed, function) in FUNCTIONS.iter().enumerate() {
        case(*function).runtime(to_f16(&random(seed as u64, [3, 5, 2], domain(*function)))).check();
    }
}

/// Each piece alone, so that no large element elsewhere widens the bound.
#[test]
fn unary_functions_keep_their_digits_in_every_range() {
    for range in [-9.0..-6.0, -6.0..-3.0, -3.0..-1.0, -1.0..-0.4, -0.6..-0.1, -0.2..0.2, -1e-3..1e-3, 0.4..1.0, 1.0..4.0, 4.0..12.0] {
        for (seed, function) in FUNCTIONS.iter().enumerate() {
            let domain = domain(*function);
            if domain.start <= range.start && range.end <= domain.end || domain == (-6.0..6.0) {
                case(*function).runtime(random(seed as u64, [3, 7, 11, 5], range.clone())).check();
            }
        }
    }
}

#[test]
fn unary_functions_at_the_ends() {
    let ends = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e30, -1e30, 50.0, -50.0, f32::MAX, f32::MIN, 1.0, -1.0];
    for function in FUNCTIONS {
        // Of an angle that large only the device knows where it lies.
        let periodic = matches!(function, Unary::Sin | Unary::Cos | Unary::Tan);
        for x in ends.into_iter().filter(|x| !periodic || !x.is_finite() || x.abs() < 1e4) {
            case(*function).runtime(Tensor::full([1, 3], x)).check();
        }
    }
}

#[test]
fn unary_functions_refuse_integers() {
    case(Unary::Exp).runtime(Tensor::full([2, 3], 1i32)).fails_with("input 0 (`X`) is i32, expected f32, f16, f64");
    case(Unary::Abs).runtime(Tensor::full([2, 3], true)).fails_with("input 0 (`X`) is bool");
}

#[test]
fn large_angles_are_reduced() {
    for function in [Unary::Sin, Unary::Cos] {
        case(function).runtime(random(1, [3, 7, 11, 5], -100.0..100.0)).check();
        case(function).runtime(random(2, [3, 7, 11, 5], -9999.0..9999.0)).check();
    }
}

#[test]
fn rounding_is_to_the_even_neighbour() {
    let halves: Vec<f32> = (-9..=9).map(|n| n as f32 / 2.0).collect();
    let x = Tensor::vector([halves, vec![0.49999997, -0.49999997, 8388609.0, 1e30]].concat());
    for function in [Unary::Round, Unary::Ceil, Unary::Floor, Unary::Sign] {
        case(function).runtime(x.clone()).check();
        case(function).runtime(to_f16(&x)).check();
    }
}

#[test]
fn integers_have_signs() {
    let functions = [Unary::Abs, Unary::Neg, Unary::Relu, Unary::Sign];
    for dtype in [DType::I8, DType::I16, DType::I32, DType::I64, DType::U8, DType::U16, DType::U32] {
        let x = to_dtype(&random(1, [2, 3, 5, 7], if dtype.is_signed() { -200.0..200.0 } else { 0.0..300.0 }), dtype);
        for function in functions {
            case(function).runtime(x.clone()).check();
        }
        let shrink = case(Unary::Shrink { lambda: 10.5, bias: 3.0 }).runtime(x);
        if dtype.size() < 4 { shrink.check() } else { shrink.check_on_cpu() }
    }
    for function in functions {
        case(function).runtime(Tensor::vector(vec![i64::MIN, i64::MAX, -1, 0, 1])).check();
        case(function).runtime(Tensor::vector(vec![i32::MIN, i32::MAX, -1, 0, 1])).check();
        case(function).runtime(Tensor::vector(vec![u64::MAX, 0, 1])).check_on_cpu();
    }
}

#[test]
fn floats_are_classified() {
    let x = vec![f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MAX, 1e-40, -7.0];
    let infinite = |positive, negative| Classify::Infinite { positive, negative };
    for op in [Classify::Nan, infinite(true, true), infinite(true, false), infinite(false, true), infinite(false, false)] {
        case(op).runtime(Tensor::vector(x.clone())).check();
        case(op).runtime(to_f16(&Tensor::vector(x.clone()))).check();
        case(op).runtime(to_dtype(&Tensor::vector(x.clone()), DType::F64)).check_on_cpu();
    }
    case(Classify::Nan).runtime(Tensor::vector(vec![1i32])).fails_with("input 0 (`X`) is i32");
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
