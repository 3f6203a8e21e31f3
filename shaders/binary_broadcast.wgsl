// y[i] = combine(OPERATION, a[Σ_k c_k * a_strides_k], b[Σ_k c_k * b_strides_k]), c the coordinates of i in `extents`
//
// Layout: y dense; a, b and `Params` as shared/pairs.wgsl has them. One invocation owns four neighbouring elements of y and
// steps along the innermost axis, so a workgroup's loads along that axis are side by side.
// Overrides: OPERATION; WORKGROUP_SIZE, invocations.
// Edges: the last invocation's tail reads the last element again and writes padding.

override OPERATION: u32;
override WORKGROUP_SIZE: u32;

@group(0) @binding(3) var<storage, read_write> y: array<Element4>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i <= (params.elements - 1u) / 4u {
        let pairs = load_pairs(i);
        y[i] = Element4(wrap(combine(OPERATION, pairs.left, pairs.right), params.mask, params.sign));
    }
}
