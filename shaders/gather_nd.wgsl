// output[b, r, n] = data[b, indices[b, r, 0], …, indices[b, r, k - 1], n], negative indices counting from the end of their axis
//
// Layout: dense; inner counts units: one element, or a vector of four where inner is divisible by four. One invocation owns one
// unit of the output, a workgroup WORKGROUP_SIZE neighbours: stores are coalesced, and loads are along n.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: an index out of range, which the host refuses where it can see it, reads the nearest slice that there is. Without
// indices in a tuple nothing is read of them.
// Source: ONNX `GatherND`, opset 13.

override WORKGROUP_SIZE: u32;

struct Params {
    dims: array<vec4<u32>, 2>,    // of the indexed axes
    strides: array<vec4<u32>, 2>, // of the indexed axes, in units
    units: u32,
    inner: u32,
    rows: u32, // tuples for each element of the batch
    batch_stride: u32,
    tuple: u32, // k
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> data: array<Unit>;
@group(0) @binding(2) var<storage, read> indices: array<Index>;
@group(0) @binding(3) var<storage, read_write> output: array<Unit>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let unit = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if unit < params.units {
        let row = unit / params.inner;
        var read_at = unit - row * params.inner + row / params.rows * params.batch_stride;
        for (var k = 0u; k < params.tuple; k += 1u) {
            let axis = 8u - params.tuple + k;
            let extent = i32(params.dims[axis / 4u][axis % 4u]);
            var index = indices[row * params.tuple + k];
            if index < Index(0) {
                index += Index(extent);
            }
            // Never outside `data`, whatever the indices hold.
            if index < Index(0) {
                index = Index(0);
            }
            if index > Index(extent - 1) {
                index = Index(extent - 1);
            }
            read_at += u32(index) * params.strides[axis / 4u][axis % 4u];
        }
        output[unit] = data[read_at];
    }
}
