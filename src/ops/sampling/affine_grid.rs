//! `AffineGrid`.

use crate::error::{OpError, Result};
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::{FLOATS, MatMul, Operands, Operator, Reshape, Tolerance, Transpose};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// `AffineGrid`: inputs `theta [N, r, r + 1]`, `size i64[2 + r]` (the shape to sample, `r` is 2 or 3); output `[N, O_1 … O_r, r]`,
/// the grid for a [`GridSample`](super::GridSample) under the affine map `theta`. It runs as a matrix product.
/// Source: ONNX `AffineGrid`, opset 20.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AffineGrid {
    /// Whether −1 and 1 are the centres of the first and the last element, rather than their outer edges.
    pub align_corners: bool,
}

impl AffineGrid {
    /// The spatial extents in `size`.
    fn extents(&self, theta: &Shape, size: &Tensor) -> Result<Shape, OpError> {
        let size = size.to_i64().unwrap_or_default();
        let invalid = || OpError::invalid(format!("theta {theta} makes no grid of size {size:?}"));
        let (&[n, rows, columns], [batch, _, extents @ ..]) = (theta.dims(), size.as_slice()) else { return Err(invalid()) };
        if *batch != n as i64 || !matches!(extents.len(), 2 | 3) || rows != extents.len() || columns != rows + 1 {
            return Err(invalid());
        }
        extents.iter().map(|&extent| usize::try_from(extent).ok()).collect::<Option<Shape>>().ok_or_else(invalid)
    }
}

impl Operator for AffineGrid {
    fn name(&self) -> &'static str {
        "AffineGrid"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let theta = inputs.expect_dtype(0, "theta", FLOATS)?;
        let extents = self.extents(theta.shape, inputs.constant(1, "size")?)?;
        Ok(vec![TensorType::new(theta.dtype, [&[theta.shape[0]], extents.dims(), &[extents.rank()]].concat())])
    }

    fn decompose(&self, parts: &mut Parts<'_>) -> Result<Option<Vec<ValueId>>> {
        let (Some(theta), Some(size)) = (parts.input(0), parts.input(1)) else { return Ok(None) };
        let shape = parts.shape(theta);
        let Some(Ok(extents)) = parts.constant_value(size).map(|size| self.extents(&shape, size)) else { return Ok(None) };
        let base = reference::sampling::base_grid(self.align_corners, &extents);
        let rows = extents.elements();
        let Ok(base) = Tensor::from_f64(parts.dtype(theta), [rows, extents.rank() + 1], base) else { return Ok(None) };
        let base = parts.constant("positions", base);
        let turned = parts.node("transposed", Transpose { permutation: vec![0, 2, 1] }, &[theta])?;
        let moved = parts.node("moved", MatMul, &[base, turned])?;
        let dims = [&[shape[0]], extents.dims(), &[extents.rank()]].concat();
        let dims = parts.constant("shape", Tensor::vector(dims.into_iter().map(|extent| extent as i64).collect()));
        Ok(Some(vec![parts.node("grid", Reshape { allow_zero: true }, &[moved, dims])?]))
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs as a matrix product".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let (theta, size) = (reference::input(inputs, 0), reference::input(inputs, 1));
        let extents = self.extents(theta.shape(), size)?;
        Ok(vec![reference::sampling::affine_grid(self.align_corners, &extents, theta)])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}
