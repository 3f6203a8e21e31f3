// columns[n, k / 16, p] = the bytes x[n, c, p·stride + t·dilation − padding] of sixteen k = c · taps + t, the unsigned ones less 128
//
// What conv_integer_packed multiplies the weight's bytes with.
// Layout: x [N, C, D, H, W], bytes stored in 32 bits; q [M] vectors of which the second number is x's zero point; columns [N, K / 16, P]
// in vectors of sixteen bytes, the first one lowest, P the outputs of a map; one and two dimensions are three with leading extents of 1.
// One invocation owns sixteen bytes of one output; neighbours own neighbouring outputs, so that they read neighbouring elements of x.
// Workgroups: x the outputs; y the vectors of K; z the image.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: taps in the padding are the zero point, bytes past the last k are 0.
// Source: ONNX ConvInteger and QLinearConv, opset 10.

override WORKGROUP_SIZE: u32;

struct Params {
    channels: u32,
    in_depth: u32,
    in_height: u32,
    in_width: u32,
    out_height: u32,
    out_width: u32,
    out_pixels: u32, // of all slices of a map
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
    shift: i32, // 128 where x is unsigned
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<i32>;
@group(0) @binding(2) var<storage, read> q: array<vec4<i32>>;
@group(0) @binding(3) var<storage, read_write> columns: array<vec4<u32>>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let p = workgroup.x * WORKGROUP_SIZE + local;
    if p >= params.out_pixels {
        return;
    }
    let window = params.kernel_height * params.kernel_width;
    let taps = params.kernel_depth * window;
    let volume = params.in_depth * params.in_height * params.in_width;
    let zero_point = q[0].y;

    // The first tap; in the padding it is huge, which is outside as well.
    let first_z = p / params.out_width / params.out_height * params.stride_z - params.front;
    let first_y = p / params.out_width % params.out_height * params.stride_y - params.top;
    let first_x = p % params.out_width * params.stride_x - params.left;

    var bytes: vec4<u32>;
    for (var i = 0u; i < 4u; i++) {
        var word = 0u;
        for (var j = 0u; j < 4u; j++) {
            let k = 16u * workgroup.y + 4u * i + j;
            let channel = k / taps;
            if channel < params.channels {
                let tap = k % taps;
                let in_z = first_z + tap / window * params.dilation_z;
                let in_y = first_y + tap % window / params.kernel_width * params.dilation_y;
                let in_x = first_x + tap % params.kernel_width * params.dilation_x;
                var value = zero_point;
                if in_z < params.in_depth && in_y < params.in_height && in_x < params.in_width {
                    let source = (workgroup.z * params.channels + channel) * volume;
                    value = x[source + (in_z * params.in_height + in_y) * params.in_width + in_x];
                }
                word |= u32((value - params.shift) & 255) << (8u * j);
            }
        }
        bytes[i] = word;
    }
    columns[(workgroup.z * workgroups.y + workgroup.y) * params.out_pixels + p] = bytes;
}
