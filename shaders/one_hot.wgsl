// output[o, d, n] = values[1] where indices[o, n] is d, or d - depth, else values[0]
//
// Layout: dense, the new axis of extent depth between o and n. One invocation owns one element of the output, a workgroup
// WORKGROUP_SIZE neighbours: stores are coalesced, loads along n.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: an index that is neither below the depth nor counts from its end marks nothing.
// Source: ONNX `OneHot`, opset 11.

override WORKGROUP_SIZE: u32;

struct Params {
    elements: u32, // of the output
    inner: u32,
    depth: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> indices: array<Index>;
@group(0) @binding(2) var<storage, read> values: array<Element>; // off, on
@group(0) @binding(3) var<storage, read_write> output: array<Element>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i < params.elements {
        let row = i / params.inner;
        let n = i - row * params.inner;
        let o = row / u32(params.depth);
        let d = i32(row - o * u32(params.depth));
        let index = indices[o * params.inner + n];
        let on = index == Index(d) || index == Index(d - params.depth);
        output[i] = values[select(0u, 1u, on)];
    }
}
