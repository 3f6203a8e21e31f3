// y[n, m, oz, oy, ox] = b[m] + Σ_kz Σ_ky Σ_kx Σ_c w[c, kz, ky, kx, m] · x[n, c, oz·sz + kz·dz − front, oy·sy + ky·dy − top, ox·sx + kx·dx − left], in each group
//
// The convolution as a matrix product [M, C·kd·kh·kw] × [C·kd·kh·kw, OH·OW] for each output slice, whose right matrix is never stored.
// Two dimensions are three with one slice.
// Layout: x [N·groups, C, D, H, W]; y [N·groups, M, OD, OH·OW]; w [groups, C·kd·kh·kw, M'/4] in vectors of four output channels, M' = M
// padded with zeros to whole tiles; C and M are channels of one group.
// One invocation owns TILE_ROWS output channels × TILE_VECTORS vectors of four pixels of a slice in registers; the pixels are
// WORKGROUP_SIZE apart, so that neighbours read neighbouring pixels of x; all read the same address of w.
// Workgroups: x the tiles of channels, so that the pixels they share stay in cache; y the blocks of pixels; z image, group and slice.
// Overrides: HAS_BIAS 0 or 1; ROLLED 0 or 1, as in tile_rows.wgsl; WORKGROUP_SIZE, invocations; those of the epilogue.
// Edges: taps in the padding read the plane's first element and count zero, slices in the padding are skipped; pixels past the end
// compute on the last one and are not stored; neither are the channels that pad w.

override HAS_BIAS: u32;
override WORKGROUP_SIZE: u32;

struct Params {
    in_channels: u32, // of a group
    in_depth: u32,
    in_height: u32,
    in_width: u32,
    out_channels: u32, // of a group
    out_depth: u32,
    out_width: u32,
    out_pixels: u32, // of a slice
    kernel_depth: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride_z: u32,
    stride_y: u32,
    stride_x: u32,
    dilation_z: u32,
    dilation_y: u32,
    dilation_x: u32,
    front: u32,
    top: u32,
    left: u32,
    groups: u32,
    weight_vectors: u32, // M' / 4
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

/// Stores four pixels of output channel m of a map, an image's group, from pixel `first` on and WORKGROUP_SIZE apart.
fn store(sum: Accumulator4, m: u32, map: u32, out_z: u32, first: u32) {
    let channel = map % params.groups * params.out_channels + m;
    var bias = Accumulator(0);
    if HAS_BIAS != 0u {
        bias = Accumulator(b[channel]);
    }
    let value = sum + bias;
    let start = ((map * params.out_channels + m) * params.out_depth + out_z) * params.out_pixels;
    for (var j = 0u; j < 4u; j++) {
        let p = first + j * WORKGROUP_SIZE;
        if p < params.out_pixels {
            y[start + p] = Element(finish(value[j], hold(start + p, channel)));
        }
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let row = workgroup.x * TILE_ROWS;
    let first = workgroup.y * (WORKGROUP_SIZE * TILE_VECTORS * 4u) + local;
    let lanes = vec4<u32>(0u, 1u, 2u, 3u) * WORKGROUP_SIZE;
    let map = workgroup.z / params.out_depth;
    let out_z = workgroup.z % params.out_depth;
    let group = map % params.groups;
    let plane = params.in_height * params.in_width;
    let volume = params.in_depth * plane;
    let window = params.kernel_height * params.kernel_width;
    let taps = opaque(params.kernel_depth * window, workgroup);
    let in_channels = opaque(params.in_channels, workgroup);

    // The input row and column of each pixel's first tap; in the padding they are huge, which is outside as well.
    var first_y: array<vec4<u32>, TILE_VECTORS>;
    var first_x: array<vec4<u32>, TILE_VECTORS>;
    for (var v = 0u; v < TILE_VECTORS; v++) {
        let p = min(first + v * 4u * WORKGROUP_SIZE + lanes, vec4<u32>(params.out_pixels - 1u));
        first_y[v] = p / params.out_width * params.stride_y - params.top;
        first_x[v] = p % params.out_width * params.stride_x - params.left;
    }

    var sum: TileRows;
    for (var tap = 0u; tap < taps; tap++) {
        let in_z = out_z * params.stride_z + tap / window * params.dilation_z - params.front;
        if in_z >= params.in_depth {
            continue;
        }
        let tap_y = tap % window / params.kernel_width;
        let tap_x = tap % params.kernel_width;
        var inside: array<vec4<bool>, TILE_VECTORS>;
        var source: array<vec4<u32>, TILE_VECTORS>;
        for (var v = 0u; v < TILE_VECTORS; v++) {
            let in_y = first_y[v] + tap_y * params.dilation_y;
            let in_x = first_x[v] + tap_x * params.dilation_x;
            inside[v] = (in_y < vec4<u32>(params.in_height)) & (in_x < vec4<u32>(params.in_width));
            source[v] = select(vec4<u32>(0u), in_y * params.in_width + in_x, inside[v]);
        }
        var weight = (group * in_channels * taps + tap) * params.weight_vectors + row / 4u;
        var offset = map * in_channels * volume + in_z * plane;
        for (var c = 0u; c < in_channels; c++) {
            var pixels: array<Accumulator4, TILE_VECTORS>;
            for (var v = 0u; v < TILE_VECTORS; v++) {
                let at = source[v] + offset;
                let values = Accumulator4(Element4(x[at.x], x[at.y], x[at.z], x[at.w]));
                pixels[v] = select(Accumulator4(0), values, inside[v]);
            }
            offset += volume;
            for (var r = 0u; r < TILE_ROWS; r += 4u) {
                let channels = Accumulator4(w[weight + r / 4u]);
                for (var v = 0u; v < TILE_VECTORS; v++) {
                    sum[r][v] += channels.x * pixels[v];
                    sum[r + 1u][v] += channels.y * pixels[v];
                    sum[r + 2u][v] += channels.z * pixels[v];
                    sum[r + 3u][v] += channels.w * pixels[v];
                }
            }
            weight += taps * params.weight_vectors;
        }
    }

    // Epilogue.
    let last = min(row + TILE_ROWS, params.out_channels);
    if ROLLED == 1u {
        for (var m = row; m < last; m++) {
            for (var v = 0u; v < TILE_VECTORS; v++) {
                store(tile_vector(&sum, m - row, v), m, map, out_z, first + v * 4u * WORKGROUP_SIZE);
            }
        }
    } else {
        for (var r = 0u; r < TILE_ROWS; r++) {
            if row + r >= last {
                break;
            }
            for (var v = 0u; v < TILE_VECTORS; v++) {
                store(sum[r][v], row + r, map, out_z, first + v * 4u * WORKGROUP_SIZE);
            }
        }
    }
}
