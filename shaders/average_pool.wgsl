// y[m, o] = sum over taps k of x[m, o * stride + k * dilation - before] / (taps that count)
//
// Layout: dense maps m of N·C, axes [D, H, W] (leading ones 1 where the operator has fewer). One invocation owns one
// output, a workgroup WORKGROUP_SIZE neighbours of one plane, so that stores, and loads at stride 1, are side by side.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: only taps on the input are visited. The divisor counts those, with count_include_pad also those on the padding,
// never those beyond it (ceil_mode); a window without a tap on the input is 0. Source: ONNX AveragePool.

override WORKGROUP_SIZE: u32;

struct Params {
    input: vec4<u32>, // extents [D, H, W]
    output: vec4<u32>,
    kernel: vec4<u32>,
    stride: vec4<u32>,
    dilation: vec4<u32>,
    before: vec4<u32>, // padding
    counted: vec4<u32>, // extents of input and padding together
    maps: u32,
    tiles: u32, // workgroups for one plane of the output
    count_include_pad: u32,
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
    let p = window_position(flat_workgroup(workgroup, workgroups), local, WORKGROUP_SIZE, params.tiles, params.output.xyz, params.maps);
    if !p.inside {
        return;
    }
    let extents = params.input.xyz;
    // Positions in the padding before the input wrap around, and so are beyond it.
    let start = p.o * params.stride.xyz - params.before.xyz;
    var sum = Accumulator(0.0);
    var inside = 0u;
    var padded = 0u;
    let kernel = params.kernel.xyz * opaque(1u, workgroup);
    for (var d = 0u; d < kernel.x; d += 1u) {
        let at_d = start.x + d * params.dilation.x;
        for (var h = 0u; h < kernel.y; h += 1u) {
            let at_h = start.y + h * params.dilation.y;
            let row = ((p.map * extents.x + at_d) * extents.y + at_h) * extents.z;
            let row_inside = at_d < extents.x && at_h < extents.y;
            let row_counts = at_d + params.before.x < params.counted.x && at_h + params.before.y < params.counted.y;
            // A sum a row: short sums keep rounding small under large kernels.
            var row_sum = Accumulator(0.0);
            var at_w = start.z;
            for (var w = 0u; w < kernel.z; w += 1u) {
                if row_inside && at_w < extents.z {
                    row_sum += Accumulator(x[row + at_w]);
                    inside += 1u;
                }
                padded += u32(row_counts && at_w + params.before.z < params.counted.z);
                at_w += params.dilation.z;
            }
            sum += row_sum;
        }
    }
    let taps = select(inside, padded, params.count_include_pad != 0u);
    // Nothing but padding sums to 0, and so is its mean, whether it counts or not.
    let i = ((p.map * params.output.x + p.o.x) * params.output.y + p.o.y) * params.output.z + p.o.z;
    y[i] = Element(sum / Accumulator(max(taps, 1u)));
}
