//! Reductions over axes.

use super::cast::{from_integers, integers};
use super::rounded;
use crate::ops::ReduceFunction;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// `y[kept] = f over the reduced axes of x`, into `shape`; integers wrap at their width, what is no integer truncates toward zero.
///
/// Over no elements at all a sum is 0, its logarithm −∞, the product 1, the mean NaN; the maximum is the smallest value of the
/// type, the minimum the largest.
pub(crate) fn reduce(function: ReduceFunction, x: &Tensor, reduced: &[bool], shape: &Shape) -> Tensor {
    let dims = x.shape().dims();
    let kept: Shape = dims.iter().zip(reduced).map(|(&extent, &reduced)| if reduced { 1 } else { extent }).collect();
    let strides = kept.broadcast_strides(x.shape());
    let owner = |mut rest: usize| {
        let mut at = 0;
        for axis in (0..dims.len()).rev() {
            at += rest % dims[axis] * strides[axis];
            rest /= dims[axis];
        }
        at
    };
    match integers(x).filter(|_| !function.is_real()) {
        Some(values) => {
            let mut rows = vec![vec![]; shape.elements()];
            values.into_iter().enumerate().for_each(|(i, value)| rows[owner(i)].push(value));
            from_integers(x.dtype(), shape, rows.iter().map(|row| of_integers(function, row, x.dtype())).collect())
        }
        None => {
            let mut rows = vec![vec![]; shape.elements()];
            x.to_f64().into_iter().enumerate().for_each(|(i, value)| rows[owner(i)].push(value));
            rounded(x, shape, rows.iter().map(|row| of_reals(function, row)).collect())
        }
    }
}

/// The reduction of one row of integers of type `dtype`, not yet wrapped to it.
fn of_integers(function: ReduceFunction, row: &[i128], dtype: DType) -> i128 {
    let (smallest, largest) = range(dtype);
    match function {
        ReduceFunction::Max => row.iter().copied().fold(smallest, i128::max),
        ReduceFunction::Min => row.iter().copied().fold(largest, i128::min),
        ReduceFunction::Prod => row.iter().fold(1, |product, &v| product.wrapping_mul(v)),
        ReduceFunction::L1 => row.iter().map(|v| v.abs()).sum(),
        ReduceFunction::SumSquare => row.iter().fold(0i128, |sum, &v| sum.wrapping_add(v.wrapping_mul(v))),
        ReduceFunction::Mean => row.iter().sum::<i128>() / row.len() as i128,
        _ => row.iter().sum(),
    }
}

/// The reduction of one row.
fn of_reals(function: ReduceFunction, row: &[f64]) -> f64 {
    let sum = |f: fn(f64) -> f64| row.iter().map(|&v| f(v)).sum::<f64>();
    match function {
        ReduceFunction::Sum => sum(|v| v),
        ReduceFunction::Mean => sum(|v| v) / row.len() as f64,
        ReduceFunction::Max => row.iter().fold(f64::NEG_INFINITY, |best, &v| if v > best || v.is_nan() { v } else { best }),
        ReduceFunction::Min => row.iter().fold(f64::INFINITY, |best, &v| if v < best || v.is_nan() { v } else { best }),
        ReduceFunction::Prod => row.iter().product(),
        ReduceFunction::L1 => sum(f64::abs),
        ReduceFunction::L2 => sum(|v| v * v).sqrt(),
        ReduceFunction::LogSum => sum(|v| v).ln(),
        ReduceFunction::SumSquare => sum(|v| v * v),
        ReduceFunction::LogSumExp => {
            // log Σ exp(v) = m + log Σ exp(v − m) for any m; where the largest is infinite, it is the result.
            let largest = of_reals(ReduceFunction::Max, row);
            if largest.is_finite() { largest + row.iter().map(|v| (v - largest).exp()).sum::<f64>().ln() } else { largest }
        }
    }
}

