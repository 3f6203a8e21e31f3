//! Small windows over two axes by strips of vectors, whatever the width.

use super::place;
use crate::ops::tile::{WORKGROUPS, workgroup_size};
use crate::ops::window::Window;
use crate::plan::{
    Access, Arg, Elem, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowering, Override, Part, Variant, params, part, workgroups_1d,
};

params! {
    pub(crate) struct PoolStripsParams {
        maps: u32,
        in_height: u32,
        in_width: u32,
        out_height: u32,
        out_width: u32,
        top: u32,
        strip_vectors: u32,
        counted_height: i32,
        counted_width: i32,
        count_include_pad: u32,
        outside: f32,
    }
}

/// How outputs are stored: by whole vectors, or one by one.
const COLUMNS: &[Part] = &[part!("tiles/columns_vectors.wgsl"), part!("tiles/columns_elements.wgsl")];

/// Output rows of a strip, `OUTPUT_ROWS` of the shader.
const STRIP_ROWS: usize = 2;

/// Vectors of a strip at most: software devices end long loops.
const STRIP_VECTORS: usize = 256;

pub(crate) static POOL_STRIPS: Kernel = Kernel {
    name: "pool_strips",
    body: part!("pool_strips.wgsl"),
    parts: &[INDEX],
    types: &[FLOAT_ELEMENT],
    tiles: COLUMNS,
    overrides: &[
        Override { name: "ALIGNED", values: &[0, 1] },
        Override { name: "MEAN", values: &[0, 1] },
        Override { name: "STRIDE", values: &[1, 2] },
        Override { name: "WORKGROUP_SIZE", values: WORKGROUPS },
    ],
    independent: &[
        Override { name: "KERNEL_HEIGHT", values: &[1, 2, 3] },
        Override { name: "KERNEL_WIDTH", values: &[1, 2, 3] },
        Override { name: "LEFT", values: &[0, 1, 2] },
    ],
    params: PoolStripsParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

/// What is computed of a window.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Pooled {
    Max,
    Mean { count_include_pad: bool },
}

/// Floats under windows of up to 3 by 3 at stride 1 or 2, each of which has an element of the input.
pub(super) fn strips(window: &Window, pooled: Pooled, context: &LowerContext<'_>) -> Option<Lowering> {
    let x = context.inputs.get(0)?;
    let (p, shape) = place(window, x.shape).ok()?;
    let elem = context.elem(context.outputs[0].dtype).ok().filter(|elem| [Elem::F32, Elem::F16].contains(elem))?;
    let fits = |n: usize| i32::try_from(n).is_ok();
    let flat = p.input[0] == 1 && p.kernel[0] == 1 && p.output[0] == 1;
    let served = |axis: usize| {
        let last = (p.output[axis] - 1) * p.stride[axis];
        (1..=3).contains(&p.kernel[axis])
            && (p.dilation[axis] == 1 || p.kernel[axis] == 1)
            && (1..=2).contains(&p.stride[axis])
            && p.before[axis] < p.kernel[axis]
            && last < p.before[axis] + p.input[axis]
    };
    let one_stride = p.stride[1] == p.stride[2] || p.output[1] == 1;
    if !flat || !served(1) || !served(2) || !one_stride || ![x.shape.elements(), shape.elements()].into_iter().all(fits) {
        return None;
    }
    let ([_, in_height, in_width], [_, out_height, out_width]) = (p.input, p.output);
    let mean = pooled != Pooled::Max;
    let count_include_pad = pooled == Pooled::Mean { count_include_pad: true };
    let counted = |axis: usize| (p.input[axis] + if count_include_pad { p.after[axis] } else { 0 }) as i32;
    let (maps, out_vectors) = (shape[0] * shape[1], out_width.div_ceil(4));
    // A GPU rather has more invocations, neighbours beside one another.
    let strip_vectors = if context.capabilities.software { out_vectors.min(STRIP_VECTORS) } else { 1 };
    let params = PoolStripsParams {
        maps: maps as u32,
        in_height: in_height as u32,
        in_width: in_width as u32,
        out_height: out_height as u32,
        out_width: out_width as u32,
        top: p.before[1] as u32,
        strip_vectors: strip_vectors as u32,
        counted_height: counted(1),
        counted_width: counted(2),
        count_include_pad: count_include_pad.into(),
        outside: if mean { 0.0 } else { f32::NEG_INFINITY },
    };
    let size = workgroup_size(context.capabilities.software);
    let strips = maps * out_height.div_ceil(STRIP_ROWS) * out_vectors.div_ceil(strip_vectors);
    let workgroups = workgroups_1d(strips, size as usize, context.capabilities.max_workgroups)?;
    let aligned = in_width.is_multiple_of(4).into();
    let [_, kernel_height, kernel_width] = p.kernel.map(|n| n as u32);
    let overrides = vec![aligned, mean.into(), p.stride[2] as u32, size, kernel_height, kernel_width, p.before[2] as u32];
    let columns = COLUMNS[usize::from(!out_width.is_multiple_of(4))];
    let variant = Variant::new(&POOL_STRIPS, vec![elem], Some(columns), overrides);
    Some(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Output(0)], workgroups))
}
