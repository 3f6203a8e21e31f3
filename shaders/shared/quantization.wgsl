// Which scale belongs to which element: one for the tensor, one for each slice along an axis, or one for each block of slices.

override SCALES: u32; // 0 one for the tensor, 1 more

struct Params {
    elements: u32,
    inner: u32,        // elements behind the axis
    extent: u32,       // of the axis
    block: u32,        // slices that share a scale
    outer_stride: u32, // strides of the scales: before the axis, along it, behind it
    block_stride: u32,
    inner_stride: u32,
    low: f32,          // the range of the integers
    high: f32,
}

@group(0) @binding(0) var<uniform> params: Params;

/// The position of the scale of element i; of the last one for what is past it.
fn scale_index(i: u32) -> u32 {
    if SCALES == 0u {
        return 0u;
    }
    let at = min(i, params.elements - 1u);
    let slice = at / params.inner;
    let outer = slice / params.extent;
    let block = (slice - outer * params.extent) / params.block;
    return outer * params.outer_stride + block * params.block_stride + (at - slice * params.inner) * params.inner_stride;
}
