//! The forms that activations are written in.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use super::super::pattern::{Cursor, close};
use crate::ops::{Binary, GeluApproximation, Op, Unary};
use crate::tensor::DType;

/// The function and its argument that `root` is the value of, in elements of type `dtype`.
pub(super) fn of(root: Cursor<'_>, dtype: DType) -> Option<(Cursor<'_>, Unary)> {
    match root.op()? {
        Op::Binary(Binary::Mul) => product(root, dtype),
        Op::Binary(Binary::Div) => quotient(root).or_else(|| product(root, dtype)),
        Op::Unary(Unary::Reciprocal) => Some((logistic(root.input(0)?)?, Unary::Sigmoid)),
        Op::Unary(Unary::Log) => Some((root.input(0)?.plus(1.0)?.of_unary(Unary::Exp)?, Unary::Softplus)),
        Op::Binary(Binary::Max) | Op::Variadic(_) => maximum(root),
        Op::Clip(_) => clip(root, dtype),
        _ => None,
    }
}

/// `x`, for `1 + exp(−x)`.
fn logistic(sum: Cursor<'_>) -> Option<Cursor<'_>> {
    sum.plus(1.0)?.of_unary(Unary::Exp)?.of_unary(Unary::Neg)
}

/// `1 ÷ (1 + exp(−x))`, `x ÷ (1 + |x|)`
fn quotient(root: Cursor<'_>) -> Option<(Cursor<'_>, Unary)> {
    let [x, divisor] = root.of_binary(Binary::Div)?;
    if x.is_number(1.0) {
        return Some((logistic(divisor)?, Unary::Sigmoid));
    }
    (divisor.plus(1.0)?.of_unary(Unary::Abs)? == x).then_some((x, Unary::Softsign))
}

/// `max(x, 0)`, `max(x, α·x)`
fn maximum(root: Cursor<'_>) -> Option<(Cursor<'_>, Unary)> {
    root.either(Binary::Max, |x, other| {
        if other.scalar() == Some(0.0) {
            return Some((x, Unary::Relu));
        }
        let (slope, alpha) = other.and_scalar(Binary::Mul)?;
        (slope == x && alpha > 0.0 && alpha < 1.0).then_some((x, Unary::LeakyRelu { alpha: alpha as f32 }))
    })
}

/// `clamp(x, 0, ∞)`, `clamp(α·x + β, 0, 1)`
fn clip(root: Cursor<'_>, dtype: DType) -> Option<(Cursor<'_>, Unary)> {
    let (x, limit) = clipped(root)?;
    let largest = if dtype == DType::F16 { 65504.0 } else { f64::from(f32::MAX) };
    if limit >= largest {
        return Some((x, Unary::Relu));
    }
    let (_, [alpha, beta]) = line(x);
    if limit != 1.0 || [alpha, beta] == [1.0, 0.0] {
        return None;
    }
    let (x, hard) = hard_sigmoid(root)?;
    Some((x, hard.function()))
}

/// `x` and `m`, for `clamp(x, 0, m)`, `m` infinite where there is none.
fn clipped(value: Cursor<'_>) -> Option<(Cursor<'_>, f64)> {
    if let Op::Clip(_) = value.op()? {
        let low = value.input(1)?.scalar()?;
        let high = value.input(2).map_or(Some(f64::INFINITY), Cursor::scalar)?;
        return (low == 0.0 && high > 0.0).then_some((value.input(0)?, high));
    }
    // relu6 as it was written before Clip.
    value.either(Binary::Min, |relu, limit| Some((relu.of_unary(Unary::Relu)?, limit.scalar().filter(|&limit| limit > 0.0)?)))
}

/// `x`, `α` and `β` for `α·x + β`.
fn line(value: Cursor<'_>) -> (Cursor<'_>, [f64; 2]) {
    let (sum, offset) = value.and_scalar(Binary::Add).unwrap_or((value, 0.0));
    // What others read too is the argument, however it is made.
    match sum.factors() {
        (factors, slope) if factors.len() == 1 && sum.read_once() => (factors[0], [slope, offset]),
        _ => (sum, [1.0, offset]),
    }
}

/// `factor · clamp(alpha · x + beta, 0, 1)`
struct Hard {
    factor: f64,
    alpha: f64,
    beta: f64,
}

impl Hard {
    fn function(&self) -> Unary {
        Unary::HardSigmoid { alpha: self.alpha as f32, beta: self.beta as f32 }
    }
}

/// The argument of a `Hard`.
fn hard_sigmoid(value: Cursor<'_>) -> Option<(Cursor<'_>, Hard)> {
    if let Op::Unary(Unary::HardSigmoid { alpha, beta }) = *value.op()? {
        return Some((value.input(0)?, Hard { factor: 1.0, alpha: alpha.into(), beta: beta.into() }));
    }
    let (inner, limit) = clipped(value).filter(|(_, limit)| limit.is_finite())?;
    let (x, [slope, offset]) = line(inner);
    Some((x, Hard { factor: limit, alpha: slope / limit, beta: offset / limit }))
}

/// A number times one factor, or `x` times a function of `x`.
fn product(root: Cursor<'_>, dtype: DType) -> Option<(Cursor<'_>, Unary)> {
    let (factors, coefficient) = root.factors();
    let is = |number: f64, value: f64| close(number, value, dtype);
    match factors[..] {
        [gate] => {
            let (x, hard) = hard_sigmoid(gate)?;
            (coefficient != 1.0 && is(coefficient * hard.factor, 1.0)).then(|| (x, hard.function()))
        }
        [a, b] => [(a, b), (b, a)].into_iter().find_map(|(x, gate)| Some((x, gated(x, gate, coefficient, &is)?))),
        _ => None,
    }
}

/// The function that `coefficient · x · gate` is.
fn gated(x: Cursor<'_>, gate: Cursor<'_>, coefficient: f64, is: &dyn Fn(f64, f64) -> bool) -> Option<Unary> {
    if let Some((argument, hard)) = hard_sigmoid(gate) {
        let swish = is(coefficient * hard.factor, 1.0) && is(hard.alpha, 1.0 / 6.0) && is(hard.beta, 0.5);
        return (swish && argument == x).then_some(Unary::HardSwish);
    }
    if is(coefficient, 0.5) {
        return gelu(x, gate.plus(1.0)?, is);
    }
    if !is(coefficient, 1.0) {
        return None;
    }
    if let Some(argument) = gate.of_unary(Unary::Sigmoid) {
        return match argument.factors() {
            _ if argument == x => Some(Unary::Swish { alpha: 1.0 }),
            (factors, alpha) if factors == [x] => Some(Unary::Swish { alpha: alpha as f32 }),
            _ => None,
        };
    }
    (gate.of_unary(Unary::Tanh)?.of_unary(Unary::Softplus)? == x).then_some(Unary::Mish)
}

/// GELU, where `bend` is `erf(x ÷ √2)` or `tanh(√(2/π) · (x + 0.044715·x³))`.
fn gelu(x: Cursor<'_>, bend: Cursor<'_>, is: &dyn Fn(f64, f64) -> bool) -> Option<Unary> {
    if let Some(argument) = bend.of_unary(Unary::Erf) {
        let (factors, slope) = argument.factors();
        return (factors == [x] && is(slope, FRAC_1_SQRT_2)).then_some(Unary::Gelu(GeluApproximation::None));
    }
    let (factors, slope) = bend.of_unary(Unary::Tanh)?.factors();
    let power = |value: Cursor<'_>, exponent: usize| {
        let (factors, coefficient) = value.factors();
        factors.len() == exponent && factors.iter().all(|factor| *factor == x) && is(coefficient, 0.044715)
    };
    let cubic = match factors[..] {
        [sum] => sum.either(Binary::Add, |a, b| (a == x && power(b, 3)).then_some(())),
        [a, b] => {
            let quadratic = if a == x { b } else { a };
            quadratic.plus(1.0).filter(|square| (a == x || b == x) && power(*square, 2)).map(|_| ())
        }
        _ => None,
    };
    (cubic.is_some() && is(slope, FRAC_2_SQRT_PI * FRAC_1_SQRT_2)).then_some(Unary::Gelu(GeluApproximation::Tanh))
}
