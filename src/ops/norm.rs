//! Normalizations: batch, layer, instance, group.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{FLOATS, Operand, Operands, Operator, Tolerance};
use crate::plan::{
    Access, Arg, Capabilities, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Part, Variant, WORKGROUP_SIZE,
    collapse, dims_array, params, part, workgroups_1d,
};
use crate::reference;
use crate::shape::{Shape, resolve_axis};
use crate::tensor::{DType, Tensor};

/// `BatchNormalization`: `scale · (x − mean) ÷ √(var + eps) + bias` per channel.
///
/// Inputs: `X [N, C, …]` or `[N]` (one channel), `scale [C]`, `bias [C]`, `mean [C]`, `var [C]`. Output like `X`; in
/// training mode also the running mean and variance, `[C]`. Source: ONNX `BatchNormalization`, opset 15.
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
/// Inputs: `X`, `scale`, optional `bias`, both broadcast to `X` (usually they have the normalised axes' shape). Outputs:
/// `Y`, and on request the mean and the inverse standard deviation, `f32`, with extent 1 along the normalised axes.
/// Source: ONNX `LayerNormalization`, opset 17.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LayerNormalization {
    /// First normalised axis; negative counts from the end.
    pub axis: i64,
    /// Added to the variance.
    pub eps: f32,
}

params! {
    pub(crate) struct BatchNormParams {
        vectors: u32,
        channels: u32,
        map_elements: u32,
        eps: f32,
    }
}

params! {
    pub(crate) struct GroupNormParams {
        rows: u32,
        groups: u32,
        row_elements: u32,
        scale_elements: u32,
        eps: f32,
    }
}

params! {
    pub(crate) struct LayerNormParams {
        extents: [[u32; 4]; 2],
        scale_strides: [[u32; 4]; 2],
        bias_strides: [[u32; 4]; 2],
        rows: u32,
        row_elements: u32,
        eps: f32,
    }
}

/// The sum over a workgroup, and mean and variance of a row by it.
const ROW_STATISTICS: &[Part] = &[INDEX, part!("shared/workgroup_sum.wgsl"), part!("shared/row_statistics.wgsl")];

/// One workgroup owns a row: as many invocations as it keeps busy; on a software device one SIMD vector, which barriers cost nothing.
const ROW_WORKGROUP: Override = Override { name: "WORKGROUP_SIZE", values: &[8, 64, 256] };

const FLAG: &[u32] = &[0, 1];

pub(crate) static BATCH_NORM: Kernel = Kernel {
    name: "batch_norm",
    body: part!("batch_norm.wgsl"),
    parts: &[INDEX],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }, Override { name: "WHOLE_VECTORS", values: FLAG }],
    params: BatchNormParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Read, Access::Read, Access::Write],
};

pub(crate) static GROUP_NORM: Kernel = Kernel {
    name: "group_norm",
    body: part!("group_norm.wgsl"),
    parts: ROW_STATISTICS,
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[ROW_WORKGROUP],
    params: GroupNormParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
};

pub(crate) static LAYER_NORM: Kernel = Kernel {
    name: "layer_norm",
    body: part!("layer_norm.wgsl"),
    parts: ROW_STATISTICS,
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[ROW_WORKGROUP, Override { name: "HAS_BIAS", values: FLAG }, Override { name: "BROADCAST", values: FLAG }],
    params: LayerNormParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
};

/// Invocations for a row of so many elements, each of which takes `turns` iterations of loops in the three passes together.
fn row_workgroup(row_elements: usize, turns: usize, capabilities: &Capabilities) -> Result<u32, String> {
    let preferred = match row_elements {
        ..=SHORT_ROW if capabilities.software => 8,
        ..=512 => 64,
        _ => 256,
    };
    // Two of the passes have a loop of blocks of 64 around, and a tree after.
    let share = row_elements.div_ceil(preferred as usize);
    capabilities.check_iterations(turns * share + 2 * (share.div_ceil(64) + 8))?;
    Ok(preferred)
}

/// The longest row whose elements one SIMD vector of a software device goes through alone.
const SHORT_ROW: usize = 1 << 14;

/// Axes that a broadcast scale or bias is looked up in.
const MAX_AXES: usize = 8;

/// A count that shaders hold in 32 bits.
fn count(n: usize) -> Result<u32, String> {
    u32::try_from(n).map_err(|_| "too many elements".into())
}

/// That an input is a vector of one of the `lengths`, with the meaning of each.
fn vector(operand: &Operand<'_>, name: &str, lengths: &[(usize, &str)]) -> Result<(), OpError> {
    if operand.shape.rank() == 1 && lengths.iter().any(|&(n, _)| operand.shape[0] == n) {
        return Ok(());
    }
    let lengths: Vec<_> = lengths.iter().map(|(n, meaning)| format!("[{n}] ({meaning})")).collect();
    Err(OpError::invalid(format!("`{name}` has shape {}, expected {}", operand.shape, lengths.join(" or "))))
}

