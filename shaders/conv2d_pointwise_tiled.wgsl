// y[n, m, p] = b[m] + Σ_c w[c, m] · x[n, c, p], in each group: a 1×1 convolution, stride 1, no padding, as a matrix product
//
// Layout: x [N, groups, C, P/4], y [N, groups, M, P/4] in vectors of four pixels, P = H·W; w [groups, C, M'/4] in vectors of four output
// channels, M' = M padded with zeros to whole tiles; C and M are channels of one group. The columns are the pixels of all images.
// A workgroup owns BLOCK_ROWS output channels × BLOCK_COLUMNS pixels. It brings BLOCK_DEPTH input channels of both matrices into workgroup
// memory at a time: neighbours read neighbouring vectors. The next ones are on their way, in registers, while it multiplies these.
// One invocation owns TILE_ROWS × 4·TILE_VECTORS of them in registers, in vectors of four that are as far apart as there are
// invocations along the side, so that neighbours read neighbouring vectors of workgroup memory, without bank conflicts.
// Workgroups: x the tiles of channels, so that the pixels they share stay in cache; y the blocks of columns; z the groups, and in each the
// slices of its input channels, whose sums are y one after the other: conv2d_slice_sum.wgsl adds them up.
// Overrides: HAS_BIAS 0 or 1; ROLLED 0 or 1, as in tile_rows.wgsl; those of the epilogue.
// Edges: columns past the end compute on the last one, and are not stored; neither are the channels that pad w. Input channels past the
// end count zero times zero.

override HAS_BIAS: u32;

struct Params {
    in_channels: u32, // of a group
    out_channels: u32, // of a group
    groups: u32,
    vectors: u32, // H·W / 4
    columns: u32, // N·H·W / 4
    weight_vectors: u32, // M' / 4
    slices: u32,
    slice_channels: u32, // a multiple of BLOCK_DEPTH, where there are several slices
    before_alpha: f32, // of the epilogue
    before_beta: f32,
    after_alpha: f32,
    after_beta: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read> w: array<Element4>;
@group(0) @binding(3) var<storage, read> b: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Element4>;
@group(0) @binding(5) var<storage, read> held: array<Element4>;

const ROW_VECTORS: u32 = BLOCK_ROWS / 4u;
const COLUMN_VECTORS: u32 = BLOCK_COLUMNS / 4u;
const ROW_INVOCATIONS: u32 = BLOCK_ROWS / TILE_ROWS;
const COLUMN_INVOCATIONS: u32 = COLUMN_VECTORS / TILE_VECTORS;
const INVOCATIONS: u32 = ROW_INVOCATIONS * COLUMN_INVOCATIONS;
const W_STEP: u32 = INVOCATIONS / ROW_VECTORS; // rows of w that all invocations load at once
const X_STEP: u32 = INVOCATIONS / COLUMN_VECTORS;
const W_LOADS: u32 = (BLOCK_DEPTH + W_STEP - 1u) / W_STEP;
const X_LOADS: u32 = BLOCK_DEPTH / X_STEP;
const_assert INVOCATIONS % ROW_VECTORS == 0u && INVOCATIONS % COLUMN_VECTORS == 0u;
const_assert BLOCK_DEPTH % X_STEP == 0u && (BLOCK_DEPTH % W_STEP == 0u || W_LOADS == 1u);

var<workgroup> w_tile: array<Accumulator4, BLOCK_DEPTH * ROW_VECTORS>;
var<workgroup> x_tile: array<Accumulator4, BLOCK_DEPTH * COLUMN_VECTORS>;

/// Stores a vector of output channel m of a group, whose channel 0 begins at `start`.
fn store(sum: Accumulator4, m: u32, group: u32, start: u32) {
    let channel = group * params.out_channels + m;
    var bias = Accumulator(0);
    if HAS_BIAS != 0u {
        bias = Accumulator(b[channel]);
    }
    let at = start + m * params.vectors;
    y[at] = Element4(finish_vector(sum + bias, hold_vector(at, channel)));
}

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let group = workgroup.z / params.slices;
    let slice = workgroup.z % params.slices;
    let begin = slice * params.slice_channels;
    let end = min(begin + params.slice_channels, params.in_channels);
    let tile_row = local / COLUMN_INVOCATIONS;
    let tile_column = local % COLUMN_INVOCATIONS;

