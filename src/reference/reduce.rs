//! Reductions over axes.

use super::cast::{from_integers, integers};
use super::rounded;
use crate::ops::ReduceFunction;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// `y[kept] = f over the reduced axes of x`, into `shape`; integers wrap at their width, their mean truncates toward zero.
///
/// Over no elements at all the sum is 0, the mean NaN and the maximum the smallest value of the type.
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
    let outputs = shape.elements();
    match integers(x) {
        Some(values) => {
            let count = (values.len() / outputs.max(1)) as i128;
            let start = if function == ReduceFunction::Max { smallest(x.dtype()) } else { 0 };
            let mut totals = vec![start; outputs];
            for (i, value) in values.into_iter().enumerate() {
                let total = &mut totals[owner(i)];
                *total = if function == ReduceFunction::Max { value.max(*total) } else { *total + value };
            }
            if function == ReduceFunction::Mean {
                totals.iter_mut().for_each(|total| *total /= count);
            }
            from_integers(x.dtype(), shape, totals)
        }
        None => {
            let count = (x.len() / outputs.max(1)) as f64;
            let start = if function == ReduceFunction::Max { f64::NEG_INFINITY } else { 0.0 };
            let mut totals = vec![start; outputs];
            for (i, value) in x.to_f64().into_iter().enumerate() {
                let total = &mut totals[owner(i)];
                *total = match function {
                    ReduceFunction::Max if value > *total || value.is_nan() => value,
                    ReduceFunction::Max => *total,
                    ReduceFunction::Mean | ReduceFunction::Sum => *total + value,
                };
            }
            if function == ReduceFunction::Mean {
                totals.iter_mut().for_each(|total| *total /= count);
            }
            rounded(x, shape, totals)
        }
    }
}

fn smallest(dtype: DType) -> i128 {
    match dtype {
        DType::I8 => i8::MIN.into(),
        DType::I16 => i16::MIN.into(),
        DType::I32 => i32::MIN.into(),
        DType::I64 => i64::MIN.into(),
        _ => 0,
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
    fn nothing_reduces_to_the_neutral_element() {
        let x = Tensor::new([2, 0, 1], Vec::<f32>::new()).unwrap();
        assert_eq!(run(ReduceFunction::Sum, &x, [false, true, true], &[2]), [0.0, 0.0]);
        assert_eq!(run(ReduceFunction::Max, &x, [false, true, true], &[2]), [f64::NEG_INFINITY; 2]);
        assert!(run(ReduceFunction::Mean, &x, [false, true, true], &[2])[0].is_nan());
    }
}
