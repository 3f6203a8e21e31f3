// F(4×4, 3×3): the transforms along one axis of a tile of four outputs from six inputs, with the points 0, ±√½, ±√2 and infinity.
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016; the points: src/plan/winograd.rs.
const OUTPUTS: u32 = 4u;
const INPUTS: u32 = 6u;
const_assert INPUTS == OUTPUTS + 2u;

alias Inputs = array<Accumulator4, INPUTS>;
alias Outputs = array<Accumulator4, OUTPUTS>;

/// What four neighbouring tiles need of a row: OUTPUTS vectors of four elements, then a vector that begins with the element before them
/// and the one after them.
alias Row = array<Accumulator4, OUTPUTS + 1u>;

const NEAR: Accumulator = 0.70710678118654752;
const FAR: Accumulator = 1.41421356237309505;

/// Element by element of a tile, those of the four tiles.
fn of_tiles(row: Row) -> Inputs {
    return Inputs(
        Accumulator4(row[4].x, row[0].w, row[1].w, row[2].w),
        Accumulator4(row[0].x, row[1].x, row[2].x, row[3].x),
        Accumulator4(row[0].y, row[1].y, row[2].y, row[3].y),
        Accumulator4(row[0].z, row[1].z, row[2].z, row[3].z),
        Accumulator4(row[0].w, row[1].w, row[2].w, row[3].w),
        Accumulator4(row[1].x, row[2].x, row[3].x, row[4].y),
    );
}

/// Bᵀ d
fn transform_input(d: Inputs) -> Inputs {
    let near_even = d[4] - 2.0 * d[2];
    let near_odd = NEAR * d[3] - FAR * d[1];
    let far_even = d[4] - 0.5 * d[2];
    let far_odd = FAR * d[3] - NEAR * d[1];
    return Inputs(
        d[0] - 2.5 * d[2] + d[4],
        near_even + near_odd,
        near_even - near_odd,
        far_even + far_odd,
        far_even - far_odd,
        d[1] - 2.5 * d[3] + d[5],
    );
}

/// Aᵀ m
fn transform_output(m: Inputs) -> Outputs {
    let near_even = m[1] + m[2];
    let near_odd = NEAR * (m[1] - m[2]);
    let far_even = m[3] + m[4];
    let far_odd = FAR * (m[3] - m[4]);
    return Outputs(
        m[0] + near_even + far_even,
        near_odd + far_odd,
        0.5 * near_even + 2.0 * far_even,
        0.5 * near_odd + 2.0 * far_odd + m[5],
    );
}
