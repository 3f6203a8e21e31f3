//! Convolution in one, two and three dimensions.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator, Padding, Spatial};
use crate::plan::{LowerContext, Lowered};
use crate::tensor::Tensor;

/// `Conv`: cross-correlation of the input with the weight, in groups, plus a bias.
///
/// Inputs: `X [N, C, (D, (H,)) W]`, `W [M, C/groups, (kD, (kH,)) kW]`, optional `B [M]`. Output `[N, M, …]`.
/// The kernel size is the weight's. `None` stands for 1 on every axis. Source: ONNX `Conv`, opset 22.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Conv {
    /// Step between windows.
    pub stride: Option<Spatial>,
    /// Step between the taps of one window.
    pub dilation: Option<Spatial>,
    /// Padding of the input with zeros.
    pub padding: Padding,
    /// Number of groups that input and output channels are split into.
    pub groups: usize,
}

impl Default for Conv {
    fn default() -> Self {
        Self { stride: None, dilation: None, padding: Padding::Valid, groups: 1 }
    }
}

super::unfinished!(Conv, "Conv");
