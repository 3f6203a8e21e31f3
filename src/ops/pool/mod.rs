//! Pooling: maximum and average over windows or whole maps.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{FLOATS, Operands, Operator, Placement, Tolerance, window::Window};
use crate::plan::{
    Access, Arg, Elem, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Part, TypeRole, Variant, WORKGROUP_SIZE,
    params, part, workgroups_1d,
};
use crate::reference::{self, pool::lowest};
use crate::shape::Shape;
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
/// Source: ONNX `GlobalAveragePool` and `GlobalMaxPool`, opset 22.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct GlobalPool {
    /// What is computed of a map.
    pub kind: PoolKind,
}

/// Windows over maps as `shaders/shared/window.wgsl` and the pooling kernels see them.
const WINDOW: Part = part!("shared/window.wgsl");

/// Maxima are written for integers too: `i8` is stored as `i32`, `u8` as `u32`.
const MAX_ELEMENT: TypeRole = TypeRole { role: "Element", allowed: &[Elem::F32, Elem::F16, Elem::I32, Elem::U32] };

const WORKGROUP: &[Override] = &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }];

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
    pub(crate) struct GlobalPoolParams {
        maps: u32,
        elements: u32,
    }
}

pub(crate) static MAX_POOL: Kernel = Kernel {
    name: "max_pool",
    body: part!("max_pool.wgsl"),
    parts: &[INDEX, WINDOW],
    types: &[MAX_ELEMENT],
    tiles: &[],
    overrides: WORKGROUP,
    params: MaxPoolParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
};

pub(crate) static MAX_POOL_INDICES: Kernel = Kernel {
    name: "max_pool_indices",
    body: part!("max_pool_indices.wgsl"),
    types: &[MAX_ELEMENT, TypeRole { role: "Index", allowed: &[Elem::I64] }],
    bindings: &[Access::Read, Access::Write, Access::Write],
    ..MAX_POOL
};

pub(crate) static AVERAGE_POOL: Kernel = Kernel {
    name: "average_pool",
    body: part!("average_pool.wgsl"),
    parts: &[INDEX, WINDOW],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: WORKGROUP,
    params: AveragePoolParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
};

pub(crate) static GLOBAL_AVERAGE_POOL: Kernel = Kernel {
    name: "global_average_pool",
    body: part!("global_average_pool.wgsl"),
    parts: &[INDEX],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }, Override { name: "LANES", values: &[1, 8, 64] }],
    params: GlobalPoolParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
};

pub(crate) static GLOBAL_MAX_POOL: Kernel = Kernel { name: "global_max_pool", body: part!("global_max_pool.wgsl"), ..GLOBAL_AVERAGE_POOL };

/// The window laid on an input `[N, C, …]`, and the shape of the output.
fn place(window: &Window, x: &Shape) -> Result<(Placement, Shape), OpError> {
    let placement = window.place(x)?;
    let shape = Shape::from([&x[..2], placement.output_dims()].concat());
    Ok((placement, shape))
}

/// Elements read over all windows, padding counted as read.
fn taps(inputs: &Operands<'_>, window: &Window, outputs: &[TensorType]) -> u64 {
    let placement = inputs.get(0).and_then(|x| window.place(x.shape).ok());
    match (placement, outputs.first()) {
        (Some(p), Some(y)) => (y.shape.elements() as u64).saturating_mul(p.taps() as u64),
        _ => 0,
    }
}

/// What all window kernels share.
struct WindowWork {
    placement: Placement,
    maps: u32,
    tiles: u32,
    workgroups: [u32; 3],
}

