// y[m] = sum over i of x[m, i] / elements
//
// Layout: dense maps m of N·C. LANES invocations own one map, each every LANES-th element, so that neighbours load side
// by side; a workgroup owns WORKGROUP_SIZE / LANES maps and adds the lanes' sums in a tree through workgroup memory.
// Overrides: WORKGROUP_SIZE, invocations; LANES, invocations a map, a power of two that divides WORKGROUP_SIZE.
// Edges: invocations past the last map sum nothing. Sums are kept in blocks, so that rounding stays small on large maps.
// Source: ONNX GlobalAveragePool.

override WORKGROUP_SIZE: u32;
override LANES: u32;

/// Elements an invocation adds before it adds their sum to its total.
const BLOCK = 64u;

struct Params {
    maps: u32,
    elements: u32, // of one map
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

var<workgroup> partial_sums: array<f32, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let lane = local % LANES;
    let map = flat_workgroup(workgroup, workgroups) * (WORKGROUP_SIZE / LANES) + local / LANES;
    let elements = select(0u, params.elements, map < params.maps);
    let first = map * params.elements;
    var sum = 0.0;
    var i = lane;
    while i < elements {
        let end = min(elements, i + BLOCK * LANES);
        var block = 0.0;
        for (; i < end; i += LANES) {
            block += f32(x[first + i]);
        }
        sum += block;
    }
    partial_sums[local] = sum;
    workgroupBarrier();
    for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
        if lane < stride {
            partial_sums[local] += partial_sums[local + stride];
        }
        workgroupBarrier();
    }
    if lane == 0u && map < params.maps {
        y[map] = Element(partial_sums[local] / f32(params.elements));
    }
}
