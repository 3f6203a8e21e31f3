// y[n, m, oz, oy, ox] = b[m] + Σ_c Σ_kz Σ_ky Σ_kx w[m, c, kz, ky, kx] · x[n, g·C + c, oz·sz + kz·dz − front, oy·sy + ky·dy − top, ox·sx + kx·dx − left]
//
// g is the group of m, C the channels of one group. Serves every convolution, three-dimensional ones and weights that are computed
// at run time included: one and two dimensions are three with leading extents of 1.
// Layout: x [N, groups·C, D, H, W]; w [M, C, kd, kh, kw]; y [N, M, OD, OH, OW].
// One invocation owns one output; neighbours own neighbours of a row, so their reads of x coalesce.
// Overrides: HAS_BIAS 0 or 1; WORKGROUP_SIZE, invocations; those of the epilogue.
// Edges: taps in the padding are skipped; an index before the start wraps to a huge number, which is outside as well.

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
    let out_x = output % params.out_width;
    let out_y = output / params.out_width % params.out_height;
    let map = output / params.out_width / params.out_height;
    let out_z = map % params.out_depth;
    let image_channel = map / params.out_depth;
    let m = image_channel % (params.groups * params.out_channels);

    var sum = Accumulator(0);
    var weight = m * params.in_channels * params.kernel_depth * params.kernel_height * params.kernel_width;
    for (var c = 0u; c < params.in_channels; c++) {
        let plane = (image_channel / params.out_channels * params.in_channels + c) * params.in_depth;
        for (var kz = 0u; kz < params.kernel_depth; kz++) {
            let in_z = out_z * params.stride_z + kz * params.dilation_z - params.front;
            for (var ky = 0u; ky < params.kernel_height; ky++) {
                let in_y = out_y * params.stride_y + ky * params.dilation_y - params.top;
                let row = ((plane + in_z) * params.in_height + in_y) * params.in_width;
                let row_inside = in_z < params.in_depth && in_y < params.in_height;
                for (var kx = 0u; kx < params.kernel_width; kx++) {
                    let in_x = out_x * params.stride_x + kx * params.dilation_x - params.left;
                    if row_inside && in_x < params.in_width {
                        sum += Accumulator(w[weight]) * Accumulator(x[row + in_x]);
                    }
                    weight++;
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
