//! Functions of one element.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use super::binary::pairs;
use super::cast::{from_integers, integers};
use super::rounded;
use crate::ops::{Classify, GeluApproximation, Unary};
use crate::tensor::{Element, Tensor, for_each_dtype};

/// `y[i] = f(x[i])`
pub(crate) fn unary(op: &Unary, x: &Tensor) -> Tensor {
    if let Some(values) = integers(x).filter(|_| !matches!(op, Unary::Shrink { .. })) {
        let values = values.into_iter().map(|x| whole_function(op, x)).collect();
        return from_integers(x.dtype(), x.shape(), values);
    }
    rounded(x, x.shape(), x.to_f64().into_iter().map(|x| function(op, x)).collect())
}

pub(crate) fn function(op: &Unary, x: f64) -> f64 {
    match *op {
        Unary::Relu => {
            if x < 0.0 {
                0.0
            } else {
                x
            }
        }
        Unary::LeakyRelu { alpha } => {
            if x < 0.0 {
                f64::from(alpha) * x
            } else {
                x
            }
        }
        Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Unary::HardSigmoid { alpha, beta } => (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0),
        Unary::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Unary::Tanh => x.tanh(),
        Unary::Erf => erf(x),
        Unary::Gelu(GeluApproximation::None) => 0.5 * x * erfc(-x * FRAC_1_SQRT_2),
        // ½ (1 + tanh(u)) = 1 ÷ (1 + exp(−2u)), which does not cancel for negative u.
        Unary::Gelu(GeluApproximation::Tanh) => {
            let inner = (2.0 / PI).sqrt() * (x + 0.044715 * x * x * x);
            x / (1.0 + (-2.0 * inner).exp())
        }
        Unary::Exp => x.exp(),
        Unary::Sqrt => x.sqrt(),
        Unary::Abs => x.abs(),
        Unary::Neg => -x,
        Unary::Sign => {
            if x == 0.0 {
                x
            } else {
                x.signum()
            }
        }
        Unary::Ceil => x.ceil(),
        Unary::Floor => x.floor(),
        Unary::Round => x.round_ties_even(),
        Unary::Reciprocal => 1.0 / x,
        Unary::Log => x.ln(),
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Tan => x.tan(),
        Unary::Asin => x.asin(),
        Unary::Acos => x.acos(),
        Unary::Atan => x.atan(),
        Unary::Sinh => x.sinh(),
        Unary::Cosh => x.cosh(),
        Unary::Asinh => x.asinh(),
        Unary::Acosh => x.acosh(),
        Unary::Atanh => x.atanh(),
        Unary::Elu { alpha } => negative_side(x, |x| f64::from(alpha) * x.exp_m1()),
        Unary::Celu { alpha } => negative_side(x, |x| f64::from(alpha) * (x / f64::from(alpha)).exp_m1()),
        Unary::Selu { alpha, gamma } => f64::from(gamma) * negative_side(x, |x| f64::from(alpha) * x.exp_m1()),
        Unary::Softplus => softplus(x),
        Unary::Softsign => x / (1.0 + x.abs()),
        Unary::Mish => x * softplus(x).tanh(),
        Unary::Swish { alpha } => x / (1.0 + (-f64::from(alpha) * x).exp()),
        Unary::Shrink { lambda, bias } => {
            let (lambda, bias) = (f64::from(lambda), f64::from(bias));
            if x < -lambda {
                x + bias
            } else if x > lambda {
                x - bias
            } else {
                0.0
            }
        }
        Unary::ThresholdedRelu { alpha } if x > alpha.into() => x,
        Unary::ThresholdedRelu { .. } => 0.0,
        Unary::Affine { alpha, beta } => f64::from(alpha) * x + f64::from(beta),
        Unary::ScaledTanh { alpha, beta } => f64::from(alpha) * (f64::from(beta) * x).tanh(),
        Unary::ParametricSoftplus { alpha, beta } => f64::from(alpha) * softplus(f64::from(beta) * x),
    }
}

/// `x` where not negative, else `f(x)`.
fn negative_side(x: f64, f: impl Fn(f64) -> f64) -> f64 {
    if x < 0.0 { f(x) } else { x }
}

