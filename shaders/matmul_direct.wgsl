// y[i, m, n] = alpha · Σ_k a[i, m, k] · b[i, k, n] + beta · c[m, n], i over a batch, for any strides of a, b and c
//
// Layout: a, b and c by strides in elements, 0 where they broadcast; y dense.
// One invocation owns one output; neighbours own neighbours of a row.
// Overrides: HAS_C 0 or 1; WORKGROUP_SIZE, invocations; those of the epilogue.

override HAS_C: u32;
override WORKGROUP_SIZE: u32;

struct Params {
    batch: vec4<u32>, // extents
    a_batch: vec4<u32>, // strides
    b_batch: vec4<u32>,
    rows: u32,
    columns: u32,
    inner: u32,
    a_row: u32, // strides
    a_inner: u32,
    b_inner: u32,
    b_column: u32,
    c_row: u32,
    c_column: u32,
    alpha: f32,
    beta: f32,
    before_alpha: f32, // of the epilogue
    before_beta: f32,
    after_alpha: f32,
    after_beta: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Element>;
@group(0) @binding(2) var<storage, read> b: array<Element>;
@group(0) @binding(3) var<storage, read> c: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;
@group(0) @binding(5) var<storage, read> held: array<Element>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let output = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    let n = output % params.columns;
    let m = output / params.columns % params.rows;
    let entry = output / params.columns / params.rows;
    if entry >= params.batch.x * params.batch.y * params.batch.z * params.batch.w {
        return;
    }
    var left = batch_offset(entry, params.batch, params.a_batch) + m * params.a_row;
    var right = batch_offset(entry, params.batch, params.b_batch) + n * params.b_column;

    var sum = Accumulator(0);
    for (var k = 0u; k < params.inner; k++) {
        sum += Accumulator(a[left]) * Accumulator(b[right]);
        left += params.a_inner;
        right += params.b_inner;
    }

    // Epilogue.
    var value = Accumulator(params.alpha) * sum;
    if HAS_C != 0u {
        value += Accumulator(params.beta) * Accumulator(c[m * params.c_row + n * params.c_column]);
    }
    y[output] = Element(finish(value, hold(output, n)));
}
