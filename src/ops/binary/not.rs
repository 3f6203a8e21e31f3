//! Negation of truth values and of bits.

use super::{Binary, INTEGERS};
use crate::error::OpError;
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::{Operands, Operator, Reach, ReachContext};
use crate::plan::{LowerContext, Lowered};
use crate::reference::{self, cast::from_integers};
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// The other truth value, or every bit the other way. Input and output have the same shape and type.
/// Source: ONNX `Not`, opset 1; `BitwiseNot`, opset 18.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Not {
    /// `¬x` of truth values
    Logical,
    /// `¬x` bit by bit
    Bitwise,
}

impl Operator for Not {
    fn name(&self) -> &'static str {
        match self {
            Not::Logical => "Not",
            Not::Bitwise => "BitwiseNot",
        }
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let allowed = if *self == Not::Logical { &[DType::Bool] } else { INTEGERS };
        Ok(vec![inputs.expect_dtype(0, "X", allowed)?.tensor_type()])
    }

    fn decompose(&self, parts: &mut Parts<'_>) -> crate::Result<Option<Vec<ValueId>>> {
        let Some(x) = parts.input(0) else { return Ok(None) };
        let ones = parts.constant("ones", from_integers(parts.dtype(x), &Shape::scalar(), vec![-1]));
        let op = if *self == Not::Logical { Binary::Xor } else { Binary::BitwiseXor };
        Ok(Some(vec![parts.node("xor", op, &[x, ones])?]))
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        context.elementwise()
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs as an exclusive or".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![reference::binary::not(reference::input(inputs, 0))])
    }
}
