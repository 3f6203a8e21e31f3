//! Normalizations: batch, layer, instance, group.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator};
use crate::plan::{LowerContext, Lowered};
use crate::tensor::Tensor;

/// `BatchNormalization`: `scale · (x − mean) ÷ √(var + eps) + bias` per channel.
///
/// Inputs: `X [N, C, …]`, `scale [C]`, `bias [C]`, `mean [C]`, `var [C]`. Output `[N, C, …]`; in training mode also the
/// running mean and variance, `[C]`. Source: ONNX `BatchNormalization`, opset 15.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BatchNormalization {
    /// Added to the variance.
    pub eps: f32,
    /// Weight of the old running statistics in training mode.
    pub momentum: f32,
    /// Whether statistics are the batch's own.
    pub training: bool,
}

/// `InstanceNormalization`: each map by its own mean and variance.
///
/// Inputs: `X [N, C, …]`, `scale [C]`, `bias [C]`. Output `[N, C, …]`. Source: ONNX `InstanceNormalization`, opset 22.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct InstanceNormalization {
    /// Added to the variance.
    pub eps: f32,
}

/// `GroupNormalization`: each group of channels by its own mean and variance.
///
/// Inputs: `X [N, C, …]`, `scale`, `bias`, both `[C]` (or `[groups]`, as opset 18 had it). Output `[N, C, …]`.
/// Source: ONNX `GroupNormalization`, opset 21.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct GroupNormalization {
    /// Number of groups.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
}

/// `LayerNormalization`: over all axes from `axis` on, by their own mean and variance.
///
/// Inputs: `X`, `scale`, optional `bias`, both broadcast to the normalised axes. Outputs: `Y`, and on request the mean
/// and the inverse standard deviation. Source: ONNX `LayerNormalization`, opset 17.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LayerNormalization {
    /// First normalised axis; negative counts from the end.
    pub axis: i64,
    /// Added to the variance.
    pub eps: f32,
}

super::unfinished!(BatchNormalization, "BatchNormalization");

super::unfinished!(InstanceNormalization, "InstanceNormalization");

super::unfinished!(GroupNormalization, "GroupNormalization");

super::unfinished!(LayerNormalization, "LayerNormalization");
