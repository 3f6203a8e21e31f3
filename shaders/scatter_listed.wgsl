// y[s, n] = data[s, n], then reduced with updates[u, n] for every u in the list of slice s, in turn
//
// Layout: dense, [slices, inner]. The indices are constants, and the host has made lists of them: where the list of each slice
// begins, slices + 1 numbers, then the updates of all lists. One invocation owns one element of the output, a workgroup
// WORKGROUP_SIZE neighbours: loads and stores are along n, and the order of duplicates is that of the updates.
// Overrides: REDUCTION, 0 none, 1 add, 2 mul, 3 min, 4 max; WORKGROUP_SIZE, invocations.
// Edges: a slice with an empty list stays as it is.
// Source: ONNX `ScatterND`, opset 18.

override WORKGROUP_SIZE: u32;

struct Params {
    elements: u32, // slices · inner
    inner: u32,
    slices: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> data: array<Element>;
@group(0) @binding(2) var<storage, read> lists: array<u32>;
@group(0) @binding(3) var<storage, read> updates: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i < params.elements {
        let slice = i / params.inner;
        let n = i - slice * params.inner;
        let end = lists[slice + 1u];
        var value = Accumulator(data[i]);
        for (var at = lists[slice]; at < end; at += 1u) {
            let update = lists[params.slices + 1u + at];
            value = reduce(value, Accumulator(updates[update * params.inner + n]));
        }
        y[i] = Element(value);
    }
}
