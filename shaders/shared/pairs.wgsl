// Pairs of operands that broadcast against each other: a, b read with any strides, 0 along the axes they broadcast on.
// The host collapses the axes and aligns them to the innermost of eight.

struct Params {
    extents: array<vec4<u32>, 2>,
    a_strides: array<vec4<u32>, 2>,
    b_strides: array<vec4<u32>, 2>,
    elements: u32,
    first_axis: u32, // axes before it have extent 1
    mask: u32,       // the bits of the element type in its storage
    sign: u32,       // its sign bit, 0 where it has none or is as wide as its storage
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Element>;
@group(0) @binding(2) var<storage, read> b: array<Element>;

struct Pairs {
    left: Accumulator4,
    right: Accumulator4,
}

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

/// The operands of elements 4i to 4i + 3: the first one's place by division, the others by steps along the innermost axis.
/// What is past the last element reads the last one again.
fn load_pairs(i: u32) -> Pairs {
    let last = params.elements - 1u;
    let step = vec3<u32>(params.a_strides[1].w, params.b_strides[1].w, 1u);
    var pairs = Pairs();
    var at = locate(4u * i);
    for (var lane = 0u; lane < 4u; lane++) {
        pairs.left[lane] = Accumulator(a[at.x]);
        pairs.right[lane] = Accumulator(b[at.y]);
        if 4u * i + lane < last {
            at += step;
            if at.z == params.extents[1].w {
                at = locate(4u * i + lane + 1u);
            }
        }
    }
    return pairs;
}
