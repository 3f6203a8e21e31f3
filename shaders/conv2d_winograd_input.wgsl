// v[i, j, c, t] = (Bᵀ d[c, t] B)[i, j]: the input of a 3×3 convolution, stride 1, in Winograd's tiles
//
// d[c, t] are the INPUTS × INPUTS elements of channel c that tile t's OUTPUTS × OUTPUTS outputs need; neighbouring tiles overlap by two.
// Layout: x [N, C, H·W] in vectors of four elements, the last one perhaps not whole; v [INPUTS², C, pitch] in vectors of four tiles that are
// neighbours in a row; a row of tiles is padded to whole vectors, and the rows of all images follow one another.
// One invocation owns one vector of tiles in one channel; neighbours own neighbouring vectors, so that they read neighbouring elements
// and write neighbouring vectors.
// Workgroups: x the vectors of the rows from first_row on; y the channels.
// Overrides: VECTORS, 1 where the rows of x are whole vectors and the padding before them is one element, else 0; WORKGROUP_SIZE, invocations.
// Edges: elements in the padding are 0; tiles that pad a row read elements outside, which are 0 as well. An infinity or a NaN reaches
// every output of the tiles that have it, where the sum itself has it in those whose window does.
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016.

override VECTORS: u32;
override WORKGROUP_SIZE: u32;

struct Params {
    channels: u32,
    in_height: u32,
    in_width: u32,
    top: u32,
    left: u32,
    tile_rows: u32, // of an image
    row_vectors: u32, // of a row of tiles
    first_row: u32,
    vectors: u32, // of all rows
    pitch: u32, // vectors from a channel to the next
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read_write> v: array<Element4>;

/// The element of the row from `start` on at in_x, which is outside beyond `width`.
fn element(start: u32, in_x: u32, width: u32) -> Accumulator {
    let at = start + select(0u, in_x, in_x < width);
    return select(Accumulator(0), Accumulator(x[at / 4u][at % 4u]), in_x < width);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let vector = workgroup.x * WORKGROUP_SIZE + local;
    let last = min(vector, params.vectors - 1u);
    let tile_row = params.first_row + last / params.row_vectors;
    let tile = last % params.row_vectors * 4u;
    // The row and the column of the first element; in the padding they are huge, which is outside as well.
    let first_y = tile_row % params.tile_rows * OUTPUTS - params.top;
    let first_x = tile * OUTPUTS - params.left;
    let height = params.in_height;
    let width = params.in_width;
    let map = (tile_row / params.tile_rows * params.channels + workgroup.y) * height;

    var rows: array<Row, INPUTS>;
    for (var r = 0u; r < INPUTS; r++) {
        let in_y = first_y + r;
        let inside = in_y < height;
        let start = (map + select(0u, in_y, inside)) * width;
        // A row in the padding has no elements inside.
        let end = select(0u, width, inside);
        let next = first_x + 4u * OUTPUTS + 1u;
        if VECTORS == 1u {
            let whole = start / 4u;
            let first = tile * OUTPUTS / 4u;
            for (var q = 0u; q < OUTPUTS; q++) {
                let within = 4u * (first + q) < end;
                rows[r][q] = select(Accumulator4(), Accumulator4(x[whole + select(0u, first + q, within)]), within);
            }
            let before = select(Accumulator(0), Accumulator(x[whole + max(first, 1u) - 1u].w), inside && first > 0u);
            let after = select(Accumulator(0), Accumulator(x[whole + select(0u, next / 4u, next < end)].x), next < end);
            rows[r][OUTPUTS] = Accumulator4(before, after, Accumulator(0), Accumulator(0));
        } else {
            for (var q = 0u; q < OUTPUTS; q++) {
                let at = first_x + 1u + 4u * q;
                rows[r][q] = Accumulator4(
                    element(start, at, end),
                    element(start, at + 1u, end),
                    element(start, at + 2u, end),
                    element(start, at + 3u, end),
                );
            }
            rows[r][OUTPUTS] = Accumulator4(element(start, first_x, end), element(start, next, end), Accumulator(0), Accumulator(0));
        }
    }
    for (var q = 0u; q <= OUTPUTS; q++) {
        var column: Inputs;
        for (var r = 0u; r < INPUTS; r++) {
            column[r] = rows[r][q];
        }
        let transformed = transform_input(column);
        for (var r = 0u; r < INPUTS; r++) {
            rows[r][q] = transformed[r];
        }
    }

    if vector < params.vectors {
        let plane = params.channels * params.pitch;
        let at = workgroup.y * params.pitch + vector;
        for (var i = 0u; i < INPUTS; i++) {
            let transformed = transform_input(of_tiles(rows[i]));
            for (var j = 0u; j < INPUTS; j++) {
                v[at + (i * INPUTS + j) * plane] = Element4(transformed[j]);
            }
        }
    }
}
