// y[o, a, b, n] = x[o, index_a[a], index_b[b], n]
//
// Layout: dense, two neighbouring axes A and B resized at once, B of extent 1 where there is one; the tables hold for every
// position of the output along their axis the index that is nearest, with a weight of 1 beside it. One invocation owns one
// element of the output, a workgroup WORKGROUP_SIZE neighbours: stores are coalesced, loads as far as neighbours are near.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: the host has clamped the indices; an index of 2^32 - 1 marks a position outside, which becomes `outside`.
// Source: ONNX `Resize`, opset 19.

override WORKGROUP_SIZE: u32;

struct Params {
    elements: u32, // of the output
    a_input: u32,
    a_output: u32,
    a_taps: u32, // 1
    b_input: u32,
    b_output: u32,
    b_taps: u32, // 1
    inner: u32,
    outside: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> a_table: array<vec2<u32>>; // index, weight
@group(0) @binding(3) var<storage, read> b_table: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;

const OUTSIDE = 0xffffffffu;

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
        let column = row / params.b_output;
        let o = column / params.a_output;
        let a = a_table[column - o * params.a_output].x;
        let b = b_table[row - column * params.b_output].x;
        if a == OUTSIDE || b == OUTSIDE {
            y[i] = Element(params.outside);
        } else {
            y[i] = x[((o * params.a_input + a) * params.b_input + b) * params.inner + n];
        }
    }
}
