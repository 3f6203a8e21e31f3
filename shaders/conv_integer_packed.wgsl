// y[n, m, p] = b[m] + Σ_k (w[m, k] − w_zero_point[m]) · (x[n, k, p] − x_zero_point), four products of bytes at a time
//
// With REQUANTIZE, y is that sum times factor[m], rounded to the nearest, ties to even, plus y_zero_point, saturated. The zero points
// come after the products, modulo 2³²: Σ w·x − x_zero_point · Σ w − w_zero_point · Σ x + K · x_zero_point · w_zero_point.
// Layout: x [N, K / 16, P] from conv_integer_columns and w [M, K / 16 + 1] in vectors of sixteen signed bytes, zero where they pad K;
// the last vector of a row of w is its sum; q [M] vectors (bits of factor, x_zero_point, w_zero_point, y_zero_point); y [N, M, P].
// One invocation owns TILE_ROWS output channels × TILE_VECTORS vectors of four pixels in registers. A workgroup is LANES invocations
// wide, whose pixels are LANES apart, so that they read neighbouring vectors of x; those below each other own the next channels.
// Workgroups: x the channels, so that the pixels they share stay in cache; y the blocks of pixels; z the image.
// Overrides: COLUMN_SUMS 1 where w may have a zero point, HAS_BIAS and REQUANTIZE, 0 or 1; WORKGROUP_SIZE, invocations.
// Edges: pixels and channels past the end compute on the last ones and are not stored.
// Source: ONNX ConvInteger and QLinearConv, opset 10.

override COLUMN_SUMS: u32;
override HAS_BIAS: u32;
override REQUANTIZE: u32;
override WORKGROUP_SIZE: u32;

const LANES: u32 = 8u;
const ONES: vec4<u32> = vec4<u32>(0x01010101u);

struct Params {
    columns: u32, // K
    vectors: u32, // ⌈K / 16⌉
    out_channels: u32,
    out_pixels: u32, // of all slices of a map
    x_shift: i32, // 128 where x is unsigned
    w_shift: i32,
    lowest: i32, // number of y's type
    highest: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> w: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> q: array<vec4<i32>>;
@group(0) @binding(4) var<storage, read> b: array<i32>;
@group(0) @binding(5) var<storage, read_write> y: array<i32>;

/// The sum of sixteen products.
fn dot16(u: vec4<u32>, v: vec4<u32>) -> i32 {
    return dot4I8Packed(u.x, v.x) + dot4I8Packed(u.y, v.y) + dot4I8Packed(u.z, v.z) + dot4I8Packed(u.w, v.w);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let row = (workgroup.x * (WORKGROUP_SIZE / LANES) + local / LANES % (WORKGROUP_SIZE / LANES)) * TILE_ROWS;
    let first = workgroup.y * (LANES * TILE_VECTORS * 4u) + local % LANES;

    var source: array<u32, 4u * TILE_VECTORS>;
    for (var j = 0u; j < 4u * TILE_VECTORS; j++) {
        source[j] = workgroup.z * params.vectors * params.out_pixels + min(first + j * LANES, params.out_pixels - 1u);
    }
    var weight: array<u32, TILE_ROWS>;
    for (var r = 0u; r < TILE_ROWS; r++) {
        weight[r] = min(row + r, params.out_channels - 1u) * (params.vectors + 1u);
    }

    var sum: array<vec4<i32>, TILE_ROWS * TILE_VECTORS>;
    var column_sum: array<vec4<i32>, TILE_VECTORS>;
    for (var k = 0u; k < params.vectors; k++) {
        var pixels: array<vec4<u32>, 4u * TILE_VECTORS>;
        for (var j = 0u; j < 4u * TILE_VECTORS; j++) {
            pixels[j] = x[source[j]];
            source[j] += params.out_pixels;
        }
        for (var r = 0u; r < TILE_ROWS; r++) {
            let channel = w[weight[r] + k];
            for (var v = 0u; v < TILE_VECTORS; v++) {
                sum[r * TILE_VECTORS + v] += vec4<i32>(
                    dot16(channel, pixels[4u * v]),
                    dot16(channel, pixels[4u * v + 1u]),
                    dot16(channel, pixels[4u * v + 2u]),
                    dot16(channel, pixels[4u * v + 3u]),
                );
            }
        }
        if COLUMN_SUMS != 0u {
            for (var j = 0u; j < 4u * TILE_VECTORS; j++) {
                column_sum[j / 4u][j % 4u] += dot16(ONES, pixels[j]);
            }
        }
    }

    // Epilogue.
    for (var r = 0u; r < TILE_ROWS; r++) {
        let m = row + r;
        if m >= params.out_channels {
            break;
        }
        let channel = q[m];
        let x_zero_point = channel.y - params.x_shift;
        let w_zero_point = channel.z - params.w_shift;
        let row_sum = bitcast<i32>(w[weight[r] + params.vectors].x);
        var bias = x_zero_point * (i32(params.columns) * w_zero_point - row_sum);
        if HAS_BIAS != 0u {
            bias += b[m];
        }
        for (var v = 0u; v < TILE_VECTORS; v++) {
            var value = sum[r * TILE_VECTORS + v] + bias;
            if COLUMN_SUMS != 0u {
                value -= w_zero_point * column_sum[v];
            }
            if REQUANTIZE != 0u {
                value = requantize(value, channel, params.lowest, params.highest);
            }
            for (var j = 0u; j < 4u; j++) {
                let p = first + (v * 4u + j) * LANES;
                if p < params.out_pixels {
                    y[(workgroup.z * params.out_channels + m) * params.out_pixels + p] = value[j];
                }
            }
        }
    }
}
