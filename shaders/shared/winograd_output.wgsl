// What follows the products of a Winograd convolution: four tiles of INPUTS × INPUTS products become OUTPUTS × OUTPUTS outputs each.
//
// ROLLED 1, where the driver's compiler is slow, has one copy compiled of what is done to a column of products and to a row of outputs.
// The four are the components of the vectors of m: neighbouring tiles of one channel, or neighbouring channels of one tile.

override HAS_BIAS: u32;
override ROLLED: u32;
override WORKGROUP_SIZE: u32;

struct Params {
    channels: u32,
    out_height: u32,
    out_width: u32,
    tile_rows: u32, // of an image
    row_vectors: u32, // of a row of tiles, each of four
    first_row: u32,
    vectors: u32, // that workgroup x goes over
    pitch: u32, // vectors of m from a channel, or a tile, to the next
    plane: u32, // and from a plane to the next
    inputs: u32, // INPUTS and OUTPUTS, which the compiler does not know
    outputs: u32,
    before_alpha: f32, // of the epilogue
    before_beta: f32,
    after_alpha: f32,
    after_beta: f32,
}

/// The rows of the outputs of four tiles.
alias Tiles = array<Outputs, OUTPUTS>;

/// Aᵀ m A, of which the first vector is at `first`.
fn tiles(first: u32) -> Tiles {
    let plane = params.plane;
    let steps = select(INPUTS, params.inputs, ROLLED == 1u);
    var columns: array<Outputs, INPUTS>;
    for (var step = 0u; step < steps; step++) {
        var column: Inputs;
        for (var i = 0u; i < INPUTS; i++) {
            column[i] = Accumulator4(m[first + (i * INPUTS + step) * plane]);
        }
        let transformed = transform_output(column);
        for (var j = 0u; j < INPUTS; j++) {
            for (var r = 0u; r < OUTPUTS; r++) {
                columns[j][r] = select(columns[j][r], transformed[r], j == step);
            }
        }
    }
    var rows: Tiles;
    for (var r = 0u; r < OUTPUTS; r++) {
        var row: Inputs;
        for (var j = 0u; j < INPUTS; j++) {
            row[j] = columns[j][r];
        }
        rows[r] = transform_output(row);
    }
    return rows;
}

/// The number of rows of outputs.
fn output_rows() -> u32 {
    return select(OUTPUTS, params.outputs, ROLLED == 1u);
}

/// Row `r` of the outputs of four tiles.
fn output_row(rows: ptr<function, Tiles>, r: u32) -> Outputs {
    var row = (*rows)[0];
    for (var k = 1u; k < OUTPUTS; k++) {
        for (var s = 0u; s < OUTPUTS; s++) {
            row[s] = select(row[s], (*rows)[k][s], r == k);
        }
    }
    return row;
}

fn bias(channel: u32) -> Accumulator {
    if HAS_BIAS == 0u {
        return Accumulator(0);
    }
    return Accumulator(b[channel]);
}
