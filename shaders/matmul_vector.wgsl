// y[i, m, n] = alpha · Σ_k a[i, m, k] · b[i, k, n] + beta · c[m, n], i over a batch, for few rows m: bound by reading b once
//
// Layout: a by strides, in elements; b in rows of vectors of four columns, padded; c by strides, 0 where it broadcasts; y dense.
// Where no binding holds b whole, its columns are split over dispatches; this one has those from first_column on.
// One invocation owns four columns of TILE_ROWS rows for every SLICES-th k, so that all these rows share one reading of b; a workgroup is
// COLUMNS × SLICES invocations, of which neighbours read neighbouring vectors of b, and adds its slices up in workgroup memory, by halves.
// Workgroups: x the blocks of columns, y the tiles of rows, z the batch.
// Overrides: COLUMNS, vectors of a workgroup; SLICES of the inner axis, a power of two; HAS_C 0 or 1; those of the epilogue.
// Edges: rows and vectors past the end compute on the last ones, and are not stored.

override COLUMNS: u32;
override SLICES: u32;
override HAS_C: u32;

struct Params {
    batch: vec4<u32>, // extents
    a_batch: vec4<u32>, // strides
    b_batch: vec4<u32>, // strides, in vectors
    rows: u32,
    columns: u32, // of this dispatch
    inner: u32,
    a_row: u32, // strides
    a_inner: u32,
    b_inner: u32, // in vectors
    c_row: u32,
    c_column: u32,
    y_row: u32,
    first_column: u32, // of y and c
    alpha: f32,
    beta: f32,
    before_alpha: f32, // of the epilogue
    before_beta: f32,
    after_alpha: f32,
    after_beta: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Element>;
@group(0) @binding(2) var<storage, read> b: array<Element4>;
@group(0) @binding(3) var<storage, read> c: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;
@group(0) @binding(5) var<storage, read> held: array<Element>;

var<workgroup> partial: array<Accumulator4, COLUMNS * SLICES>;

@compute @workgroup_size(COLUMNS, SLICES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let row = workgroup.y * TILE_ROWS;
    let inner = opaque(params.inner, workgroup);
    let vector = workgroup.x * COLUMNS + local.x;
    let own = local.y * COLUMNS + local.x;
    let right = batch_offset(workgroup.z, params.batch, params.b_batch) + min(vector, (params.columns + 3u) / 4u - 1u);
    var left: array<u32, TILE_ROWS>;
    for (var r = 0u; r < TILE_ROWS; r++) {
        left[r] = batch_offset(workgroup.z, params.batch, params.a_batch) + min(row + r, params.rows - 1u) * params.a_row;
    }

    var sum: array<Accumulator4, TILE_ROWS>;
    for (var k = local.y; k < inner; k += SLICES) {
        let columns = Accumulator4(b[right + k * params.b_inner]);
        for (var r = 0u; r < TILE_ROWS; r++) {
            sum[r] += Accumulator(a[left[r] + k * params.a_inner]) * columns;
        }
    }
    if SLICES > 1u {
        for (var r = 0u; r < TILE_ROWS; r++) {
            partial[own] = sum[r];
            workgroupBarrier();
            for (var half = SLICES / 2u; half > 0u; half /= 2u) {
                if local.y < half {
                    partial[own] += partial[own + half * COLUMNS];
                }
                workgroupBarrier();
            }
            sum[r] = partial[local.x];
            workgroupBarrier();
        }
    }

    // Epilogue.
    for (var r = 0u; r < TILE_ROWS; r++) {
        let m = row + r;
        if local.y == 0u && m < params.rows {
            let target_row = (workgroup.z * params.rows + m) * params.y_row + params.first_column;
            let scaled = Accumulator(params.alpha) * sum[r];
            for (var j = 0u; j < 4u; j++) {
                let n = vector * 4u + j;
                if n < params.columns {
                    var value = scaled[j];
                    if HAS_C != 0u {
                        let addend = c[m * params.c_row + (params.first_column + n) * params.c_column];
                        value += Accumulator(params.beta) * Accumulator(addend);
                    }
                    y[target_row + n] = Element(finish(value, hold(target_row + n, params.first_column + n)));
                }
            }
        }
    }
}
