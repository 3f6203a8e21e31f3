// y[b, l, t, n] = update[b, l, t - write_indices[b], n] where there is such a step, else cache[b, l, t, n]
//
// Layout: dense, lines l being what lies between the batch and the steps; inner counts units: one element, or a vector of four
// where inner is divisible by four. One invocation owns one unit of the output, a workgroup WORKGROUP_SIZE neighbours: stores
// are coalesced, and loads are along n.
// Overrides: CIRCULAR, 1 where steps beyond the last go on at the first; WORKGROUP_SIZE, invocations.
// Edges: steps beyond either end, which the host refuses where it can see the indices, are left out without CIRCULAR.
// Source: ONNX `TensorScatter`, opset 24.

override WORKGROUP_SIZE: u32;
override CIRCULAR: u32;

struct Params {
    units: u32,
    inner: u32,
    lines: u32,
    steps: i32,
    update_steps: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> cache: array<Unit>;
@group(0) @binding(2) var<storage, read> update: array<Unit>;
@group(0) @binding(3) var<storage, read> write_indices: array<Index>;
@group(0) @binding(4) var<storage, read_write> y: array<Unit>;

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
        let line = row / u32(params.steps);
        let t = row - line * u32(params.steps);
        var step = Index(i32(t)) - write_indices[line / params.lines];
        if CIRCULAR == 1u {
            step = step % Index(params.steps);
            if step < Index(0) {
                step += Index(params.steps);
            }
        }
        if step >= Index(0) && step < Index(params.update_steps) {
            y[unit] = update[(line * u32(params.update_steps) + u32(step)) * params.inner + n];
        } else {
            y[unit] = cache[unit];
        }
    }
}
