// y[i] = x[i]: a device's memory bandwidth as kernels see it
//
// Layout: x, y dense. One invocation owns one vector of four, a workgroup WORKGROUP_SIZE of them side by side, so loads and
// stores coalesce.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: invocations past the last vector store nothing.
// Source: J. McCalpin, STREAM (1995).

override WORKGROUP_SIZE: u32;

struct Params {
    vectors: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i < params.vectors {
        y[i] = x[i];
    }
}
