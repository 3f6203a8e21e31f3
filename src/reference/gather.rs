//! Gathers by elements and by tuples: every element type, bit for bit.

use super::movement::positions;
use crate::error::OpError;
use crate::ops::movement::Tuples;
use crate::shape::Shape;
use crate::tensor::{Tensor, for_each_dtype};

/// `y[i_0, …] = x[i_0, …]` with `indices[i_0, …]` for the coordinate along `axis`
pub(crate) fn gather_elements(axis: usize, x: &Tensor, indices: &Tensor) -> Result<Tensor, OpError> {
    let (positions, shape, strides) = (positions(x.shape(), axis, indices)?, indices.shape(), x.shape().strides());
    let from = |i: usize| -> usize {
        let mut at = shape.coordinates(i);
        at[axis] = positions[i];
        at.iter().zip(&strides).map(|(at, stride)| at * stride).sum()
    };
    Ok(for_each_dtype!(x.data_ref(), values => Tensor::of(shape, (0..positions.len()).map(|i| values[from(i)]).collect())))
}

/// `y[b, r, n] = x[b, indices[b, r, 0], …, n]`
pub(crate) fn gather_nd(tuples: &Tuples, x: &Tensor, indices: &Tensor) -> Result<Tensor, OpError> {
    // A tuple of no indices picks the only slice there is.
    let count = tuples.batch * tuples.rows;
    let slices = if tuples.dims.rank() == 0 { vec![0; count] } else { slices(&tuples.dims, indices)? };
    let (each, inner) = (tuples.dims.elements(), tuples.inner);
    Ok(for_each_dtype!(x.data_ref(), values => {
        let mut y = Vec::with_capacity(count * inner);
        for (row, slice) in slices.iter().enumerate() {
            y.extend_from_slice(&values[(row / tuples.rows * each + slice) * inner..][..inner]);
        }
        Tensor::of(&tuples.output, y)
    }))
}

/// The slice of `dims` in row-major order that each tuple of `indices`' last axis means, or which index means none.
pub(crate) fn slices(dims: &Shape, indices: &Tensor) -> Result<Vec<usize>, OpError> {
    let (values, strides) = (indices.to_i64().unwrap_or_default(), dims.strides());
    let position = |at: usize, axis: usize| {
        let (index, extent) = (values[at], dims[axis]);
        let counted = if index < 0 { index.checked_add(extent as i64) } else { Some(index) };
        let found = counted.and_then(|i| usize::try_from(i).ok()).filter(|&i| i < extent);
        found.ok_or_else(|| {
            let at = indices.shape().coordinates(at);
            OpError::invalid(format!("index {index} at {at:?} is outside an axis of extent {extent}"))
        })
    };
    let tuple = |first: usize| (0..dims.rank()).try_fold(0, |slice, axis| Ok(slice + position(first + axis, axis)? * strides[axis]));
    (0..values.len()).step_by(dims.rank().max(1)).map(tuple).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{GatherElements, GatherNd, Op, Operands};

    fn run(op: impl Into<Op>, x: &Tensor, indices: &Tensor) -> Result<(Vec<usize>, Vec<i64>), OpError> {
        let (op, inputs) = (op.into(), [Some(x), Some(indices)]);
        let ty = op.operator().infer(&Operands::of(&inputs, 1))?.remove(0);
        let y = op.operator().reference(&inputs, 1)?.remove(0);
        assert_eq!((y.dtype(), y.shape()), (ty.dtype, &ty.shape));
        Ok((y.shape().to_vec(), y.to_i64().unwrap()))
    }

    fn count(shape: &[usize]) -> Tensor {
        Tensor::of(shape, (0..Shape::from(shape).elements() as i32).collect())
    }

    #[test]
    fn elements_along_an_axis() {
        let indices = Tensor::new([2, 3], vec![1i64, 2, 0, 2, 0, -3]).unwrap();
        assert_eq!(run(GatherElements { axis: 0 }, &count(&[3, 3]), &indices), Ok((vec![2, 3], vec![3, 7, 2, 6, 1, 2])));
        let wide = Tensor::new([1, 4], vec![2i32, 2, 1, 0]).unwrap();
        assert_eq!(run(GatherElements { axis: -1 }, &count(&[2, 3]), &wide), Ok((vec![1, 4], vec![2, 2, 1, 0])));
        let error = run(GatherElements { axis: 1 }, &count(&[2, 3]), &Tensor::full([3, 1], 0i64)).unwrap_err().to_string();
        assert!(error.contains("indices [3,1] exceed data [2,3] along another axis than 1"), "{error}");
        let error = run(GatherElements { axis: 0 }, &count(&[2, 3]), &Tensor::full([1, 1], 2i64)).unwrap_err().to_string();
        assert!(error.contains("index 2 at [0, 0] is outside axis 0"), "{error}");
    }

    #[test]
    fn slices_by_tuples() {
        let x = count(&[2, 2, 2]);
        let whole = Tensor::new([2, 3], vec![0i64, 0, 1, -1, 0, -2]).unwrap();
        assert_eq!(run(GatherNd { batch_dims: 0 }, &x, &whole), Ok((vec![2], vec![1, 4])));
        let rows = Tensor::new([2, 1, 2], vec![0i64, 1, 1, 0]).unwrap();
        assert_eq!(run(GatherNd { batch_dims: 0 }, &x, &rows), Ok((vec![2, 1, 2], vec![2, 3, 4, 5])));
        let batched = Tensor::new([2, 1], vec![1i64, 0]).unwrap();
        assert_eq!(run(GatherNd { batch_dims: 1 }, &x, &batched), Ok((vec![2, 2], vec![2, 3, 4, 5])));
        let none = Tensor::new([1, 0], Vec::<i64>::new()).unwrap();
        assert_eq!(run(GatherNd { batch_dims: 0 }, &count(&[2]), &none), Ok((vec![1, 2], vec![0, 1])));
        let error = run(GatherNd { batch_dims: 0 }, &x, &Tensor::full([1, 4], 0i64)).unwrap_err().to_string();
        assert!(error.contains("indices [1,4] cannot index [2,2,2] with batch_dims 0"), "{error}");
        let error = run(GatherNd { batch_dims: 0 }, &x, &Tensor::full([1, 1], 2i64)).unwrap_err().to_string();
        assert!(error.contains("index 2 at [0, 0] is outside an axis of extent 2"), "{error}");
    }
}
