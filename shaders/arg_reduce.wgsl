// y[o, i] = the c where x[o, c, i] is largest, or smallest
//
// Layout: x [outer, columns, inner] dense, y [outer, inner]. COOPERATIVE = 0: one invocation owns one output, so neighbours
// read side by side where inner is large. COOPERATIVE = 1: a workgroup owns one output, its invocations take every
// WORKGROUP_SIZE-th element, and what they find meets in workgroup memory.
// Overrides: LARGEST, 1 for the largest; LAST, 1 where the last of equals counts, else the first; COOPERATIVE;
// WORKGROUP_SIZE, invocations, a multiple of 16.
// Edges: a NaN beats every number. Workgroups past the last output repeat it and store nothing, so that barriers stay
// uniform; invocations without an element repeat the last one. Source: ONNX ArgMax, ArgMin.

override LARGEST: u32;
override LAST: u32;
override COOPERATIVE: u32;
override WORKGROUP_SIZE: u32;

struct Params {
    outputs: u32,
    columns: u32,
    inner: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Index>;

var<workgroup> values: array<Element, WORKGROUP_SIZE>;
var<workgroup> positions: array<u32, WORKGROUP_SIZE>;

struct Found {
    value: Element,
    position: u32,
}

/// Whether element a goes before element b.
fn beats(a: Found, b: Found) -> bool {
    let earlier = select((a.position < b.position), (a.position > b.position), LAST == 1u);
    let a_number = a.value == a.value;
    let b_number = b.value == b.value;
    if !a_number || !b_number {
        return !a_number && (b_number || earlier);
    }
    if a.value == b.value {
        return earlier;
    }
    return select((a.value < b.value), (a.value > b.value), LARGEST == 1u);
}

/// The best of the elements first, first + step, … of the column that starts at `start`.
fn walk(start: u32, first: u32, step: u32) -> Found {
    let own = min(first, params.columns - 1u);
    var best = Found(x[start + own * params.inner], own);
    for (var c = first + step; c < params.columns; c += step) {
        let next = Found(x[start + c * params.inner], c);
        if beats(next, best) {
            best = next;
        }
    }
    return best;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let group = flat_workgroup(workgroup, workgroups);
    let owned = select(group, group * WORKGROUP_SIZE + local, COOPERATIVE == 0u);
    let output = min(owned, params.outputs - 1u);
    let start = output / params.inner * (params.columns * params.inner) + output % params.inner;
    if COOPERATIVE == 0u {
        if owned < params.outputs {
            y[output] = Index(walk(start, 0u, 1u).position);
        }
    } else {
        var best = walk(start, local, WORKGROUP_SIZE);
        values[local] = best.value;
        positions[local] = best.position;
        workgroupBarrier();
        // Sixteen invocations gather the rest, one gathers those: two steps instead of a tree's eight.
        if local < 16u {
            for (var i = local + 16u; i < WORKGROUP_SIZE; i += 16u) {
                let next = Found(values[i], positions[i]);
                if beats(next, best) {
                    best = next;
                }
            }
            values[local] = best.value;
            positions[local] = best.position;
        }
        workgroupBarrier();
        if local == 0u && owned < params.outputs {
            for (var i = 1u; i < 16u; i++) {
                let next = Found(values[i], positions[i]);
                if beats(next, best) {
                    best = next;
                }
            }
            y[output] = Index(best.position);
        }
    }
}
