//! Pooling: maximum and average over windows or whole maps.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator, window::Window};
use crate::plan::{LowerContext, Lowered};
use crate::tensor::Tensor;

/// `MaxPool`: the largest element of each window; padding never wins. Second output: indices, `i64`.
///
/// Input `[N, C, …]`, outputs `[N, C, …]`. Source: ONNX `MaxPool`, opset 22.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct MaxPool {
    /// The sliding window.
    pub window: Window,
    /// Whether indices count columns first (`storage_order` 1).
    pub column_major: bool,
}

/// `AveragePool`: the mean of each window. Input `[N, C, …]`, output `[N, C, …]`. Source: ONNX `AveragePool`, opset 22.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AveragePool {
    /// The sliding window.
    pub window: Window,
    /// Whether padding counts in the divisor (what `ceil_mode` adds beyond it never does).
    pub count_include_pad: bool,
}

/// What a pooling operator computes of a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PoolKind {
    /// The mean.
    Average,
    /// The largest element.
    Max,
}

/// `GlobalAveragePool`, `GlobalMaxPool`: one number per map. Input `[N, C, …]`, output `[N, C, 1, …]`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct GlobalPool {
    /// What is computed of a map.
    pub kind: PoolKind,
}

super::unfinished!(MaxPool, "MaxPool");

super::unfinished!(AveragePool, "AveragePool");

super::unfinished!(GlobalPool, "GlobalPool");
