//! Functions of one element.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use super::binary::pairs;
use super::cast::{from_integers, integers};
use super::rounded;
use crate::ops::{GeluApproximation, Unary};
use crate::tensor::{Element, Tensor, for_each_dtype};

/// `y[i] = f(x[i])`
pub(crate) fn unary(op: &Unary, x: &Tensor) -> Tensor {
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
    }
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
