//! Batch normalization.

use super::{ROW_WORKGROUP, channels, count, row_flops, row_workgroup, vector};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::fused::VECTOR_EPILOGUE;
use crate::ops::tile::{WORKGROUPS, workgroup_size};
use crate::ops::{FLOATS, Operands, Operator, Reach, ReachContext, Tolerance};
use crate::plan::{
    Access, Arg, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Part, Variant, params, part, workgroups_1d,
};
use crate::reference;
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

params! {
    pub(crate) struct BatchNormParams {
        vectors: u32,
        channels: u32,
        map_elements: u32,
        run: u32,
        runs: u32,
        eps: f32,
    }
}

params! {
    pub(crate) struct BatchNormTrainingParams {
        samples: u32,
        channels: u32,
        map_elements: u32,
        eps: f32,
    }
}

params! {
    pub(crate) struct RunningStatisticsParams {
        samples: u32,
        channels: u32,
        map_elements: u32,
        momentum: f32,
    }
}

/// Vectors of one invocation where reading a channel's numbers costs as much as reading vectors: whole maps of the usual sizes.
const SOFTWARE_RUN: usize = 49;

/// Invocations to leave a software device at least.
const SOFTWARE_INVOCATIONS: usize = 128;

pub(crate) static BATCH_NORM: Kernel = Kernel {
    name: "batch_norm",
    body: part!("batch_norm.wgsl"),
    parts: &[INDEX],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[Override { name: "BOUNDARIES", values: &[0, 1, 4] }, Override { name: "WORKGROUP_SIZE", values: WORKGROUPS }],
    params: BatchNormParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Read, Access::Read, Access::Write],
    epilogue: VECTOR_EPILOGUE,
    in_place: Some(6),
    ..Kernel::BASE
};

/// The sum over a workgroup, and mean and variance of a channel by it.
const CHANNEL_STATISTICS: &[Part] = &[INDEX, part!("shared/workgroup_sum.wgsl"), part!("shared/channel_statistics.wgsl")];

pub(crate) static BATCH_NORM_TRAINING: Kernel = Kernel {
    name: "batch_norm_training",
    body: part!("batch_norm_training.wgsl"),
    parts: CHANNEL_STATISTICS,
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[ROW_WORKGROUP],
    params: BatchNormTrainingParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

pub(crate) static RUNNING_STATISTICS: Kernel = Kernel {
    name: "running_statistics",
    body: part!("running_statistics.wgsl"),
    parts: CHANNEL_STATISTICS,
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[ROW_WORKGROUP],
    params: RunningStatisticsParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Write],
    ..Kernel::BASE
};

/// Samples, channels and elements of a map.
fn extents(shape: &[usize]) -> [usize; 3] {
    match shape {
        [samples, channels, map @ ..] => [*samples, *channels, map.iter().product()],
        _ => [1, 1, shape.iter().product()],
    }
}

/// The batch by its own statistics, and the running ones where they are outputs: a workgroup for each channel.
fn lower_training(op: &BatchNormalization, context: &LowerContext<'_>) -> Result<Lowering, String> {
    let y = &context.outputs[0];
    let types = vec![context.elem(y.dtype)?];
    count(y.shape.elements())?;
    let [samples, channels, map] = extents(&y.shape);
    let (samples, channels, map_elements) = (count(samples)?, count(channels)?, count(map)?);
    // Each map is a loop of its own, however short.
    let overrides = vec![row_workgroup(samples as usize * map.max(256), 6, context.capabilities)?];
    let workgroups = workgroups_1d(channels as usize, 1, context.capabilities.max_workgroups).ok_or("too many channels")?;
    let variant = |kernel| Variant::new(kernel, types.clone(), None, overrides.clone());
    let mut lowering = Lowering { scratch: vec![4 * u64::from(channels)], ..Lowering::default() };
    if context.inputs.outputs > 1 {
        let params = RunningStatisticsParams { samples, channels, map_elements, momentum: op.momentum };
        let var = if context.inputs.outputs > 2 { Arg::Output(2) } else { Arg::Scratch(0) };
        let bindings = vec![Arg::Input(0), Arg::Input(3), Arg::Input(4), Arg::Output(1), var];
        lowering.dispatches.extend(Lowering::single(variant(&RUNNING_STATISTICS), &params, bindings, workgroups).dispatches);
    }
    let params = BatchNormTrainingParams { samples, channels, map_elements, eps: op.eps };
    let bindings = vec![Arg::Input(0), Arg::Input(1), Arg::Input(2), Arg::Output(0)];
    lowering.dispatches.extend(Lowering::single(variant(&BATCH_NORM_TRAINING), &params, bindings, workgroups).dispatches);
    Ok(lowering)
}

fn lower_batch(op: &BatchNormalization, context: &LowerContext<'_>) -> Result<Lowering, String> {
    let y = &context.outputs[0];
    if let Some(other) = context.inputs.inputs.iter().flatten().find(|o| o.dtype != y.dtype) {
        return Err(format!("no kernel mixes {} with {}", y.dtype, other.dtype));
    }
    if op.training {
        return lower_training(op, context);
    }
    let software = context.capabilities.software;
    let vectors = y.shape.elements().div_ceil(4);
    let [_, channels, map] = extents(&y.shape);
    let boundaries = match map {
        map if map.is_multiple_of(4) => 0,
        5.. => 1,
        _ => 4,
    };
    // A GPU rather has more invocations, neighbours beside one another.
    let most = if software { (vectors / SOFTWARE_INVOCATIONS).clamp(1, SOFTWARE_RUN) } else { 1 };
    let map_vectors = if boundaries == 0 { map / 4 } else { vectors };
    let runs = map_vectors.div_ceil(most);
    let run = map_vectors.div_ceil(runs);
    let invocations = if boundaries == 0 { vectors / map_vectors * runs } else { runs };
    let size = workgroup_size(software);
    let workgroups = workgroups_1d(invocations, size as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
    let params = BatchNormParams {
        vectors: count(vectors)?,
        channels: count(channels)?,
        map_elements: count(map)?,
        run: count(run)?,
        runs: count(runs)?,
        eps: op.eps,
    };
    let overrides = vec![boundaries, size];
    let variant = Variant::new(&BATCH_NORM, vec![context.elem(y.dtype)?], None, overrides);
    let inputs = (0..5).map(Arg::Input);
    Ok(Lowering::single(variant, &params, inputs.chain([Arg::Output(0)]).collect(), workgroups))
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

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        if context.input == 0 && !self.training { context.elementwise() } else { context.whole() }
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
