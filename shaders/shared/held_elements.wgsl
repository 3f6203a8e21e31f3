// What the epilogue of a kernel that stores elements holds beside the element of y at `at`, which belongs to `channel`.

fn hold(at: u32, channel: u32) -> Accumulator {
    if HOLD == 0u {
        return Accumulator(0);
    }
    if IN_PLACE == 1u {
        return Accumulator(y[at]);
    }
    return Accumulator(held[select(at, channel, HOLD == 2u)]);
}
