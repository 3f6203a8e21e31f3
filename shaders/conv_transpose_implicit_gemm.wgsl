// y[n, m, o] = b[m] + Σ_c Σ_k w[c, k, m] · x[n, c, i] over the taps k and inputs i with o = i·stride + k·dilation − padding, in each group
//
// Outputs of one phase, o mod stride, meet the same taps: to them the transposed convolution is an ordinary one with stride 1. Each
// phase of each output slice is a matrix product [M, C·taps] × [C·taps, pixels] whose right matrix is never stored.
// Layout: x [N·groups, C, D, H, W]; y [N·groups, M, OD, OH, OW]; w [groups, C·kd·kh·kw, M'/4] in vectors of four output channels, M' = M
// padded with zeros to whole tiles; C and M are channels of one group.
// One invocation owns TILE_ROWS output channels × TILE_VECTORS vectors of four pixels of a phase in registers; the pixels are
// WORKGROUP_SIZE apart, so that neighbours read neighbouring pixels of x; all read the same address of w.
// Workgroups: x the tiles of channels; y the blocks of a phase's pixels; z image, group, slice and phase.
// Overrides: HAS_BIAS 0 or 1; ROLLED 0 or 1, as in tile_rows.wgsl; WORKGROUP_SIZE, invocations; those of the epilogue.
// Edges: inputs outside read the plane's first element and count zero; taps that the phase or the slice does not meet are skipped;
// pixels past the end compute on the last one and are not stored; neither are the channels that pad w.

override HAS_BIAS: u32;
override WORKGROUP_SIZE: u32;

struct Params {
    in_channels: u32, // of a group
    in_depth: u32,
    in_height: u32,
    in_width: u32,
    out_channels: u32, // of a group
    out_depth: u32,
    out_height: u32,
    out_width: u32,
    phases_y: u32, // at most stride_y, at most out_height
    phases_x: u32,
    groups: u32,
    weight_vectors: u32, // M' / 4
    kernel_depth: i32,
    kernel_height: i32,
    kernel_width: i32,
    stride_z: i32,
    stride_y: i32,
    stride_x: i32,
    dilation_z: i32,
    dilation_y: i32,
    dilation_x: i32,
    front: i32,
    top: i32,
    left: i32,
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

/// Stores four pixels of output channel m of a map, an image's group, those of the phase's `pixels` that there are.
fn store(sum: Accumulator4, m: u32, map: u32, out_z: u32, target_pixel: vec4<u32>, first: u32, pixels: u32) {
    let channel = map % params.groups * params.out_channels + m;
    var bias = Accumulator(0);
    if HAS_BIAS != 0u {
        bias = Accumulator(b[channel]);
    }
    let value = sum + bias;
    let start = ((map * params.out_channels + m) * params.out_depth + out_z) * params.out_height * params.out_width;
    for (var j = 0u; j < 4u; j++) {
        if first + j * WORKGROUP_SIZE < pixels {
            let at = start + target_pixel[j];
            y[at] = Element(finish(value[j], hold(at, channel)));
        }
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let row = workgroup.x * TILE_ROWS;
    let first = workgroup.y * (WORKGROUP_SIZE * TILE_VECTORS * 4u) + local;
    let lanes = vec4<u32>(0u, 1u, 2u, 3u) * WORKGROUP_SIZE;
    let phase_x = workgroup.z % params.phases_x;
    let phase_y = workgroup.z / params.phases_x % params.phases_y;
    let slice = workgroup.z / params.phases_x / params.phases_y;
    let map = slice / params.out_depth;
    let group = map % params.groups;
    let stride = vec2<u32>(u32(params.stride_x), u32(params.stride_y));
    let columns = (params.out_width - phase_x - 1u) / stride.x + 1u;
    let rows = (params.out_height - phase_y - 1u) / stride.y + 1u;
    let plane = params.in_height * params.in_width;
    let volume = params.in_depth * plane;
    let taps = opaque(u32(params.kernel_depth * params.kernel_height * params.kernel_width), workgroup);
    let in_channels = opaque(params.in_channels, workgroup);

    // The row and the column of each pixel among those of its phase.
    var pixel_y: array<vec4<u32>, TILE_VECTORS>;
    var pixel_x: array<vec4<u32>, TILE_VECTORS>;
    for (var v = 0u; v < TILE_VECTORS; v++) {
        let p = min(first + v * 4u * WORKGROUP_SIZE + lanes, vec4<u32>(rows * columns - 1u));
        pixel_y[v] = p / columns;
        pixel_x[v] = p % columns;
    }

    var sum: TileRows;
    for (var tap = 0; tap < i32(taps); tap++) {
        // Where pixel 0 of the phase meets this tap, times the stride; below zero it is before the input.
        let z = i32(slice % params.out_depth) + params.front - tap / params.kernel_width / params.kernel_height * params.dilation_z;
        let start_y = i32(phase_y) + params.top - tap / params.kernel_width % params.kernel_height * params.dilation_y;
        let start_x = i32(phase_x) + params.left - tap % params.kernel_width * params.dilation_x;
        let in_z = u32(z / params.stride_z);
        if z % params.stride_z != 0 || start_y % params.stride_y != 0 || start_x % params.stride_x != 0 || in_z >= params.in_depth {
            continue;
        }
        var inside: array<vec4<bool>, TILE_VECTORS>;
        var source: array<vec4<u32>, TILE_VECTORS>;
        for (var v = 0u; v < TILE_VECTORS; v++) {
            let in_y = pixel_y[v] + u32(start_y / params.stride_y);
            let in_x = pixel_x[v] + u32(start_x / params.stride_x);
            inside[v] = (in_y < vec4<u32>(params.in_height)) & (in_x < vec4<u32>(params.in_width));
            source[v] = map * in_channels * volume + in_z * plane
                + select(vec4<u32>(0u), in_y * params.in_width + in_x, inside[v]);
        }
        var weight = (group * in_channels * taps + u32(tap)) * params.weight_vectors + row / 4u;
        for (var c = 0u; c < in_channels; c++) {
            var pixels: array<Accumulator4, TILE_VECTORS>;
            for (var v = 0u; v < TILE_VECTORS; v++) {
                let at = source[v];
                let values = Accumulator4(Element4(x[at.x], x[at.y], x[at.z], x[at.w]));
                pixels[v] = select(Accumulator4(0), values, inside[v]);
                source[v] += volume;
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
            weight += taps * params.weight_vectors;
        }
    }

    // Epilogue.
    var target_pixel: array<vec4<u32>, TILE_VECTORS>;
    for (var v = 0u; v < TILE_VECTORS; v++) {
        target_pixel[v] = (pixel_y[v] * stride.y + phase_y) * params.out_width + pixel_x[v] * stride.x + phase_x;
    }
    let last = min(row + TILE_ROWS, params.out_channels);
    if ROLLED == 1u {
        for (var m = row; m < last; m++) {
            for (var v = 0u; v < TILE_VECTORS; v++) {
                store(tile_vector(&sum, m - row, v), m, map, slice % params.out_depth, target_pixel[v], first + v * 4u * WORKGROUP_SIZE, rows * columns);
            }
        }
    } else {
        for (var r = 0u; r < TILE_ROWS; r++) {
            if row + r >= last {
                break;
            }
            for (var v = 0u; v < TILE_VECTORS; v++) {
                store(sum[r][v], row + r, map, slice % params.out_depth, target_pixel[v], first + v * 4u * WORKGROUP_SIZE, rows * columns);
            }
        }
    }
}
