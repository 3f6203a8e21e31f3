// What the epilogue of a kernel that stores vectors of columns holds beside the vector of y at `at`, where a channel is a column.

fn hold_columns(at: u32, column: u32) -> Accumulator4 {
    if HOLD == 2u {
        return Accumulator4(held[column]);
    }
    return hold_vector(at, 0u);
}
