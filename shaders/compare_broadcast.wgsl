// y[i] = a[Σ_k c_k * a_strides_k] ∘ b[Σ_k c_k * b_strides_k] as a truth value, c the coordinates of i in `extents`
//
// Layout: y dense, 0 or 1 an element; a, b and `Params` as shared/pairs.wgsl has them. One invocation owns four neighbouring
// elements of y and steps along the innermost axis, so a workgroup's loads along that axis are side by side.
// Overrides: COMPARISON: 0 equal, 1 less, 2 less or equal; WORKGROUP_SIZE, invocations.
// Edges: NaN compares as false with everything. The last invocation's tail reads the last element again and writes padding.
// Source: ONNX Equal, opset 19; Less, opset 13; LessOrEqual, opset 16.

override COMPARISON: u32;
override WORKGROUP_SIZE: u32;

@group(0) @binding(3) var<storage, read_write> y: array<vec4<u32>>;

fn compare(left: Accumulator4, right: Accumulator4) -> vec4<bool> {
    switch COMPARISON {
        case 0u: { return left == right; }
        case 1u: { return left < right; }
        default: { return left <= right; }
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i <= (params.elements - 1u) / 4u {
        let pairs = load_pairs(i);
        y[i] = select(vec4<u32>(), vec4<u32>(1u), compare(pairs.left, pairs.right));
    }
}
