// y[o, c, i] = sum of x[o, k, i] over k up to c, c itself left out where EXCLUSIVE; over k from c on where REVERSE
//
// Layout: x, y [outer, columns, inner] dense. One invocation owns the column at (o, i), so neighbours read and write side by
// side where inner is large. Runs of 64 elements are summed on their own, so that long sums keep their precision.
// Overrides: EXCLUSIVE; REVERSE; WORKGROUP_SIZE, invocations.
// Edges: integers wrap. Source: ONNX CumSum.

override EXCLUSIVE: u32;
override REVERSE: u32;
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
    if position >= params.positions {
        return;
    }
    let inner = params.inner;
    let start = position / inner * (params.columns * inner) + position % inner;
    var before = Accumulator();
    var run = Accumulator();
    for (var c = 0u; c < params.columns; c++) {
        let at = start + inner * select(c, params.columns - 1u - c, REVERSE == 1u);
        let with_own = run + Accumulator(x[at]);
        y[at] = Element(before + select(with_own, run, EXCLUSIVE == 1u));
        run = with_own;
        if c % 64u == 63u {
            before += run;
            run = Accumulator();
        }
    }
}
