//! Operators that move elements and compute nothing.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator};
use crate::plan::{LowerContext, Lowered};
use crate::tensor::Tensor;

/// `Transpose`: output axis `i` is input axis `permutation[i]`; empty reverses all axes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Transpose {
    /// The input axis that each output axis shows.
    pub permutation: Vec<usize>,
}

/// `Slice`: inputs `data`, `starts`, `ends`, optional `axes`, optional `steps`. Source: ONNX `Slice`, opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Slice;

/// `Split`: input `data`, optional `split` with the extents of the parts; equal parts without it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Split {
    /// The axis that is cut; negative counts from the end.
    pub axis: i64,
}

/// `Concat`: all inputs one after the other along `axis`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Concat {
    /// The axis; negative counts from the end.
    pub axis: i64,
}

/// How `Pad` fills what it adds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PadMode {
    /// With input 2 (`constant_value`), 0 without it.
    Constant,
    /// Mirrored about the edge element, which is not repeated.
    Reflect,
    /// With the edge element.
    Edge,
    /// As if the tensor repeated.
    Wrap,
}

/// `Pad`: inputs `data`, `pads` (all starts, then all ends; negative crops), optional `constant_value`, optional `axes`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pad {
    /// How the padding is filled.
    pub mode: PadMode,
}

/// `Expand`: inputs `data`, `shape`; broadcasts `data` both ways.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Expand;

/// `Gather`: slices of `data` along `axis` at `indices`, negative ones counting from the end. Output rank is
/// `rank(data) + rank(indices) − 1`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gather {
    /// The axis; negative counts from the end.
    pub axis: i64,
}

super::unfinished!(Transpose, "Transpose");

super::unfinished!(Slice, "Slice");

super::unfinished!(Split, "Split");

super::unfinished!(Concat, "Concat");

super::unfinished!(Pad, "Pad");

super::unfinished!(Expand, "Expand");

super::unfinished!(Gather, "Gather");
