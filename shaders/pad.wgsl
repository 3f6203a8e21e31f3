// output[o_0, …] = input[input_offset + Σ source(o_k − before_k)·input_strides_k], or fill where a coordinate has no source
//
// Layout: dense output of extents dims; the input is a region of extents `kept` (what negative padding leaves) inside a larger
// one, hence the strides. One invocation owns one output element, a workgroup WORKGROUP_SIZE neighbours: stores are coalesced,
// loads wherever no axis edge is near.
// Overrides: MODE, 0 constant, 1 reflect, 2 edge, 3 wrap (`PadMode`'s numbers); AXES, how many of the innermost axes are
// walked, the others having extent 1; WORKGROUP_SIZE, invocations.
// Edges: reflections and repetitions go on beyond one extent, as NumPy's `pad` has them. The host keeps extents below 2^30.
// Source: ONNX `Pad`, opset 21.

override WORKGROUP_SIZE: u32;
override AXES: u32;
override MODE: u32;

struct Params {
    dims: array<vec4<u32>, 2>,
    kept: array<vec4<u32>, 2>,
    before: array<vec4<u32>, 2>,
    input_strides: array<vec4<u32>, 2>,
    elements: u32, // the product of dims
    input_offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Element>;
@group(0) @binding(2) var<storage, read> fill: array<Element>; // one element
@group(0) @binding(3) var<storage, read_write> output: array<Element>;

fn modulo(a: i32, b: i32) -> i32 {
    let r = a % b;
    return select(r, r + b, r < 0);
}

/// The position below `extent` that shows at position `at`, which counts from the first kept element; -1 for `fill`.
fn source(at: i32, extent: i32) -> i32 {
    switch MODE {
        case 1u: {
            let period = max(2 * (extent - 1), 1);
            let phase = modulo(at, period);
            return select(phase, period - phase, phase >= extent);
        }
        case 2u: { return clamp(at, 0, extent - 1); }
        case 3u: { return modulo(at, extent); }
        default: { return select(-1, at, at >= 0 && at < extent); }
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i < params.elements {
        var rest = i;
        var read_at = params.input_offset;
        var inside = true;
        for (var k = 1u; k <= AXES; k++) {
            let axis = 8u - k;
            let outer = rest / params.dims[axis / 4u][axis % 4u];
            let at = rest - outer * params.dims[axis / 4u][axis % 4u];
            rest = outer;
            let found = source(i32(at) - i32(params.before[axis / 4u][axis % 4u]), i32(params.kept[axis / 4u][axis % 4u]));
            inside = inside && found >= 0;
            read_at += u32(max(found, 0)) * params.input_strides[axis / 4u][axis % 4u];
        }
        if inside {
            output[i] = input[read_at];
        } else {
            output[i] = fill[0];
        }
    }
}
