// q[m] = (x_scale · w_scale[m] / y_scale, x_zero_point, w_zero_point[m], y_zero_point): what conv_integer needs for each output channel
//
// Layout: q [M] in vectors of four, the first number the bits of an f32; scales and zero points of w [M] or one for all.
// One invocation owns one output channel.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: zero points that are left out are bound to zero bytes; so are the scales of ConvInteger, whose factor nobody reads.

override WORKGROUP_SIZE: u32;

struct Params {
    channels: u32,
    w_scale_step: u32, // 0 where one serves all channels, else 1
    w_zero_point_step: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x_scale: array<f32>;
@group(0) @binding(2) var<storage, read> x_zero_point: array<i32>;
@group(0) @binding(3) var<storage, read> w_scale: array<f32>;
@group(0) @binding(4) var<storage, read> w_zero_point: array<i32>;
@group(0) @binding(5) var<storage, read> y_scale: array<f32>;
@group(0) @binding(6) var<storage, read> y_zero_point: array<i32>;
@group(0) @binding(7) var<storage, read_write> q: array<vec4<i32>>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let m = invocation.x;
    if m >= params.channels {
        return;
    }
    let factor = x_scale[0] * w_scale[m * params.w_scale_step] / y_scale[0];
    q[m] = vec4<i32>(bitcast<i32>(factor), x_zero_point[0], w_zero_point[m * params.w_zero_point_step], y_zero_point[0]);
}
