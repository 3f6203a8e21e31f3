//! Softmax, its logarithm, and its limit.

use super::arg_reduce::arg_reduce;
use super::rounded;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// `y[o, c, i] = exp(x[o, c, i] − m) ÷ Σ_k exp(x[o, k, i] − m)` with `m = max_k x[o, k, i]`, or the logarithm of it, for `x` as
/// `[outer, columns, inner]`. A row of −∞ alone gives NaN, as does a row with NaN or +∞.
pub(crate) fn softmax(x: &Tensor, [outer, columns, inner]: [usize; 3], log: bool) -> Tensor {
    let mut values = x.to_f64();
    for o in 0..outer {
        for i in 0..inner {
            let at = |c: usize| (o * columns + c) * inner + i;
            let maximum = (0..columns).map(|c| values[at(c)]).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (0..columns).map(|c| (values[at(c)] - maximum).exp()).sum();
            for c in 0..columns {
                let shifted = values[at(c)] - maximum;
                values[at(c)] = if log { shifted - sum.ln() } else { shifted.exp() / sum };
            }
        }
    }
    rounded(x, x.shape(), values)
}

/// `y[o, c, i] = 1` where `x[o, c, i]` is the first of the largest over `c`, else 0, for `x` as `[outer, columns, inner]`.
pub(crate) fn hardmax(x: &Tensor, [outer, columns, inner]: [usize; 3]) -> Tensor {
    let mut y = vec![0.0; x.len()];
    if !y.is_empty() {
        let winners = arg_reduce(x, [outer, columns, inner], true, false, &Shape::from([outer, inner]));
        for (position, winner) in winners.to_i64().unwrap_or_default().into_iter().enumerate() {
            y[(position / inner * columns + winner as usize) * inner + position % inner] = 1.0;
        }
    }
    rounded(x, x.shape(), y)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// exp of 1, 2, 3 over their sum, to twelve digits.
    const KNOWN: [f64; 3] = [0.090_030_573_170, 0.244_728_471_055, 0.665_240_955_775];

    #[test]
    fn known_values_on_both_kinds_of_axis() {
        let x = Tensor::vector(vec![1001f64, 1002.0, 1003.0]);
        let close = |got: &[f64]| got.iter().zip(KNOWN).all(|(a, b)| (a - b).abs() < 1e-11);
        assert!(close(&softmax(&x, [1, 3, 1], false).to_f64()));
        let logarithms = softmax(&x, [1, 3, 1], true).to_f64();
        assert!(close(&logarithms.iter().map(|x| x.exp()).collect::<Vec<_>>()));
        let columns = softmax(&Tensor::new([3, 2], vec![1f64, 5.0, 2.0, 5.0, 3.0, 5.0]).unwrap(), [1, 3, 2], false).to_f64();
        assert!(close(&columns.iter().copied().step_by(2).collect::<Vec<_>>()));
        assert!(columns.iter().skip(1).step_by(2).all(|x| (x - 1.0 / 3.0).abs() < 1e-15));
    }

    #[test]
    fn infinities_and_nan() {
        let none = f32::NEG_INFINITY;
        let x = Tensor::new([4, 2], vec![none, none, none, 3.0, f32::NAN, 1.0, f32::INFINITY, 1.0]).unwrap();
        let y = softmax(&x, [4, 2, 1], false).to_f64();
        assert!(y[0].is_nan() && y[1].is_nan());
        assert_eq!(y[2..4], [0.0, 1.0]);
        assert!(y[4..6].iter().all(|x| x.is_nan()));
        assert!(y[6].is_nan());
    }

    #[test]
    fn hardmax_takes_the_first_of_the_largest() {
        let x = Tensor::new([2, 3], vec![1f32, 3.0, 3.0, 0.0, f32::NAN, 9.0]).unwrap();
        assert_eq!(hardmax(&x, [2, 3, 1]).to_f64(), [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(hardmax(&x, [1, 2, 3]).to_f64(), [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
        assert_eq!(hardmax(&x, [1, 6, 1]).to_f64(), [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    }
}
