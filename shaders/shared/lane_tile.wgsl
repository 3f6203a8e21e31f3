// A register tile of TILE_ROWS rows by TILE_VECTORS vectors, of a subgroup of eight whose lanes share their loads.
//
// Software drivers keep such arrays in registers where every loop over one is unrolled, as they do for a single loop over a whole array, of at
// most 32 elements. Newer ones unroll no loop inside of another, nor the second of two in a row, and send the whole tile to memory for one that
// is left. So a tile is one array of parts, four rows of one vector each; no loops over one are nested; and of two loops in a row, and of those
// that fill arrays before the first product, one stands in a condition that always holds, which the compiler cannot know.
//
// What comes after the sums goes through one copy of the code for all parts, because these drivers compile slowly: a part by a number that the
// compiler does not know is found by `tile_part` and `part_row`.

const SUBGROUP: u32 = 8u;
const DEPTH: u32 = 4u; // steps of the inner dimension in registers
const QUADS: u32 = TILE_ROWS / 4u;
const_assert QUADS * 4u == TILE_ROWS;

const PARTS: u32 = QUADS * TILE_VECTORS;

alias Pixels = array<Accumulator4, DEPTH * TILE_VECTORS>; // step by step
alias Quad = array<Accumulator4, 4>;
alias Tile = array<Quad, PARTS>; // quad of rows by quad

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

/// The parts that hold the first rows of a tile.
fn parts(rows: u32) -> u32 {
    return (rows + 3u) / 4u * TILE_VECTORS;
}

/// Four rows of a vector.
fn tile_part(tile: ptr<function, Tile>, wanted: u32) -> Quad {
    var rows: Quad;
    for (var part = 0u; part < PARTS; part++) {
        rows[0] = select(rows[0], (*tile)[part][0], part == wanted);
        rows[1] = select(rows[1], (*tile)[part][1], part == wanted);
        rows[2] = select(rows[2], (*tile)[part][2], part == wanted);
        rows[3] = select(rows[3], (*tile)[part][3], part == wanted);
    }
    return rows;
}

/// The one of a tile's vectors that the compiler does not know.
fn wanted_vector(vectors: array<Accumulator4, TILE_VECTORS>, wanted: u32) -> Accumulator4 {
    var values = vectors;
    var found: Accumulator4;
    for (var v = 0u; v < TILE_VECTORS; v++) {
        found = select(found, values[v], v == wanted);
    }
    return found;
}

fn part_row(quad: Quad, row: u32) -> Accumulator4 {
    return select(select(quad[0], quad[1], row == 1u), select(quad[2], quad[3], row == 3u), row >= 2u);
}
