//! Pooling: maximum, average and norm over windows or whole maps, and maxima put back.

mod average;
mod global;
mod max;
mod strips;
mod unpool;

pub(crate) use average::{AVERAGE_POOL, LP_POOL};
pub use average::{AveragePool, LpPool};
pub(crate) use global::{GLOBAL_AVERAGE_POOL, GLOBAL_MAX_POOL};
pub use global::{GlobalLpPool, GlobalPool, PoolKind};
pub use max::MaxPool;
pub(crate) use max::{MAX_POOL, MAX_POOL_INDICES};
pub(crate) use strips::POOL_STRIPS;
pub(crate) use unpool::MAX_UNPOOL;
pub use unpool::MaxUnpool;

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Placement, window::Window};
use crate::plan::{LowerContext, Lowered, Lowering, Override, Part, WORKGROUP_SIZE, part, workgroups_1d};
use crate::shape::Shape;

/// Windows over maps as `shaders/shared/window.wgsl` and the pooling kernels see them.
const WINDOW: Part = part!("shared/window.wgsl");

const WORKGROUP: &[Override] = &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }];

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

/// A kernel for small windows, if it serves these, before the one for all; or why there is none.
fn best_first(small: Option<Lowering>, general: Result<Lowering, String>) -> Lowered {
    match (small, general) {
        (None, general) => Lowered::from_rule(general),
        (Some(small), general) => Lowered::Kernels([small].into_iter().chain(general.ok()).collect()),
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
