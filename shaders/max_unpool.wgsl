// y[place(indices[i])] = x[i], zero elsewhere
//
// Layout: x, indices dense. Two dispatches: FILL = 1 writes zeros, one invocation an element of y; FILL = 0 scatters, one
// invocation an element of x. An index counts the elements of maps with the extents that the pooled input had, `inferred`; `place`
// is the same position in maps of the extents of y, at whose far ends there may be more room, or less.
// Overrides: FILL; WORKGROUP_SIZE, invocations.
// Edges: indices that are out of range, and positions that y has no room for, are left out. Where indices repeat, any of their
// elements wins; those of a maximum pool that overlaps are equal. Source: ONNX MaxUnpool.

override FILL: u32;
override WORKGROUP_SIZE: u32;

struct Params {
    inferred: vec4<u32>, // extents [D, H, W]
    output: vec4<u32>,
    maps: u32,
    elements: u32, // of x, or where FILL of y
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> indices: array<Index>;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i >= params.elements {
        return;
    }
    if FILL == 1u {
        y[i] = Element();
        return;
    }
    let map_elements = params.inferred.x * params.inferred.y * params.inferred.z;
    let index = indices[i];
    if index < Index(0) || index >= Index(params.maps * map_elements) {
        return;
    }
    let at = u32(index);
    let w = at % params.inferred.z;
    let h = at / params.inferred.z % params.inferred.y;
    let d = at / (params.inferred.z * params.inferred.y) % params.inferred.x;
    if d < params.output.x && h < params.output.y && w < params.output.z {
        y[((at / map_elements * params.output.x + d) * params.output.y + h) * params.output.z + w] = x[i];
    }
}
