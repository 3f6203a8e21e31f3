// y[o, c, i] = exp(x[o, c, i] − m) / Σ_k exp(x[o, k, i] − m), m = max_k x[o, k, i], or the logarithm of it
//
// Layout: x, y [outer, columns, inner] dense, inner a multiple of four, in vectors. One invocation owns the four columns at (o, i), so neighbours
// read and write side by side. Runs of 64 elements are summed on their own, so that long sums keep their precision.
// Overrides: LOG; WORKGROUP_SIZE, invocations.
// Edges: invocations past the last column do nothing.

override WORKGROUP_SIZE: u32;

struct Params {
    positions: u32, // outer * inner, in vectors
    columns: u32,
    inner: u32, // in vectors
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read_write> y: array<Element4>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let position = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if position < params.positions {
        let inner = params.inner;
        let columns = params.columns;
        let outer = position / inner;
        let start = outer * columns * inner + position - outer * inner;
        let end = start + columns * inner;
        var maximum = vec4<f32>(x[start]);
        for (var at = start + inner; at < end; at += inner) {
            let v = vec4<f32>(x[at]);
            maximum = select(maximum, v, v > maximum);
        }
        var sum = vec4<f32>(0.0);
        var at = start;
        while at < end {
            var run = vec4<f32>(0.0);
            let stop = min(at + 64u * inner, end);
            for (; at < stop; at += inner) {
                run += exp(vec4<f32>(x[at]) - maximum);
            }
            sum += run;
        }
        for (at = start; at < end; at += inner) {
            let v = vec4<f32>(x[at]) - maximum;
            if LOG == 1u {
                y[at] = Element4(v - log(sum));
            } else {
                y[at] = Element4(exp(v) / sum);
            }
        }
    }
}
