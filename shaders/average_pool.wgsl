// y[m, o] = sum over taps k of x[m, o * stride + k * dilation - before] / (taps that count)
//
// Layout: dense maps m of N·C, axes [D, H, W] (leading ones 1 where the operator has fewer). One invocation owns one
// output, a workgroup WORKGROUP_SIZE neighbours, so that stores, and loads at stride 1, are side by side.
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
    counted: vec4<u32>, // one past the last position that counts: the input's extents plus the padding after it, if that counts
    outputs: u32, // elements of y
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
    var mean = Accumulator(0.0);
    if all(first < end) {
        let corner = vec3<u32>(start + vec3<i32>(first * dilation));
        var plane = ((o.w * extents.x + corner.x) * extents.y + corner.y) * extents.z + corner.z;
        var sum = Accumulator(0.0);
        for (var d = first.x; d < end.x; d += 1u) {
            var row = plane;
            for (var h = first.y; h < end.y; h += 1u) {
                // A sum a row: short sums keep rounding small under large kernels.
                var row_sum = Accumulator(0.0);
                var at = row;
                for (var w = first.z; w < end.z; w += 1u) {
                    row_sum += Accumulator(x[at]);
                    at += dilation.z;
                }
                sum += row_sum;
                row += dilation.y * extents.z;
            }
            plane += dilation.x * extents.y * extents.z;
        }
        let last = end_taps(start, params.counted.xyz, params.kernel.xyz, dilation);
        let taps = vec3<Accumulator>(select(end - first, last, params.count_include_pad != 0u));
        mean = sum / (taps.x * taps.y * taps.z);
    }
    y[i] = Element(mean);
}
