//! Softmax, its logarithm, and its limit.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::reduce::{along_axis, deal_rows, enough_rows};
use crate::ops::rows::{SUBGROUP_REDUCE, SubgroupRows, WorkgroupRow};
use crate::ops::tile::SUBGROUP;
use crate::ops::{FLOATS, Operands, Operator, Reach, ReachContext, Tolerance};
use crate::plan::{
    Access, Arg, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Part, Subgroups, Variant, WORKGROUP_SIZE,
    element_count, params, part, workgroups_1d,
};
use crate::reference;
use crate::shape::{Shape, resolve_axis};
use crate::tensor::{DType, Tensor};

/// `Softmax`, `LogSoftmax`: `exp(x) ÷ Σ exp(x)` along one axis, or its logarithm. Input and output have the same shape.
///
/// A row with NaN, with +∞ or of −∞ alone gives NaN. Source: ONNX `Softmax`, opset 13, and opset 11 for `flatten`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Softmax {
    /// The axis; negative counts from the end.
    pub axis: i64,
    /// Whether the logarithm is wanted.
    pub log: bool,
    /// Whether the sum runs over all axes from `axis` on, as before opset 13.
    pub flatten: bool,
}

/// `Hardmax`: 1 where the first of the largest elements along one axis is, else 0. Input and output have the same shape.
///
/// A NaN counts as the largest. Source: ONNX `Hardmax`, opset 13, and opset 11 for `flatten`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hardmax {
    /// The axis; negative counts from the end.
    pub axis: i64,
    /// Whether all axes from `axis` on are one, as before opset 13.
    pub flatten: bool,
}

params! {
    struct SoftmaxRowsParams {
        rows: u32,
        columns: u32,
    }
}

params! {
    struct SoftmaxRowsSubgroupParams {
        rows: u32,
        columns: u32,
        group: u32,
    }
}

params! {
    struct SoftmaxStridedParams {
        positions: u32,
        columns: u32,
        inner: u32,
    }
}

params! {
    struct HardmaxParams {
        positions: u32,
        columns: u32,
        inner: u32,
    }
}

/// Columns that keep a GPU busy with one invocation for each four.
const ENOUGH_POSITIONS: usize = 1 << 17;

const SOFTMAX: Part = part!("shared/softmax.wgsl");

const LOG: Override = Override { name: "LOG", values: &[0, 1] };

