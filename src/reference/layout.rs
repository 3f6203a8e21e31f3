//! Operators that change a shape and move nothing.

use crate::shape::Shape;
use crate::tensor::Tensor;

/// `y = x`, the same elements under another shape, shared and not copied.
pub(crate) fn relabel(x: &Tensor, shape: Shape) -> Tensor {
    x.reshape(shape).expect("the shape rule keeps the number of elements")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::OpError;
    use crate::ops::{Flatten, Identity, Op, Operands, Reshape, Squeeze, Unsqueeze};

    fn shape_of(op: impl Into<Op>, x: &[usize], integers: Option<&[i64]>) -> Result<Vec<usize>, OpError> {
        let x = Tensor::full(x, 1u8);
        let integers = integers.map(|v| Tensor::vector(v.to_vec()));
        let inputs = [Some(&x), integers.as_ref()];
        let (op, given) = (op.into(), if integers.is_some() { &inputs[..] } else { &inputs[..1] });
        let inferred = op.operator().infer(&Operands::of(given, 1))?.remove(0);
        let y = op.operator().reference(given, 1)?.remove(0);
        assert_eq!((y.dtype(), y.shape()), (inferred.dtype, &inferred.shape));
        assert_eq!(y.identity(), x.identity(), "the elements are shared");
        Ok(y.shape().to_vec())
    }

    fn fails(op: impl Into<Op>, x: &[usize], integers: Option<&[i64]>, message: &str) {
        let error = shape_of(op, x, integers).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn reshape_copies_and_infers() {
        let reshape = Reshape::default();
        assert_eq!(shape_of(reshape, &[2, 3, 4], Some(&[0, -1])), Ok(vec![2, 12]));
        assert_eq!(shape_of(reshape, &[2, 3, 4], Some(&[4, 0, -1])), Ok(vec![4, 3, 2]));
        assert_eq!(shape_of(reshape, &[1], Some(&[])), Ok(vec![]));
        assert_eq!(shape_of(reshape, &[], Some(&[1, -1])), Ok(vec![1, 1]));
        assert_eq!(shape_of(reshape, &[0, 3], Some(&[3, -1])), Ok(vec![3, 0]));
        assert_eq!(shape_of(Reshape { allow_zero: true }, &[0, 3], Some(&[5, 0])), Ok(vec![5, 0]));
    }

    #[test]
    fn reshape_refuses_what_does_not_fit() {
        let reshape = Reshape::default();
        fails(reshape, &[2, 3, 4], Some(&[5, -1]), "cannot reshape [2,3,4] with 24 elements to [5, -1]");
        fails(reshape, &[2, 3], Some(&[2, 4]), "6 elements to [2, 4]");
        fails(reshape, &[2, 3], Some(&[-1, -1]), "more than one -1");
        fails(reshape, &[2, 3], Some(&[6, 1, 0]), "copies axis 2 of an input that has 2 axes");
        fails(reshape, &[2, 3], Some(&[-2, 3]), "extent -2 on axis 0");
        fails(reshape, &[2, 3], Some(&[i64::MAX, i64::MAX, -1]), "cannot reshape");
        fails(reshape, &[0, 3], Some(&[0, -1]), "cannot reshape [0,3] with 0 elements");
        fails(reshape, &[2, 3], None, "`shape`");
        fails(Reshape { allow_zero: true }, &[0, 3], Some(&[0, -1]), "allowzero");
    }

    #[test]
    fn flatten_splits_rows_from_columns() {
        for (axis, want) in [(0, [1, 120]), (1, [2, 60]), (3, [24, 5]), (4, [120, 1]), (-1, [24, 5]), (-4, [1, 120])] {
            assert_eq!(shape_of(Flatten { axis }, &[2, 3, 4, 5], None), Ok(want.to_vec()), "axis {axis}");
        }
        assert_eq!(shape_of(Flatten { axis: 0 }, &[], None), Ok(vec![1, 1]));
        fails(Flatten { axis: 5 }, &[2, 3, 4, 5], None, "axis 5 is outside -4..=4 of [2,3,4,5]");
        fails(Flatten { axis: i64::MIN }, &[2], None, "outside");
    }

    #[test]
    fn squeeze_drops_unit_axes() {
        assert_eq!(shape_of(Squeeze, &[1, 3, 1, 5], None), Ok(vec![3, 5]));
        assert_eq!(shape_of(Squeeze, &[1, 3, 1, 5], Some(&[-2])), Ok(vec![1, 3, 5]));
        assert_eq!(shape_of(Squeeze, &[1, 3, 1, 5], Some(&[2, 0])), Ok(vec![3, 5]));
        assert_eq!(shape_of(Squeeze, &[1, 3], Some(&[])), Ok(vec![1, 3]));
        fails(Squeeze, &[1, 3], Some(&[1]), "cannot squeeze axis 1 of [1,3]: its extent is 3");
        fails(Squeeze, &[1, 3, 1], Some(&[0, -3]), "name axis 0 twice");
        fails(Squeeze, &[1, 3], Some(&[2]), "axis 2 is outside -2..2");
    }

    #[test]
    fn unsqueeze_counts_axes_in_the_output() {
        assert_eq!(shape_of(Unsqueeze, &[3, 5], Some(&[0, 2])), Ok(vec![1, 3, 1, 5]));
        assert_eq!(shape_of(Unsqueeze, &[3, 5], Some(&[-1, 0])), Ok(vec![1, 3, 5, 1]));
        assert_eq!(shape_of(Unsqueeze, &[], Some(&[0])), Ok(vec![1]));
        fails(Unsqueeze, &[3, 5], Some(&[1, -3]), "name axis 1 twice");
        fails(Unsqueeze, &[3, 5], Some(&[3]), "axis 3 is outside -3..3");
        fails(Unsqueeze, &[3, 5], None, "`axes`");
    }

    #[test]
    fn identity_keeps_the_shape() {
        assert_eq!(shape_of(Identity, &[2, 3, 5], None), Ok(vec![2, 3, 5]));
    }
}
