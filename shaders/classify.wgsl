// y[i] = whether x[i] is of one of the asked-for kinds: NaN, inf, -inf
//
// Layout: dense, any shape, 0 or 1 an element of y. One invocation owns four neighbouring elements, a workgroup WORKGROUP_SIZE
// times as many, so loads and stores are whole vectors side by side. The host pads buffers to whole vectors; the tail computes
// on padding.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: by the bits, since a backend may take every number for finite.
// Source: ONNX IsInf, opset 20; IsNaN, opset 20.

override WORKGROUP_SIZE: u32;

struct Params {
    vectors: u32,  // ceil(elements / 4)
    nan: u32,      // 1 where NaN is asked for
    positive: u32, // 1 where inf is
    negative: u32, // 1 where -inf is
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<u32>>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i < params.vectors {
        let bits = bitcast<vec4<u32>>(vec4<f32>(x[i]));
        let size = bits & vec4<u32>(0x7fffffffu);
        let infinity = vec4<u32>(0x7f800000u);
        let infinite = select(vec4<u32>(params.positive), vec4<u32>(params.negative), bits > size);
        y[i] = select(select(vec4<u32>(), infinite, size == infinity), vec4<u32>(params.nan), size > infinity);
    }
}
