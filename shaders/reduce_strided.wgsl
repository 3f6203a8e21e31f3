// y[o] = reduce over r of x[Σ_k o_k * kept_strides_k + Σ_k r_k * reduced_strides_k]
//
// Layout: y dense over the kept axes; x read with any strides. The host collapses both sets of axes and aligns each to the
// innermost of eight. COOPERATIVE = 0: one invocation owns one output, so neighbours read side by side where the innermost kept
// axis is contiguous. COOPERATIVE = 1: a workgroup owns one output, for few outputs of many elements; its totals meet in
// workgroup memory. Runs of 64 elements are summed on their own, so that long sums keep their precision.
// Overrides: FUNCTION; COOPERATIVE; WORKGROUP_SIZE, invocations, a multiple of 16.
// Edges: workgroups past the last output repeat it and store nothing, so that barriers stay uniform.

override COOPERATIVE: u32;
override WORKGROUP_SIZE: u32;

struct Params {
    kept: array<vec4<u32>, 2>,
    kept_strides: array<vec4<u32>, 2>,
    reduced: array<vec4<u32>, 2>,
    reduced_strides: array<vec4<u32>, 2>,
    outputs: u32,
    count: u32, // elements of x for each output
    lowest: f32, // the least finite number
    mask: u32, // the bits of an integer that is narrower than its storage, else 0
    sign: u32, // its sign bit, 0 where it has none
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

var<workgroup> partials: array<Accumulator, WORKGROUP_SIZE>;

/// The reduction of elements first, first + step, … of the output whose elements lie from `base` on.
fn walk(base: u32, first: u32, step: u32) -> Accumulator {
    let inner = params.reduced[1].w;
    let stride = step * params.reduced_strides[1].w;
    let none = neutral(Accumulator(x[base]));
    var total = none;
    var index = first;
    var coordinate = first % inner;
    var offset = reduced_offset(first);
    while index < params.count {
        var run = none;
        let end = min(index + 64u * step, params.count);
        while index < end {
            run = accumulate(run, prepare(Accumulator(x[base + offset])));
            index += step;
            coordinate += step;
            offset += stride;
            if coordinate >= inner {
                coordinate = index % inner;
                offset = reduced_offset(index);
            }
        }
        total = accumulate(total, run);
    }
    return total;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let group = flat_workgroup(workgroup, workgroups);
    if COOPERATIVE == 0u {
        let output = group * WORKGROUP_SIZE + local;
        if output < params.outputs {
            y[output] = Element(finish(walk(kept_offset(output), 0u, 1u), params.count));
        }
    } else {
        let output = min(group, params.outputs - 1u);
        partials[local] = walk(kept_offset(output), local, WORKGROUP_SIZE);
        workgroupBarrier();
        // Sixteen invocations gather the rest, one gathers those: two steps instead of a tree's eight.
        var total = partials[local];
        if local < 16u {
            for (var i = local + 16u; i < WORKGROUP_SIZE; i += 16u) {
                total = accumulate(total, partials[i]);
            }
            partials[local] = total;
        }
        workgroupBarrier();
        if local == 0u && group < params.outputs {
            for (var i = 1u; i < 16u; i++) {
                total = accumulate(total, partials[i]);
            }
            y[output] = Element(finish(total, params.count));
        }
    }
}
