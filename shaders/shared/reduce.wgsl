// Running reductions; the numbers are `Reduce::code`'s: FUNCTION 0 is a sum, 1 a mean, 2 the maximum, 3 the minimum, 4 a
// product, 5 the L1 norm, 6 the L2 norm, 7 the logarithm of a sum, 8 that of a sum of exponentials, 9 a sum of squares.
// Needs `lowest`, `mask` and `sign` in the kernel's `params`.

override FUNCTION: u32;

/// What a reduction starts from: a neutral element, given any element of the row.
fn neutral(any: Accumulator) -> Accumulator {
    switch FUNCTION {
        case 2u, 3u: { return any; }
        case 4u: { return Accumulator(1); }
        case 8u: { return Accumulator(params.lowest); }
        default: { return Accumulator(); }
    }
}

/// What an element adds to a reduction.
fn prepare(x: Accumulator) -> Accumulator {
    switch FUNCTION {
        case 5u: { return select(x, Accumulator() - x, x < Accumulator()); }
        case 6u, 9u: { return x * x; }
        default: { return x; }
    }
}

fn prepare4(x: Accumulator4) -> Accumulator4 {
    switch FUNCTION {
        case 5u: { return select(x, Accumulator4() - x, x < Accumulator4()); }
        case 6u, 9u: { return x * x; }
        default: { return x; }
    }
}

/// log(exp(a) + exp(b)) without overflow; equals apart, since the difference of infinities is NaN.
fn add_exponentials(a: f32, b: f32) -> f32 {
    if a == b {
        return a + 0.6931471806;
    }
    let larger = select(b, a, a > b);
    return larger + log(1.0 + exp(-abs(a - b)));
}

/// Maximum and minimum are NaN as soon as one element is.
fn accumulate(total: Accumulator, next: Accumulator) -> Accumulator {
    switch FUNCTION {
        case 2u: { return select(total, next, !(next <= total) && total == total); }
        case 3u: { return select(total, next, !(next >= total) && total == total); }
        case 4u: { return total * next; }
        case 8u: { return Accumulator(add_exponentials(f32(total), f32(next))); }
        default: { return total + next; }
    }
}

fn accumulate4(total: Accumulator4, next: Accumulator4) -> Accumulator4 {
    switch FUNCTION {
        case 2u: { return select(total, next, !(next <= total) & (total == total)); }
        case 3u: { return select(total, next, !(next >= total) & (total == total)); }
        case 4u: { return total * next; }
        case 8u: {
            return Accumulator4(
                accumulate(total.x, next.x), accumulate(total.y, next.y), accumulate(total.z, next.z), accumulate(total.w, next.w),
            );
        }
        default: { return total + next; }
    }
}

/// An integer of `mask`'s bits, wrapped to them, in wider storage; `mask` is 0 where the storage has the type's width.
fn wrapped(total: Accumulator) -> Accumulator {
    if params.mask == 0u {
        return total;
    }
    return Accumulator(((u32(total) & params.mask) ^ params.sign) - params.sign);
}

fn finish(total: Accumulator, count: u32) -> Accumulator {
    switch FUNCTION {
        case 1u: { return total / Accumulator(count); }
        case 6u: { return Accumulator(sqrt(f32(total))); }
        case 7u: { return Accumulator(log(f32(total))); }
        // Nothing but -inf leaves the start, which twice over is -inf again.
        case 8u: { return select(total, total + total, total == Accumulator(params.lowest)); }
        default: { return wrapped(total); }
    }
}
