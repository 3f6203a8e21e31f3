// F(2×2, 3×3): the transforms along one axis of a tile of two outputs from four inputs, with the points 0, ±1 and infinity.
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016.
const OUTPUTS: u32 = 2u;
const INPUTS: u32 = 4u;
const_assert INPUTS == OUTPUTS + 2u;

alias Inputs = array<Accumulator4, INPUTS>;
alias Outputs = array<Accumulator4, OUTPUTS>;

/// What four neighbouring tiles need of a row: OUTPUTS vectors of four elements, then a vector that begins with the element before them
/// and the one after them.
alias Row = array<Accumulator4, OUTPUTS + 1u>;

/// Element by element of a tile, those of the four tiles.
fn of_tiles(row: Row) -> Inputs {
    return Inputs(
        Accumulator4(row[2].x, row[0].y, row[0].w, row[1].y),
        Accumulator4(row[0].x, row[0].z, row[1].x, row[1].z),
        Accumulator4(row[0].y, row[0].w, row[1].y, row[1].w),
        Accumulator4(row[0].z, row[1].x, row[1].z, row[2].y),
    );
}

/// Bᵀ d
fn transform_input(d: Inputs) -> Inputs {
    return Inputs(d[0] - d[2], d[1] + d[2], d[2] - d[1], d[3] - d[1]);
}

/// Aᵀ m
fn transform_output(m: Inputs) -> Outputs {
    return Outputs(m[0] + m[1] + m[2], m[1] - m[2] + m[3]);
}
