//! Functions of one element.

use super::rounded;
use crate::ops::{GeluApproximation, Unary};
use crate::tensor::Tensor;

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
        Unary::Gelu(GeluApproximation::None) => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        Unary::Gelu(GeluApproximation::Tanh) => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        }
        Unary::Exp => x.exp(),
        Unary::Sqrt => x.sqrt(),
    }
}

/// erf by its Taylor series near 0 and Lentz's continued fraction of erfc beyond: NIST DLMF 7.6.1 and 7.9.1.
pub(crate) fn erf(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    let a = x.abs();
    let value = if a < 2.5 {
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term.abs() > sum * 1e-17 {
            n += 1.0;
            term *= -a * a / n;
            sum += term / (2.0 * n + 1.0);
        }
        2.0 / std::f64::consts::PI.sqrt() * sum
    } else if a > 6.0 {
        1.0
    } else {
        let fraction = (1..=120).rev().fold(0.0, |tail, k| f64::from(k) / 2.0 / (a + tail));
        1.0 - (-a * a).exp() / (std::f64::consts::PI.sqrt() * (a + fraction))
    };
    value.copysign(x)
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
    }
}