/// log(1 + exp(x)), in which nothing overflows.
fn softplus(x: f64) -> f64 {
    let positive = if x < 0.0 { 0.0 } else { x };
    positive + (-x.abs()).exp().ln_1p()
}

/// The functions that integers have.
fn whole_function(op: &Unary, x: i128) -> i128 {
    match op {
        Unary::Abs => x.abs(),
        Unary::Neg => -x,
        Unary::Sign => x.signum(),
        _ => x.max(0),
    }
}

/// `y[i]` whether `x[i]` is of the kind.
pub(crate) fn classify(op: Classify, x: &Tensor) -> Tensor {
    let is = |x: f64| match op {
        Classify::Nan => x.is_nan(),
        Classify::Infinite { positive, negative } => positive && x == f64::INFINITY || negative && x == f64::NEG_INFINITY,
    };
    Tensor::of(x.shape(), x.to_f64().into_iter().map(is).collect())
}

/// `y[n, c, h, w] = scale · x[n, c, h, w] + bias[c]`
pub(crate) fn image_scaler(x: &Tensor, scale: f32, bias: &[f32]) -> Tensor {
    let map: usize = x.shape()[2..].iter().product();
    let channel = |i: usize| i / map % bias.len();
    let values = x.to_f64().into_iter().enumerate().map(|(i, x)| f64::from(scale) * x + f64::from(bias[channel(i)]));
    rounded(x, x.shape(), values.collect())
}

/// erf by its Taylor series near 0 and 1 − erfc beyond: NIST DLMF 7.6.1.
pub(crate) fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a >= 2.5 {
        return (1.0 - erfc(a)).copysign(x);
    }
    let (mut term, mut sum, mut n) = (a, a, 0.0);
    while term.abs() > sum * 1e-17 {
        n += 1.0;
        term *= -a * a / n;
        sum += term / (2.0 * n + 1.0);
    }
    (2.0 / PI.sqrt() * sum).copysign(x)
}

/// 1 − erf, by its continued fraction where that would cancel: NIST DLMF 7.9.1.
fn erfc(x: f64) -> f64 {
    if x.is_nan() || x < 2.5 {
        return 1.0 - erf(x);
    }
    let fraction = (1..=120).rev().fold(0.0, |tail, k| f64::from(k) / 2.0 / (x + tail));
    (-x * x).exp() / (PI.sqrt() * (x + fraction))
}

/// `y[i] = min(max(x[i], minimum), maximum)`: where the bounds cross, the maximum wins. NaN passes.
pub(crate) fn clip(x: &Tensor, minimum: Option<&Tensor>, maximum: Option<&Tensor>) -> Tensor {
    fn clip<T: Element + PartialOrd>(values: &[T], minimum: Option<&Tensor>, maximum: Option<&Tensor>) -> Vec<T> {
        let bound = |tensor: Option<&Tensor>| tensor.and_then(Tensor::data::<T>).map(|v| v[0]);
        let (minimum, maximum) = (bound(minimum), bound(maximum));
        let raise = |x: T| minimum.filter(|&low| x < low).unwrap_or(x);
        let lower = |x: T| maximum.filter(|&high| x > high).unwrap_or(x);
        values.iter().map(|&x| lower(raise(x))).collect()
    }
    for_each_dtype!(x.data_ref(), values => Tensor::of(x.shape(), clip(values, minimum, maximum)))
}

