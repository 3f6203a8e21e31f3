// y[o, c, i] = 1 where x[o, c, i] is the first of the largest of x[o, k, i] over k, else 0
//
// Layout: x, y [outer, columns, inner] dense. One invocation owns the column at (o, i), so neighbours read and write side by
// side where inner is large.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: the first NaN beats every number. Source: ONNX Hardmax.

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
    var best = x[start];
    var winner = 0u;
    for (var c = 0u; c < params.columns; c++) {
        let value = x[start + c * inner];
        if !(value <= best) && best == best {
            best = value;
            winner = c;
        }
    }
    for (var c = 0u; c < params.columns; c++) {
        y[start + c * inner] = Element(select(0.0, 1.0, c == winner));
    }
}
