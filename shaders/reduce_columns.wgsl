// y[o, i] = reduce over c of x[o, c, i]
//
// Layout: x [outer, columns, inner], y [outer, inner] dense, inner a multiple of four, in vectors. One invocation owns four neighbouring outputs
// and walks down their columns, so that neighbours load and store side by side. Runs of 64 elements are summed on their own, so that long sums
// keep their precision.
// Overrides: FUNCTION; WORKGROUP_SIZE, invocations.
// Edges: invocations past the last output do nothing.

override WORKGROUP_SIZE: u32;

struct Params {
    outputs: u32, // in vectors
    columns: u32,
    inner: u32, // in vectors
    lowest: f32, // the least finite number
    mask: u32, // the bits of an integer that is narrower than its storage, else 0
    sign: u32, // its sign bit, 0 where it has none
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
    let output = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if output < params.outputs {
        let inner = params.inner;
        let columns = params.columns;
        let outer = output / inner;
        var at = outer * columns * inner + output - outer * inner;
        let first = Accumulator4(x[at]);
        let none = Accumulator4(neutral(first.x), neutral(first.y), neutral(first.z), neutral(first.w));
        var total = none;
        var c = 0u;
        while c < columns {
            var run = none;
            let end = min(c + 64u, columns);
            for (; c < end; c++) {
                run = accumulate4(run, prepare4(Accumulator4(x[at])));
                at += inner;
            }
            total = accumulate4(total, run);
        }
        y[output] = Element4(Accumulator4(
            finish(total.x, columns), finish(total.y, columns), finish(total.z, columns), finish(total.w, columns),
        ));
    }
}