/// `y[i] = x[i]` where not negative, else `slope · x[i]`, the slope read as if it had the shape of `x`.
pub(crate) fn prelu(x: &Tensor, slope: &Tensor) -> Tensor {
    let pairs = pairs(x.shape(), slope.shape(), x.shape());
    if let (Some(values), Some(slopes)) = (integers(x), integers(slope)) {
        let values = pairs.map(|(i, j)| if values[i] < 0 { slopes[j] * values[i] } else { values[i] }).collect();
        return from_integers(x.dtype(), x.shape(), values);
    }
    let (values, slopes) = (x.to_f64(), slope.to_f64());
    rounded(x, x.shape(), pairs.map(|(i, j)| if values[i] < 0.0 { slopes[j] * values[i] } else { values[i] }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_matches_published_values() {
        for (x, want) in [
            (0.0, 0.0),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.4, 0.999_311_486_103_355),
            (3.0, 0.999_977_909_503_001_4),
            (7.0, 1.0),
        ] {
            assert!((erf(x) - want).abs() < 1e-13, "erf({x}) = {} not {want}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
        assert!(erf(f64::NAN).is_nan());
        assert_eq!(erf(f64::INFINITY), 1.0);
    }

    #[test]
    fn erfc_keeps_its_digits_in_the_tail() {
        for (x, want) in [
            (-1.0, 1.842_700_792_949_715),
            (0.5, 0.479_500_122_186_953_5),
            (1.0, 0.157_299_207_050_285_13),
            (3.0, 2.209_049_699_858_544e-5),
            (6.0, 2.151_973_671_249_891e-17),
        ] {
            assert!((erfc(x) / want - 1.0).abs() < 1e-12, "erfc({x}) = {} not {want}", erfc(x));
        }
    }

    #[test]
    fn gelu_matches_published_values() {
        let gelu = |x| function(&Unary::Gelu(GeluApproximation::None), x);
        assert!((gelu(1.0) - 0.841_344_746_068_543).abs() < 1e-14);
        assert!((gelu(-2.0) - -2.0 * 0.022_750_131_948_179_2).abs() < 1e-14);
        let tanh = |x| function(&Unary::Gelu(GeluApproximation::Tanh), x);
        assert!((tanh(1.0) - 0.841_191_990_608_3).abs() < 1e-12);
        assert_eq!((gelu(100.0), tanh(1e200)), (100.0, 1e200));
    }

    #[test]
    fn pieces_meet_where_they_should() {
        let all = |op: Unary, x: [f64; 4]| x.map(|x| function(&op, x));
        assert_eq!(all(Unary::HardSwish, [-4.0, -1.5, 3.0, 4.0]), [-0.0, -0.375, 3.0, 4.0]);
        assert_eq!(all(Unary::HardSigmoid { alpha: 0.25, beta: 0.5 }, [-3.0, -1.0, 1.0, 3.0]), [0.0, 0.25, 0.75, 1.0]);
        assert_eq!(all(Unary::LeakyRelu { alpha: 0.5 }, [-2.0, -0.0, 0.0, 2.0]), [-1.0, -0.0, 0.0, 2.0]);
        assert!(all(Unary::Relu, [f64::NAN; 4])[0].is_nan());
        assert_eq!(all(Unary::Sigmoid, [0.0, -800.0, 800.0, -f64::INFINITY]), [0.5, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn functions_match_tables() {
        for (op, x, want) in [
            (Unary::Round, 2.5, 2.0),
            (Unary::Round, -3.5, -4.0),
            (Unary::Sign, -7.0, -1.0),
            (Unary::Sign, 0.0, 0.0),
            (Unary::Asinh, 1.0, 0.881_373_587_019_543),
            (Unary::Acosh, 2.0, 1.316_957_896_924_816_6),
            (Unary::Atanh, 0.5, 0.549_306_144_334_054_8),
            (Unary::Elu { alpha: 2.0 }, -1.0, -1.264_241_117_657_115_4),
            (Unary::Celu { alpha: 2.0 }, -1.0, -0.786_938_680_574_733_2),
            (Unary::Selu { alpha: 2.0, gamma: 3.0 }, -1.0, -3.792_723_352_971_346),
            (Unary::Selu { alpha: 2.0, gamma: 3.0 }, 1.0, 3.0),
            (Unary::Softplus, 1.0, 1.313_261_687_518_222_8),
            (Unary::Softplus, 1000.0, 1000.0),
            (Unary::Softsign, -3.0, -0.75),
            (Unary::Mish, 1.0, 0.865_098_388_267_310_3),
            (Unary::Swish { alpha: 2.0 }, 1.0, 0.880_797_077_977_882_4),
            (Unary::Shrink { lambda: 1.5, bias: 0.5 }, -2.0, -1.5),
            (Unary::Shrink { lambda: 1.5, bias: 0.5 }, 2.0, 1.5),
            (Unary::Shrink { lambda: 1.5, bias: 0.5 }, 1.5, 0.0),
            (Unary::ThresholdedRelu { alpha: 1.0 }, 1.0, 0.0),
            (Unary::ThresholdedRelu { alpha: 1.0 }, 1.5, 1.5),
            (Unary::Affine { alpha: 3.0, beta: 0.5 }, 2.0, 6.5),
            (Unary::ScaledTanh { alpha: 2.0, beta: 0.5 }, 2.0, 1.523_188_311_911_529_8),
            (Unary::ParametricSoftplus { alpha: 2.0, beta: 0.5 }, 2.0, 2.626_523_375_036_445_6),
        ] {
            assert!((function(&op, x) - want).abs() < 1e-14, "{op:?}({x}) = {} not {want}", function(&op, x));
        }
    }

    #[test]
    fn floats_are_classified() {
        let x = Tensor::vector(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX]);
        let of = |op| classify(op, &x).data::<bool>().unwrap().to_vec();
        assert_eq!(of(Classify::Nan), [true, false, false, false]);
        assert_eq!(of(Classify::Infinite { positive: true, negative: true }), [false, true, true, false]);
        assert_eq!(of(Classify::Infinite { positive: false, negative: true }), [false, false, true, false]);
        assert_eq!(of(Classify::Infinite { positive: true, negative: false }), [false, true, false, false]);
    }

    #[test]
    fn images_are_scaled_by_channel() {
        let x = Tensor::new([2, 2, 1, 1], vec![1f32, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(image_scaler(&x, 2.0, &[0.5, -1.0]).data::<f32>().unwrap(), [2.5, 3.0, 6.5, 7.0]);
    }

    #[test]
    fn integers_wrap_at_their_width() {
        let x = Tensor::vector(vec![-128i8, -3, 0, 5]);
        assert_eq!(unary(&Unary::Abs, &x), Tensor::vector(vec![-128i8, 3, 0, 5]));
        assert_eq!(unary(&Unary::Neg, &x), Tensor::vector(vec![-128i8, 3, 0, -5]));
        assert_eq!(unary(&Unary::Sign, &x), Tensor::vector(vec![-1i8, -1, 0, 1]));
        assert_eq!(unary(&Unary::Relu, &x), Tensor::vector(vec![0i8, 0, 0, 5]));
        assert_eq!(unary(&Unary::Shrink { lambda: 2.5, bias: 1.0 }, &x), Tensor::vector(vec![-127i8, -2, 0, 4]));
        assert_eq!(unary(&Unary::Neg, &Tensor::vector(vec![1u8])), Tensor::vector(vec![255u8]));
    }

    #[test]
    fn clip_lets_the_maximum_win() {
        let x = Tensor::vector(vec![-3i8, 0, 5]);
        let bound = |v: i8| Tensor::scalar(v);
        assert_eq!(clip(&x, Some(&bound(-1)), Some(&bound(2))), Tensor::vector(vec![-1i8, 0, 2]));
        assert_eq!(clip(&x, Some(&bound(3)), Some(&bound(1))), Tensor::vector(vec![1i8, 1, 1]));
        assert_eq!(clip(&x, None, Some(&bound(-2))), Tensor::vector(vec![-3i8, -2, -2]));
        assert!(clip(&Tensor::scalar(f32::NAN), Some(&Tensor::scalar(0f32)), None).data::<f32>().unwrap()[0].is_nan());
    }

    #[test]
    fn prelu_has_a_slope_per_channel() {
        let x = Tensor::new([1, 2, 1, 2], vec![-1f32, 2.0, -3.0, 4.0]).unwrap();
        let slope = Tensor::new([2, 1, 1], vec![0.5f32, 10.0]).unwrap();
        assert_eq!(prelu(&x, &slope).data::<f32>().unwrap(), [-0.5, 2.0, -30.0, 4.0]);
        assert_eq!(prelu(&Tensor::vector(vec![-3i32, 4]), &Tensor::scalar(7i32)), Tensor::vector(vec![-21i32, 4]));
    }
}
