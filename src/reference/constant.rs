//! Values that follow from shapes.

use crate::ops::{ConstantOfShape, ShapeOf};
use crate::shape::Shape;
use crate::tensor::{DType, Tensor, for_each_dtype};

/// `y = [D_start, …, D_{end−1}]`
pub(crate) fn shape_of(op: &ShapeOf, shape: &Shape) -> Tensor {
    Tensor::vector(op.extents(shape).iter().map(|&extent| extent as i64).collect())
}

/// `y[i] = value`
pub(crate) fn constant_of_shape(op: &ConstantOfShape, shape: Shape) -> Tensor {
    for_each_dtype!(op.value.data_ref(), value => Tensor::full(shape, value[0]))
}

/// A mask that keeps every element: ones of `dtype`, or `bool` where there is none.
pub(crate) fn mask(dtype: Option<DType>, shape: &Shape) -> Tensor {
    let kept = Tensor::full(shape, true);
    dtype.map_or_else(|| kept.clone(), |dtype| super::cast::cast(&kept, dtype))
}

/// `y[r, c] = 1` where `c − r` is the diagonal, else 0
pub(crate) fn eye(diagonal: i64, dtype: DType, shape: &Shape) -> Tensor {
    let one = |i: usize| {
        let at = shape.coordinates(i);
        f64::from(u8::from(at[1] as i64 - at[0] as i64 == diagonal))
    };
    Tensor::from_f64(dtype, shape, (0..shape.elements()).map(one).collect()).expect("as many elements")
}

/// `max(⌈(limit − start) ÷ delta⌉, 0)`; `None` where that is no number of elements.
pub(crate) fn range_count(start: &Tensor, limit: &Tensor, delta: &Tensor) -> Option<usize> {
    let integer = |tensor: &Tensor| Some(i128::from(*tensor.to_i64()?.first()?));
    if let (Some(start), Some(limit), Some(delta)) = (integer(start), integer(limit), integer(delta)) {
        let distance = if delta < 0 { start - limit } else { limit - start };
        let step = delta.abs();
        return (step > 0).then(|| usize::try_from((distance.max(0) + step - 1) / step).ok()).flatten();
    }
    let [start, limit, delta] = [start, limit, delta].map(|tensor| tensor.to_f64()[0]);
    let count = ((limit - start) / delta).ceil();
    (count.is_finite() && count < 1e15).then_some(count.max(0.0) as usize)
}

