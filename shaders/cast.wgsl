// y[i] = x[i] as another type
//
// Layout: dense, any shape. One invocation owns four neighbouring elements, a workgroup WORKGROUP_SIZE times as many, so
// loads and stores are whole vectors side by side. The host pads buffers to whole vectors; the tail computes on padding.
// Overrides: CONVERSION: 0 as WGSL converts (to floats; between integers that fit their storage); 1 to bool, x != 0;
// 2 floats to integers, toward zero, out of range to the nearest bound, NaN to 0; 3 integers to 8 or 16 bits, wrapping;
// 4 u32 to i64, in halves, since drivers take its top bit for a sign;
// WORKGROUP_SIZE, invocations.
// Source: ONNX Cast, opset 13; Rust's `as`.

override CONVERSION: u32;
override WORKGROUP_SIZE: u32;

struct Params {
    vectors: u32,      // ceil(elements / 4)
    low: f32,          // the target's range in floats, its bounds rounded toward zero
    high: f32,
    maximum_high: u32, // the target's largest value: 2^32 * maximum_high + maximum_low
    maximum_low: u32,
    base: u32,         // 2^16, which not every target type can have as a literal
    mask: u32,         // the target's bits in its storage
    sign: u32,         // its sign bit, 0 where it has none
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<Target>>;

fn saturate_toward_zero(x: vec4<f32>) -> vec4<Target> {
    let low = vec4<f32>(params.low);
    let high = vec4<f32>(params.high);
    let number = select(vec4<f32>(), x, x == x);
    let inside = select(select(number, high, number > high), low, number < low);
    let base = Target(params.base);
    // The low word in halves: drivers take the top bit of a u32 for a sign where the target is wider.
    let low_word = Target(params.maximum_low >> 16u) * base + Target(params.maximum_low & 0xffffu);
    let maximum = Target(params.maximum_high) * base * base + low_word;
    return select(vec4<Target>(inside), vec4<Target>(maximum), number > high);
}

fn convert(x: Element4) -> vec4<Target> {
    switch CONVERSION {
        case 0u: { return vec4<Target>(x); }
        // Equality, since NaN is not 0 and `!=` on it gives what the backend likes.
        case 1u: { return vec4<Target>(select(vec4<u32>(1u), vec4<u32>(0u), x == Element4())); }
        case 2u: { return saturate_toward_zero(vec4<f32>(x)); }
        case 4u: {
            let bits = vec4<u32>(x);
            let half = vec4<Target>(bits >> vec4<u32>(1u));
            return half + half + vec4<Target>(bits & vec4<u32>(1u));
        }
        default: {
            let bits = vec4<u32>(x) & vec4<u32>(params.mask);
            return vec4<Target>((bits ^ vec4<u32>(params.sign)) - vec4<u32>(params.sign));
        }
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i < params.vectors {
        y[i] = convert(x[i]);
    }
}