/// A workgroup for each tile of each plane of the output.
fn window_work(context: &LowerContext<'_>, window: &Window) -> Result<WindowWork, String> {
    let x = context.inputs.required(0, "X").map_err(|e| e.to_string())?;
    let placement = window.place(x.shape).map_err(|e| e.to_string())?;
    let y = &context.outputs[0].shape;
    for shape in [x.shape, y] {
        u32::try_from(shape.elements()).map_err(|_| "too many elements")?;
    }
    let [depth, height, width] = placement.kernel;
    context.capabilities.check_iterations(depth * (1 + height * (1 + width)))?;
    let maps = y[0] * y[1];
    let [depth, height, width] = placement.output;
    let tiles = (height * width).div_ceil(WORKGROUP_SIZE as usize);
    let workgroups = workgroups_1d(maps * depth * tiles, 1, context.capabilities.max_workgroups).ok_or("too many elements")?;
    Ok(WindowWork { placement, maps: maps as u32, tiles: tiles as u32, workgroups })
}

/// Numbers for `[D, H, W]` as a vector; a placement's fit in 32 bits.
fn axes([d, h, w]: [usize; 3]) -> [u32; 4] {
    [d as u32, h as u32, w as u32, 0]
}

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
    Ok(Lowering::single(Variant { kernel, types, tile: None, overrides: vec![WORKGROUP_SIZE] }, &params, bindings, workgroups))
}

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
    let variant = Variant { kernel: &AVERAGE_POOL, types, tile: None, overrides: vec![WORKGROUP_SIZE] };
    Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Output(0)], workgroups))
}

fn lower_global(op: &GlobalPool, context: &LowerContext<'_>) -> Result<Lowering, String> {
    let x = context.inputs.required(0, "X").map_err(|e| e.to_string())?;
    let too_many = |_| String::from("too many elements");
    let (maps, elements) = (context.outputs[0].shape.elements(), x.shape.elements() / context.outputs[0].shape.elements());
    u32::try_from(x.shape.elements()).map_err(too_many)?;
    let lanes = lanes(maps, elements, context.capabilities.software);
    // Elements, and for sums their blocks of 64; then the tree.
    let turns = elements.div_ceil(lanes as usize);
    context.capabilities.check_iterations(turns + turns.div_ceil(64) + 6)?;
    let workgroups = workgroups_1d(maps, (WORKGROUP_SIZE / lanes) as usize, context.capabilities.max_workgroups).ok_or("too many maps")?;
    let kernel = match op.kind {
        PoolKind::Average => &GLOBAL_AVERAGE_POOL,
        PoolKind::Max => &GLOBAL_MAX_POOL,
    };
    let types = vec![context.elem(x.dtype)?];
    let variant = Variant { kernel, types, tile: None, overrides: vec![WORKGROUP_SIZE, lanes] };
    let params = GlobalPoolParams { maps: maps as u32, elements: elements as u32 };
    Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Output(0)], workgroups))
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

impl Operator for MaxPool {
    fn name(&self) -> &'static str {
        "MaxPool"
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

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(lower_max(self, context))
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

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(lower_average(self, context))
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

impl Operator for GlobalPool {
    fn name(&self) -> &'static str {
        match self.kind {
            PoolKind::Average => "GlobalAveragePool",
            PoolKind::Max => "GlobalMaxPool",
        }
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", FLOATS)?;
        if x.shape.rank() < 3 {
            return Err(OpError::invalid(format!("the input needs at least 3 axes [N, C, …], got {}", x.shape)));
        }
        if let Some(axis) = x.shape[2..].iter().position(|&extent| extent == 0) {
            return Err(OpError::invalid(format!("axis {} of the input {} is empty", 2 + axis, x.shape)));
        }
        let ones = vec![1; x.shape.rank() - 2];
        Ok(vec![TensorType::new(x.dtype, [&x.shape[..2], &ones].concat())])
    }

    fn flops(&self, inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        inputs.get(0).map_or(0, |x| x.shape.elements() as u64)
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(lower_global(self, context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let x = reference::input(inputs, 0);
        let ones = vec![1; x.shape().rank() - 2];
        Ok(vec![reference::pool::global_pool(self.kind, x, &Shape::from([&x.shape()[..2], &ones].concat()))])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        match self.kind {
            PoolKind::Average => Tolerance::accumulation(dtype),
            PoolKind::Max => Tolerance::EXACT,
        }
    }
}
