// y[m, i] = Σ over taps k of x[m, k, s] with s·stride + k·dilation - before = i
//
// Layout: dense; images m of N·C with axes [D, H, W] (leading ones 1 where the operator has fewer), x as [m, taps, steps].
// One invocation owns one element of the image and gathers what falls on it, a workgroup WORKGROUP_SIZE neighbours: stores are
// coalesced, and so are loads at stride 1.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: taps whose block would begin before the first step, after the last or between two are left out.
// Source: ONNX `Col2Im`, opset 18.

override WORKGROUP_SIZE: u32;

struct Params {
    image: vec4<u32>, // extents [D, H, W]
    block: vec4<u32>,
    steps: vec4<u32>, // blocks along each axis
    dilation: vec4<u32>,
    before: vec4<u32>, // padding
    stride: vec4<u32>,
    elements: u32, // of the output
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
    if i < params.elements {
        let image = params.image.xyz;
        let row = i / image.z;
        let plane = row / image.y;
        let map = plane / image.x;
        let at = vec3<u32>(plane - map * image.x, row - plane * image.y, i - row * image.z) + params.before.xyz;
        let block = params.block.xyz;
        let steps = params.steps.xyz;
        var sum = 0.0;
        for (var d = 0u; d < block.x; d += 1u) {
            for (var h = 0u; h < block.y; h += 1u) {
                for (var w = 0u; w < block.z; w += 1u) {
                    let offset = vec3<u32>(d, h, w) * params.dilation.xyz;
                    if all(at >= offset) {
                        let from_start = at - offset;
                        let s = from_start / params.stride.xyz;
                        if all(s * params.stride.xyz == from_start) && all(s < steps) {
                            let tap = ((map * block.x + d) * block.y + h) * block.z + w;
                            sum += f32(x[((tap * steps.x + s.x) * steps.y + s.y) * steps.z + s.z]);
                        }
                    }
                }
            }
        }
        y[i] = Element(sum);
    }
}
