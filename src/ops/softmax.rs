//! Softmax and its logarithm.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator};
use crate::plan::{LowerContext, Lowered};
use crate::tensor::Tensor;

/// `Softmax`, `LogSoftmax`: `exp(x) ÷ Σ exp(x)` along one axis, or its logarithm. Source: ONNX `Softmax`, opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Softmax {
    /// The axis; negative counts from the end.
    pub axis: i64,
    /// Whether the logarithm is wanted.
    pub log: bool,
    /// Whether the sum runs over all axes from `axis` on, as before opset 13.
    pub flatten: bool,
}

super::unfinished!(Softmax, "Softmax");
