// y[o, a, b, n] = Σ_s Σ_t weight_a[a, s]·weight_b[b, t]·x[o, index_a[a, s], index_b[b, t], n]
//
// Layout: dense, two neighbouring axes A and B resized at once, B of extent 1 where there is one; the tables hold, for every
// position of the output along their axis, as many pairs of an index and the bits of a weight as the filter has taps, made on
// the host in f64. One invocation owns one element of the output, a workgroup WORKGROUP_SIZE neighbours: stores are coalesced,
// loads nearly so, and all that fall on one element are neighbours too.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: the host has clamped the indices; an index of 2^32 - 1 marks a position outside, which becomes `outside`.
// Source: ONNX `Resize`, opset 19.

override WORKGROUP_SIZE: u32;

struct Params {
    elements: u32, // of the output
    a_input: u32,
    a_output: u32,
    a_taps: u32,
    b_input: u32,
    b_output: u32,
    b_taps: u32,
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
        let b = (row - column * params.b_output) * params.b_taps;
        let o = column / params.a_output;
        let a = (column - o * params.a_output) * params.a_taps;
        if a_table[a].x == OUTSIDE || b_table[b].x == OUTSIDE {
            y[i] = Element(params.outside);
        } else {
            var sum = 0.0;
            for (var s = 0u; s < params.a_taps; s += 1u) {
                let tap_a = a_table[a + s];
                let line = (o * params.a_input + tap_a.x) * params.b_input;
                var part = 0.0;
                for (var t = 0u; t < params.b_taps; t += 1u) {
                    let tap_b = b_table[b + t];
                    part += bitcast<f32>(tap_b.y) * f32(x[(line + tap_b.x) * params.inner + n]);
                }
                sum += bitcast<f32>(tap_a.y) * part;
            }
            y[i] = Element(sum);
        }
    }
}
