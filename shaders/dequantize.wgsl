// y[i] = (x[i] - zero_point[j]) * scale[j], j the scale of element i
//
// Layout: x, y dense; `Params` and j as shared/quantization.wgsl has them. One invocation owns four neighbouring elements, a
// workgroup WORKGROUP_SIZE times as many, so loads and stores of x and y are whole vectors side by side. The host pads buffers
// to whole vectors; the tail computes on padding.
// Overrides: SCALES, 0 one for the tensor, 1 more; HAS_ZERO_POINT, 1 where it is given, else it is 0;
// WORKGROUP_SIZE, invocations.
// Edges: the host gives integers of 32 bits no zero point, so no difference overflows.
// Source: ONNX DequantizeLinear, opset 24.

override HAS_ZERO_POINT: u32;
override WORKGROUP_SIZE: u32;

@group(0) @binding(1) var<storage, read> x: array<Quantized4>;
@group(0) @binding(2) var<storage, read> scale: array<Element>;
@group(0) @binding(3) var<storage, read> zero_point: array<Quantized>;
@group(0) @binding(4) var<storage, read_write> y: array<Element4>;

fn dequantize(x: Quantized, j: u32) -> Accumulator {
    var difference = Accumulator(x);
    if HAS_ZERO_POINT == 1u {
        difference -= Accumulator(zero_point[j]);
    }
    return difference * Accumulator(scale[j]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i <= (params.elements - 1u) / 4u {
        let q = x[i];
        y[i] = Element4(Accumulator4(
            dequantize(q.x, scale_index(4u * i)),
            dequantize(q.y, scale_index(4u * i + 1u)),
            dequantize(q.z, scale_index(4u * i + 2u)),
            dequantize(q.w, scale_index(4u * i + 3u)),
        ));
    }
}
