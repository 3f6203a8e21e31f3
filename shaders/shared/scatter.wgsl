// What becomes of an element that an update falls on: REDUCTION picks one. The numbers are `ScatterReduction`'s.

override REDUCTION: u32;

fn reduce(a: Accumulator, b: Accumulator) -> Accumulator {
    switch REDUCTION {
        case 0u: { return b; }
        case 1u: { return a + b; }
        case 2u: { return a * b; }
        // A NaN is not >= or <= anything, and stays.
        case 3u: { return select(a, b, !(b >= a) && a == a); }
        default: { return select(a, b, !(b <= a) && a == a); }
    }
}
