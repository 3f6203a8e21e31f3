// output[i_0, …] = data[i_0, …] with indices[i_0, …] for the coordinate along the axis, a negative one counting from its end
//
// Layout: dense; indices and output have one shape, walked with the strides of data, 0 along the axis. One invocation owns one
// element of the output, a workgroup WORKGROUP_SIZE neighbours: stores and the loads of indices are coalesced.
// Overrides: AXES, how many of the innermost axes are walked, the others having extent 1; WORKGROUP_SIZE, invocations.
// Edges: an index out of range, which the host refuses where it can see it, reads the nearest element that there is.
// Source: ONNX `GatherElements`, opset 13.

override WORKGROUP_SIZE: u32;
override AXES: u32;

struct Params {
    dims: array<vec4<u32>, 2>,
    strides: array<vec4<u32>, 2>,
    elements: u32, // the product of dims
    axis_stride: u32,
    extent: i32, // of the axis in data
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> data: array<Element>;
@group(0) @binding(2) var<storage, read> indices: array<Index>;
@group(0) @binding(3) var<storage, read_write> output: array<Element>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i < params.elements {
        var rest = i;
        var read_at = 0u;
        for (var k = 1u; k <= AXES; k++) {
            let axis = 8u - k;
            let outer = rest / params.dims[axis / 4u][axis % 4u];
            read_at += (rest - outer * params.dims[axis / 4u][axis % 4u]) * params.strides[axis / 4u][axis % 4u];
            rest = outer;
        }
        var index = indices[i];
        if index < Index(0) {
            index += Index(params.extent);
        }
        // Never outside `data`, whatever the indices hold.
        if index < Index(0) {
            index = Index(0);
        }
        if index > Index(params.extent - 1) {
            index = Index(params.extent - 1);
        }
        output[i] = data[read_at + u32(index) * params.axis_stride];
    }
}
