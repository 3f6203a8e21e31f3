//! Determinants.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{FLOATS, Operands, Operator, Tolerance};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// `Det`: input `[…, M, M]`, output `[…]`, the determinant of each matrix. Source: ONNX `Det`, opset 22.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Det;

impl Operator for Det {
    fn name(&self) -> &'static str {
        "Det"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", FLOATS)?;
        match x.shape.dims() {
            [batch @ .., rows, columns] if rows == columns => Ok(vec![TensorType::new(x.dtype, batch)]),
            _ => Err(OpError::invalid(format!("{} is not a batch of square matrices", x.shape))),
        }
    }

    fn flops(&self, inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        let rows = inputs.get(0).and_then(|x| x.shape.last().copied()).unwrap_or(0) as u64;
        outputs.iter().map(|y| 2 * rows * rows * rows / 3 * y.shape.elements() as u64).sum()
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("elimination with pivots is a sequence of small steps".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![reference::det::det(reference::input(inputs, 0))])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}
