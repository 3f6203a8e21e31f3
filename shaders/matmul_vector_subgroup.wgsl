// y[i, m, n] = alpha · Σ_k a[i, m, k] · b[i, k, n] + beta · c[m, n], i over a batch, for few rows m: bound by reading b once
//
// For software devices whose subgroup is one SIMD vector: there a load in a loop costs as much as dozens of multiply-adds, whatever it
// loads, and a shuffle costs nothing. So the lanes share the loads of a, and all rows those of b.
// Layout: a by strides, in elements; b in panels of SUBGROUP vectors of four columns, of K rows each, the last one padded, so that a
// subgroup reads one long run; c by strides, 0 where it broadcasts; y dense.
// Where no binding holds b whole, its columns are split over dispatches; this one has those from first_column on.
// One invocation owns four columns of TILE_ROWS rows; a workgroup is one subgroup and owns a panel. Each lane loads four steps of a row
// of a; where there are fewer rows than lanes, the other lanes have the steps that follow.
// Workgroups: x the panels, y the tiles of rows, z the batch.
// Overrides: HAS_C 0 or 1; those of the epilogue.
// Edges: rows past the end compute on the last one, and are not stored, neither are columns past the end; steps past the end count zero.

override HAS_C: u32;

const SUBGROUP: u32 = 8u;
const GROUPS: u32 = SUBGROUP / TILE_ROWS; // of four steps, that one load of a has
const STEPS: u32 = 4u * GROUPS;
const_assert GROUPS * TILE_ROWS == SUBGROUP && TILE_VECTORS == 1u;

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

/// Adds the products of four steps, the `group`th of those in `values`.
fn add_products(sum: ptr<function, array<Accumulator4, TILE_ROWS>>, values: Accumulator4, columns: ptr<function, array<Accumulator4, 4>>, group: u32) {
    for (var r = 0u; r < TILE_ROWS; r++) {
        let lane = group * TILE_ROWS + r;
        let a0 = subgroupShuffle(values.x, lane);
        let a1 = subgroupShuffle(values.y, lane);
        let a2 = subgroupShuffle(values.z, lane);
        let a3 = subgroupShuffle(values.w, lane);
        (*sum)[r] = (*sum)[r] + a0 * (*columns)[0] + a1 * (*columns)[1] + a2 * (*columns)[2] + a3 * (*columns)[3];
    }
}

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let row = workgroup.y * TILE_ROWS;
    let inner = opaque(params.inner, workgroup);
    let a_inner = params.a_inner;
    let b_inner = params.b_inner;
    let own = local / TILE_ROWS * 4u + vec4<u32>(0u, 1u, 2u, 3u);
    let left = batch_offset(workgroup.z, params.batch, params.a_batch) + min(row + local % TILE_ROWS, params.rows - 1u) * params.a_row;
    let right = batch_offset(workgroup.z, params.batch, params.b_batch) + workgroup.x * inner * b_inner + local;

    // Whole runs of steps need no masks.
    var sum: array<Accumulator4, TILE_ROWS>;
    let whole = inner - inner % STEPS;
    for (var k = 0u; k < whole; k += STEPS) {
        let at = left + (k + own) * a_inner;
        let values = Accumulator4(Accumulator(a[at.x]), Accumulator(a[at.y]), Accumulator(a[at.z]), Accumulator(a[at.w]));
        for (var group = 0u; group < GROUPS; group++) {
            var columns: array<Accumulator4, 4>;
            for (var d = 0u; d < 4u; d++) {
                columns[d] = Accumulator4(b[right + (k + group * 4u + d) * b_inner]);
            }
            add_products(&sum, values, &columns, group);
        }
    }
    for (var k = whole; k < inner; k += STEPS) {
        let at = left + min(k + own, vec4<u32>(inner - 1u)) * a_inner;
        let loaded = Accumulator4(Accumulator(a[at.x]), Accumulator(a[at.y]), Accumulator(a[at.z]), Accumulator(a[at.w]));
        let values = select(Accumulator4(0), loaded, k + own < vec4<u32>(inner));
        for (var group = 0u; k + group * 4u < inner; group++) {
            var columns: array<Accumulator4, 4>;
            for (var d = 0u; d < 4u; d++) {
                let step = k + group * 4u + d;
                let vector = Accumulator4(b[right + min(step, inner - 1u) * b_inner]);
                columns[d] = select(Accumulator4(0), vector, step < inner);
            }
            add_products(&sum, values, &columns, group);
        }
    }

    // Epilogue.
    let first = workgroup.x * (SUBGROUP * 4u) + local * 4u;
    for (var m = row; m < min(row + TILE_ROWS, params.rows); m++) {
        var scaled = sum[0];
        for (var r = 1u; r < TILE_ROWS; r++) {
            scaled = select(scaled, sum[r], row + r == m);
        }
        scaled *= Accumulator(params.alpha);
        let start = (workgroup.z * params.rows + m) * params.y_row + params.first_column;
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
}
