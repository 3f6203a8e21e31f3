//! Values that follow from shapes.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator};
use crate::plan::{LowerContext, Lowered};
use crate::tensor::Tensor;

/// `Shape`: the input's extents from `start` to `end` as `i64`; negative positions count from the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShapeOf {
    /// First axis.
    pub start: i64,
    /// One past the last axis; `None` for all.
    pub end: Option<i64>,
}

/// `ConstantOfShape`: a tensor of the shape its input holds, one value everywhere.
#[derive(Clone, PartialEq, Debug)]
pub struct ConstantOfShape {
    /// The value, a tensor with one element.
    pub value: Tensor,
}

super::unfinished!(ShapeOf, "Shape");

super::unfinished!(ConstantOfShape, "ConstantOfShape");
