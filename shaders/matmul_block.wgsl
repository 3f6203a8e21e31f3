// y[i, m, n] = alpha · Σ_k a[i, m, k] · b[i, k, n] + beta · c[m, n], i over a batch, for any strides of a, b and c
//
// Layout: a, b and c by strides in elements, 0 where they broadcast; y dense.
// A workgroup owns BLOCK_ROWS × BLOCK_COLUMNS outputs. It brings BLOCK_DEPTH steps of both factors into workgroup memory at a time, in
// vectors of four rows or columns that are a quarter of the block apart. Neighbours read neighbouring elements: along the inner axis where
// these lie side by side (A_INNER, B_INNER), else along rows or columns. The next ones are on their way, in registers, while it
// multiplies these.
// One invocation owns TILE_ROWS × 4·TILE_VECTORS outputs in registers, in vectors that are as far apart as there are invocations along
// the side: neighbours read neighbouring vectors of workgroup memory, without bank conflicts, and store neighbouring elements.
// Workgroups: x the blocks of rows, so that the columns they share stay in cache; y those of columns; z the batch.
// Overrides: HAS_C 0 or 1; A_INNER, B_INNER 0 or 1; ROLLED 0 or 1, as in tile_rows.wgsl; those of the epilogue.
// Edges: rows and columns past the end compute on the last ones, and are not stored; steps past the end count zero times zero.

override HAS_C: u32;
override A_INNER: u32;
override B_INNER: u32;

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

const ROW_VECTORS: u32 = BLOCK_ROWS / 4u;
const COLUMN_VECTORS: u32 = BLOCK_COLUMNS / 4u;
const ROW_INVOCATIONS: u32 = BLOCK_ROWS / TILE_ROWS;
const COLUMN_INVOCATIONS: u32 = COLUMN_VECTORS / TILE_VECTORS;
const INVOCATIONS: u32 = ROW_INVOCATIONS * COLUMN_INVOCATIONS;
const A_LOADS: u32 = (BLOCK_DEPTH * ROW_VECTORS + INVOCATIONS - 1u) / INVOCATIONS;
const B_LOADS: u32 = (BLOCK_DEPTH * COLUMN_VECTORS + INVOCATIONS - 1u) / INVOCATIONS;
const_assert INVOCATIONS % BLOCK_DEPTH == 0u && INVOCATIONS % ROW_VECTORS == 0u && INVOCATIONS % COLUMN_VECTORS == 0u;
const_assert ROW_VECTORS % 8u == 0u && COLUMN_VECTORS % 8u == 0u;

var<workgroup> a_tile: array<Accumulator4, BLOCK_DEPTH * ROW_VECTORS>;
var<workgroup> b_tile: array<Accumulator4, BLOCK_DEPTH * COLUMN_VECTORS>;

/// The step and the vector of `vectors` that an invocation brings as its i-th.
fn brought(local: u32, i: u32, vectors: u32, along_inner: bool) -> vec2<u32> {
    if along_inner {
        return vec2<u32>(local % BLOCK_DEPTH, local / BLOCK_DEPTH + i * (INVOCATIONS / BLOCK_DEPTH));
    }
    return vec2<u32>(local / vectors + i * (INVOCATIONS / vectors), local % vectors);
}

