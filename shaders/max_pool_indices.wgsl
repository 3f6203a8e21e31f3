// y[m, o] = max over taps k of x[m, o * stride + k * dilation - before], indices[m, o] = where in x it was found
//
// Layout: dense maps m of N·C, axes [D, H, W] (leading ones 1 where the operator has fewer). One invocation owns one
// output, a workgroup WORKGROUP_SIZE neighbours, so that stores, and loads at stride 1, are side by side.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: only taps on the input are visited, so padding never wins; without any the output is `lowest` and the index -1.
// The first of equal elements counts; the first NaN beats all. Source: ONNX MaxPool.

override WORKGROUP_SIZE: u32;

struct Params {
    input: vec4<u32>, // extents [D, H, W]
    output: vec4<u32>,
    kernel: vec4<u32>,
    stride: vec4<u32>,
    dilation: vec4<u32>,
    before: vec4<u32>, // padding
    index_stride: vec4<u32>, // what a step along each axis adds to an index: row-major or column-major
    outputs: u32, // elements of y
    lowest: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;
@group(0) @binding(3) var<storage, read_write> indices: array<Index>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i >= params.outputs {
        return;
    }
    let o = map_position(i, params.output.xyz);
    let dilation = params.dilation.xyz;
    let extents = params.input.xyz;
    let start = vec3<i32>(o.xyz * params.stride.xyz) - vec3<i32>(params.before.xyz);
    let first = first_taps(start, dilation);
    let end = end_taps(start, extents, params.kernel.xyz, dilation);
    let map = o.w * extents.x * extents.y * extents.z;
    var best = Element(params.lowest);
    var index = Index(-1);
    if all(first < end) {
        var found = vec3<u32>(start + vec3<i32>(first * dilation));
        best = x[map + (found.x * extents.y + found.y) * extents.z + found.z];
        for (var d = first.x; d < end.x; d += 1u) {
            for (var h = first.y; h < end.y; h += 1u) {
                for (var w = first.z; w < end.z; w += 1u) {
                    let at = vec3<u32>(start + vec3<i32>(vec3<u32>(d, h, w) * dilation));
                    let value = x[map + (at.x * extents.y + at.y) * extents.z + at.z];
                    if !(value <= best) && best == best {
                        best = value;
                        found = at;
                    }
                }
            }
        }
        let within = found * params.index_stride.xyz;
        index = Index(map + within.x + within.y + within.z);
    }
    y[i] = best;
    indices[i] = index;
}
