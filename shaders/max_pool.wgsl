// y[m, o] = max over taps k of x[m, o * stride + k * dilation - before]
//
// Layout: dense maps m of N·C, axes [D, H, W] (leading ones 1 where the operator has fewer). One invocation owns one
// output, a workgroup WORKGROUP_SIZE neighbours, so that stores, and loads at stride 1, are side by side.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: only taps on the input are visited, so padding never wins; without any the output is `lowest`. NaN propagates.
// Source: ONNX MaxPool.

override WORKGROUP_SIZE: u32;

struct Params {
    input: vec4<u32>, // extents [D, H, W]
    output: vec4<u32>,
    kernel: vec4<u32>,
    stride: vec4<u32>,
    dilation: vec4<u32>,
    before: vec4<u32>, // padding
    index_stride: vec4<u32>, // what a step along each axis adds to an index
    outputs: u32, // elements of y
    lowest: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

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
    var best = Element(params.lowest);
    if all(first < end) {
        let corner = vec3<u32>(start + vec3<i32>(first * dilation));
        var plane = ((o.w * extents.x + corner.x) * extents.y + corner.y) * extents.z + corner.z;
        best = x[plane];
        for (var d = first.x; d < end.x; d += 1u) {
            var row = plane;
            for (var h = first.y; h < end.y; h += 1u) {
                var at = row;
                for (var w = first.z; w < end.z; w += 1u) {
                    let value = x[at];
                    // A NaN is not <= best, and stays.
                    if !(value <= best) && best == best {
                        best = value;
                    }
                    at += dilation.z;
                }
                row += dilation.y * extents.z;
            }
            plane += dilation.x * extents.y * extents.z;
        }
    }
    y[i] = best;
}
