// y[m, oy, ox] = max, or mean, over ky, kx of x[m, oy·STRIDE + ky − top, ox·STRIDE + kx − LEFT]
//
// Layout: dense maps m of N·C, axes [H, W]; x is read in vectors of four, wherever its rows begin in them. One invocation owns a strip of
// OUTPUT_ROWS output rows by `strip_vectors` times four columns and walks along it: each input vector is read once for all rows of the strip,
// and its neighbour on the left stays in registers. Neighbouring invocations own neighbouring strips, along a row, then downwards, then from
// map to map: where a strip is four columns, loads and stores of a subgroup coalesce.
// Workgroups: x and y the strips, folded.
// Overrides: ALIGNED, 1 where rows of x are whole vectors, else 0; KERNEL_HEIGHT and KERNEL_WIDTH, 1 to 3; LEFT, the padding before a row, at
// most 2; MEAN, 0 the maximum, 1 the mean; STRIDE, of rows and columns, 1 or 2; WORKGROUP_SIZE, invocations.
// Edges: every window has a tap on the input. What is outside reads as `outside`, which is 0 for a mean, and below all others for a maximum.
// The divisor counts the taps on the input, with count_include_pad also those on the padding, never those beyond it. NaN propagates.
// Source: ONNX MaxPool, AveragePool.

override ALIGNED: u32;
override KERNEL_HEIGHT: u32;
override KERNEL_WIDTH: u32;
override LEFT: u32;
override MEAN: u32;
override STRIDE: u32;
override WORKGROUP_SIZE: u32;

const OUTPUT_ROWS: u32 = 2u;
const INPUT_ROWS: u32 = 2u * (OUTPUT_ROWS - 1u) + 3u;

