// y[o] = (sum over r of x[Σ_k o_k * kept_strides_k + Σ_k r_k * reduced_strides_k]) / count, toward zero
//
// Layout: y dense over the kept axes; x read with any strides. The host collapses both sets of axes and aligns each to the
// innermost of eight. One invocation owns one output, so neighbours read side by side where the innermost kept axis is
// contiguous. The sum, which may outgrow the type, is kept as quotient * count + remainder with 0 <= remainder < count.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: invocations past the last output do nothing. Source: ONNX ReduceMean.

override WORKGROUP_SIZE: u32;

struct Params {
    kept: array<vec4<u32>, 2>,
    kept_strides: array<vec4<u32>, 2>,
    reduced: array<vec4<u32>, 2>,
    reduced_strides: array<vec4<u32>, 2>,
    outputs: u32,
    count: u32, // elements of x for each output
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let output = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if output >= params.outputs {
        return;
    }
    let base = kept_offset(output);
    let count = Element(params.count);
    var quotient = Element();
    var remainder = Element();
    for (var i = 0u; i < params.count; i++) {
        let value = x[base + reduced_offset(i)];
        var whole = value / count;
        var rest = value - whole * count;
        if rest < Element() {
            rest += count;
            whole -= Element(1);
        }
        quotient += whole;
        // remainder + rest may pass the largest i32; this does not.
        if rest >= count - remainder {
            remainder -= count - rest;
            quotient += Element(1);
        } else {
            remainder += rest;
        }
    }
    let negative = quotient < Element() && remainder > Element();
    y[output] = select(quotient, quotient + Element(1), negative);
}