/// Where a vector is in workgroup memory: neighbours that bring neighbouring steps write to different banks.
fn slot(at: vec2<u32>, vectors: u32, along_inner: bool) -> u32 {
    return at.x * vectors + select(at.y, at.y ^ (at.x % 8u), along_inner);
}

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let tile_row = local / COLUMN_INVOCATIONS;
    let tile_column = local % COLUMN_INVOCATIONS;
    let first_row = workgroup.x * BLOCK_ROWS;
    let first_column = workgroup.y * BLOCK_COLUMNS;
    let quarters = vec4<u32>(0u, 1u, 2u, 3u);
    let a_start = batch_offset(workgroup.z, params.batch, params.a_batch);
    let b_start = batch_offset(workgroup.z, params.batch, params.b_batch);

    var sum: TileRows;
    let inner = opaque(params.inner, workgroup);
    for (var first = 0u; first < inner + BLOCK_DEPTH; first += BLOCK_DEPTH) {
        // Steps from `first` on are on their way while those before it are multiplied. The condition, never false but in the last turn,
        // keeps Mesa's compiler from moving the loads behind the loop, where their values are needed.
        var a_next: array<Element4, A_LOADS>;
        var b_next: array<Element4, B_LOADS>;
        if first < inner {
            for (var i = 0u; i < A_LOADS; i++) {
                let from_tile = brought(local, i, ROW_VECTORS, A_INNER == 1u);
                let rows = min(first_row + from_tile.y + quarters * ROW_VECTORS, vec4<u32>(params.rows - 1u));
                let at = a_start + min(first + from_tile.x, inner - 1u) * params.a_inner + rows * params.a_row;
                a_next[i] = Element4(a[at.x], a[at.y], a[at.z], a[at.w]);
            }
            for (var i = 0u; i < B_LOADS; i++) {
                let from_tile = brought(local, i, COLUMN_VECTORS, B_INNER == 1u);
                let columns = min(first_column + from_tile.y + quarters * COLUMN_VECTORS, vec4<u32>(params.columns - 1u));
                let at = b_start + min(first + from_tile.x, inner - 1u) * params.b_inner + columns * params.b_column;
                b_next[i] = Element4(b[at.x], b[at.y], b[at.z], b[at.w]);
            }
        }
        if first > 0u {
            for (var k = 0u; k < BLOCK_DEPTH; k++) {
                var columns: array<Accumulator4, TILE_VECTORS>;
                for (var v = 0u; v < TILE_VECTORS; v++) {
                    columns[v] = b_tile[slot(vec2<u32>(k, tile_column + v * COLUMN_INVOCATIONS), COLUMN_VECTORS, B_INNER == 1u)];
                }
                for (var r = 0u; r < TILE_ROWS; r += 4u) {
                    let rows = a_tile[slot(vec2<u32>(k, tile_row + r / 4u * ROW_INVOCATIONS), ROW_VECTORS, A_INNER == 1u)];
                    for (var v = 0u; v < TILE_VECTORS; v++) {
                        sum[r][v] += rows.x * columns[v];
                        sum[r + 1u][v] += rows.y * columns[v];
                        sum[r + 2u][v] += rows.z * columns[v];
                        sum[r + 3u][v] += rows.w * columns[v];
                    }
                }
            }
            workgroupBarrier();
        }
        // Nothing may look at what is on its way any earlier.
        for (var i = 0u; i < A_LOADS; i++) {
            let at = brought(local, i, ROW_VECTORS, A_INNER == 1u);
            if at.x < BLOCK_DEPTH && at.y < ROW_VECTORS {
                a_tile[slot(at, ROW_VECTORS, A_INNER == 1u)] = select(Accumulator4(), Accumulator4(a_next[i]), first + at.x < inner);
            }
        }
        for (var i = 0u; i < B_LOADS; i++) {
            let at = brought(local, i, COLUMN_VECTORS, B_INNER == 1u);
            if at.x < BLOCK_DEPTH && at.y < COLUMN_VECTORS {
                b_tile[slot(at, COLUMN_VECTORS, B_INNER == 1u)] = select(Accumulator4(), Accumulator4(b_next[i]), first + at.x < inner);
            }
        }
        workgroupBarrier();
    }

    // Epilogue.
    for (var v = 0u; v < TILE_VECTORS; v++) {
        let columns = first_column + tile_column + v * COLUMN_INVOCATIONS + quarters * COLUMN_VECTORS;
        if ROLLED == 1u {
            for (var r = 0u; r < TILE_ROWS; r++) {
                store(tile_vector(&sum, r, v), first_row + tile_row + r / 4u * ROW_INVOCATIONS + r % 4u * ROW_VECTORS, columns, workgroup.z);
            }
        } else {
            for (var r = 0u; r < TILE_ROWS; r++) {
                store(sum[r][v], first_row + tile_row + r / 4u * ROW_INVOCATIONS + r % 4u * ROW_VECTORS, columns, workgroup.z);
            }
        }
    }
}

/// Stores four columns of row m of a batch entry.
fn store(sum: Accumulator4, m: u32, columns: vec4<u32>, entry: u32) {
    let scaled = Accumulator(params.alpha) * sum;
    for (var j = 0u; j < 4u; j++) {
        let n = columns[j];
        if m < params.rows && n < params.columns {
            var value = scaled[j];
            if HAS_C != 0u {
                value += Accumulator(params.beta) * Accumulator(c[m * params.c_row + n * params.c_column]);
            }
            let at = (entry * params.rows + m) * params.columns + n;
            y[at] = Element(finish(value, hold(at, n)));
        }
    }
}
