// output[t, b, n] = input[lengths[b] - 1 - t, b, n] for t below lengths[b], else input[t, b, n]; or with b before t
//
// Layout: dense, inner counts units: one element, or a vector of four where inner is divisible by four. One invocation owns
// one unit of the output, a workgroup WORKGROUP_SIZE neighbours: stores are coalesced, and loads are along n.
// Overrides: BATCH_FIRST, 1 for [b, t, n] and 0 for [t, b, n]; WORKGROUP_SIZE, invocations.
// Edges: a length that is negative or beyond the steps, which the host refuses where it can see it, is clamped.
// Source: ONNX `ReverseSequence`, opset 10.

override WORKGROUP_SIZE: u32;
override BATCH_FIRST: u32;

struct Params {
    units: u32,
    inner: u32,
    columns: u32, // the extent of the second axis
    steps: i32,   // that of time
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Unit>;
@group(0) @binding(2) var<storage, read> lengths: array<Index>;
@group(0) @binding(3) var<storage, read_write> output: array<Unit>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let unit = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if unit < params.units {
        let cell = unit / params.inner;
        let n = unit - cell * params.inner;
        let row = cell / params.columns;
        let column = cell - row * params.columns;
        let t = i32(select(row, column, BATCH_FIRST == 1u));
        let length = lengths[select(column, row, BATCH_FIRST == 1u)];
        var count = params.steps;
        if length < Index(params.steps) {
            count = i32(length);
        }
        var from_t = t;
        if t < count {
            from_t = count - 1 - t;
        }
        let from_row = select(u32(from_t), row, BATCH_FIRST == 1u);
        let from_column = select(column, u32(from_t), BATCH_FIRST == 1u);
        output[unit] = input[(from_row * params.columns + from_column) * params.inner + n];
    }
}