/// That `X` has batch, channels and `spatial` more axes, or more; gives its channels.
fn channels(x: &Operand<'_>, spatial: usize) -> Result<usize, OpError> {
    if x.shape.rank() < 2 + spatial {
        return Err(OpError::invalid(format!("the input needs at least {} axes [N, C, …], got {}", 2 + spatial, x.shape)));
    }
    Ok(x.shape[1])
}

/// A mean and a subtraction, a variance as a multiply-add on the difference, a correction, a scale and a shift.
fn row_flops(outputs: &[TensorType]) -> u64 {
    outputs.first().map_or(0, |y| (y.shape.elements() as u64).saturating_mul(7))
}

fn lower_batch(op: &BatchNormalization, context: &LowerContext<'_>) -> Result<Lowering, String> {
    if op.training {
        return Err("statistics of the batch (training mode) have no kernel".into());
    }
    let y = &context.outputs[0];
    if let Some(other) = context.inputs.inputs.iter().flatten().find(|o| o.dtype != y.dtype) {
        return Err(format!("no kernel mixes {} with {}", y.dtype, other.dtype));
    }
    let vectors = y.shape.elements().div_ceil(4);
    let workgroups = workgroups_1d(vectors, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
    let params = BatchNormParams {
        vectors: count(vectors)?,
        channels: count(if y.shape.rank() < 2 { 1 } else { y.shape[1] })?,
        map_elements: count(if y.shape.rank() < 2 { y.shape.elements() } else { y.shape[2..].iter().product() })?,
        eps: op.eps,
    };
    let overrides = vec![WORKGROUP_SIZE, params.map_elements.is_multiple_of(4).into()];
    let variant = Variant { kernel: &BATCH_NORM, types: vec![context.elem(y.dtype)?], tile: None, overrides };
    let inputs = (0..5).map(Arg::Input);
    Ok(Lowering::single(variant, &params, inputs.chain([Arg::Output(0)]).collect(), workgroups))
}

fn lower_group(context: &LowerContext<'_>, groups: usize, eps: f32) -> Result<Lowering, String> {
    let y = &context.outputs[0];
    let scales = context.inputs.required(1, "scale").map_err(|e| e.to_string())?.shape.elements();
    count(y.shape.elements())?;
    let rows = y.shape[0] * groups;
    let row_elements = y.shape.elements() / rows;
    let workgroups = workgroups_1d(rows, 1, context.capabilities.max_workgroups).ok_or("too many groups")?;
    let params = GroupNormParams {
        rows: count(rows)?,
        groups: count(groups)?,
        row_elements: count(row_elements)?,
        scale_elements: count(row_elements * groups / scales)?,
        eps,
    };
    let overrides = vec![row_workgroup(row_elements, 3, context.capabilities)?];
    let variant = Variant { kernel: &GROUP_NORM, types: vec![context.elem(y.dtype)?], tile: None, overrides };
    Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Input(1), Arg::Input(2), Arg::Output(0)], workgroups))
}

fn lower_layer(op: &LayerNormalization, context: &LowerContext<'_>) -> Result<Lowering, String> {
    if context.inputs.outputs > 1 {
        return Err("no kernel writes the mean and the inverse standard deviation".into());
    }
    let y = &context.outputs[0];
    let axis = resolve_axis(op.axis, y.shape.rank()).ok_or("axis out of range")?;
    count(y.shape.elements())?;
    let (rows, row_elements) = (y.shape[..axis].iter().product(), y.shape[axis..].iter().product());
    let workgroups = workgroups_1d(rows, 1, context.capabilities.max_workgroups).ok_or("too many rows")?;
    let strides_of = |index| {
        let strides = context.inputs.get(index).map(|o| o.shape.broadcast_strides(&y.shape));
        strides.map_or(vec![0; y.shape.rank()], |s| s.into_iter().map(|s| s as i64).collect())
    };
    // Whether an operand has just the normalised axes, so that an element's position in its row is its index there.
    let whole = |index| context.inputs.get(index).is_none_or(|o| without_leading_ones(o.shape) == without_leading_ones(&y.shape[axis..]));
    let space = collapse(&y.shape, &[strides_of(1), strides_of(2)]);
    let axes = |values: &mut dyn ExactSizeIterator<Item = i64>, fill| dims_array(values, fill).ok_or("more than 8 axes");
    let params = LayerNormParams {
        extents: axes(&mut space.dims.iter().map(|&d| d as i64), 1)?,
        scale_strides: axes(&mut space.strides[0].iter().copied(), 0)?,
        bias_strides: axes(&mut space.strides[1].iter().copied(), 0)?,
        rows: count(rows)?,
        row_elements: count(row_elements)?,
        eps: op.eps,
    };
    let bias = if context.inputs.get(2).is_some() { Arg::Input(2) } else { Arg::Unused };
    let broadcast = !(whole(1) && whole(2));
    let workgroup = row_workgroup(row_elements, if broadcast { 3 + MAX_AXES } else { 3 }, context.capabilities)?;
    let overrides = vec![workgroup, (bias != Arg::Unused).into(), broadcast.into()];
    let variant = Variant { kernel: &LAYER_NORM, types: vec![context.elem(y.dtype)?], tile: None, overrides };
    Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Input(1), bias, Arg::Output(0)], workgroups))
}