    // What this invocation brings: rows of one vector column of w, and of one of x.
    let w_depth = local / ROW_VECTORS;
    let x_depth = local / COLUMN_VECTORS;
    let pixel = min(workgroup.y * COLUMN_VECTORS + local % COLUMN_VECTORS, params.columns - 1u);
    let map = pixel / params.vectors * params.groups + group;
    var w_at = (group * params.in_channels + begin + w_depth) * params.weight_vectors + workgroup.x * ROW_VECTORS + local % ROW_VECTORS;
    var x_at = (map * params.in_channels + begin + x_depth) * params.vectors + pixel % params.vectors;

    var sum: TileRows;
    for (var first = begin; first < end + BLOCK_DEPTH; first += BLOCK_DEPTH) {
        // Input channels from `first` on are on their way while those before it are multiplied. The condition, never false but in the last
        // turn, keeps Mesa's compiler from moving the loads behind the loop, where their values are needed.
        var w_next: array<Element4, W_LOADS>;
        var x_next: array<Element4, X_LOADS>;
        if first < end {
            for (var i = 0u; i < W_LOADS; i++) {
                let inside = first + w_depth + i * W_STEP < end;
                w_next[i] = w[select(0u, w_at + i * W_STEP * params.weight_vectors, inside)];
            }
            for (var i = 0u; i < X_LOADS; i++) {
                let inside = first + x_depth + i * X_STEP < end;
                x_next[i] = x[select(0u, x_at + i * X_STEP * params.vectors, inside)];
            }
        }
        w_at += BLOCK_DEPTH * params.weight_vectors;
        x_at += BLOCK_DEPTH * params.vectors;
        if first > begin {
            for (var k = 0u; k < BLOCK_DEPTH; k++) {
                var pixels: array<Accumulator4, TILE_VECTORS>;
                for (var v = 0u; v < TILE_VECTORS; v++) {
                    pixels[v] = x_tile[k * COLUMN_VECTORS + tile_column + v * COLUMN_INVOCATIONS];
                }
                for (var r = 0u; r < TILE_ROWS; r += 4u) {
                    let channels = w_tile[k * ROW_VECTORS + tile_row + r / 4u * ROW_INVOCATIONS];
                    for (var v = 0u; v < TILE_VECTORS; v++) {
                        sum[r][v] += channels.x * pixels[v];
                        sum[r + 1u][v] += channels.y * pixels[v];
                        sum[r + 2u][v] += channels.z * pixels[v];
                        sum[r + 3u][v] += channels.w * pixels[v];
                    }
                }
            }
            workgroupBarrier();
        }
        // Nothing may look at what is on its way any earlier.
        for (var i = 0u; i < W_LOADS; i++) {
            let inside = first + w_depth + i * W_STEP < end;
            if W_STEP <= BLOCK_DEPTH || w_depth < BLOCK_DEPTH {
                w_tile[local + i * INVOCATIONS] = select(Accumulator4(), Accumulator4(w_next[i]), inside);
            }
        }
        for (var i = 0u; i < X_LOADS; i++) {
            let inside = first + x_depth + i * X_STEP < end;
            x_tile[local + i * INVOCATIONS] = select(Accumulator4(), Accumulator4(x_next[i]), inside);
        }
        workgroupBarrier();
    }

    // Epilogue.
    let row = workgroup.x * BLOCK_ROWS + tile_row * 4u;
    var last = 0u; // how many rows there are
    for (var r = 0u; r < TILE_ROWS; r += 4u) {
        let next = row + r * ROW_INVOCATIONS;
        last += min(max(params.out_channels, next) - next, 4u);
    }
    let images = params.columns / params.vectors * params.groups;
    for (var v = 0u; v < TILE_VECTORS; v++) {
        let column = workgroup.y * COLUMN_VECTORS + tile_column + v * COLUMN_INVOCATIONS;
        let map = column / params.vectors * params.groups + group;
        let start = (slice * images + map) * params.out_channels * params.vectors + column % params.vectors;
        if column < params.columns {
            if ROLLED == 1u {
                for (var r = 0u; r < last; r++) {
                    store(tile_vector(&sum, r, v), row + r / 4u * (4u * ROW_INVOCATIONS) + r % 4u, group, start);
                }
            } else {
                for (var r = 0u; r < TILE_ROWS; r++) {
                    if r >= last {
                        break;
                    }
                    store(sum[r][v], row + r / 4u * (4u * ROW_INVOCATIONS) + r % 4u, group, start);
                }
            }
        }
    }
}
