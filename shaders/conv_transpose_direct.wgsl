// y[n, m, o] = b[m] + Σ_c Σ_k w[g·C + c, m, k] · x[n, g·C + c, i] over the taps k and inputs i with o = i·stride + k·dilation − padding
//
// g is the group of m, C the input channels of one group; o, i and k are positions on three axes. Serves every transposed convolution,
// weights that are computed at run time included: one and two dimensions are three with leading extents of 1.
// Layout: x [N, groups·C, D, H, W]; w [groups·C, M, kd, kh, kw]; y [N, groups·M, OD, OH, OW].
// One invocation owns one output; neighbours own neighbours of a row, so their reads of x coalesce, phase by phase.
// Overrides: HAS_BIAS 0 or 1; WORKGROUP_SIZE, invocations; those of the epilogue.
// Edges: taps that fall between inputs or outside are skipped before the loop over channels.

override HAS_BIAS: u32;
override WORKGROUP_SIZE: u32;

struct Params {
    outputs: u32, // elements of y
    groups: u32,
    in_channels: u32, // of a group
    out_channels: u32, // of a group
    in_depth: u32,
    in_height: u32,
    in_width: u32,
    out_depth: u32,
    out_height: u32,
    out_width: u32,
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
@group(0) @binding(2) var<storage, read> w: array<Element>;
@group(0) @binding(3) var<storage, read> b: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;
@group(0) @binding(5) var<storage, read> held: array<Element>;

/// The input of `extent` positions that meets a tap `at` elements from input 0; `extent` where none does.
fn source(at: i32, stride: i32, extent: u32) -> u32 {
    let i = u32(at / stride);
    return select(extent, i, at % stride == 0 && i < extent);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let output = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if output >= params.outputs {
        return;
    }
    let out_x = i32(output % params.out_width);
    let out_y = i32(output / params.out_width % params.out_height);
    let map = output / params.out_width / params.out_height;
    let out_z = i32(map % params.out_depth);
    let image_channel = map / params.out_depth;
    let m = image_channel % (params.groups * params.out_channels);
    let taps = u32(params.kernel_depth * params.kernel_height * params.kernel_width);
    let volume = params.in_depth * params.in_height * params.in_width;
    let first_x = image_channel / params.out_channels * params.in_channels * volume;
    let first_w = (m / params.out_channels * params.in_channels * params.out_channels + m % params.out_channels) * taps;

    var sum = Accumulator(0);
    for (var kz = 0; kz < params.kernel_depth; kz++) {
        let in_z = source(out_z + params.front - kz * params.dilation_z, params.stride_z, params.in_depth);
        if in_z == params.in_depth {
            continue;
        }
        for (var ky = 0; ky < params.kernel_height; ky++) {
            let in_y = source(out_y + params.top - ky * params.dilation_y, params.stride_y, params.in_height);
            if in_y == params.in_height {
                continue;
            }
            for (var kx = 0; kx < params.kernel_width; kx++) {
                let in_x = source(out_x + params.left - kx * params.dilation_x, params.stride_x, params.in_width);
                if in_x == params.in_width {
                    continue;
                }
                var value = first_x + (in_z * params.in_height + in_y) * params.in_width + in_x;
                var weight = first_w + u32((kz * params.kernel_height + ky) * params.kernel_width + kx);
                for (var c = 0u; c < params.in_channels; c++) {
                    sum += Accumulator(w[weight]) * Accumulator(x[value]);
                    weight += params.out_channels * taps;
                    value += volume;
                }
            }
        }
    }

    // Epilogue.
    if HAS_BIAS != 0u {
        sum += Accumulator(b[m]);
    }
    y[output] = Element(finish(sum, hold(output, m)));
}
