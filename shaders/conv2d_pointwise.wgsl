// y[n, m, p] = b[m] + Σ_c w[c, m] · x[n, c, p], in each group: a 1×1 convolution, stride 1, no padding, as a matrix product
//
// Layout: x [N·groups, C, P/4], y [N·groups, M, P/4] in vectors of four pixels, P = H·W; w [groups, C, M'/4] in vectors of four output
// channels, M' = M padded with zeros to whole tiles; C and M are channels of one group.
// One invocation owns TILE_ROWS output channels × TILE_VECTORS vectors of pixels in registers. A workgroup owns the same channels for
// WORKGROUP_SIZE · TILE_VECTORS vectors: neighbours read neighbouring vectors of x, and all read the same address of w.
// Workgroups: x the tiles of channels, so that the pixels they share stay in cache; y the blocks of vectors; z image and group.
// Overrides: HAS_BIAS 0 or 1; ROLLED 0 or 1, as in tile_rows.wgsl; WORKGROUP_SIZE, invocations; those of the epilogue.
// Edges: vectors past the end compute on the last one, and are not stored; neither are the channels that pad w.

override HAS_BIAS: u32;
override WORKGROUP_SIZE: u32;

struct Params {
    in_channels: u32, // of a group
    out_channels: u32, // of a group
    groups: u32,
    vectors: u32, // H·W / 4
    weight_vectors: u32, // M' / 4
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

/// Stores vector p of output channel m of a map, an image's group.
fn store(sum: Accumulator4, m: u32, map: u32, p: u32) {
    if p >= params.vectors {
        return;
    }
    let channel = map % params.groups * params.out_channels + m;
    var bias = Accumulator(0);
    if HAS_BIAS != 0u {
        bias = Accumulator(b[channel]);
    }
    let at = (map * params.out_channels + m) * params.vectors + p;
    y[at] = Element4(finish_vector(sum + bias, hold_vector(at, channel)));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let row = workgroup.x * TILE_ROWS;
    let column = workgroup.y * (WORKGROUP_SIZE * TILE_VECTORS) + local;
    let group = workgroup.z % params.groups;

    var source: array<u32, TILE_VECTORS>;
    for (var v = 0u; v < TILE_VECTORS; v++) {
        source[v] = workgroup.z * params.in_channels * params.vectors + min(column + v * WORKGROUP_SIZE, params.vectors - 1u);
    }
    var weight = group * params.in_channels * params.weight_vectors + row / 4u;

    var sum: TileRows;
    let in_channels = opaque(params.in_channels, workgroup);
    for (var c = 0u; c < in_channels; c++) {
        var pixels: array<Accumulator4, TILE_VECTORS>;
        for (var v = 0u; v < TILE_VECTORS; v++) {
            pixels[v] = Accumulator4(x[source[v]]);
            source[v] += params.vectors;
        }
        for (var r = 0u; r < TILE_ROWS; r += 4u) {
            let channels = Accumulator4(w[weight + r / 4u]);
            for (var v = 0u; v < TILE_VECTORS; v++) {
                sum[r][v] += channels.x * pixels[v];
                sum[r + 1u][v] += channels.y * pixels[v];
                sum[r + 2u][v] += channels.z * pixels[v];
                sum[r + 3u][v] += channels.w * pixels[v];
            }
        }
        weight += params.weight_vectors;
    }

    // Epilogue.
    let last = min(row + TILE_ROWS, params.out_channels);
    if ROLLED == 1u {
        for (var m = row; m < last; m++) {
            for (var v = 0u; v < TILE_VECTORS; v++) {
                store(tile_vector(&sum, m - row, v), m, workgroup.z, column + v * WORKGROUP_SIZE);
            }
        }
    } else {
        for (var r = 0u; r < TILE_ROWS; r++) {
            if row + r >= last {
                break;
            }
            for (var v = 0u; v < TILE_VECTORS; v++) {
                store(sum[r][v], row + r, workgroup.z, column + v * WORKGROUP_SIZE);
            }
        }
    }
}
