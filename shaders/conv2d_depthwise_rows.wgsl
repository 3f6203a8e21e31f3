// y[n, m, oy, ox] = b[m] + Σ_ky Σ_kx w[m, ky, kx] · x[n, m / multiplier, oy·STRIDE + ky − top, ox·STRIDE + kx − LEFT]
//
// Layout: x [N, C, H, W], read in vectors of four wherever its rows begin in them; w [M, KERNEL, KERNEL]; y [N, M, OH, OW]; M = C · multiplier.
// One invocation owns OUTPUT_ROWS output rows of one map and walks along them, four columns a step: each input vector is read once for all of
// them, and its neighbours on the left stay in registers. For widths that conv2d_depthwise_strips does not take, on software devices.
// Workgroups: x and y the blocks of rows, folded.
// Overrides: ALIGNED, 1 where rows of x are whole vectors, else 0; HAS_BIAS 0 or 1; LEFT, the padding before a row, at most 3; STRIDE, of rows
// and columns, 1 or 2, with the last tap of the fourth column at most one vector right of the 4 · STRIDE columns that the four begin at;
// WORKGROUP_SIZE, invocations; those of the epilogue.
// Edges: what is outside the map is set to zero when it is loaded; an index before the start wraps to a huge number, which is outside as well;
// rows below the last and columns past the end are not stored.

override ALIGNED: u32;
override HAS_BIAS: u32;
override LEFT: u32;
override STRIDE: u32;
override WORKGROUP_SIZE: u32;

const OUTPUT_ROWS: u32 = 4u;
// Enough for stride 2; the compiler drops what stride 1 does not touch.
const INPUT_ROWS: u32 = 2u * (OUTPUT_ROWS - 1u) + KERNEL;

struct Params {
    planes: u32, // N · M
    out_channels: u32,
    multiplier: u32,
    in_maps: u32, // N · C
    in_height: u32,
    in_width: u32,
    out_height: u32,
    out_width: u32,
    top: u32,
    before_alpha: f32, // of the epilogue
    before_beta: f32,
    after_alpha: f32,
    after_beta: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read> w: array<Element>;
@group(0) @binding(3) var<storage, read> b: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;
@group(0) @binding(5) var<storage, read> held: array<Element>;

/// Four elements from `shift` on in two vectors.
fn shifted(a: Accumulator4, next: Accumulator4, shift: u32) -> Accumulator4 {
    if ALIGNED == 1u {
        return next;
    }
    let two = (shift & 2u) != 0u;
    let by_two = select(a, Accumulator4(a.zw, next.xy), two);
    return select(by_two, Accumulator4(by_two.yzw, select(next.x, next.z, two)), (shift & 1u) != 0u);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let in_height = params.in_height;
    let in_width = params.in_width;
    let out_width = params.out_width;
    let blocks = (params.out_height + OUTPUT_ROWS - 1u) / OUTPUT_ROWS;
    let block = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    let owner = block / blocks;
    let plane = min(owner, params.planes - 1u);
    let m = plane % params.out_channels;
    let out_y = (block - owner * blocks) * OUTPUT_ROWS;
    let rows = select(0u, min(OUTPUT_ROWS, params.out_height - out_y), owner == plane);
    let end = (params.in_maps * in_height * in_width - 1u) / 4u;

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

    // Of each input row: the vector on the left, the STRIDE vectors that four outputs begin at, the one on the right; and the vector of memory
    // that the next one begins in.
    var window: array<array<Accumulator4, 4>, INPUT_ROWS>;
    var read: array<Accumulator4, INPUT_ROWS>;
    let input_rows = (OUTPUT_ROWS - 1u) * STRIDE + KERNEL;
    let first_y = out_y * STRIDE - params.top;
    let map = plane / params.multiplier * in_height;
    for (var i = 0u; i < input_rows; i++) {
        let start = (map + min(first_y + i, in_height - 1u)) * in_width;
        let inside = (vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(in_width)) & vec4<bool>(first_y + i < in_height);
        let v = Accumulator4(x[start / 4u]);
        read[i] = Accumulator4(x[min(start / 4u + 1u, end)]);
        if ALIGNED == 1u {
            window[i][1] = select(Accumulator4(), v, inside);
        } else {
            window[i][1] = select(Accumulator4(), shifted(v, read[i], start % 4u), inside);
        }
    }
    let steps = (out_width + 3u) / 4u;
    for (var step = 0u; step < steps; step++) {
        for (var i = 0u; i < input_rows; i++) {
            let start = (map + min(first_y + i, in_height - 1u)) * in_width;
            for (var j = 1u; j <= STRIDE; j++) {
                let v = step * STRIDE + j;
                let inside = (vec4<u32>(v * 4u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(in_width)) & vec4<bool>(first_y + i < in_height);
                let next = Accumulator4(x[min(start / 4u + v + 1u - ALIGNED, end)]);
                window[i][1u + j] = select(Accumulator4(), shifted(read[i], next, start % 4u), inside);
                read[i] = next;
            }
        }
        var sum: array<Accumulator4, OUTPUT_ROWS>;
        for (var r = 0u; r < OUTPUT_ROWS; r++) {
            sum[r] = bias;
            for (var ky = 0u; ky < KERNEL; ky++) {
                for (var kx = 0u; kx < KERNEL; kx++) {
                    let i = r * STRIDE + ky;
                    let c = 4u + kx - LEFT;
                    sum[r] += weights[ky][kx] * Accumulator4(
                        window[i][c / 4u][c % 4u],
                        window[i][(c + STRIDE) / 4u][(c + STRIDE) % 4u],
                        window[i][(c + 2u * STRIDE) / 4u][(c + 2u * STRIDE) % 4u],
                        window[i][(c + 3u * STRIDE) / 4u][(c + 3u * STRIDE) % 4u],
                    );
                }
            }
        }
        let at = (plane * params.out_height + out_y) * out_width + step * 4u;
        let count = min(out_width - step * 4u, 4u);
        for (var r = 0u; r < rows; r++) {
            let value = select(select(sum[0], sum[1], r == 1u), select(sum[2], sum[3], r == 3u), r >= 2u);
            for (var j = 0u; j < count; j++) {
                y[at + r * out_width + j] = Element(finish(value[j], hold(at + r * out_width + j, m)));
            }
        }
        for (var i = 0u; i < input_rows; i++) {
            window[i][0] = window[i][STRIDE];
            window[i][1] = window[i][1u + STRIDE];
        }
    }
}
