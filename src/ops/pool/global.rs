//! One number per map.

use super::average::check_order;
use crate::error::{OpError, Result};
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::reduce::{REDUCE_ROWS_ANY_SUBGROUP, lower_rows};
use crate::ops::{
    FLOATS, LpPool, Operands, Operator, Padding, Reach, ReachContext, Reduce, ReduceFunction, Reshape, Spatial, Tolerance, window::Window,
};
use crate::plan::{
    Access, Arg, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Variant, WORKGROUP_SIZE, params, part,
    workgroups_1d,
};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

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
/// Source: ONNX `GlobalAveragePool` and `GlobalMaxPool`, opset 22.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct GlobalPool {
    /// What is computed of a map.
    pub kind: PoolKind,
}

/// `GlobalLpPool`: the p-norm of each map. Input `[N, C, …]`, output `[N, C, 1, …]`. Source: ONNX `GlobalLpPool`, opset 22.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GlobalLpPool {
    /// The order of the norm, at least 1.
    pub p: u32,
}

params! {
    pub(crate) struct GlobalPoolParams {
        maps: u32,
        elements: u32,
    }
}

pub(crate) static GLOBAL_AVERAGE_POOL: Kernel = Kernel {
    name: "global_average_pool",
    body: part!("global_average_pool.wgsl"),
    parts: &[INDEX],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }, Override { name: "LANES", values: &[1, 8, 64] }],
    params: GlobalPoolParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

pub(crate) static GLOBAL_MAX_POOL: Kernel = Kernel { name: "global_max_pool", body: part!("global_max_pool.wgsl"), ..GLOBAL_AVERAGE_POOL };

/// `[N, C, …]` and `[N, C, 1, …]`, where `x` has maps with elements.
fn pooled(x: &Shape) -> Result<Shape, OpError> {
    if x.rank() < 3 {
        return Err(OpError::invalid(format!("the input needs at least 3 axes [N, C, …], got {x}")));
    }
    if let Some(axis) = x[2..].iter().position(|&extent| extent == 0) {
        return Err(OpError::invalid(format!("axis {} of the input {x} is empty", 2 + axis)));
    }
    Ok(x.iter().enumerate().map(|(axis, &extent)| if axis < 2 { extent } else { 1 }).collect())
}

fn lower_global(op: &GlobalPool, context: &LowerContext<'_>) -> Result<Vec<Lowering>, String> {
    let x = context.inputs.required(0, "X").map_err(|e| e.to_string())?;
    let too_many = |_| String::from("too many elements");
    let (maps, elements) = (context.outputs[0].shape.elements(), x.shape.elements() / context.outputs[0].shape.elements());
    u32::try_from(x.shape.elements()).map_err(too_many)?;
    let lanes = lanes(maps, elements, context.capabilities.software);
    // Elements, and for sums their blocks of 64; then the tree.
    let turns = elements.div_ceil(lanes as usize);
    context.capabilities.check_iterations(turns + turns.div_ceil(64) + 6)?;
    let workgroups = workgroups_1d(maps, (WORKGROUP_SIZE / lanes) as usize, context.capabilities.max_workgroups).ok_or("too many maps")?;
    let (kernel, function) = match op.kind {
        PoolKind::Average => (&GLOBAL_AVERAGE_POOL, ReduceFunction::Mean),
        PoolKind::Max => (&GLOBAL_MAX_POOL, ReduceFunction::Max),
    };
    let types = vec![context.elem(x.dtype)?];
    let variant = Variant::new(kernel, types, None, vec![WORKGROUP_SIZE, lanes]);
    let params = GlobalPoolParams { maps: maps as u32, elements: elements as u32 };
    let mut ways = vec![Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Output(0)], workgroups)];
    // Maps as rows are read in vectors; a GPU has workgroups for the long ones alone. Where rows begin inside of vectors, the order of a sum
    // would depend on the map: equal maps have equal averages.
    let aligned = elements.is_multiple_of(4);
    let rows = if aligned { lower_rows(function.code(), maps, elements, x.dtype, context).unwrap_or_default() } else { vec![] };
    let first = rows.first().is_some_and(|way| context.capabilities.software || way.kernel() == REDUCE_ROWS_ANY_SUBGROUP.name);
    ways.splice(if first { 0..0 } else { 1..1 }, rows);
    Ok(ways)
}

