// y[i] = saturate(round(x[i] / scale[j]) + zero_point[j]), j the scale of element i
//
// Layout: x, y dense; `Params` and j as shared/quantization.wgsl has them. One invocation owns four neighbouring elements, a
// workgroup WORKGROUP_SIZE times as many, so loads and stores of x and y are whole vectors side by side. The host pads buffers
// to whole vectors; the tail computes on padding.
// Overrides: SCALES, 0 one for the tensor, 1 more; HAS_ZERO_POINT, 1 where it is given, else it is 0;
// WORKGROUP_SIZE, invocations.
// Edges: the quotient is rounded to Element, then to the nearest integer, the even one of two. NaN gives the zero point.
// Source: ONNX QuantizeLinear, opset 24.

override HAS_ZERO_POINT: u32;
override WORKGROUP_SIZE: u32;

@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read> scale: array<Element>;
@group(0) @binding(3) var<storage, read> zero_point: array<Quantized>;
@group(0) @binding(4) var<storage, read_write> y: array<Quantized4>;

fn quantize(x: Accumulator, j: u32) -> Quantized {
    let quotient = round(Accumulator(Element(x / Accumulator(scale[j]))));
    var q = select(0.0, quotient, quotient == quotient);
    if HAS_ZERO_POINT == 1u {
        q += f32(zero_point[j]);
    }
    let raised = select(q, params.low, q < params.low);
    return Quantized(select(raised, params.high, raised > params.high));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i <= (params.elements - 1u) / 4u {
        let v = Accumulator4(x[i]);
        y[i] = Quantized4(
            quantize(v.x, scale_index(4u * i)),
            quantize(v.y, scale_index(4u * i + 1u)),
            quantize(v.z, scale_index(4u * i + 2u)),
            quantize(v.w, scale_index(4u * i + 3u)),
        );
    }
}
