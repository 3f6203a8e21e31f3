// What happens to an element before a kernel stores it: an activation, an operator with what is held beside it, another activation.
// BEFORE and AFTER are numbers of activation.wgsl; COMBINE is 0 nothing, 1 held + x, 2 held · x, 3 Parametric ReLU with the slope held;
// HOLD is 0 nothing, 1 an element for each of y, 2 an element for each channel; IN_PLACE is 1 where y itself is what is held.

override BEFORE: u32;
override COMBINE: u32;
override HOLD: u32;
override AFTER: u32;
override IN_PLACE: u32;

fn finish(x: Accumulator, other: Accumulator) -> Accumulator {
    var v = x;
    if BEFORE != 0u {
        v = Accumulator(activate(BEFORE, f32(v), params.before_alpha, params.before_beta));
    }
    switch COMBINE {
        case 1u: { v += other; }
        case 2u: { v *= other; }
        case 3u: { v = select(v, v * other, v < Accumulator(0)); }
        default: {}
    }
    if AFTER != 0u {
        v = Accumulator(activate(AFTER, f32(v), params.after_alpha, params.after_beta));
    }
    return v;
}
