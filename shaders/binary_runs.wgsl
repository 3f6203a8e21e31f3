// y[i] = combine(dense[i], other[(i / run) % period]), or with the operands the other way round
//
// Layout: as in binary.wgsl, in vectors of four. One invocation owns `steps` vectors, one after the other, and reads an element of `other` once
// for the run that it stands for. For software devices, where it would cost as much as a vector and the divisions more.
// Overrides: BOUNDARIES, 0 where runs are whole vectors, whose vectors are dealt out run by run; 1 where they have at least four elements, so
// that no more than one begins inside of a vector; OPERATION; SWAPPED, 1 where `other` is the left operand; WORKGROUP_SIZE, invocations;
// IN_PLACE, 1 where y holds `dense` at first.
// Edges: the host pads buffers to whole vectors; the tail computes on padding.

override BOUNDARIES: u32;
override OPERATION: u32;
override SWAPPED: u32;
override WORKGROUP_SIZE: u32;
override IN_PLACE: u32;

struct Params {
    vectors: u32, // ceil(elements / 4)
    run: u32, // in elements
    period: u32,
    steps: u32,
    pieces: u32, // of a run, where BOUNDARIES is 0
    mask: u32, // the bits of the element type in its storage
    sign: u32, // its sign bit, 0 where it has none or is as wide as its storage
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dense: array<Element4>;
@group(0) @binding(2) var<storage, read> other: array<Element>;
@group(0) @binding(3) var<storage, read_write> y: array<Element4>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let run = params.run;
    let period = params.period;
    let mask = params.mask;
    let sign = params.sign;
    let owned = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    var first = owned * params.steps;
    var end = min(first + params.steps, params.vectors);
    var at = 0u; // of the vector's first element in its run
    var c = 0u;
    if BOUNDARIES == 0u {
        let own = owned / params.pieces;
        c = own % period;
        first = own * (run / 4u) + (owned - own * params.pieces) * params.steps;
        end = min(first + params.steps, min((own + 1u) * (run / 4u), params.vectors));
    } else {
        let own = 4u * first / run;
        c = own % period;
        at = 4u * first - own * run;
    }
    var value = Accumulator(other[c]);
    var next = value;
    if BOUNDARIES == 1u {
        c = select(c + 1u, 0u, c + 1u == period);
        next = Accumulator(other[c]);
    }
    for (var i = first; i < end; i++) {
        var left: Accumulator4;
        if IN_PLACE == 1u {
            left = Accumulator4(y[i]);
        } else {
            left = Accumulator4(dense[i]);
        }
        var right = Accumulator4(value);
        if BOUNDARIES == 1u {
            right = select(right, Accumulator4(next), at + vec4<u32>(0u, 1u, 2u, 3u) >= vec4<u32>(run));
        }
        if SWAPPED == 1u {
            y[i] = Element4(wrap(combine(OPERATION, right, left), mask, sign));
        } else {
            y[i] = Element4(wrap(combine(OPERATION, left, right), mask, sign));
        }
        if BOUNDARIES == 1u {
            at += 4u;
            if at >= run {
                at -= run;
                value = next;
                c = select(c + 1u, 0u, c + 1u == period);
                next = Accumulator(other[c]);
            }
        }
    }
}
