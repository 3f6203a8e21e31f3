//! Layer normalization, and that by the root mean square.

use super::{FLAG, ROW_STATISTICS, ROW_WORKGROUP, count, row_flops, row_workgroup};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::fused::ELEMENT_EPILOGUE;
use crate::ops::rows::{SUBGROUP_REDUCE, SubgroupRows, WorkgroupRow};
use crate::ops::tile::SUBGROUP;
use crate::ops::{FLOATS, Operands, Operator, Reach, ReachContext, Tolerance};
use crate::plan::{
    Access, Arg, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Subgroups, Variant, collapse, dims_array, params,
    part, workgroups_1d,
};
use crate::reference;
use crate::shape::{Shape, resolve_axis};
use crate::tensor::{DType, Tensor};

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

/// `RMSNormalization`: over all axes from `axis` on, by the root of their mean square.
///
/// Inputs: `X`, and `scale`, broadcast to `X` (usually it has the normalised axes' shape). Output like `X`.
/// Source: ONNX `RMSNormalization`, opset 23; B. Zhang, R. Sennrich, arXiv:1910.07467.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RmsNormalization {
    /// First normalised axis; negative counts from the end.
    pub axis: i64,
    /// Added to the mean square.
    pub eps: f32,
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

params! {
    pub(crate) struct LayerNormRowParams {
        rows: u32,
        row_elements: u32,
        eps: f32,
    }
}

pub(crate) static LAYER_NORM_ANY_SUBGROUP: Kernel = Kernel {
    name: "layer_norm_any_subgroup",
    body: part!("layer_norm_any_subgroup.wgsl"),
    parts: &[INDEX, SUBGROUP_REDUCE],
    types: &[FLOAT_ELEMENT],
    overrides: &[
        WorkgroupRow::WORKGROUP,
        Override { name: "HAS_BIAS", values: FLAG },
        Override { name: "CENTER", values: FLAG },
        WorkgroupRow::STEPS,
    ],
    params: LayerNormRowParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    subgroups: Subgroups::Any,
    epilogue: ELEMENT_EPILOGUE,
    in_place: Some(4),
    ..Kernel::BASE
};

params! {
    pub(crate) struct LayerNormSubgroupParams {
        rows: u32,
        vectors: u32,
        group: u32,
        eps: f32,
    }
}

params! {
    pub(crate) struct LayerNormStatisticsParams {
        rows: u32,
        row_elements: u32,
        eps: f32,
    }
}

pub(crate) static LAYER_NORM: Kernel = Kernel {
    name: "layer_norm",
    body: part!("layer_norm.wgsl"),
    parts: ROW_STATISTICS,
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[
        ROW_WORKGROUP,
        Override { name: "HAS_BIAS", values: FLAG },
        Override { name: "BROADCAST", values: FLAG },
        Override { name: "CENTER", values: FLAG },
    ],
    params: LayerNormParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    epilogue: ELEMENT_EPILOGUE,
    in_place: Some(4),
    ..Kernel::BASE
};

pub(crate) static LAYER_NORM_SUBGROUP: Kernel = Kernel {
    name: "layer_norm_subgroup",
    body: part!("layer_norm_subgroup.wgsl"),
    parts: &[INDEX],
    types: &[FLOAT_ELEMENT],
    overrides: &[Override { name: "HAS_BIAS", values: FLAG }, Override { name: "CENTER", values: FLAG }],
    independent: &[SubgroupRows::STEPS],
    params: LayerNormSubgroupParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    subgroups: Subgroups::Exactly(SUBGROUP),
    ..Kernel::BASE
};

pub(crate) static LAYER_NORM_STATISTICS: Kernel = Kernel {
    name: "layer_norm_statistics",
    body: part!("layer_norm_statistics.wgsl"),
    parts: ROW_STATISTICS,
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[ROW_WORKGROUP],
    params: LayerNormStatisticsParams::LAYOUT,
    bindings: &[Access::Read, Access::Write, Access::Write],
    ..Kernel::BASE
};

/// Axes that a broadcast scale or bias is looked up in.
const MAX_AXES: usize = 8;

