// y[i] = combine(dense[i], other[(i / run) % period]), or with the operands the other way round
//
// Layout: dense, y of any shape; each element of `other` stands for `run` neighbours, all `period` of them over and over.
// A channel bias [C,1,1] on [N,C,H,W] has run H*W and period C; a scalar has period 1; an operand of the same shape is dense too.
// One invocation owns four neighbouring elements, a workgroup WORKGROUP_SIZE times as many, so loads and stores are whole
// vectors side by side. The host pads buffers to whole vectors; the tail computes on padding.
// Overrides: OPERATION; REPEAT, how `other` is read (0 dense; 1 an element for a whole vector: run % 4 = 0 or period = 1;
// 2 an element for each lane; 3 vectors over and over: run = 1, period % 4 = 0); SWAPPED, 1 where `other` is the left operand;
// WORKGROUP_SIZE, invocations; IN_PLACE, 1 where y holds `dense` at first.

override OPERATION: u32;
override REPEAT: u32;
override SWAPPED: u32;
override WORKGROUP_SIZE: u32;
override IN_PLACE: u32;

struct Params {
    vectors: u32, // ceil(elements / 4)
    run: u32,
    period: u32,
    mask: u32, // the bits of the element type in its storage
    sign: u32, // its sign bit, 0 where it has none or is as wide as its storage
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dense: array<Element4>;
@group(0) @binding(2) var<storage, read> other: array<Element4>;
@group(0) @binding(3) var<storage, read_write> y: array<Element4>;

/// What stands beside element i of the output.
fn repeated(i: u32) -> Element {
    let at = (i / params.run) % params.period;
    return other[at / 4u][at % 4u];
}

fn load_other(i: u32) -> Element4 {
    switch REPEAT {
        case 0u: { return other[i]; }
        case 1u: { return Element4(repeated(4u * i)); }
        case 2u: { return Element4(repeated(4u * i), repeated(4u * i + 1u), repeated(4u * i + 2u), repeated(4u * i + 3u)); }
        default: { return other[i % (params.period / 4u)]; }
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
        var left: Accumulator4;
        if IN_PLACE == 1u {
            left = Accumulator4(y[i]);
        } else {
            left = Accumulator4(dense[i]);
        }
        let right = Accumulator4(load_other(i));
        if SWAPPED == 1u {
            y[i] = Element4(wrap(combine(OPERATION, right, left), params.mask, params.sign));
        } else {
            y[i] = Element4(wrap(combine(OPERATION, left, right), params.mask, params.sign));
        }
    }
}
