//! Operators that change a shape and move nothing.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator};
use crate::plan::{LowerContext, Lowered};
use crate::tensor::Tensor;

/// `Reshape`: inputs `data`, `shape i64[rank]` (0 copies an extent, −1 infers one). Source: ONNX `Reshape`, opset 21.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reshape {
    /// Whether 0 means an empty axis rather than "copy".
    pub allow_zero: bool,
}

/// `Flatten`: `[…, …]` to a matrix whose rows are the axes before `axis`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flatten {
    /// First axis of the columns; negative counts from the end.
    pub axis: i64,
}

/// `Squeeze`: drops axes of extent 1: those that input 1 (`axes`) names, or all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Squeeze;

/// `Unsqueeze`: inserts axes of extent 1 where input 1 (`axes`) says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Unsqueeze;

/// `Identity`, and `Dropout` outside training: the input itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Identity;

super::unfinished!(Reshape, "Reshape");

super::unfinished!(Flatten, "Flatten");

super::unfinished!(Squeeze, "Squeeze");

super::unfinished!(Unsqueeze, "Unsqueeze");

super::unfinished!(Identity, "Identity");
