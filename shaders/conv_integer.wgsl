// y[n, m, o] = b[m] + Σ_k Σ_c (w[m, c, k] − w_zero_point[m]) · (x[n, c, o·stride + k·dilation − padding] − x_zero_point), in each group
//
// With REQUANTIZE, y is that sum times factor[m], rounded to the nearest, ties to even, plus y_zero_point, saturated. The convolution as
// a matrix product [M, C·taps] × [C·taps, OH·OW] in each output slice, exact in 32-bit integers; two dimensions are three with one slice.
// Layout: x [N·groups, C, D, H, W]; w [groups·M, C, kd, kh, kw]; q [groups·M] vectors (bits of factor, x_zero_point, w_zero_point,
// y_zero_point); y [N·groups, M, OD, OH·OW]; C and M are channels of one group. Eight-bit integers of both kinds are stored in 32 bits,
// where i32 reads the unsigned ones as well.
// One invocation owns TILE_ROWS output channels × TILE_VECTORS vectors of four pixels of a slice in registers; the pixels are
// WORKGROUP_SIZE apart, so that neighbours read neighbouring pixels of x; all read the same addresses of w.
// Workgroups: x the tiles of channels, so that the pixels they share stay in cache; y the blocks of pixels; z image, group and slice.
// Overrides: HAS_BIAS and REQUANTIZE 0 or 1; WORKGROUP_SIZE, invocations.
// Edges: taps in the padding count zero; pixels and channels past the end compute on the last ones and are not stored.
// Source: ONNX ConvInteger and QLinearConv, opset 10.

override HAS_BIAS: u32;
override REQUANTIZE: u32;
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
    lowest: i32, // number of y's type
    highest: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<i32>;
@group(0) @binding(2) var<storage, read> w: array<i32>;
@group(0) @binding(3) var<storage, read> q: array<vec4<i32>>;
@group(0) @binding(4) var<storage, read> b: array<i32>;
@group(0) @binding(5) var<storage, read_write> y: array<i32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let row = workgroup.x * TILE_ROWS;
    let first = workgroup.y * (WORKGROUP_SIZE * TILE_VECTORS * 4u) + local;
    let lanes = vec4<u32>(0u, 1u, 2u, 3u) * WORKGROUP_SIZE;
    let map = workgroup.z / params.out_depth;
    let out_z = workgroup.z % params.out_depth;
    let first_channel = map % params.groups * params.out_channels;
    let plane = params.in_height * params.in_width;
    let volume = params.in_depth * plane;
    let window = params.kernel_height * params.kernel_width;
    let taps = params.kernel_depth * window;
    let x_zero_point = vec4<i32>(q[0].y);

    // The input row and column of each pixel's first tap; in the padding they are huge, which is outside as well.
    var first_y: array<vec4<u32>, TILE_VECTORS>;
    var first_x: array<vec4<u32>, TILE_VECTORS>;
    for (var v = 0u; v < TILE_VECTORS; v++) {
        let p = min(first + v * 4u * WORKGROUP_SIZE + lanes, vec4<u32>(params.out_pixels - 1u));
        first_y[v] = p / params.out_width * params.stride_y - params.top;
        first_x[v] = p % params.out_width * params.stride_x - params.left;
    }
    // Where each channel's weights begin, and their zero point.
    var weights: array<vec4<u32>, TILE_ROWS / 4u>;
    var zero_points: array<vec4<i32>, TILE_ROWS / 4u>;
    for (var r = 0u; r < TILE_ROWS / 4u; r++) {
        let m = first_channel + min(row + 4u * r + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.out_channels - 1u));
        weights[r] = m * params.in_channels * taps;
        zero_points[r] = vec4<i32>(q[m.x].z, q[m.y].z, q[m.z].z, q[m.w].z);
    }

    var sum: array<array<vec4<i32>, TILE_VECTORS>, TILE_ROWS>;
    for (var tap = 0u; tap < taps; tap++) {
        let in_z = out_z * params.stride_z + tap / window * params.dilation_z - params.front;
        if in_z >= params.in_depth {
            continue;
        }
        var inside: array<vec4<bool>, TILE_VECTORS>;
        var source: array<vec4<u32>, TILE_VECTORS>;
        for (var v = 0u; v < TILE_VECTORS; v++) {
            let in_y = first_y[v] + tap % window / params.kernel_width * params.dilation_y;
            let in_x = first_x[v] + tap % params.kernel_width * params.dilation_x;
            inside[v] = (in_y < vec4<u32>(params.in_height)) & (in_x < vec4<u32>(params.in_width));
            source[v] = map * params.in_channels * volume + in_z * plane
                + select(vec4<u32>(0u), in_y * params.in_width + in_x, inside[v]);
        }
        for (var c = 0u; c < params.in_channels; c++) {
            var pixels: array<vec4<i32>, TILE_VECTORS>;
            for (var v = 0u; v < TILE_VECTORS; v++) {
                let at = source[v];
                pixels[v] = select(vec4<i32>(0), vec4<i32>(x[at.x], x[at.y], x[at.z], x[at.w]) - x_zero_point, inside[v]);
                source[v] += volume;
            }
            for (var r = 0u; r < TILE_ROWS; r += 4u) {
                let at = weights[r / 4u] + c * taps + tap;
                let channels = vec4<i32>(w[at.x], w[at.y], w[at.z], w[at.w]) - zero_points[r / 4u];
                for (var v = 0u; v < TILE_VECTORS; v++) {
                    sum[r][v] += channels.x * pixels[v];
                    sum[r + 1u][v] += channels.y * pixels[v];
                    sum[r + 2u][v] += channels.z * pixels[v];
                    sum[r + 3u][v] += channels.w * pixels[v];
                }
            }
        }
    }

    // Epilogue.
    for (var r = 0u; r < TILE_ROWS; r++) {
        let m = row + r;
        if m >= params.out_channels {
            break;
        }
        let channel = q[first_channel + m];
        var bias = 0;
        if HAS_BIAS != 0u {
            bias = b[first_channel + m];
        }
        let target_row = ((map * params.out_channels + m) * params.out_depth + out_z) * params.out_pixels;
        for (var v = 0u; v < TILE_VECTORS; v++) {
            var value = sum[r][v] + bias;
            if REQUANTIZE != 0u {
                value = requantize(value, channel, params.lowest, params.highest);
            }
            for (var j = 0u; j < 4u; j++) {
                let p = first + (v * 4u + j) * WORKGROUP_SIZE;
                if p < params.out_pixels {
                    y[target_row + p] = value[j];
                }
            }
        }
    }
}
