// y[n, m, oy, ox] = b[m] + Σ_ky Σ_kx Σ_c w[c, ky, kx, m] · x[n, c, oy·sy + ky·dy − top, ox·sx + kx·dx − left], in each group
//
// The convolution as a matrix product [M, C·kh·kw] × [C·kh·kw, N·OH·OW], whose right matrix is never stored whole.
// Layout: x [N, groups, C, H, W]; y [N, groups, M, OH·OW]; w [groups, C·kh·kw, M'/4] in vectors of four output channels, M' = M padded with
// zeros to whole tiles; C and M are channels of one group. The columns are the output pixels of all images.
// A workgroup owns BLOCK_ROWS output channels × BLOCK_COLUMNS pixels. It brings BLOCK_DEPTH input channels of one tap into workgroup memory
// at a time; the next ones are on their way, in registers, while it multiplies these. A vector of x is four pixels COLUMN_VECTORS apart, so
// that neighbours read and write neighbouring pixels.
// One invocation owns TILE_ROWS × 4·TILE_VECTORS of them in registers, in vectors that are as far apart as there are invocations along
// the side, so that neighbours read neighbouring vectors of workgroup memory, without bank conflicts.
// Workgroups: x the tiles of channels, so that the pixels they share stay in cache; y the blocks of columns; z the groups, and in each the
// slices of its sum, whose values are y one after the other: conv2d_slice_sum.wgsl adds them up.
// Overrides: HAS_BIAS 0 or 1; ROLLED 0 or 1, as in tile_rows.wgsl; those of the epilogue.
// Edges: taps in the padding read the plane's first element and count zero, so do input channels past the end; columns past the end
// compute on the last one, and are not stored; neither are the channels that pad w.

override HAS_BIAS: u32;

struct Params {
    in_channels: u32, // of a group
    in_height: u32,
    in_width: u32,
    out_channels: u32, // of a group
    out_width: u32,
    out_pixels: u32,
    columns: u32, // N·OH·OW
    kernel_height: u32,
    kernel_width: u32,
    stride_y: u32,
    stride_x: u32,
    dilation_y: u32,
    dilation_x: u32,
    top: u32,
    left: u32,
    groups: u32,
    weight_vectors: u32, // M' / 4
    slices: u32,
    slice_turns: u32, // each BLOCK_DEPTH input channels of one tap
    before_alpha: f32, // of the epilogue
    before_beta: f32,
    after_alpha: f32,
    after_beta: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> w: array<Element4>;
@group(0) @binding(3) var<storage, read> b: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;
@group(0) @binding(5) var<storage, read> held: array<Element>;

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

/// Stores four pixels of output channel m of a group, the pixels' places in channel 0 being `start`.
fn store(sum: Accumulator4, m: u32, group: u32, start: vec4<u32>, there: vec4<bool>) {
    let channel = group * params.out_channels + m;
    var bias = Accumulator(0);
    if HAS_BIAS != 0u {
        bias = Accumulator(b[channel]);
    }
    for (var j = 0u; j < 4u; j++) {
        if there[j] {
            let at = start[j] + m * params.out_pixels;
            y[at] = Element(finish(sum[j] + bias, hold(at, channel)));
        }
    }
}

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let group = workgroup.z / params.slices;
    let slice = workgroup.z % params.slices;
    let tile_row = local / COLUMN_INVOCATIONS;
    let tile_column = local % COLUMN_INVOCATIONS;
    let lanes = workgroup.y * BLOCK_COLUMNS + vec4<u32>(0u, 1u, 2u, 3u) * COLUMN_VECTORS;
    let plane = params.in_height * params.in_width;
    let taps = params.kernel_height * params.kernel_width;
    let tap_turns = (params.in_channels + BLOCK_DEPTH - 1u) / BLOCK_DEPTH;
    var turn = slice * params.slice_turns;
    let end = min(turn + params.slice_turns, taps * tap_turns);
    var tap = turn / tap_turns;
    var tap_x = tap % params.kernel_width;
    var first = turn % tap_turns * BLOCK_DEPTH;

