// The weights of a register tile of lane_tile.wgsl, spread over the lanes of its subgroup.
//
// DEPTH steps of the inner dimension by TILE_ROWS rows, step by step, four neighbouring rows to a vector and one vector to a lane, in as
// many loads as that takes.

const WEIGHT_LOADS: u32 = DEPTH * QUADS / SUBGROUP;
const BIAS_LOADS: u32 = TILE_ROWS / SUBGROUP;
const_assert BIAS_LOADS * SUBGROUP == TILE_ROWS;
const_assert WEIGHT_LOADS * SUBGROUP == DEPTH * QUADS;

alias Weights = array<Accumulator4, WEIGHT_LOADS>;

/// Where the weights of a group's tile of rows begin.
fn weight_run(group: u32, tile: u32, rows: u32, inner: u32) -> u32 {
    return (group * ((rows + TILE_ROWS - 1u) / TILE_ROWS) + tile) * inner * QUADS;
}

/// The sums before the first product: the bias of each row, from element `first` of b on, which has no more than `last`.
fn bias_tile(first: u32, last: u32, local: u32) -> Tile {
    var loaded: array<Accumulator, BIAS_LOADS>;
    for (var i = 0u; i < BIAS_LOADS; i++) {
        loaded[i] = Accumulator(b[min(first + i * SUBGROUP + local, last)]);
    }
    var sum: Tile;
    for (var quad = 0u; quad < QUADS; quad++) {
        for (var r = 0u; r < 4u; r++) {
            let bias = subgroupShuffle(loaded[quad / 2u], quad % 2u * 4u + r);
            for (var v = 0u; v < TILE_VECTORS; v++) {
                sum[quad][r][v] = Accumulator4(bias);
            }
        }
    }
    return sum;
}

/// The weights of DEPTH steps from one on, zero for steps past the last of `inner`.
fn load_weights(run: u32, step: u32, inner: u32, local: u32) -> Weights {
    var weights: Weights;
    for (var i = 0u; i < WEIGHT_LOADS; i++) {
        let at = step * QUADS + i * SUBGROUP + local;
        let last = inner * QUADS - 1u;
        weights[i] = select(Accumulator4(0), Accumulator4(w[run + min(at, last)]), at <= last);
    }
    return weights;
}

fn shared_weight(weights: ptr<function, Weights>, at: u32, component: u32) -> Accumulator {
    return subgroupShuffle((*weights)[at / SUBGROUP][component], at % SUBGROUP);
}

/// Adds the products of DEPTH steps.
fn multiply_add(sum: ptr<function, Tile>, weights: ptr<function, Weights>, pixels: ptr<function, Pixels>) {
    for (var quad = 0u; quad < QUADS; quad++) {
        for (var r = 0u; r < 4u; r++) {
            let w0 = shared_weight(weights, quad, r);
            let w1 = shared_weight(weights, quad + QUADS, r);
            let w2 = shared_weight(weights, quad + 2u * QUADS, r);
            let w3 = shared_weight(weights, quad + 3u * QUADS, r);
            for (var v = 0u; v < TILE_VECTORS; v++) {
                (*sum)[quad][r][v] = (*sum)[quad][r][v]
                    + w0 * (*pixels)[0][v] + w1 * (*pixels)[1][v] + w2 * (*pixels)[2][v] + w3 * (*pixels)[3][v];
            }
        }
    }
}
