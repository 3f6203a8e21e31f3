// y[n, m, oy, ox] = b[m] + Σ_ky Σ_kx w[m, ky, kx] · x[n, m / multiplier, oy·STRIDE + ky − top, ox·STRIDE + kx − LEFT]
//
// Layout: x [N, C, H, W / 4] in vectors; w [M, KERNEL, KERNEL]; y [N, M, OH, OW / 4] in vectors; M = C · multiplier.
// One invocation owns a strip of TILE_ROWS output rows by `strip_vectors` vectors of four columns and walks along it: each input vector is
// read once for all rows of the strip, and its neighbours on the left stay in registers. Neighbouring invocations own neighbouring strips,
// along a row, then downwards, then from plane to plane: where a strip is one vector, loads and stores of a subgroup coalesce.
// Workgroups: x and y the strips, folded.
// Overrides: HAS_BIAS 0 or 1; LEFT, the padding before a row, at most 3; STRIDE, of rows and columns, 1 or 2, with the last tap of the fourth
// column at most one vector right of the 4 · STRIDE columns that the four begin at; WORKGROUP_SIZE, invocations; ROLLED; those of the epilogue.
// Edges: taps in the padding count zero; an index before the start wraps to a huge number, which is outside as well; rows below the last
// are not stored.

override HAS_BIAS: u32;
override LEFT: u32;
override STRIDE: u32;
override WORKGROUP_SIZE: u32;

// Enough for stride 2; the compiler drops what stride 1 does not touch.
const INPUT_ROWS: u32 = 2u * (TILE_ROWS - 1u) + KERNEL;

struct Params {
    planes: u32, // N · M
    out_channels: u32,
    multiplier: u32,
    in_height: u32,
    in_vectors: u32,
    out_height: u32,
    out_vectors: u32,
    top: u32,
    strip_vectors: u32,
    before_alpha: f32, // of the epilogue
    before_beta: f32,
    after_alpha: f32,
    after_beta: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read> w: array<Element>;
@group(0) @binding(3) var<storage, read> b: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Element4>;
@group(0) @binding(5) var<storage, read> held: array<Element4>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let in_height = params.in_height;
    let in_vectors = params.in_vectors;
    let out_vectors = params.out_vectors;
    let strips = (out_vectors + params.strip_vectors - 1u) / params.strip_vectors;
    let blocks = (params.out_height + TILE_ROWS - 1u) / TILE_ROWS;
    let strip = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    let block = strip / strips;
    let owner = block / blocks;
    let plane = min(owner, params.planes - 1u);
    let m = plane % params.out_channels;
    let first = (strip - block * strips) * params.strip_vectors;
    let last = select(0u, min(first + params.strip_vectors, out_vectors), owner == plane);
    let out_y = (block - owner * blocks) * TILE_ROWS;
    let rows = min(TILE_ROWS, params.out_height - out_y);

    var weights: array<array<Accumulator, KERNEL>, KERNEL>;
    for (var ky = 0u; ky < KERNEL; ky++) {
        for (var kx = 0u; kx < KERNEL; kx++) {
            weights[ky][kx] = Accumulator(w[(m * KERNEL + ky) * KERNEL + kx]);
        }
    }
    var bias = Accumulator4();
    if HAS_BIAS != 0u {
        bias = Accumulator4(Accumulator(b[m]));
    }

    // Of each input row: the vector on the left, the STRIDE vectors that four outputs begin at, the one on the right.
    var window: array<array<Accumulator4, 4>, INPUT_ROWS>;
    let input_rows = (TILE_ROWS - 1u) * STRIDE + KERNEL;
    let source = plane / params.multiplier * in_height * in_vectors;
    let first_y = out_y * STRIDE - params.top;
    for (var i = 0u; i < input_rows; i++) {
        for (var j = 0u; j < 2u; j++) {
            let v = first * STRIDE + j - 1u;
            let inside = first_y + i < in_height && v < in_vectors;
            window[i][j] = select(Accumulator4(), Accumulator4(x[source + select(0u, (first_y + i) * in_vectors + v, inside)]), inside);
        }
    }
    for (var v = first; v < last; v++) {
        for (var i = 0u; i < input_rows; i++) {
            for (var j = 1u; j <= STRIDE; j++) {
                let inside = first_y + i < in_height && v * STRIDE + j < in_vectors;
                let at = source + select(0u, (first_y + i) * in_vectors + v * STRIDE + j, inside);
                window[i][1u + j] = select(Accumulator4(), Accumulator4(x[at]), inside);
            }
        }
        var sum: TileRows;
        for (var r = 0u; r < TILE_ROWS; r++) {
            sum[r][0] = bias;
            for (var ky = 0u; ky < KERNEL; ky++) {
                for (var kx = 0u; kx < KERNEL; kx++) {
                    let i = r * STRIDE + ky;
                    let c = 4u + kx - LEFT;
                    sum[r][0] += weights[ky][kx] * Accumulator4(
                        window[i][c / 4u][c % 4u],
                        window[i][(c + STRIDE) / 4u][(c + STRIDE) % 4u],
                        window[i][(c + 2u * STRIDE) / 4u][(c + 2u * STRIDE) % 4u],
                        window[i][(c + 3u * STRIDE) / 4u][(c + 3u * STRIDE) % 4u],
                    );
                }
            }
        }
        let target_row = plane * params.out_height + out_y;
        if ROLLED == 1u {
            for (var r = 0u; r < rows; r++) {
                store(tile_vector(&sum, r, 0u), (target_row + r) * out_vectors + v, m);
            }
        } else {
            for (var r = 0u; r < TILE_ROWS; r++) {
                if r < rows {
                    store(sum[r][0], (target_row + r) * out_vectors + v, m);
                }
            }
        }
        for (var i = 0u; i < input_rows; i++) {
            window[i][0] = window[i][STRIDE];
            window[i][1] = window[i][1u + STRIDE];
        }
    }
}

fn store(value: Accumulator4, at: u32, m: u32) {
    y[at] = Element4(finish_vector(value, hold_vector(at, m)));
}
