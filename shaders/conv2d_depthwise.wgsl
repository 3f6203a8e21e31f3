// y[n, m, oy, ox] = b[m] + Σ_ky Σ_kx w[m, ky, kx] · x[n, m / multiplier, oy·sy + ky·dy − top, ox·sx + kx·dx − left]
//
// Layout: x [N, C, H, W]; w [M, kh, kw]; y [N, M, OH, OW]; M = C · multiplier.
// One invocation owns a block of BLOCK_HEIGHT × 4 neighbouring output pixels; a workgroup owns WORKGROUP_SIZE such blocks of one
// channel, so all its invocations read the same weight. With SLIDING (dilation 1, horizontal stride 1) the windows of a block
// overlap, and each input is read once for all of them.
// Workgroups: x the blocks of pixels, y the output channel, z the image.
// Overrides: BLOCK_HEIGHT, output rows, 1 to 4; HAS_BIAS and SLIDING 0 or 1; WORKGROUP_SIZE, invocations; those of the epilogue.
// Edges: taps in the padding count zero; an index before the start wraps to a huge number, which is outside as well; pixels past
// the end of a row or of the last row are not stored.

override BLOCK_HEIGHT: u32;
override HAS_BIAS: u32;
override SLIDING: u32;
override WORKGROUP_SIZE: u32;

struct Params {
    multiplier: u32,
    in_height: u32,
    in_width: u32,
    out_height: u32,
    out_width: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride_y: u32,
    stride_x: u32,
    dilation_y: u32,
    dilation_x: u32,
    top: u32,
    left: u32,
    before_alpha: f32, // of the epilogue
    before_beta: f32,
    after_alpha: f32,
    after_beta: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> w: array<Element>;
@group(0) @binding(3) var<storage, read> b: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;
@group(0) @binding(5) var<storage, read> held: array<Element>;

/// The input of the plane at a row and a column, zero outside.
fn pixel(plane: u32, in_y: u32, in_x: u32) -> Accumulator {
    let inside = in_y < params.in_height && in_x < params.in_width;
    return select(Accumulator(0), Accumulator(x[plane + select(0u, in_y * params.in_width + in_x, inside)]), inside);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let m = workgroup.y;
    let out_channels = workgroups.y;
    let blocks = (params.out_width + 3u) / 4u;
    let block = workgroup.x * WORKGROUP_SIZE + local;
    let out_y = block / blocks * BLOCK_HEIGHT;
    let out_x = block % blocks * 4u;
    if out_y >= params.out_height {
        return;
    }

    let plane = (workgroup.z * (out_channels / params.multiplier) + m / params.multiplier) * params.in_height * params.in_width;
    let weights = m * params.kernel_height * params.kernel_width;
    let first_y = out_y * params.stride_y - params.top;
    let first_x = out_x * params.stride_x - params.left;
    var sum: array<Accumulator4, 4>;
    if SLIDING != 0u {
        let input_rows = (BLOCK_HEIGHT - 1u) * params.stride_y + params.kernel_height;
        for (var i = 0u; i < input_rows; i++) {
            let y0 = first_y + i;
            var window = Accumulator4(Accumulator(0), pixel(plane, y0, first_x), pixel(plane, y0, first_x + 1u), pixel(plane, y0, first_x + 2u));
            for (var kx = 0u; kx < params.kernel_width; kx++) {
                window = Accumulator4(window.yzw, pixel(plane, y0, first_x + 3u + kx));
                for (var r = 0u; r < BLOCK_HEIGHT; r++) {
                    let ky = i - r * params.stride_y;
                    if ky < params.kernel_height {
                        sum[r] += Accumulator(w[weights + ky * params.kernel_width + kx]) * window;
                    }
                }
            }
        }
    } else {
        for (var ky = 0u; ky < params.kernel_height; ky++) {
            for (var kx = 0u; kx < params.kernel_width; kx++) {
                let weight = Accumulator(w[weights + ky * params.kernel_width + kx]);
                let x0 = first_x + kx * params.dilation_x;
                for (var r = 0u; r < BLOCK_HEIGHT; r++) {
                    let y0 = first_y + r * params.stride_y + ky * params.dilation_y;
                    sum[r] += weight * Accumulator4(
                        pixel(plane, y0, x0),
                        pixel(plane, y0, x0 + params.stride_x),
                        pixel(plane, y0, x0 + 2u * params.stride_x),
                        pixel(plane, y0, x0 + 3u * params.stride_x),
                    );
                }
            }
        }
    }

    // Epilogue.
    var bias = Accumulator(0);
    if HAS_BIAS != 0u {
        bias = Accumulator(b[m]);
    }
    for (var r = 0u; r < BLOCK_HEIGHT; r++) {
        let start = ((workgroup.z * out_channels + m) * params.out_height + out_y + r) * params.out_width + out_x;
        let value = sum[r] + bias;
        for (var j = 0u; j < 4u; j++) {
            if out_y + r < params.out_height && out_x + j < params.out_width {
                y[start + j] = Element(finish(value[j], hold(start + j, m)));
            }
        }
    }
}
