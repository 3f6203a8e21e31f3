// What the epilogue of a kernel that stores vectors holds beside the vector of y at `at`, which belongs to `channel`; and the epilogue of
// its four elements.

fn hold_vector(at: u32, channel: u32) -> Accumulator4 {
    if HOLD == 0u {
        return Accumulator4();
    }
    if IN_PLACE == 1u {
        return Accumulator4(y[at]);
    }
    if HOLD == 2u {
        return Accumulator4(Accumulator(held[channel / 4u][channel % 4u]));
    }
    return Accumulator4(held[at]);
}

fn finish_vector(x: Accumulator4, other: Accumulator4) -> Accumulator4 {
    return Accumulator4(finish(x.x, other.x), finish(x.y, other.y), finish(x.z, other.z), finish(x.w, other.w));
}
