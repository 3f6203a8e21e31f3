// The rows of a register tile one by one, for epilogues that are not unrolled.
//
// ROLLED 1 has the rows of a tile go through one copy of the epilogue, for devices whose compiler is slow: it needs a row by a number
// that the compiler does not know, and an index would keep the tile in memory all along.

override ROLLED: u32;

alias TileRows = array<array<Accumulator4, TILE_VECTORS>, TILE_ROWS>;

fn tile_vector(tile: ptr<function, TileRows>, row: u32, v: u32) -> Accumulator4 {
    var vector = (*tile)[0][v];
    for (var r = 1u; r < TILE_ROWS; r++) {
        vector = select(vector, (*tile)[r][v], row == r);
    }
    return vector;
}
