// y[o, c, i] = exp(x[o, c, i] - m) / Σ_k exp(x[o, k, i] - m), m = max_k x[o, k, i], or the logarithm of it
//
// Layout: x, y [outer, columns, inner] dense. One invocation owns the column at (o, i), so neighbours read and write side by
// side. Runs of 64 elements are summed on their own, so that long sums keep their precision.
// Overrides: LOG; WORKGROUP_SIZE, invocations.

override WORKGROUP_SIZE: u32;

struct Params {
    positions: u32, // outer * inner
    columns: u32,
    inner: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let position = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if position < params.positions {
        let inner = params.inner;
        let start = position / inner * (params.columns * inner) + position % inner;
        let end = start + params.columns * inner;
        var maximum = f32(x[start]);
        for (var at = start; at < end; at += inner) {
            maximum = larger(maximum, f32(x[at]));
        }
        var sum = 0.0;
        var c = 0u;
        while c < params.columns {
            var run = 0.0;
            let stop = min(c + 64u, params.columns);
            for (; c < stop; c++) {
                run += exp(f32(x[start + c * inner]) - maximum);
            }
            sum += run;
        }
        for (var at = start; at < end; at += inner) {
            y[at] = Element(normalized(f32(x[at]), maximum, sum));
        }
    }
}
