//! Arithmetic of two operands with broadcasting.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator};
use crate::plan::{LowerContext, Lowered};
use crate::tensor::Tensor;

/// An elementwise operator of two inputs that broadcast against each other (NumPy's rule).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Binary {
    /// `a + b`
    Add,
    /// `a − b`
    Sub,
    /// `a · b`
    Mul,
    /// `a ÷ b`, truncated toward zero for integers
    Div,
    /// `a` to the power `b`; the result has the type of `a`
    Pow,
}

super::unfinished!(Binary, "Binary");
