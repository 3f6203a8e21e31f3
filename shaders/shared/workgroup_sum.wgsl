// Sums over a workgroup. WORKGROUP_SIZE, a power of two, is its number of invocations.

override WORKGROUP_SIZE: u32;

var<workgroup> partial_sums: array<vec2<f32>, WORKGROUP_SIZE>;

/// The sum of what all invocations give, by a tree; every invocation must call it.
fn workgroup_sum(value: vec2<f32>, local: u32) -> vec2<f32> {
    partial_sums[local] = value;
    workgroupBarrier();
    for (var stride = WORKGROUP_SIZE / 2u; stride > 0u; stride /= 2u) {
        if local < stride {
            partial_sums[local] += partial_sums[local + stride];
        }
        workgroupBarrier();
    }
    let sum = partial_sums[0];
    // Nobody writes the next sum's parts before all have read this one.
    workgroupBarrier();
    return sum;
}
