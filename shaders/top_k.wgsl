// values[o, r, i] = x[o, c, i], indices[o, r, i] = c, for the c that r others of x[o, k, i] over k go before, r < k
//
// Layout: x [outer, columns, inner] dense, values and indices [outer, k, inner]. One invocation owns one element of x and counts
// those of its column that go before it; it stores itself where they are fewer than k. Nobody waits for anybody, and the
// neighbours' loads are of the same column.
// Overrides: LARGEST, 1 for the largest first; WORKGROUP_SIZE, invocations.
// Edges: of equals the first goes before; a NaN counts as the largest. Source: ONNX TopK.

override LARGEST: u32;
override WORKGROUP_SIZE: u32;

struct Params {
    elements: u32, // of x
    columns: u32,
    inner: u32,
    k: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> values: array<Element>;
@group(0) @binding(3) var<storage, read_write> indices: array<Index>;

/// Whether a is larger than b, NaN larger than every number.
fn larger(a: Element, b: Element) -> bool {
    if a == a && b == b {
        return a > b;
    }
    return b == b;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i >= params.elements {
        return;
    }
    let outer = i / (params.columns * params.inner);
    let column = i / params.inner % params.columns;
    let lane = i % params.inner;
    let start = outer * params.columns * params.inner + lane;
    let own = x[i];
    var before = 0u;
    for (var c = 0u; c < params.columns; c++) {
        let other = x[start + c * params.inner];
        let other_first = select(larger(own, other), larger(other, own), LARGEST == 1u);
        let own_first = select(larger(other, own), larger(own, other), LARGEST == 1u);
        before += u32(other_first || (!own_first && c < column));
    }
    if before < params.k {
        let at = (outer * params.k + before) * params.inner + lane;
        values[at] = own;
        indices[at] = Index(column);
    }
}