/// Invocations that share a map: as many as its elements keep busy, one where workgroup memory is emulated.
fn lanes(maps: usize, elements: usize, software: bool) -> u32 {
    if software && maps >= WORKGROUP_SIZE as usize && elements <= 4096 {
        1
    } else if elements <= 64 {
        8
    } else {
        64
    }
}

impl Operator for GlobalPool {
    fn name(&self) -> &'static str {
        match self.kind {
            PoolKind::Average => "GlobalAveragePool",
            PoolKind::Max => "GlobalMaxPool",
        }
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", FLOATS)?;
        Ok(vec![TensorType::new(x.dtype, pooled(x.shape)?)])
    }

    fn flops(&self, inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        inputs.get(0).map_or(0, |x| x.shape.elements() as u64)
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        context.mixing(|axis| axis >= 2)
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rules(lower_global(self, context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let x = reference::input(inputs, 0);
        Ok(vec![reference::pool::global_pool(self.kind, x, &pooled(x.shape())?)])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        match self.kind {
            PoolKind::Average => Tolerance::accumulation(dtype),
            PoolKind::Max => Tolerance::EXACT,
        }
    }
}

impl Operator for GlobalLpPool {
    fn name(&self) -> &'static str {
        "GlobalLpPool"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", FLOATS)?;
        check_order(self.p)?;
        Ok(vec![TensorType::new(x.dtype, pooled(x.shape)?)])
    }

    /// The usual norms are reductions; others one window over the map laid flat.
    fn decompose(&self, parts: &mut Parts<'_>) -> Result<Option<Vec<ValueId>>> {
        let Some(x) = parts.input(0) else { return Ok(None) };
        let shape = parts.shape(x);
        if let Some(function) = [ReduceFunction::L1, ReduceFunction::L2].get(self.p as usize - 1) {
            let axes = parts.constant("axes", Tensor::vector((2..shape.rank() as i64).collect()));
            let reduce = Reduce { function: *function, keep_dims: true, noop_with_empty_axes: false };
            return Ok(Some(vec![parts.node("norm", reduce, &[x, axes])?]));
        }
        let elements: usize = shape[2..].iter().product();
        let flat = parts.constant("flat", Tensor::vector(vec![shape[0] as i64, shape[1] as i64, elements as i64]));
        let maps = parts.node("maps", Reshape { allow_zero: true }, &[x, flat])?;
        let (one, kernel_size) = (Spatial::splat(1, 1), Spatial::splat(1, elements));
        let window = Window { kernel_size, stride: one, dilation: one, padding: Padding::Valid, ceil_mode: false };
        let norm = parts.node("norm", LpPool { window, p: self.p }, &[maps])?;
        let extents = parts.constant("extents", Tensor::vector(pooled_extents(&shape)));
        Ok(Some(vec![parts.node("pooled", Reshape { allow_zero: true }, &[norm, extents])?]))
    }

    fn flops(&self, inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        inputs.get(0).map_or(0, |x| 2 * x.shape.elements() as u64)
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        context.mixing(|axis| axis >= 2)
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs as its parts".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let x = reference::input(inputs, 0);
        Ok(vec![reference::pool::global_lp_pool(x, self.p, &pooled(x.shape())?)])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}

/// `[N, C, 1, …]` as an input of `Reshape`.
fn pooled_extents(x: &Shape) -> Vec<i64> {
    x.iter().enumerate().map(|(axis, &extent)| if axis < 2 { extent as i64 } else { 1 }).collect()
}
