// y[m, o] = max over taps k of x[m, o * stride + k * dilation - before], indices[m, o] = where in x it was found
//
// Layout: dense maps m of N·C, axes [D, H, W] (leading ones 1 where the operator has fewer). One invocation owns one
// output, a workgroup WORKGROUP_SIZE neighbours of one plane, so that stores, and loads at stride 1, are side by side.
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
    maps: u32,
    tiles: u32, // workgroups for one plane of the output
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
    let p = window_position(flat_workgroup(workgroup, workgroups), local, WORKGROUP_SIZE, params.tiles, params.output.xyz, params.maps);
    if !p.inside {
        return;
    }
    let extents = params.input.xyz;
    // Positions in the padding before the input wrap around, and so are beyond it.
    let start = p.o * params.stride.xyz - params.before.xyz;
    var best = Element(params.lowest);
    var index = Index(-1);
    let kernel = params.kernel.xyz * opaque(1u, workgroup);
    for (var d = 0u; d < kernel.x; d += 1u) {
        let at_d = start.x + d * params.dilation.x;
        for (var h = 0u; h < kernel.y; h += 1u) {
            let at_h = start.y + h * params.dilation.y;
            if at_d < extents.x && at_h < extents.y {
                let row = ((p.map * extents.x + at_d) * extents.y + at_h) * extents.z;
                var at_w = start.z;
                for (var w = 0u; w < kernel.z; w += 1u) {
                    if at_w < extents.z {
                        let value = x[row + at_w];
                        if index < Index(0) || (!(value <= best) && best == best) {
                            best = value;
                            let within = vec3<u32>(at_d, at_h, at_w) * params.index_stride.xyz;
                            index = Index(p.map * extents.x * extents.y * extents.z + within.x + within.y + within.z);
                        }
                    }
                    at_w += params.dilation.z;
                }
            }
        }
    }
    let i = ((p.map * params.output.x + p.o.x) * params.output.y + p.o.y) * params.output.z + p.o.z;
    y[i] = best;
    indices[i] = index;
}
