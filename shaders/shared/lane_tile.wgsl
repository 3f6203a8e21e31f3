// A register tile of TILE_ROWS rows by TILE_VECTORS vectors, of a subgroup of eight whose lanes share their loads.
//
// Software drivers unroll a loop over a whole array, of at most 32 elements, and keep such arrays in registers: so the rows of a tile come
// in quads. What comes after the sums goes through one copy of the code for all rows, because these drivers compile slowly: a row by a
// number that the compiler does not know is found by `tile_quad` and `quad_row`.

const SUBGROUP: u32 = 8u;
const DEPTH: u32 = 4u; // steps of the inner dimension in registers
const QUADS: u32 = TILE_ROWS / 4u;
const_assert QUADS * 4u == TILE_ROWS;

alias Pixels = array<array<Accumulator4, TILE_VECTORS>, DEPTH>;
alias Tile = array<array<array<Accumulator4, TILE_VECTORS>, 4>, QUADS>;
alias Quad = array<Accumulator4, 4>;

/// The four elements from the `shift`th of eight on.
fn shifted(low: Accumulator4, high: Accumulator4, shift: u32) -> Accumulator4 {
    let two = (shift & 2u) != 0u;
    let a = select(low.x, low.z, two);
    let b = select(low.y, low.w, two);
    let c = select(low.z, high.x, two);
    let d = select(low.w, high.y, two);
    let e = select(high.x, high.z, two);
    return select(Accumulator4(a, b, c, d), Accumulator4(b, c, d, e), (shift & 1u) != 0u);
}

/// Four rows of vector v.
fn tile_quad(tile: ptr<function, Tile>, quad: u32, v: u32) -> Quad {
    var rows: Quad;
    for (var q = 0u; q < QUADS; q++) {
        for (var r = 0u; r < 4u; r++) {
            rows[r] = select(rows[r], (*tile)[q][r][v], q == quad);
        }
    }
    return rows;
}

fn quad_row(quad: Quad, row: u32) -> Accumulator4 {
    return select(select(quad[0], quad[1], row == 1u), select(quad[2], quad[3], row == 3u), row >= 2u);
}
