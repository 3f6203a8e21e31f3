//! Nodes that many decompositions are made of.

use crate::error::Result;
use crate::graph::{Parts, ValueId};
use crate::ops::{Cast, Reshape, Transpose};
use crate::tensor::{DType, Tensor};

/// A list of extents, axes or positions.
pub(crate) fn list(values: &[usize]) -> Tensor {
    Tensor::vector(values.iter().map(|&value| value as i64).collect())
}

/// A scalar of a floating-point type.
pub(crate) fn scalar(dtype: DType, value: f64) -> Tensor {
    Tensor::from_f64(dtype, [], vec![value]).expect("one value for one element")
}

/// `value` under another shape; itself where it has that shape.
pub(crate) fn reshape(parts: &mut Parts<'_>, name: &str, value: ValueId, dims: &[usize]) -> Result<ValueId> {
    if parts.shape(value).dims() == dims {
        return Ok(value);
    }
    let shape = parts.constant(&format!("{name}.shape"), list(dims));
    parts.node(name, Reshape { allow_zero: true }, &[value, shape])
}

/// `value` with its axes in another order; itself where the order is the same.
pub(crate) fn transpose(parts: &mut Parts<'_>, name: &str, value: ValueId, permutation: Vec<usize>) -> Result<ValueId> {
    if permutation.iter().copied().eq(0..permutation.len()) {
        return Ok(value);
    }
    parts.node(name, Transpose { permutation }, &[value])
}

/// `value` as another type; itself where it has that type.
pub(crate) fn cast(parts: &mut Parts<'_>, name: &str, value: ValueId, to: DType) -> Result<ValueId> {
    if parts.dtype(value) == to { Ok(value) } else { parts.node(name, Cast { to }, &[value]) }
}
