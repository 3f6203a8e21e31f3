//! The largest element of each window.

use super::strips::{Pooled, strips};
use super::{WINDOW, WORKGROUP, WindowWork, axes, best_first, place, taps, window_work};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{FLOATS, Operands, Operator, Reach, ReachContext, Tolerance, window::Window};
use crate::plan::{
    Access, Arg, Elem, INDEX, Kernel, LowerContext, Lowered, Lowering, OPAQUE, TypeRole, Variant, WORKGROUP_SIZE, params, part,
};
use crate::reference::{self, pool::lowest};
use crate::tensor::{DType, Tensor};

/// `MaxPool`: the largest element of each window; padding never wins. Second output: indices, `i64`.
///
/// Input `[N, C, …]`, outputs `[N, C, …]`. A NaN makes its windows NaN. A window of padding only has the type's lowest
/// value, and the index −1. Source: ONNX `MaxPool`, opset 22.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct MaxPool {
    /// The sliding window.
    pub window: Window,
    /// Whether indices count columns first (`storage_order` 1).
    pub column_major: bool,
}

/// Maxima are written for integers too: `i8` is stored as `i32`, `u8` as `u32`.
const MAX_ELEMENT: TypeRole = TypeRole { role: "Element", allowed: &[Elem::F32, Elem::F16, Elem::I32, Elem::U32] };

params! {
    pub(crate) struct MaxPoolParams {
        input: [u32; 4],
        output: [u32; 4],
        kernel: [u32; 4],
        stride: [u32; 4],
        dilation: [u32; 4],
        before: [u32; 4],
        index_stride: [u32; 4],
        maps: u32,
        tiles: u32,
        lowest: f32,
    }
}

pub(crate) static MAX_POOL: Kernel = Kernel {
    name: "max_pool",
    body: part!("max_pool.wgsl"),
    parts: &[INDEX, OPAQUE, WINDOW],
    types: &[MAX_ELEMENT],
    tiles: &[],
    overrides: WORKGROUP,
    params: MaxPoolParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

pub(crate) static MAX_POOL_INDICES: Kernel = Kernel {
    name: "max_pool_indices",
    body: part!("max_pool_indices.wgsl"),
    types: &[MAX_ELEMENT, TypeRole { role: "Index", allowed: &[Elem::I64] }],
    bindings: &[Access::Read, Access::Write, Access::Write],
    ..MAX_POOL
};

fn lower_max(op: &MaxPool, context: &LowerContext<'_>) -> Result<Lowering, String> {
    let WindowWork { placement: p, maps, tiles, workgroups } = window_work(context, &op.window)?;
    let dtype = context.outputs[0].dtype;
    let [depth, height, width] = p.input;
    let params = MaxPoolParams {
        input: axes(p.input),
        output: axes(p.output),
        kernel: axes(p.kernel),
        stride: axes(p.stride),
        dilation: axes(p.dilation),
        before: axes(p.before),
        index_stride: axes(if op.column_major { [1, depth, depth * height] } else { [height * width, width, 1] }),
        maps,
        tiles,
        lowest: lowest(dtype) as f32,
    };
    let elem = context.elem(dtype)?;
    let (kernel, types, bindings) = if context.inputs.outputs > 1 {
        let types = vec![elem, context.elem(DType::I64)?];
        (&MAX_POOL_INDICES, types, vec![Arg::Input(0), Arg::Output(0), Arg::Output(1)])
    } else {
        (&MAX_POOL, vec![elem], vec![Arg::Input(0), Arg::Output(0)])
    };
    Ok(Lowering::single(Variant::new(kernel, types, None, vec![WORKGROUP_SIZE]), &params, bindings, workgroups))
}

impl Operator for MaxPool {
    fn name(&self) -> &'static str {
        "MaxPool"
    }

    fn output_dtype(&self, inputs: &[Option<DType>], index: usize) -> Option<DType> {
        if index == 0 { inputs.first().copied().flatten() } else { Some(DType::I64) }
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", &[FLOATS, &[DType::I8, DType::U8]].concat())?;
        let (_, shape) = place(&self.window, x.shape)?;
        let mut outputs = vec![TensorType::new(x.dtype, &shape)];
        if inputs.outputs > 1 {
            outputs.push(TensorType::new(DType::I64, shape));
        }
        Ok(outputs)
    }

    fn flops(&self, inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        taps(inputs, &self.window, outputs)
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        self.window.place(context.x()).map_or_else(|_| context.whole(), |placement| context.windows(&placement, false))
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let one_output = context.inputs.outputs <= 1;
        best_first(one_output.then(|| strips(&self.window, Pooled::Max, context)).flatten(), lower_max(self, context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let x = reference::input(inputs, 0);
        let (placement, shape) = place(&self.window, x.shape())?;
        let both = reference::pool::max_pool(&placement, x, self.column_major, &shape);
        Ok(both.into_iter().take(outputs.max(1)).collect())
    }

    fn tolerance(&self, _dtype: DType) -> Tolerance {
        Tolerance::EXACT
    }
}