    // What this invocation brings: rows of one vector column of w, and of one of x. In the padding, coordinates are huge, which is
    // outside as well.
    let w_depth = local / ROW_VECTORS;
    let w_first = group * params.in_channels * taps * params.weight_vectors + workgroup.x * ROW_VECTORS + local % ROW_VECTORS;
    let x_depth = local / COLUMN_VECTORS;
    let pixel = min(lanes + local % COLUMN_VECTORS, vec4<u32>(params.columns - 1u));
    let out_pixel = pixel % params.out_pixels;
    let x_first = (pixel / params.out_pixels * params.groups + group) * params.in_channels * plane;
    var in_y = out_pixel / params.out_width * params.stride_y + (tap / params.kernel_width * params.dilation_y - params.top);
    var in_x = out_pixel % params.out_width * params.stride_x + (tap_x * params.dilation_x - params.left);

    var sum: TileRows;
    var ready = false;
    var source: vec4<u32>;
    var inside: vec4<bool>;
    loop {
        // Input channels from `first` on of a tap are on their way while those before them are multiplied. The condition, never false but in
        // the last turn, keeps Mesa's compiler from moving the loads behind the loop, where their values are needed.
        var w_next: array<Element4, W_LOADS>;
        var x_next: array<Element4, X_LOADS>;
        if turn < end {
            if first == 0u || !ready {
                inside = (in_y < vec4<u32>(params.in_height)) & (in_x < vec4<u32>(params.in_width));
                source = x_first + select(vec4<u32>(0u), in_y * params.in_width + in_x, inside);
            }
            for (var i = 0u; i < W_LOADS; i++) {
                let channel = min(first + w_depth + i * W_STEP, params.in_channels - 1u);
                w_next[i] = w[w_first + (channel * taps + tap) * params.weight_vectors];
            }
            for (var i = 0u; i < X_LOADS; i++) {
                let at = source + min(first + x_depth + i * X_STEP, params.in_channels - 1u) * plane;
                x_next[i] = Element4(x[at.x], x[at.y], x[at.z], x[at.w]);
            }
        }
        if ready {
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
        }
        if turn >= end {
            break;
        }
        workgroupBarrier();
        // Nothing may look at what is on its way any earlier.
        for (var i = 0u; i < W_LOADS; i++) {
            let real = first + w_depth + i * W_STEP < params.in_channels;
            if W_STEP <= BLOCK_DEPTH || w_depth < BLOCK_DEPTH {
                w_tile[local + i * INVOCATIONS] = select(Accumulator4(), Accumulator4(w_next[i]), real);
            }
        }
        for (var i = 0u; i < X_LOADS; i++) {
            let real = first + x_depth + i * X_STEP < params.in_channels;
            x_tile[local + i * INVOCATIONS] = select(Accumulator4(), Accumulator4(x_next[i]), inside & vec4<bool>(real));
        }
        workgroupBarrier();
        ready = true;
        turn++;
        first += BLOCK_DEPTH;
        if first >= params.in_channels {
            first = 0u;
            tap++;
            tap_x++;
            in_x += vec4<u32>(params.dilation_x);
            if tap_x == params.kernel_width {
                tap_x = 0u;
                in_x -= vec4<u32>(params.kernel_width * params.dilation_x);
                in_y += vec4<u32>(params.dilation_y);
            }
        }
    }

    // Epilogue.
    let row = workgroup.x * BLOCK_ROWS + tile_row * 4u;
    var last = 0u; // how many rows there are
    for (var r = 0u; r < TILE_ROWS; r += 4u) {
        let next = row + r * ROW_INVOCATIONS;
        last += min(max(params.out_channels, next) - next, 4u);
    }
    let images = params.columns / params.out_pixels * params.groups;
    for (var v = 0u; v < TILE_VECTORS; v++) {
        let column = lanes + tile_column + v * COLUMN_INVOCATIONS;
        let there = column < vec4<u32>(params.columns);
        let map = column / params.out_pixels * params.groups + group;
        let start = (slice * images + map) * params.out_channels * params.out_pixels + column % params.out_pixels;
        if ROLLED == 1u {
            for (var r = 0u; r < last; r++) {
                store(tile_vector(&sum, r, v), row + r / 4u * (4u * ROW_INVOCATIONS) + r % 4u, group, start, there);
            }
        } else {
            for (var r = 0u; r < TILE_ROWS; r++) {
                if r >= last {
                    break;
                }
                store(sum[r][v], row + r / 4u * (4u * ROW_INVOCATIONS) + r % 4u, group, start, there);
            }
        }
    }
}