/// The axes from `axis` on of `y` by their statistics, or where not `center` by their mean square.
fn lower_rows(axis: i64, eps: f32, center: bool, context: &LowerContext<'_>) -> Result<Vec<Lowering>, String> {
    let y = &context.outputs[0];
    let axis = resolve_axis(axis, y.shape.rank()).ok_or("axis out of range")?;
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
        eps,
    };
    let bias = if context.inputs.get(2).is_some() { Arg::Input(2) } else { Arg::Unused };
    let broadcast = !(whole(1) && whole(2));
    let workgroup = row_workgroup(row_elements, if broadcast { 3 + MAX_AXES } else { 3 }, context.capabilities)?;
    let overrides = vec![workgroup, (bias != Arg::Unused).into(), broadcast.into(), center.into()];
    let elem = context.elem(y.dtype)?;
    let variant = |kernel, overrides| Variant::new(kernel, vec![elem], None, overrides);
    let bindings = vec![Arg::Input(0), Arg::Input(1), bias.clone(), Arg::Output(0)];
    let mut ways = vec![Lowering::single(variant(&LAYER_NORM, overrides), &params, bindings.clone(), workgroups)];
    let by_subgroups = SubgroupRows::of(rows, row_elements, context.capabilities).filter(|_| !broadcast && row_elements.is_multiple_of(4));
    if let Some(SubgroupRows { group, steps, pays }) = by_subgroups
        && let Some(workgroups) = workgroups_1d(rows, group, context.capabilities.max_workgroups)
    {
        let params = LayerNormSubgroupParams { rows: count(rows)?, vectors: count(row_elements / 4)?, group: group as u32, eps };
        let variant = variant(&LAYER_NORM_SUBGROUP, vec![(bias != Arg::Unused).into(), center.into(), steps]);
        ways.insert(usize::from(!pays), Lowering::single(variant, &params, bindings.clone(), workgroups));
    }
    if let Some(row) = WorkgroupRow::of(row_elements, context.capabilities).filter(|_| !broadcast) {
        let params = LayerNormRowParams { rows: count(rows)?, row_elements: count(row_elements)?, eps };
        let has_bias = (bias != Arg::Unused).into();
        let variant = variant(&LAYER_NORM_ANY_SUBGROUP, vec![row.invocations, has_bias, center.into(), row.steps]);
        let way = Lowering::single(variant, &params, bindings, workgroups);
        // A software device has no workgroup memory worth the name.
        ways.insert(if context.capabilities.software { ways.len() } else { 0 }, way);
    }
    Ok(ways)
}

/// The normalization, and the statistics once more where they are outputs, which is rare.
fn lower_layer(op: &LayerNormalization, context: &LowerContext<'_>) -> Result<Vec<Lowering>, String> {
    let mut ways = lower_rows(op.axis, op.eps, true, context)?;
    if context.outputs.len() < 2 {
        return Ok(ways);
    }
    let x = context.inputs.required(0, "X").map_err(|e| e.to_string())?;
    let rows = context.outputs[1].shape.elements();
    let params = LayerNormStatisticsParams { rows: count(rows)?, row_elements: count(x.shape.elements() / rows)?, eps: op.eps };
    let inverse = if context.outputs.len() > 2 { Arg::Output(2) } else { Arg::Scratch(0) };
    let overrides = vec![row_workgroup(x.shape.elements() / rows, 3, context.capabilities)?];
    let variant = Variant::new(&LAYER_NORM_STATISTICS, vec![context.elem(x.dtype)?], None, overrides);
    let workgroups = workgroups_1d(rows, 1, context.capabilities.max_workgroups).ok_or("too many rows")?;
    let statistics = Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Output(1), inverse], workgroups);
    // The normalization goes last: it is the kernel that the node is known by.
    for way in &mut ways {
        way.dispatches.splice(0..0, statistics.dispatches.clone());
        way.scratch.push(4 * rows as u64);
    }
    Ok(ways)
}

fn without_leading_ones(dims: &[usize]) -> &[usize] {
    &dims[dims.iter().take_while(|&&d| d == 1).count()..]
}

impl Operator for LayerNormalization {
    fn name(&self) -> &'static str {
        "LayerNormalization"
    }

    fn output_dtype(&self, inputs: &[Option<DType>], index: usize) -> Option<DType> {
        if index == 0 { inputs.first().copied().flatten() } else { Some(DType::F32) }
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

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        match resolve_axis(self.axis, context.y().rank()) {
            Some(first) if context.input == 0 => context.mixing(|axis| axis >= first),
            Some(_) if context.output == 0 => context.elementwise(),
            _ => context.whole(),
        }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rules(lower_layer(self, context))
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

impl Operator for RmsNormalization {
    fn name(&self) -> &'static str {
        "RMSNormalization"
    }

    fn output_dtype(&self, inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        inputs.get(1).copied().flatten()
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", FLOATS)?;
        resolve_axis(self.axis, x.shape.rank())
            .ok_or_else(|| OpError::invalid(format!("axis {} is out of range for {}", self.axis, x.shape)))?;
        let scale = inputs.expect_dtype(1, "scale", FLOATS)?;
        if scale.shape.broadcast(x.shape).as_ref() != Some(x.shape) {
            return Err(OpError::invalid(format!("`scale` of shape {} does not broadcast to {}", scale.shape, x.shape)));
        }
        Ok(vec![TensorType::new(scale.dtype, x.shape)])
    }

    /// A square and an addition, a scale and another.
    fn flops(&self, _inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        outputs.first().map_or(0, |y| (y.shape.elements() as u64).saturating_mul(4))
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        match resolve_axis(self.axis, context.y().rank()) {
            Some(first) if context.input == 0 => context.mixing(|axis| axis >= first),
            Some(_) if context.output == 0 => context.elementwise(),
            _ => context.whole(),
        }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let dtypes = [0, 1].map(|index| context.inputs.get(index).map(|o| o.dtype));
        if dtypes[0] != dtypes[1] {
            return Lowered::Host("no kernel mixes types of input and scale".into());
        }
        Lowered::from_rules(lower_rows(self.axis, self.eps, false, context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let (x, scale) = (reference::input(inputs, 0), reference::input(inputs, 1));
        let axis = resolve_axis(self.axis, x.shape().rank()).ok_or_else(|| OpError::invalid("axis out of range"))?;
        Ok(vec![reference::norm::rms_norm(x, scale, axis, self.eps)])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}
