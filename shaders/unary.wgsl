// y[i] = function(x[i])
//
// Layout: dense, any shape. One invocation owns four neighbouring elements, a workgroup WORKGROUP_SIZE times as many, so
// loads and stores are whole vectors side by side. The host pads buffers to whole vectors; the tail computes on padding.
// Overrides: ACTIVATION, the function; WORKGROUP_SIZE, invocations; IN_PLACE, 1 where y holds x at first.

override ACTIVATION: u32;
override WORKGROUP_SIZE: u32;
override IN_PLACE: u32;

struct Params {
    vectors: u32, // ceil(elements / 4)
    alpha: f32,
    beta: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read_write> y: array<Element4>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i < params.vectors {
        var v: vec4<f32>;
        if IN_PLACE == 1u {
            v = vec4<f32>(y[i]);
        } else {
            v = vec4<f32>(x[i]);
        }
        y[i] = Element4(vec4<f32>(
            function(ACTIVATION, v.x, params.alpha, params.beta),
            function(ACTIVATION, v.y, params.alpha, params.beta),
            function(ACTIVATION, v.z, params.alpha, params.beta),
            function(ACTIVATION, v.w, params.alpha, params.beta),
        ));
    }
}
