//! Comparisons.

use super::kernels::{Operation, lower_operation};
use super::{NUMBERS, broadcast, expect_one_type};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator, Reach, ReachContext};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// A comparison of two inputs that broadcast against each other (NumPy's rule).
///
/// Inputs: `A`, `B`, of one element type (`Equal` takes `bool` too). Output: their common shape, `bool`. NaN compares as false
/// with everything. Source: ONNX `Equal`, opset 19; `Less`, `Greater`, opset 13; `LessOrEqual`, `GreaterOrEqual`, opset 16.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Comparison {
    /// `a = b`
    Equal,
    /// `a < b`
    Less,
    /// `a ≤ b`
    LessOrEqual,
    /// `a > b`
    Greater,
    /// `a ≥ b`
    GreaterOrEqual,
}

impl Operator for Comparison {
    fn name(&self) -> &'static str {
        match self {
            Comparison::Equal => "Equal",
            Comparison::Less => "Less",
            Comparison::LessOrEqual => "LessOrEqual",
            Comparison::Greater => "Greater",
            Comparison::GreaterOrEqual => "GreaterOrEqual",
        }
    }

    fn output_dtype(&self, _inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        Some(DType::Bool)
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let allowed = if *self == Comparison::Equal { DType::ALL } else { NUMBERS };
        let (a, b) = (inputs.expect_dtype(0, "A", allowed)?, inputs.expect_dtype(1, "B", allowed)?);
        expect_one_type(&a, &b)?;
        Ok(vec![TensorType::new(DType::Bool, broadcast(&a, &b)?)])
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        context.elementwise()
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let (code, swapped) = match self {
            Comparison::Equal => (0, false),
            Comparison::Less => (1, false),
            Comparison::LessOrEqual => (2, false),
            Comparison::Greater => (1, true),
            Comparison::GreaterOrEqual => (2, true),
        };
        lower_operation(context, Operation::Comparison(code, swapped))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![reference::binary::compare(*self, reference::input(inputs, 0), reference::input(inputs, 1))])
    }
}