pub(crate) static SOFTMAX_ROWS: Kernel = Kernel {
    name: "softmax_rows",
    body: part!("softmax_rows.wgsl"),
    parts: &[INDEX, SOFTMAX],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[LOG, Override { name: "COOPERATIVE", values: &[0, 1] }, Override { name: "WORKGROUP_SIZE", values: &[64, 256] }],
    params: SoftmaxRowsParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

pub(crate) static SOFTMAX_ROWS_SUBGROUP: Kernel = Kernel {
    name: "softmax_rows_subgroup",
    body: part!("softmax_rows_subgroup.wgsl"),
    parts: &[INDEX, SOFTMAX],
    types: &[FLOAT_ELEMENT],
    overrides: &[LOG],
    independent: &[SubgroupRows::STEPS],
    params: SoftmaxRowsSubgroupParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    subgroups: Subgroups::Exactly(SUBGROUP),
    ..Kernel::BASE
};

pub(crate) static SOFTMAX_ROWS_ANY_SUBGROUP: Kernel = Kernel {
    name: "softmax_rows_any_subgroup",
    body: part!("softmax_rows_any_subgroup.wgsl"),
    parts: &[INDEX, SOFTMAX, SUBGROUP_REDUCE],
    types: &[FLOAT_ELEMENT],
    overrides: &[LOG, WorkgroupRow::WORKGROUP, WorkgroupRow::STEPS],
    params: SoftmaxRowsParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    subgroups: Subgroups::Any,
    ..Kernel::BASE
};

pub(crate) static SOFTMAX_STRIDED: Kernel = Kernel {
    name: "softmax_strided",
    body: part!("softmax_strided.wgsl"),
    parts: &[INDEX, SOFTMAX],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[LOG, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: SoftmaxStridedParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

pub(crate) static SOFTMAX_COLUMNS: Kernel = Kernel { name: "softmax_columns", body: part!("softmax_columns.wgsl"), ..SOFTMAX_STRIDED };

pub(crate) static HARDMAX: Kernel = Kernel {
    name: "hardmax",
    body: part!("hardmax.wgsl"),
    parts: &[INDEX],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: HardmaxParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

/// `shape` as `[outer, columns, inner]`, the columns those of `axis`, or where `flatten` of all axes from it on.
fn split(axis: i64, flatten: bool, shape: &Shape) -> Result<[usize; 3], OpError> {
    let [outer, columns, inner] = along_axis(axis, shape)?;
    Ok(if flatten { [outer, columns * inner, 1] } else { [outer, columns, inner] })
}

impl Softmax {
    /// `shape` as `[outer, columns, inner]`, the sum running over the columns.
    pub(crate) fn split(&self, shape: &Shape) -> Result<[usize; 3], OpError> {
        split(self.axis, self.flatten, shape)
    }

    fn lower_softmax(&self, context: &LowerContext<'_>) -> Result<Vec<Lowering>, String> {
        let output = &context.outputs[0];
        let elem = context.elem(output.dtype)?;
        element_count(&output.shape)?;
        let [outer, columns, inner] = self.split(&output.shape).map_err(|e| e.to_string())?;
        let max = context.capabilities.max_workgroups;
        let bindings = vec![Arg::Input(0), Arg::Output(0)];
        let log = self.log.into();
        let variant = |kernel, overrides| Variant::new(kernel, vec![elem], None, overrides);
        if inner == 1 {
            let mut ways = vec![];
            let ([cooperative, size], workgroups) = deal_rows(outer, columns, enough_rows(columns, context.capabilities), max)?;
            context.capabilities.check_iterations(4 * columns / if cooperative == 1 { size as usize } else { 1 } + 64)?;
            let params = SoftmaxRowsParams { rows: outer as u32, columns: columns as u32 };
            ways.push(Lowering::single(variant(&SOFTMAX_ROWS, vec![log, cooperative, size]), &params, bindings.clone(), workgroups));
            if let Some(rows) = SubgroupRows::of(outer, columns, context.capabilities)
                && let Some(workgroups) = workgroups_1d(outer, rows.group, max)
            {
                let grouped = SoftmaxRowsSubgroupParams { rows: outer as u32, columns: columns as u32, group: rows.group as u32 };
                let way = Lowering::single(variant(&SOFTMAX_ROWS_SUBGROUP, vec![log, rows.steps]), &grouped, bindings, workgroups);
                ways.insert(usize::from(!rows.pays), way);
            }
            if let Some(row) = WorkgroupRow::of(columns, context.capabilities)
                && let Some(workgroups) = workgroups_1d(outer, 1, max)
            {
                let variant = variant(&SOFTMAX_ROWS_ANY_SUBGROUP, vec![log, row.invocations, row.steps]);
                let way = Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Output(0)], workgroups);
                // A software device has no workgroup memory worth the name; a GPU walks short rows by single invocations.
                let first = !context.capabilities.software && cooperative == 1;
                ways.insert(if first { 0 } else { ways.len() }, way);
            }
            return Ok(ways);
        }
        // Three walks along the column, the second with a loop of blocks around.
        context.capabilities.check_iterations(4 * columns)?;
        let positions = outer * inner;
        let workgroups = workgroups_1d(positions, WORKGROUP_SIZE as usize, max).ok_or("too many elements")?;
        let params = SoftmaxStridedParams { positions: positions as u32, columns: columns as u32, inner: inner as u32 };
        let mut ways = vec![Lowering::single(variant(&SOFTMAX_STRIDED, vec![log, WORKGROUP_SIZE]), &params, bindings.clone(), workgroups)];
        if inner.is_multiple_of(4)
            && let Some(workgroups) = workgroups_1d(positions / 4, WORKGROUP_SIZE as usize, max)
        {
            let params = SoftmaxStridedParams { positions: positions as u32 / 4, columns: columns as u32, inner: inner as u32 / 4 };
            let way = Lowering::single(variant(&SOFTMAX_COLUMNS, vec![log, WORKGROUP_SIZE]), &params, bindings, workgroups);
            // A GPU rather has four times as many invocations, unless there are enough.
            let first = context.capabilities.software || positions >= ENOUGH_POSITIONS;
            ways.insert(usize::from(!first), way);
        }
        Ok(ways)
    }
}

impl Operator for Softmax {
    fn name(&self) -> &'static str {
        if self.log { "LogSoftmax" } else { "Softmax" }
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "input", FLOATS)?;
        self.split(x.shape)?;
        Ok(vec![x.tensor_type()])
    }

    /// Compare, subtract, exponentiate, add and divide each element.
    fn flops(&self, _inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        outputs.first().map_or(0, |t| 5 * t.shape.elements() as u64)
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        match resolve_axis(self.axis, context.x().rank()) {
            Some(first) => context.mixing(|axis| axis == first || self.flatten && axis > first),
            None => context.whole(),
        }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rules(self.lower_softmax(context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let x = reference::input(inputs, 0);
        Ok(vec![reference::softmax::softmax(x, self.split(x.shape())?, self.log)])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}

fn lower_hardmax(op: &Hardmax, context: &LowerContext<'_>) -> Result<Lowering, String> {
    let y = &context.outputs[0];
    let types = vec![context.elem(y.dtype)?];
    element_count(&y.shape)?;
    let [outer, columns, inner] = split(op.axis, op.flatten, &y.shape).map_err(|e| e.to_string())?;
    context.capabilities.check_iterations(2 * columns)?;
    let positions = outer * inner;
    let workgroups = workgroups_1d(positions, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
    let params = HardmaxParams { positions: positions as u32, columns: columns as u32, inner: inner as u32 };
    let variant = Variant::new(&HARDMAX, types, None, vec![WORKGROUP_SIZE]);
    Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Output(0)], workgroups))
}

impl Operator for Hardmax {
    fn name(&self) -> &'static str {
        "Hardmax"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "input", FLOATS)?;
        split(self.axis, self.flatten, x.shape)?;
        Ok(vec![x.tensor_type()])
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        match resolve_axis(self.axis, context.x().rank()) {
            Some(first) => context.mixing(|axis| axis == first || self.flatten && axis > first),
            None => context.whole(),
        }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(lower_hardmax(self, context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let x = reference::input(inputs, 0);
        Ok(vec![reference::softmax::hardmax(x, split(self.axis, self.flatten, x.shape())?)])
    }

    fn tolerance(&self, _dtype: DType) -> Tolerance {
        Tolerance::EXACT
    }
}
