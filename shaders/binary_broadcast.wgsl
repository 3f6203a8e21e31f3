// y[i] = combine(a[Σ_k c_k * a_strides_k], b[Σ_k c_k * b_strides_k]), c the coordinates of i in `extents`
//
// Layout: y dense; a, b read with any strides, 0 along the axes they broadcast on. The host collapses the axes and aligns them
// to the innermost of eight. One invocation owns four neighbouring elements of y: it finds the first one's coordinates by
// division and steps along the innermost axis, so a workgroup's loads along that axis are side by side.
// Overrides: OPERATION; WORKGROUP_SIZE, invocations.
// Edges: the last invocation's tail reads the last element again and writes padding.

override WORKGROUP_SIZE: u32;

struct Params {
    extents: array<vec4<u32>, 2>,
    a_strides: array<vec4<u32>, 2>,
    b_strides: array<vec4<u32>, 2>,
    elements: u32,
    first_axis: u32, // axes before it have extent 1
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Element>;
@group(0) @binding(2) var<storage, read> b: array<Element>;
@group(0) @binding(3) var<storage, read_write> y: array<Element4>;

/// Where element i of the output reads a and b, and its coordinate on the innermost axis.
fn locate(i: u32) -> vec3<u32> {
    var rest = i;
    var at = vec2<u32>();
    for (var axis = 7u; axis > params.first_axis; axis--) {
        let extent = params.extents[axis / 4u][axis % 4u];
        let coordinate = rest % extent;
        rest /= extent;
        at += coordinate * vec2<u32>(params.a_strides[axis / 4u][axis % 4u], params.b_strides[axis / 4u][axis % 4u]);
    }
    let axis = params.first_axis;
    at += rest * vec2<u32>(params.a_strides[axis / 4u][axis % 4u], params.b_strides[axis / 4u][axis % 4u]);
    return vec3<u32>(at, i % params.extents[1].w);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    let last = params.elements - 1u;
    if i <= last / 4u {
        let step = vec3<u32>(params.a_strides[1].w, params.b_strides[1].w, 1u);
        var left = Accumulator4();
        var right = Accumulator4();
        var at = locate(4u * i);
        for (var lane = 0u; lane < 4u; lane++) {
            left[lane] = Accumulator(a[at.x]);
            right[lane] = Accumulator(b[at.y]);
            if 4u * i + lane < last {
                at += step;
                if at.z == params.extents[1].w {
                    at = locate(4u * i + lane + 1u);
                }
            }
        }
        y[i] = Element4(combine(left, right));
    }
}
