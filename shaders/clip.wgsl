// y[i] = min(max(x[i], minimum), maximum), a missing bound left out; where minimum > maximum, maximum wins
//
// Layout: x, y dense, any shape; the bounds are scalars in buffers, known only at run time. One invocation owns four
// neighbouring elements, a workgroup WORKGROUP_SIZE times as many, so loads and stores are whole vectors side by side.
// The host pads buffers to whole vectors; the tail computes on padding. NaN passes.
// Overrides: HAS_MINIMUM, HAS_MAXIMUM, 1 where the bound is given; WORKGROUP_SIZE, invocations; IN_PLACE, 1
// where y holds x at first.
// Source: ONNX Clip, opset 13.

override HAS_MINIMUM: u32;
override HAS_MAXIMUM: u32;
override WORKGROUP_SIZE: u32;
override IN_PLACE: u32;

struct Params {
    vectors: u32, // ceil(elements / 4)
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read> minimum: array<Element>;
@group(0) @binding(3) var<storage, read> maximum: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Element4>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i < params.vectors {
        var v: Element4;
        if IN_PLACE == 1u {
            v = y[i];
        } else {
            v = x[i];
        }
        if HAS_MINIMUM == 1u {
            let low = Element4(minimum[0]);
            v = select(v, low, v < low);
        }
        if HAS_MAXIMUM == 1u {
            let high = Element4(maximum[0]);
            v = select(v, high, v > high);
        }
        y[i] = v;
    }
}