/// The smallest and the largest value of an integer type.
fn range(dtype: DType) -> (i128, i128) {
    match dtype {
        DType::I8 => (i8::MIN.into(), i8::MAX.into()),
        DType::I16 => (i16::MIN.into(), i16::MAX.into()),
        DType::I32 => (i32::MIN.into(), i32::MAX.into()),
        DType::I64 => (i64::MIN.into(), i64::MAX.into()),
        DType::U8 => (0, u8::MAX.into()),
        DType::U16 => (0, u16::MAX.into()),
        DType::U32 => (0, u32::MAX.into()),
        DType::U64 => (0, u64::MAX.into()),
        _ => (0, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn x() -> Tensor {
        Tensor::new([2, 3, 2], (1..=12).map(|i| i as f32).collect()).unwrap()
    }

    fn run(function: ReduceFunction, x: &Tensor, reduced: [bool; 3], shape: &[usize]) -> Vec<f64> {
        reduce(function, x, &reduced, &Shape::from(shape)).to_f64()
    }

    #[test]
    fn axes_reduce_alone_and_together() {
        assert_eq!(run(ReduceFunction::Sum, &x(), [false, true, false], &[2, 2]), [9.0, 12.0, 27.0, 30.0]);
        assert_eq!(run(ReduceFunction::Mean, &x(), [true, false, true], &[3]), [4.5, 6.5, 8.5]);
        assert_eq!(run(ReduceFunction::Max, &x(), [true, true, true], &[]), [12.0]);
        assert_eq!(run(ReduceFunction::Mean, &x(), [false; 3], &[2, 3, 2]), x().to_f64());
    }

    #[test]
    fn the_maximum_of_nan_is_nan() {
        let x = Tensor::new([1, 2, 3], vec![1.0, f32::NAN, 2.0, -5.0, -3.0, f32::NEG_INFINITY]).unwrap();
        let max = run(ReduceFunction::Max, &x, [true, false, true], &[2]);
        assert!(max[0].is_nan() && max[1] == -3.0, "{max:?}");
    }

    #[test]
    fn integers_stay_exact() {
        let x = Tensor::new([1, 3, 1], vec![i64::MAX, 1, -1]).unwrap();
        let sum = reduce(ReduceFunction::Sum, &x, &[true; 3], &Shape::scalar());
        assert_eq!(sum, Tensor::scalar(i64::MAX));
        let mean = reduce(ReduceFunction::Mean, &Tensor::new([1, 1, 2], vec![-4i32, -3]).unwrap(), &[true; 3], &Shape::scalar());
        assert_eq!(mean, Tensor::scalar(-3i32));
    }

    #[test]
    fn norms_products_and_logarithms_by_hand() {
        let x = Tensor::new([1, 2, 2], vec![3.0, -4.0, 1.0, 2.0]).unwrap().to_f64();
        let run =
            |function| reduce(function, &Tensor::new([1, 2, 2], x.clone()).unwrap(), &[false, false, true], &Shape::from([2])).to_f64();
        assert_eq!(run(ReduceFunction::Min), [-4.0, 1.0]);
        assert_eq!(run(ReduceFunction::Prod), [-12.0, 2.0]);
        assert_eq!(run(ReduceFunction::L1), [7.0, 3.0]);
        assert_eq!(run(ReduceFunction::L2), [5.0, 5f64.sqrt()]);
        assert_eq!(run(ReduceFunction::SumSquare), [25.0, 5.0]);
        let logarithms = run(ReduceFunction::LogSum);
        assert!(logarithms[0].is_nan() && logarithms[1] == 3f64.ln());
        // log(e³ + e⁻⁴) and log(e + e²), to twelve digits.
        let known = [3.000_911_466_454, 2.313_261_687_518];
        assert!(run(ReduceFunction::LogSumExp).iter().zip(known).all(|(a, b)| (a - b).abs() < 1e-11));
    }

    #[test]
    fn exponentials_never_overflow() {
        let none = f32::NEG_INFINITY;
        let x = Tensor::new([1, 4, 2], vec![1000.0, 1000.0, none, none, none, 3.0, f32::INFINITY, none]).unwrap();
        let y = run(ReduceFunction::LogSumExp, &x, [true, false, true], &[4]);
        assert_eq!(y, [f64::from((1000.0 + 2f64.ln()) as f32), f64::NEG_INFINITY, 3.0, f64::INFINITY]);
        let nan = Tensor::new([1, 1, 2], vec![f32::NAN, f32::INFINITY]).unwrap();
        assert!(run(ReduceFunction::LogSumExp, &nan, [true; 3], &[])[0].is_nan());
    }

    #[test]
    fn narrow_integers_wrap_and_real_results_truncate() {
        let x = Tensor::new([1, 1, 3], vec![-128i8, 100, 3]).unwrap();
        let of = |function| reduce(function, &x, &[true; 3], &Shape::scalar()).to_f64()[0];
        // −25; 231 − 256; −38400 + 38400 mod 256 = 0 with 3 · 100 · −128 = −150 · 256; 16384 + 10000 + 9 mod 256 = 25.
        assert_eq!([of(ReduceFunction::Sum), of(ReduceFunction::L1), of(ReduceFunction::Prod)], [-25.0, -25.0, 0.0]);
        assert_eq!([of(ReduceFunction::SumSquare), of(ReduceFunction::Min), of(ReduceFunction::Mean)], [25.0, -128.0, -8.0]);
        let y = Tensor::new([1, 1, 2], vec![3i32, 3]).unwrap();
        assert_eq!(reduce(ReduceFunction::L2, &y, &[true; 3], &Shape::scalar()), Tensor::scalar(4i32));
    }

    #[test]
    fn nothing_reduces_to_the_neutral_element() {
        let x = Tensor::new([2, 0, 1], Vec::<f32>::new()).unwrap();
        assert_eq!(run(ReduceFunction::Sum, &x, [false, true, true], &[2]), [0.0, 0.0]);
        assert_eq!(run(ReduceFunction::Max, &x, [false, true, true], &[2]), [f64::NEG_INFINITY; 2]);
        assert_eq!(run(ReduceFunction::Min, &x, [false, true, true], &[2]), [f64::INFINITY; 2]);
        assert_eq!(run(ReduceFunction::Prod, &x, [false, true, true], &[2]), [1.0; 2]);
        assert_eq!(run(ReduceFunction::LogSum, &x, [false, true, true], &[2]), [f64::NEG_INFINITY; 2]);
        assert_eq!(run(ReduceFunction::LogSumExp, &x, [false, true, true], &[2]), [f64::NEG_INFINITY; 2]);
        assert!(run(ReduceFunction::Mean, &x, [false, true, true], &[2])[0].is_nan());
        let none = Tensor::new([0, 1, 1], Vec::<u8>::new()).unwrap();
        assert_eq!(run(ReduceFunction::Min, &none, [true; 3], &[]), [255.0]);
    }
}