struct Params {
    maps: u32,
    in_height: u32,
    in_width: u32,
    out_height: u32,
    out_width: u32,
    top: u32,
    strip_vectors: u32,
    counted_height: i32, // the row and the column behind the last that counts
    counted_width: i32,
    count_include_pad: u32,
    outside: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read_write> y: array<Columns>;

/// Both of a maximum or of a sum.
fn combine(a: Accumulator4, b: Accumulator4) -> Accumulator4 {
    if MEAN != 0u {
        return a + b;
    }
    // A NaN is not <= a, and stays.
    return select(a, b, !(b <= a) & (a == a));
}

/// Four elements from `shift` on in two vectors.
fn shifted(a: Accumulator4, b: Accumulator4, shift: u32) -> Accumulator4 {
    if ALIGNED == 1u {
        return a;
    }
    let two = (shift & 2u) != 0u;
    let by_two = select(a, Accumulator4(a.zw, b.xy), two);
    return select(by_two, Accumulator4(by_two.yzw, select(b.x, b.z, two)), (shift & 1u) != 0u);
}

/// How many taps count: from the first one, `at`, on, and before `end`.
fn taps(at: vec4<i32>, kernel: u32, end: i32) -> vec4<i32> {
    let before = select(max(-at, vec4<i32>()), vec4<i32>(), params.count_include_pad != 0u);
    return min(vec4<i32>(i32(kernel)), vec4<i32>(end) - at) - before;
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
    let outside = Accumulator4(Accumulator(params.outside));
    let out_vectors = (out_width + 3u) / 4u;
    let strips = (out_vectors + params.strip_vectors - 1u) / params.strip_vectors;
    let blocks = (params.out_height + OUTPUT_ROWS - 1u) / OUTPUT_ROWS;
    let strip = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    let block = strip / strips;
    let owner = block / blocks;
    let map = min(owner, params.maps - 1u);
    let first = (strip - block * strips) * params.strip_vectors;
    let last = select(0u, min(first + params.strip_vectors, out_vectors), owner == map);
    let out_y = (block - owner * blocks) * OUTPUT_ROWS;
    let rows = min(OUTPUT_ROWS, params.out_height - out_y);
    let target_row = map * params.out_height + out_y;

    // Of each input row: the vector as it was read last; the four columns on the left, the 4 · STRIDE that four outputs begin at, the next.
    var read: array<Accumulator4, INPUT_ROWS>;
    var window: array<array<Accumulator4, 4>, INPUT_ROWS>;
    let input_rows = (OUTPUT_ROWS - 1u) * STRIDE + KERNEL_HEIGHT;
    let first_y = out_y * STRIDE - params.top;
    let end = (params.maps * in_height * in_width - 1u) / 4u;
    // What is left of the first strip is outside: whatever is read for it.
    let before = i32(first * STRIDE) - 1;
    for (var i = 0u; i < input_rows; i++) {
        let at_y = min(first_y + i, in_height - 1u);
        let start = (map * in_height + at_y) * in_width;
        read[i] = Accumulator4(x[min(u32(max(i32(start / 4u) + before, 0)), end)]);
        for (var j = 0u; j < 2u; j++) {
            let v = u32(before) + j;
            let next = Accumulator4(x[min(start / 4u + v + 1u - ALIGNED, end)]);
            let columns = vec4<u32>(v * 4u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(in_width);
            let inside = columns & vec4<bool>(first_y + i < in_height);
            window[i][j] = select(outside, shifted(select(read[i], next, ALIGNED == 1u), next, start % 4u), inside);
            read[i] = next;
        }
    }
    for (var v = first; v < last; v++) {
        for (var i = 0u; i < input_rows; i++) {
            let at_y = min(first_y + i, in_height - 1u);
            let start = (map * in_height + at_y) * in_width;
            for (var j = 1u; j <= STRIDE; j++) {
                let at = v * STRIDE + j;
                let next = Accumulator4(x[min(start / 4u + at + 1u - ALIGNED, end)]);
                let columns = vec4<u32>(at * 4u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(in_width);
                let inside = columns & vec4<bool>(first_y + i < in_height);
                window[i][1u + j] = select(outside, shifted(select(read[i], next, ALIGNED == 1u), next, start % 4u), inside);
                read[i] = next;
            }
        }
        var pooled: array<Accumulator4, INPUT_ROWS>;
        for (var i = 0u; i < input_rows; i++) {
            for (var kx = 0u; kx < KERNEL_WIDTH; kx++) {
                let c = 4u + kx - LEFT;
                let four = Accumulator4(
                    window[i][c / 4u][c % 4u],
                    window[i][(c + STRIDE) / 4u][(c + STRIDE) % 4u],
                    window[i][(c + 2u * STRIDE) / 4u][(c + 2u * STRIDE) % 4u],
                    window[i][(c + 3u * STRIDE) / 4u][(c + 3u * STRIDE) % 4u],
                );
                if kx == 0u {
                    pooled[i] = four;
                } else {
                    pooled[i] = combine(pooled[i], four);
                }
            }
        }
        let starts = (vec4<i32>(i32(v * 4u)) + vec4<i32>(0, 1, 2, 3)) * i32(STRIDE) - i32(LEFT);
        for (var r = 0u; r < OUTPUT_ROWS; r++) {
            var value = pooled[r * STRIDE];
            for (var ky = 1u; ky < KERNEL_HEIGHT; ky++) {
                value = combine(value, pooled[r * STRIDE + ky]);
            }
            if MEAN != 0u {
                let start = vec4<i32>(i32(first_y + r * STRIDE));
                let counted = taps(start, KERNEL_HEIGHT, params.counted_height) * taps(starts, KERNEL_WIDTH, params.counted_width);
                value /= Accumulator4(max(counted, vec4<i32>(1)));
            }
            if r < rows {
                store_columns((target_row + r) * out_width + v * 4u, value, out_width - v * 4u);
            }
        }
        for (var i = 0u; i < input_rows; i++) {
            window[i][0] = window[i][STRIDE];
            window[i][1] = window[i][1u + STRIDE];
        }
    }
}
