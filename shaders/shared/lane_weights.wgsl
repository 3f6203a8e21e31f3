// A register tile of TILE_ROWS rows by TILE_VECTORS vectors, and its weights, spread over the lanes of a subgroup of eight.
//
// Weights: DEPTH steps of the inner dimension by TILE_ROWS rows, step by step, four neighbouring rows to a vector and one vector to a lane,
// in as many loads as that takes.
// Software drivers unroll a loop over a whole array, of at most 32 elements, and keep such arrays in registers: so the rows of a tile are
// blocks of BLOCK_ROWS, and what comes after the sums goes through one copy of the code for all rows, chosen by `tile_vector`.

const SUBGROUP: u32 = 8u;
const DEPTH: u32 = 4u;
const BLOCK_ROWS: u32 = 16u;
const BLOCKS: u32 = TILE_ROWS / BLOCK_ROWS;
const ROW_VECTORS: u32 = TILE_ROWS / 4u;
const WEIGHT_LOADS: u32 = DEPTH * ROW_VECTORS / SUBGROUP;
const_assert BLOCKS * BLOCK_ROWS == TILE_ROWS;
const_assert WEIGHT_LOADS * SUBGROUP == DEPTH * ROW_VECTORS;

alias Weights = array<Accumulator4, WEIGHT_LOADS>;
alias Pixels = array<array<Accumulator4, TILE_VECTORS>, DEPTH>;
alias Tile = array<array<array<Accumulator4, TILE_VECTORS>, BLOCK_ROWS>, BLOCKS>;

fn shared_weight(weights: ptr<function, Weights>, at: u32, component: u32) -> Accumulator {
    return subgroupShuffle((*weights)[at / SUBGROUP][component], at % SUBGROUP);
}

/// Adds the products of DEPTH steps.
fn multiply_add(sum: ptr<function, Tile>, weights: ptr<function, Weights>, pixels: ptr<function, Pixels>) {
    for (var block = 0u; block < BLOCKS; block++) {
        for (var r = 0u; r < BLOCK_ROWS; r++) {
            let at = (block * BLOCK_ROWS + r) / 4u;
            let a = shared_weight(weights, at, r % 4u);
            let b = shared_weight(weights, at + ROW_VECTORS, r % 4u);
            let c = shared_weight(weights, at + 2u * ROW_VECTORS, r % 4u);
            let d = shared_weight(weights, at + 3u * ROW_VECTORS, r % 4u);
            for (var v = 0u; v < TILE_VECTORS; v++) {
                (*sum)[block][r][v] = (*sum)[block][r][v]
                    + a * (*pixels)[0][v] + b * (*pixels)[1][v] + c * (*pixels)[2][v] + d * (*pixels)[3][v];
            }
        }
    }
}

fn tile_vector(tile: ptr<function, Tile>, row: u32, v: u32) -> Accumulator4 {
    var vector = (*tile)[0][0][v];
    for (var block = 0u; block < BLOCKS; block++) {
        for (var r = 0u; r < BLOCK_ROWS; r++) {
            vector = select(vector, (*tile)[block][r][v], row == block * BLOCK_ROWS + r);
        }
    }
    return vector;
}
