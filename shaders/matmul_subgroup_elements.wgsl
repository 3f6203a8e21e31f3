// y[i, m, n] = alpha · Σ_k a[i, m, k] · b[i, k, n] + beta · c[m, n], i over a batch: any N
//
// Layout: as in matmul_subgroup.wgsl, but y in elements: its rows may begin inside of a vector.
// Where no binding holds b whole, its columns are split over dispatches; this one has those from first_column on.
// One invocation owns TILE_ROWS rows × TILE_VECTORS vectors of columns; a workgroup is one subgroup and owns the same rows for as many
// neighbouring vectors as it has lanes, times TILE_VECTORS, less one where the last lane only lends its elements of b.
// Workgroups: x the tiles of rows, so that the columns they share stay in cache; y the panels of columns; z the batch.
// Overrides: A_SHIFTED and B_LAYOUT, as in lane_matrices.wgsl; ADDENDS 0 none, 1 one row of them, 2 one for each row; those of the epilogue.
// Edges: rows and columns past the end are not stored.

override ADDENDS: u32;

struct Params {
    batch: vec4<u32>, // extents
    a_batch: vec4<u32>, // strides
    b_batch: vec4<u32>, // strides, in vectors; in elements where B_LAYOUT is 1
    rows: u32,
    columns: u32, // of this dispatch
    inner: u32,
    a_row: u32, // stride
    a_vectors: u32, // of a
    b_row: u32, // stride, in vectors; in elements where B_LAYOUT is 1
    b_panel: u32, // stride of panels of columns, in vectors
    b_vectors: u32, // of a row of b, or of b where B_LAYOUT is 1
    c_row: u32, // strides
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
@group(0) @binding(1) var<storage, read> a: array<Element4>;
@group(0) @binding(2) var<storage, read> b: array<Element4>;
@group(0) @binding(3) var<storage, read> c: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;
@group(0) @binding(5) var<storage, read> held: array<Element>;

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    var sum = product(workgroup, local);

    // Epilogue.
    let row = workgroup.x * TILE_ROWS;
    let end = min(row + TILE_ROWS, params.rows);
    let owned = panel_vectors();
    let y_row = params.y_row;
    let start = workgroup.z * params.rows * y_row + params.first_column;
    let columns = min((workgroup.y + 1u) * owned * 4u, params.columns);
    let column = (workgroup.y * owned + local) * 4u;
    let first_column = params.first_column;
    let alpha = Accumulator(params.alpha);
    var shared_addends: array<Accumulator4, TILE_VECTORS>;
    // The second always holds: see lane_tile.wgsl.
    if ADDENDS == 1u && row < end {
        for (var v = 0u; v < TILE_VECTORS; v++) {
            shared_addends[v] = addends(0u, column + v * SUBGROUP * 4u);
        }
    }
    for (var part = 0u; part < parts(end - row); part++) {
        let quad = tile_part(&sum, part);
        let first = row + part / TILE_VECTORS * 4u;
        let n = column + part % TILE_VECTORS * SUBGROUP * 4u;
        let shared_addend = wanted_vector(shared_addends, part % TILE_VECTORS);
        for (var m = first; m < min(first + 4u, end); m++) {
            var value = alpha * part_row(quad, m - first);
            if ADDENDS == 1u {
                value += shared_addend;
            } else if ADDENDS == 2u {
                value += addends(m, n);
            }
            for (var j = 0u; j < 4u; j++) {
                if n + j < columns {
                    let at = start + m * y_row + n + j;
                    y[at] = Element(finish(value[j], hold(at, first_column + n + j)));
                }
            }
        }
    }
}
