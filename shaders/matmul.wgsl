// y[i, m, n] = alpha · Σ_k a[i, m, k] · b[i, k, n] + beta · c[m, n], i over a batch
//
// Layout: a by strides, in elements; b in rows of vectors of four columns, padded; c by strides, 0 where it broadcasts; y dense.
// Where no binding holds b whole, its columns are split over dispatches; this one has those from first_column on.
// One invocation owns TILE_ROWS rows × TILE_VECTORS vectors of columns in registers. A workgroup owns the same rows for
// WORKGROUP_SIZE · TILE_VECTORS vectors: neighbours read neighbouring vectors of b, and all read the same addresses of a.
// Workgroups: x the tiles of rows, so that the columns they share stay in cache; y the blocks of vectors; z the batch.
// Overrides: HAS_C 0 or 1; ROLLED 0 or 1, as in tile_rows.wgsl; WORKGROUP_SIZE, invocations; those of the epilogue.
// Edges: rows and vectors past the end compute on the last ones, and are not stored.

override HAS_C: u32;
override WORKGROUP_SIZE: u32;

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

/// Stores four columns of row m of a batch entry, from column `first` of this dispatch on.
fn store(sum: Accumulator4, m: u32, entry: u32, first: u32) {
    let scaled = Accumulator(params.alpha) * sum;
    let start = (entry * params.rows + m) * params.y_row + params.first_column;
    for (var j = 0u; j < 4u; j++) {
        let n = first + j;
        if n < params.columns {
            let column = params.first_column + n;
            var value = scaled[j];
            if HAS_C != 0u {
                value += Accumulator(params.beta) * Accumulator(c[m * params.c_row + column * params.c_column]);
            }
            y[start + n] = Element(finish(value, hold(start + n, column)));
        }
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let row = workgroup.x * TILE_ROWS;
    let first = workgroup.y * (WORKGROUP_SIZE * TILE_VECTORS) + local;
    let vectors = (params.columns + 3u) / 4u;

    var left: array<u32, TILE_ROWS>;
    for (var r = 0u; r < TILE_ROWS; r++) {
        left[r] = batch_offset(workgroup.z, params.batch, params.a_batch) + min(row + r, params.rows - 1u) * params.a_row;
    }
    var right: array<u32, TILE_VECTORS>;
    for (var v = 0u; v < TILE_VECTORS; v++) {
        right[v] = batch_offset(workgroup.z, params.batch, params.b_batch) + min(first + v * WORKGROUP_SIZE, vectors - 1u);
    }

    var sum: TileRows;
    let inner = opaque(params.inner, workgroup);
    for (var k = 0u; k < inner; k++) {
        var columns: array<Accumulator4, TILE_VECTORS>;
        for (var v = 0u; v < TILE_VECTORS; v++) {
            columns[v] = Accumulator4(b[right[v]]);
            right[v] += params.b_inner;
        }
        for (var r = 0u; r < TILE_ROWS; r++) {
            let value = Accumulator(a[left[r]]);
            left[r] += params.a_inner;
            for (var v = 0u; v < TILE_VECTORS; v++) {
                sum[r][v] += value * columns[v];
            }
        }
    }

    // Epilogue.
    let last = min(row + TILE_ROWS, params.rows);
    if ROLLED == 1u {
        for (var m = row; m < last; m++) {
            for (var v = 0u; v < TILE_VECTORS; v++) {
                store(tile_vector(&sum, m - row, v), m, workgroup.z, 4u * (first + v * WORKGROUP_SIZE));
            }
        }
    } else {
        for (var r = 0u; r < TILE_ROWS; r++) {
            if row + r >= last {
                break;
            }
            for (var v = 0u; v < TILE_VECTORS; v++) {
                store(sum[r][v], row + r, workgroup.z, 4u * (first + v * WORKGROUP_SIZE));
            }
        }
    }
}
