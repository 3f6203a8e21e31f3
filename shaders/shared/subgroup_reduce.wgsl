// Sums and maxima over a workgroup whose subgroups have any size: each subgroup's by its own operation, one element of workgroup memory for each
// of them, gathered by all. Every invocation of the workgroup must call them.

/// Subgroups of a workgroup at most: 256 invocations, four a subgroup.
const MOST_SUBGROUPS: u32 = 64u;

var<workgroup> partials: array<f32, MOST_SUBGROUPS>;

/// The invocation's place among the subgroups of its workgroup.
struct Lane {
    subgroup: u32,
    invocation: u32, // in its subgroup
    subgroups: u32, // of the workgroup
}

fn workgroup_add(value: f32, lane: Lane) -> f32 {
    let own = subgroupAdd(value);
    // Nobody writes before all have read what was there.
    workgroupBarrier();
    if lane.invocation == 0u {
        partials[lane.subgroup] = own;
    }
    workgroupBarrier();
    var sum = partials[0];
    for (var i = 1u; i < lane.subgroups; i++) {
        sum += partials[i];
    }
    return sum;
}

/// The largest of numbers; NaN may count as any.
fn workgroup_max(value: f32, lane: Lane) -> f32 {
    let own = subgroupMax(value);
    workgroupBarrier();
    if lane.invocation == 0u {
        partials[lane.subgroup] = own;
    }
    workgroupBarrier();
    var maximum = partials[0];
    for (var i = 1u; i < lane.subgroups; i++) {
        maximum = max(maximum, partials[i]);
    }
    return maximum;
}
