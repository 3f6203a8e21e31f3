// y[n, m, oy, ox] = b[m] + Σ_ky Σ_kx w[m, ky, kx] · x[n, m / multiplier, oy·sy + ky·dy − top, ox·sx + kx·dx − left]
//
// Layout: x [N, C, H, W]; w [M, kh, kw]; y [N, M, OH, OW]; M = C · multiplier.
// One invocation owns four neighbouring output pixels of a row; a workgroup owns WORKGROUP_SIZE such quads of one channel, so all its
// invocations read the same weight. With SLIDING (horizontal stride and dilation 1) the quad's taps overlap: each input is read once.
// Workgroups: x the blocks of quads, y the output channel, z the image.
// Overrides: HAS_BIAS and SLIDING 0 or 1; WORKGROUP_SIZE, invocations.
// Edges: taps in the padding count zero; pixels past the end of a row are not stored.

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
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> w: array<Element>;
@group(0) @binding(3) var<storage, read> b: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;

/// The input at column `in_x` of the row that starts at `row`, zero outside.
fn input(row: u32, in_x: u32) -> Accumulator {
    let inside = in_x < params.in_width;
    return select(Accumulator(0), Accumulator(x[row + select(0u, in_x, inside)]), inside);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let m = workgroup.y;
    let out_channels = workgroups.y;
    let quads = (params.out_width + 3u) / 4u;
    let quad = workgroup.x * WORKGROUP_SIZE + local;
    let out_y = quad / quads;
    let out_x = quad % quads * 4u;
    if out_y >= params.out_height {
        return;
    }

    let plane = (workgroup.z * (out_channels / params.multiplier) + m / params.multiplier) * params.in_height * params.in_width;
    var sum = Accumulator4(0);
    for (var ky = 0u; ky < params.kernel_height; ky++) {
        let in_y = out_y * params.stride_y + ky * params.dilation_y - params.top;
        if in_y >= params.in_height {
            continue;
        }
        let row = plane + in_y * params.in_width;
        let weight = (m * params.kernel_height + ky) * params.kernel_width;
        var in_x = out_x * params.stride_x - params.left;
        if SLIDING != 0u {
            var window = Accumulator4(Accumulator(0), input(row, in_x), input(row, in_x + 1u), input(row, in_x + 2u));
            for (var kx = 0u; kx < params.kernel_width; kx++) {
                window = Accumulator4(window.yzw, input(row, in_x + 3u + kx));
                sum += Accumulator(w[weight + kx]) * window;
            }
        } else {
            let stride = params.stride_x;
            for (var kx = 0u; kx < params.kernel_width; kx++) {
                let window = Accumulator4(
                    input(row, in_x),
                    input(row, in_x + stride),
                    input(row, in_x + 2u * stride),
                    input(row, in_x + 3u * stride),
                );
                sum += Accumulator(w[weight + kx]) * window;
                in_x += params.dilation_x;
            }
        }
    }

    if HAS_BIAS != 0u {
        sum += Accumulator(b[m]);
    }
    let start = ((workgroup.z * out_channels + m) * params.out_height + out_y) * params.out_width + out_x;
    let value = Element4(sum);
    for (var j = 0u; j < min(4u, params.out_width - out_x); j++) {
        y[start + j] = value[j];
    }
}
