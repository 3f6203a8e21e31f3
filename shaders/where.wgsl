// y[i] = a[Σ_k c_k * a_strides_k] where condition[Σ_k c_k * condition_strides_k], else b[Σ_k c_k * b_strides_k]
//
// Layout: y dense, c the coordinates of i in `extents`; condition, a, b read with any strides, 0 along the axes they broadcast
// on. The host collapses the axes and aligns them to the innermost of eight. One invocation owns four neighbouring elements of
// y: it finds the first one's coordinates by division and steps along the innermost axis, so a workgroup's loads along that
// axis are side by side.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: what is not chosen has no effect, NaN included. The last invocation's tail reads the last element again and writes
// padding.
// Source: ONNX Where, opset 16.

override WORKGROUP_SIZE: u32;

struct Params {
    extents: array<vec4<u32>, 2>,
    condition_strides: array<vec4<u32>, 2>,
    a_strides: array<vec4<u32>, 2>,
    b_strides: array<vec4<u32>, 2>,
    elements: u32,
    first_axis: u32, // axes before it have extent 1
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> condition: array<u32>;
@group(0) @binding(2) var<storage, read> a: array<Element>;
@group(0) @binding(3) var<storage, read> b: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Element4>;

fn stride(axis: u32) -> vec3<u32> {
    return vec3<u32>(
        params.condition_strides[axis / 4u][axis % 4u],
        params.a_strides[axis / 4u][axis % 4u],
        params.b_strides[axis / 4u][axis % 4u],
    );
}

/// Where element i of the output reads condition, a and b, and its coordinate on the innermost axis.
fn locate(i: u32) -> vec4<u32> {
    var rest = i;
    var at = vec3<u32>();
    for (var axis = 7u; axis > params.first_axis; axis--) {
        let extent = params.extents[axis / 4u][axis % 4u];
        at += (rest % extent) * stride(axis);
        rest /= extent;
    }
    return vec4<u32>(at + rest * stride(params.first_axis), i % params.extents[1].w);
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
        let step = vec4<u32>(stride(7u), 1u);
        var chosen = Element4();
        var at = locate(4u * i);
        for (var lane = 0u; lane < 4u; lane++) {
            if condition[at.x] != 0u {
                chosen[lane] = a[at.y];
            } else {
                chosen[lane] = b[at.z];
            }
            if 4u * i + lane < last {
                at += step;
                if at.w == params.extents[1].w {
                    at = locate(4u * i + lane + 1u);
                }
            }
        }
        y[i] = chosen;
    }
}
