// y[m] = max over i of x[m, i]
//
// Layout: dense maps m of N·C. LANES invocations own one map, each every LANES-th element, so that neighbours load side
// by side; a workgroup owns WORKGROUP_SIZE / LANES maps and compares the lanes' maxima in a tree through workgroup memory.
// Overrides: WORKGROUP_SIZE, invocations; LANES, invocations a map, a power of two that divides WORKGROUP_SIZE.
// Edges: lanes without an element of their own, and invocations past the last map, repeat another's. NaN propagates.
// Source: ONNX GlobalMaxPool.

override WORKGROUP_SIZE: u32;
override LANES: u32;

struct Params {
    maps: u32,
    elements: u32, // of one map
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

var<workgroup> partial_maxima: array<Element, WORKGROUP_SIZE>;

/// The larger of two, NaN if either is.
fn larger(a: Element, b: Element) -> Element {
    return select(a, b, !(b <= a) && a == a);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let lane = local % LANES;
    let map = flat_workgroup(workgroup, workgroups) * (WORKGROUP_SIZE / LANES) + local / LANES;
    let first = min(map, params.maps - 1u) * params.elements;
    var best = x[first + min(lane, params.elements - 1u)];
    for (var i = lane; i < params.elements; i += LANES) {
        best = larger(best, x[first + i]);
    }
    partial_maxima[local] = best;
    workgroupBarrier();
    for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
        if lane < stride {
            partial_maxima[local] = larger(partial_maxima[local], partial_maxima[local + stride]);
        }
        workgroupBarrier();
    }
    if lane == 0u && map < params.maps {
        y[map] = partial_maxima[local];
    }
}
