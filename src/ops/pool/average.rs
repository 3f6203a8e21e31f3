//! The mean and the norm of each window.

use super::strips::{Pooled, strips};
use super::{WINDOW, WORKGROUP, WindowWork, axes, best_first, place, taps, window_work};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{FLOATS, Operands, Operator, Reach, ReachContext, Tolerance, window::Window};
use crate::plan::{
    Access, Arg, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowered, Lowering, OPAQUE, Variant, WORKGROUP_SIZE, params, part,
};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// `AveragePool`: the mean of each window. Input `[N, C, …]`, output `[N, C, …]`. Source: ONNX `AveragePool`, opset 22.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AveragePool {
    /// The sliding window.
    pub window: Window,
    /// Whether padding counts in the divisor (what `ceil_mode` adds beyond it never does).
    pub count_include_pad: bool,
}

/// `LpPool`: the p-norm of each window, padding reading as zero. Input `[N, C, …]`, output `[N, C, …]`.
/// Source: ONNX `LpPool`, opset 22.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LpPool {
    /// The sliding window.
    pub window: Window,
    /// The order of the norm, at least 1.
    pub p: u32,
}

params! {
    pub(crate) struct AveragePoolParams {
        input: [u32; 4],
        output: [u32; 4],
        kernel: [u32; 4],
        stride: [u32; 4],
        dilation: [u32; 4],
        before: [u32; 4],
        counted: [u32; 4],
        maps: u32,
        tiles: u32,
        count_include_pad: u32,
    }
}

params! {
    pub(crate) struct LpPoolParams {
        input: [u32; 4],
        output: [u32; 4],
        kernel: [u32; 4],
        stride: [u32; 4],
        dilation: [u32; 4],
        before: [u32; 4],
        maps: u32,
        tiles: u32,
        p: u32,
    }
}

pub(crate) static AVERAGE_POOL: Kernel = Kernel {
    name: "average_pool",
    body: part!("average_pool.wgsl"),
    parts: &[INDEX, OPAQUE, WINDOW],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: WORKGROUP,
    params: AveragePoolParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

pub(crate) static LP_POOL: Kernel = Kernel { name: "lp_pool", body: part!("lp_pool.wgsl"), params: LpPoolParams::LAYOUT, ..AVERAGE_POOL };

fn lower_average(op: &AveragePool, context: &LowerContext<'_>) -> Result<Lowering, String> {
    let WindowWork { placement: p, maps, tiles, workgroups } = window_work(context, &op.window)?;
    let params = AveragePoolParams {
        input: axes(p.input),
        output: axes(p.output),
        kernel: axes(p.kernel),
        stride: axes(p.stride),
        dilation: axes(p.dilation),
        before: axes(p.before),
        counted: axes([0, 1, 2].map(|axis| p.before[axis] + p.input[axis] + p.after[axis])),
        maps,
        tiles,
        count_include_pad: op.count_include_pad.into(),
    };
    let types = vec![context.elem(context.outputs[0].dtype)?];
    let variant = Variant::new(&AVERAGE_POOL, types, None, vec![WORKGROUP_SIZE]);
    Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Output(0)], workgroups))
}

fn lower_lp(op: &LpPool, context: &LowerContext<'_>) -> Result<Lowering, String> {
    let WindowWork { placement: p, maps, tiles, workgroups } = window_work(context, &op.window)?;
    // Each tap has a loop over the bits of p.
    let turns = if op.p == 1 { 1 } else { 1 + op.p.ilog2() as usize };
    context.capabilities.check_iterations(p.taps() * (1 + turns) + p.kernel[0] * (1 + p.kernel[1]))?;
    let params = LpPoolParams {
        input: axes(p.input),
        output: axes(p.output),
        kernel: axes(p.kernel),
        stride: axes(p.stride),
        dilation: axes(p.dilation),
        before: axes(p.before),
        maps,
        tiles,
        p: op.p,
    };
    let types = vec![context.elem(context.outputs[0].dtype)?];
    let variant = Variant::new(&LP_POOL, types, None, vec![WORKGROUP_SIZE]);
    Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Output(0)], workgroups))
}

/// That the order of a norm is one.
pub(super) fn check_order(p: u32) -> Result<(), OpError> {
    if p == 0 { Err(OpError::invalid("the order p of the norm must be at least 1, got 0")) } else { Ok(()) }
}

impl Operator for AveragePool {
    fn name(&self) -> &'static str {
        "AveragePool"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", FLOATS)?;
        let (_, shape) = place(&self.window, x.shape)?;
        Ok(vec![TensorType::new(x.dtype, shape)])
    }

    fn flops(&self, inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        taps(inputs, &self.window, outputs)
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        self.window.place(context.x()).map_or_else(|_| context.whole(), |placement| context.windows(&placement, false))
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let mean = Pooled::Mean { count_include_pad: self.count_include_pad };
        best_first(strips(&self.window, mean, context), lower_average(self, context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let x = reference::input(inputs, 0);
        let (placement, shape) = place(&self.window, x.shape())?;
        Ok(vec![reference::pool::average_pool(&placement, x, self.count_include_pad, &shape)])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}

impl Operator for LpPool {
    fn name(&self) -> &'static str {
        "LpPool"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", FLOATS)?;
        check_order(self.p)?;
        let (_, shape) = place(&self.window, x.shape)?;
        Ok(vec![TensorType::new(x.dtype, shape)])
    }

    fn flops(&self, inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        taps(inputs, &self.window, outputs).saturating_mul(2)
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        self.window.place(context.x()).map_or_else(|_| context.whole(), |placement| context.windows(&placement, false))
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(lower_lp(self, context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let x = reference::input(inputs, 0);
        let (placement, shape) = place(&self.window, x.shape())?;
        Ok(vec![reference::pool::lp_pool(&placement, x, self.p, &shape)])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}