fn without_leading_ones(dims: &[usize]) -> &[usize] {
    &dims[dims.iter().take_while(|&&d| d == 1).count()..]
}

impl Operator for BatchNormalization {
    fn name(&self) -> &'static str {
        "BatchNormalization"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", FLOATS)?;
        let channels = if x.shape.rank() == 1 { 1 } else { channels(&x, 0)? };
        for (index, name) in [(1, "scale"), (2, "B"), (3, "input_mean"), (4, "input_var")] {
            vector(&inputs.expect_dtype(index, name, FLOATS)?, name, &[(channels, "channels")])?;
        }
        if !self.training {
            return Ok(vec![x.tensor_type()]);
        }
        let [mean, var] = [inputs.required(3, "input_mean")?, inputs.required(4, "input_var")?];
        Ok(vec![x.tensor_type(), mean.tensor_type(), var.tensor_type()])
    }

    fn flops(&self, _inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        if self.training { row_flops(outputs) } else { outputs.first().map_or(0, |y| (y.shape.elements() as u64).saturating_mul(3)) }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(lower_batch(self, context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let x = reference::input(inputs, 0);
        let vectors = [1, 2, 3, 4].map(|index| reference::input(inputs, index));
        if !self.training {
            return Ok(vec![reference::norm::batch_norm(x, vectors, self.eps)]);
        }
        let all = reference::norm::batch_norm_training(x, vectors, self.eps, self.momentum);
        Ok(all.into_iter().take(outputs.max(1)).collect())
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}

impl Operator for InstanceNormalization {
    fn name(&self) -> &'static str {
        "InstanceNormalization"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "input", FLOATS)?;
        let channels = channels(&x, 1)?;
        for (index, name) in [(1, "scale"), (2, "B")] {
            vector(&inputs.expect_dtype(index, name, &[x.dtype])?, name, &[(channels, "channels")])?;
        }
        Ok(vec![x.tensor_type()])
    }

    fn flops(&self, _inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        row_flops(outputs)
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(lower_group(context, context.outputs[0].shape[1], self.eps))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let [x, scale, bias] = [0, 1, 2].map(|index| reference::input(inputs, index));
        Ok(vec![reference::norm::group_norm(x, scale, bias, x.shape()[1], self.eps)])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}

impl Operator for GroupNormalization {
    fn name(&self) -> &'static str {
        "GroupNormalization"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", FLOATS)?;
        let channels = channels(&x, 0)?;
        if self.groups == 0 || channels == 0 || channels % self.groups != 0 {
            return Err(OpError::invalid(format!("{channels} channels do not divide into {} groups", self.groups)));
        }
        let (scale, bias) = (inputs.expect_dtype(1, "scale", &[x.dtype])?, inputs.expect_dtype(2, "bias", &[x.dtype])?);
        vector(&scale, "scale", &[(channels, "channels"), (self.groups, "groups")])?;
        vector(&bias, "bias", &[(scale.shape[0], "as `scale`")])?;
        Ok(vec![x.tensor_type()])
    }

    fn flops(&self, _inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        row_flops(outputs)
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(lower_group(context, self.groups, self.eps))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let [x, scale, bias] = [0, 1, 2].map(|index| reference::input(inputs, index));
        Ok(vec![reference::norm::group_norm(x, scale, bias, self.groups, self.eps)])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}

impl Operator for LayerNormalization {
    fn name(&self) -> &'static str {
        "LayerNormalization"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", FLOATS)?;
        let rank = x.shape.rank();
        let axis =
            resolve_axis(self.axis, rank).ok_or_else(|| OpError::invalid(format!("axis {} is out of range for {}", self.axis, x.shape)))?;
        for (index, name) in [(1, "Scale"), (2, "B")] {
            if index == 2 && inputs.get(index).is_none() {
                continue;
            }
            let operand = inputs.expect_dtype(index, name, &[x.dtype])?;
            if operand.shape.broadcast(x.shape).as_ref() != Some(x.shape) {
                return Err(OpError::invalid(format!("`{name}` of shape {} does not broadcast to {}", operand.shape, x.shape)));
            }
        }
        let rows: Shape = x.shape.iter().enumerate().map(|(a, &extent)| if a < axis { extent } else { 1 }).collect();
        let statistic = TensorType::new(DType::F32, rows);
        let mut outputs = vec![x.tensor_type()];
        outputs.resize(inputs.outputs.clamp(1, 3), statistic);
        Ok(outputs)
    }

    fn flops(&self, _inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        row_flops(outputs)
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(lower_layer(self, context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let (x, scale) = (reference::input(inputs, 0), reference::input(inputs, 1));
        let axis = resolve_axis(self.axis, x.shape().rank()).ok_or_else(|| OpError::invalid("axis out of range"))?;
        let all = reference::norm::layer_norm(x, scale, reference::optional(inputs, 2), axis, self.eps);
        Ok(all.into_iter().take(outputs.max(1)).collect())
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}
