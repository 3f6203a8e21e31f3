//! Reductions over axes.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator};
use crate::plan::{LowerContext, Lowered};
use crate::tensor::Tensor;

/// What a reduction computes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ReduceFunction {
    /// The mean.
    Mean,
    /// The sum.
    Sum,
    /// The largest element.
    Max,
}

/// `ReduceMean`, `ReduceSum`, `ReduceMax`: input `data`, optional `axes`; over all axes without them.
/// Source: ONNX `ReduceSum`, opset 13, and its kin of opset 18.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reduce {
    /// What is computed.
    pub function: ReduceFunction,
    /// Whether reduced axes stay, with extent 1.
    pub keep_dims: bool,
    /// Whether no axes means no reduction.
    pub noop_with_empty_axes: bool,
}

super::unfinished!(Reduce, "Reduce");
