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
    var sum: Tile;
    // Always so: see lane_tile.wgsl.
    if first <= last {
        var loaded: array<Accumulator, BIAS_LOADS>;
        for (var i = 0u; i < BIAS_LOADS; i++) {
            loaded[i] = Accumulator(b[min(first + i * SUBGROUP + local, last)]);
        }
        for (var part = 0u; part < PARTS; part++) {
            let quad = part / TILE_VECTORS;
            let lane = quad % 2u * 4u;
            sum[part][0] = Accumulator4(subgroupShuffle(loaded[quad / 2u], lane));
            sum[part][1] = Accumulator4(subgroupShuffle(loaded[quad / 2u], lane + 1u));
            sum[part][2] = Accumulator4(subgroupShuffle(loaded[quad / 2u], lane + 2u));
            sum[part][3] = Accumulator4(subgroupShuffle(loaded[quad / 2u], lane + 3u));
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

fn shared_weights(weights: ptr<function, Weights>, at: u32) -> Accumulator4 {
    return subgroupShuffle((*weights)[at / SUBGROUP], at % SUBGROUP);
}

/// Adds the products of DEPTH steps.
fn multiply_add(sum: ptr<function, Tile>, weights: ptr<function, Weights>, pixels: ptr<function, Pixels>) {
    for (var part = 0u; part < PARTS; part++) {
        let quad = part / TILE_VECTORS;
        let v = part % TILE_VECTORS;
        let w0 = shared_weights(weights, quad);
        let w1 = shared_weights(weights, quad + QUADS);
        let w2 = shared_weights(weights, quad + 2u * QUADS);
        let w3 = shared_weights(weights, quad + 3u * QUADS);
        let p0 = (*pixels)[v];
        let p1 = (*pixels)[v + TILE_VECTORS];
        let p2 = (*pixels)[v + 2u * TILE_VECTORS];
        let p3 = (*pixels)[v + 3u * TILE_VECTORS];
        (*sum)[part][0] = (*sum)[part][0] + w0.x * p0 + w1.x * p1 + w2.x * p2 + w3.x * p3;
        (*sum)[part][1] = (*sum)[part][1] + w0.y * p0 + w1.y * p1 + w2.y * p2 + w3.y * p3;
        (*sum)[part][2] = (*sum)[part][2] + w0.z * p0 + w1.z * p1 + w2.z * p2 + w3.z * p3;
        (*sum)[part][3] = (*sum)[part][3] + w0.w * p0 + w1.w * p1 + w2.w * p2 + w3.w * p3;
    }
}
