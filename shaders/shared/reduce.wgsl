// Running reductions: FUNCTION is 0 for a sum, 1 for a mean, 2 for the maximum, which NaN is.

override FUNCTION: u32;

/// What a reduction starts from: a neutral element, given any element of the row.
fn neutral(any: Accumulator) -> Accumulator {
    return select(Accumulator(), any, FUNCTION == 2u);
}

fn accumulate(total: Accumulator, next: Accumulator) -> Accumulator {
    if FUNCTION == 2u {
        return select(total, next, !(next <= total) && total == total);
    }
    return total + next;
}

fn accumulate4(total: Accumulator4, next: Accumulator4) -> Accumulator4 {
    if FUNCTION == 2u {
        return select(total, next, !(next <= total) & (total == total));
    }
    return total + next;
}

fn finish(total: Accumulator, count: u32) -> Accumulator {
    return select(total, total / Accumulator(count), FUNCTION == 1u);
}