/// `y[i] = start + i · delta`
pub(crate) fn range(count: usize, start: &Tensor, delta: &Tensor) -> Tensor {
    if let (Some(first), Some(step)) = (start.to_i64(), delta.to_i64()) {
        let values = (0..count).map(|i| first[0].wrapping_add(step[0].wrapping_mul(i as i64))).collect();
        // Every element lies between two numbers of the type, so that this conversion keeps it.
        return super::cast::cast(&Tensor::vector(values), start.dtype());
    }
    let (first, step) = (start.to_f64()[0], delta.to_f64()[0]);
    super::rounded(start, [count], (0..count).map(|i| first + i as f64 * step).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::OpError;
    use crate::ops::{EyeLike, Operands, Operator, Range};

    #[test]
    fn shapes_are_cut_as_onnx_says() {
        let shape = Shape::from([2, 3, 5]);
        let cut = |start, end| shape_of(&ShapeOf { start, end }, &shape).to_i64().unwrap();
        assert_eq!(cut(0, None), [2, 3, 5]);
        assert_eq!(cut(1, None), [3, 5]);
        assert_eq!(cut(-1, None), [5]);
        assert_eq!(cut(0, Some(-1)), [2, 3]);
        assert_eq!(cut(-10, Some(10)), [2, 3, 5]);
        assert_eq!(cut(i64::MIN, Some(i64::MAX)), [2, 3, 5]);
        assert_eq!(cut(2, Some(1)), [0i64; 0]);
        assert_eq!(cut(3, None), [0i64; 0]);
    }

    #[test]
    fn a_shape_folds_without_data() {
        let shape = Shape::from([7, 1 << 40]);
        let data = crate::ops::Operand { dtype: DType::F32, shape: &shape, constant: None };
        let operands = Operands { inputs: vec![Some(data)], outputs: 1 };
        let op = ShapeOf { start: 0, end: None };
        assert_eq!(op.fold(&operands), Some(Tensor::vector(vec![7i64, 1 << 40])));
        assert_eq!(op.infer(&operands).unwrap()[0].shape.dims(), [2]);
    }

    #[test]
    fn constants_fill_shapes() {
        let evaluate = |value: Tensor, extents: Vec<i64>| -> Result<Tensor, OpError> {
            Ok(ConstantOfShape { value }.reference(&[Some(&Tensor::vector(extents))], 1)?.remove(0))
        };
        assert_eq!(evaluate(Tensor::vector(vec![7i32]), vec![2, 3]).unwrap(), Tensor::new([2, 3], vec![7i32; 6]).unwrap());
        assert_eq!(evaluate(Tensor::vector(vec![true]), vec![]).unwrap(), Tensor::new([], vec![true]).unwrap());
        assert_eq!(evaluate(Tensor::vector(vec![1f32]), vec![4, 0]).unwrap().shape().dims(), [4, 0]);
        let error = evaluate(Tensor::vector(vec![1f32]), vec![2, -3]).unwrap_err().to_string();
        assert!(error.contains("[2, -3] has an extent below 0"), "{error}");
        let error = evaluate(Tensor::vector(vec![1f32, 2.0]), vec![2]).unwrap_err().to_string();
        assert!(error.contains("got 2"), "{error}");
    }

    #[test]
    fn diagonals() {
        let x = Tensor::full([2, 3], 9u8);
        let op = EyeLike { dtype: None, diagonal: 1 };
        assert_eq!(op.reference(&[Some(&x)], 1).unwrap(), [Tensor::new([2, 3], vec![0u8, 1, 0, 0, 0, 1]).unwrap()]);
        let op = EyeLike { dtype: Some(DType::F32), diagonal: -1 };
        assert_eq!(op.reference(&[Some(&x)], 1).unwrap(), [Tensor::new([2, 3], vec![0f32, 0., 0., 1., 0., 0.]).unwrap()]);
        assert!(op.infer(&Operands::of(&[Some(&Tensor::scalar(1f32))], 1)).unwrap_err().to_string().contains("not a matrix"));
    }

    #[test]
    fn ranges_of_every_type() {
        let run = |inputs: [Tensor; 3]| -> Result<Tensor, OpError> {
            let inputs = [Some(&inputs[0]), Some(&inputs[1]), Some(&inputs[2])];
            Range.infer(&Operands::of(&inputs, 1))?;
            Ok(Range.reference(&inputs, 1)?.remove(0))
        };
        assert_eq!(run([1f32, 5.0, 2.0].map(Tensor::scalar)), Ok(Tensor::vector(vec![1f32, 3.0])));
        assert_eq!(run([10i32, 4, -3].map(Tensor::scalar)), Ok(Tensor::vector(vec![10i32, 7])));
        assert_eq!(run([3i16, 3, 1].map(Tensor::scalar)), Ok(Tensor::vector(Vec::<i16>::new())));
        assert_eq!(run([i64::MAX - 1, i64::MAX, 1].map(Tensor::scalar)), Ok(Tensor::vector(vec![i64::MAX - 1])));
        assert!(run([1i32, 4, 0].map(Tensor::scalar)).unwrap_err().to_string().contains("has no end"));
        assert!(run([1f32, 4.0, 0.0].map(Tensor::scalar)).unwrap_err().to_string().contains("has no end"));
        assert!(run([Tensor::scalar(1f32), Tensor::scalar(1i32), Tensor::scalar(1f32)]).unwrap_err().to_string().contains("of one type"));
    }
}
