//! Instance and group normalization.

use super::{ROW_STATISTICS, ROW_WORKGROUP, channels, count, row_flops, row_workgroup, vector};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::fused::ELEMENT_EPILOGUE;
use crate::ops::{FLOATS, Operands, Operator, Tolerance};
use crate::plan::{Access, Arg, FLOAT_ELEMENT, Kernel, LowerContext, Lowered, Lowering, Variant, params, part, workgroups_1d};
use crate::reference;
use crate::tensor::{DType, Tensor};

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

params! {
    pub(crate) struct GroupNormParams {
        rows: u32,
        groups: u32,
        row_elements: u32,
        scale_elements: u32,
        eps: f32,
    }
}

pub(crate) static GROUP_NORM: Kernel = Kernel {
    name: "group_norm",
    body: part!("group_norm.wgsl"),
    parts: ROW_STATISTICS,
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[ROW_WORKGROUP],
    params: GroupNormParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    epilogue: ELEMENT_EPILOGUE,
    in_place: Some(4),
    ..Kernel::BASE
};

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
    let variant = Variant::new(&GROUP_NORM, vec![context.elem(y.dtype)?], None, overrides);
    Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Input(1), Arg::Input(2), Arg::Output(0)], workgroups))
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
