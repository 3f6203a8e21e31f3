// output[o, i, n] = data[o, indices[i], n], a negative index counting from the end of the axis
//
// Layout: dense, data as [outer, extent, inner], output as [outer, index_count, inner]; inner counts units: one element, or a
// vector of four where inner is divisible by four. One invocation owns one unit of the output, a workgroup WORKGROUP_SIZE
// neighbours: stores are coalesced, and loads are along n.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: an index out of range, which the host refuses where it can see it, reads the nearest element that there is.
// Source: ONNX `Gather`, opset 13.

override WORKGROUP_SIZE: u32;

struct Params {
    units: u32, // outer · index_count · inner
    inner: u32,
    index_count: u32,
    extent: i32,
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
        let n = unit - row * params.inner;
        let o = row / params.index_count;
        let last = Index(params.extent - 1);
        var index = indices[row - o * params.index_count];
        if index < Index(0) {
            index += Index(params.extent);
        }
        // Never outside `data`, whatever the indices hold.
        if index < Index(0) {
            index = Index(0);
        }
        if index > last {
            index = last;
        }
        output[unit] = data[(o * u32(params.extent) + u32(index)) * params.inner + n];
    }
}
