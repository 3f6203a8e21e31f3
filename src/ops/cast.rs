//! Conversion between element types.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator};
use crate::plan::{LowerContext, Lowered};
use crate::tensor::Tensor;

/// `Cast`: every element as another type. Source: ONNX `Cast`, opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cast {
    /// The type of the output.
    pub to: crate::tensor::DType,
}

super::unfinished!(Cast, "Cast");
