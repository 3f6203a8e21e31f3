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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::OpError;
    use crate::ops::{Operands, Operator};
    use crate::tensor::DType;

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
}
