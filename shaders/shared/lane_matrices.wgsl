// The product of a tile of rows of a and a panel of columns of b by one subgroup, into the register tile of lane_tile.wgsl.
//
// For software devices whose subgroup is one SIMD vector: there a load in a loop costs as much as dozens of multiply-adds, whatever it
// loads, and a shuffle from a constant lane costs nothing. So the lanes share the loads of a: each loads DEPTH steps of another row, which
// are one vector; and each owns TILE_VECTORS vectors of four columns of b, SUBGROUP vectors apart.
// A_SHIFTED 1 is for rows of a that begin inside of a vector: a lane keeps the vector that it read last, and shifts.
// B_LAYOUT says what b is: 0 rows of whole vectors, or panels of them that follow one another; 1 rows that begin inside of a vector, where a
// lane has the next one's elements, and the last lane only lends; 2 its transpose, in columns of whole vectors of steps.
// Edges: rows and columns past the end compute on the last ones; steps past the end count zero, whatever a and b hold there.

override A_SHIFTED: u32;
override B_LAYOUT: u32;

const ROW_LOADS: u32 = (TILE_ROWS + SUBGROUP - 1u) / SUBGROUP;

alias Rows = array<Accumulator4, ROW_LOADS>;

/// The vectors of columns that a subgroup owns.
fn panel_vectors() -> u32 {
    return TILE_VECTORS * SUBGROUP - u32(B_LAYOUT == 1u);
}

/// DEPTH steps of the columns from `first` on, rows of b beginning anywhere: `start` is where b's matrix does.
fn shifted_columns(start: u32, step: u32, first: u32, local: u32) -> Pixels {
    let last = params.b_vectors - 1u;
    let inner = params.inner;
    let b_row = params.b_row;
    let next_lane = (local + 1u) % SUBGROUP;
    var loaded: Pixels;
    for (var i = 0u; i < DEPTH * TILE_VECTORS; i++) {
        let at = start + min(step + i / TILE_VECTORS, inner - 1u) * b_row + first;
        loaded[i] = Accumulator4(b[min(at / 4u + i % TILE_VECTORS * SUBGROUP + local, last)]);
    }
    var pixels: Pixels;
    // Always so: see lane_tile.wgsl.
    if step < inner {
        for (var i = 0u; i < DEPTH * TILE_VECTORS; i++) {
            let d = i / TILE_VECTORS;
            let at = start + min(step + d, inner - 1u) * b_row + first;
            // The lane after the last one is the first of the next vector.
            let behind = loaded[i + min(1u, TILE_VECTORS - 1u - i % TILE_VECTORS)].xyz;
            let lent = select(loaded[i].xyz, behind, local == 0u);
            let next = Accumulator4(subgroupShuffle(lent, next_lane), Accumulator(0));
            pixels[i] = select(Accumulator4(0), shifted(loaded[i], next, at & 3u), step + d < inner);
        }
    }
    return pixels;
}

/// The sums of a tile: `tile` is its number along rows, columns and batch.
fn product(tile: vec3<u32>, local: u32) -> Tile {
    let inner = opaque(params.inner, tile);
    let b_row = params.b_row;
    let a_last = params.a_vectors - 1u;
    let a_start = batch_offset(tile.z, params.batch, params.a_batch);
    let b_start = batch_offset(tile.z, params.batch, params.b_batch);
    let first = tile.y * panel_vectors();

    var left: array<u32, ROW_LOADS>; // vectors
    var shift: array<u32, ROW_LOADS>;
    var carried: Rows;
    var right: array<vec4<u32>, TILE_VECTORS>;
    // Always so: see lane_tile.wgsl.
    if tile.x * TILE_ROWS < params.rows {
        for (var i = 0u; i < ROW_LOADS; i++) {
            let row = tile.x * TILE_ROWS + i * SUBGROUP + local % TILE_ROWS;
            let at = a_start + min(row, params.rows - 1u) * params.a_row;
            left[i] = at / 4u;
            shift[i] = at & 3u;
            if A_SHIFTED == 1u {
                carried[i] = Accumulator4(a[left[i]]);
            }
        }
        for (var v = 0u; v < TILE_VECTORS; v++) {
            let column = first + v * SUBGROUP + local;
            if B_LAYOUT == 2u {
                let last = vec4<u32>(params.columns - 1u);
                right[v] = b_start + min(vec4<u32>(column * 4u) + vec4<u32>(0u, 1u, 2u, 3u), last) * b_row;
            } else {
                right[v] = vec4<u32>(b_start + tile.y * params.b_panel + min(column, params.b_vectors - 1u) - first);
            }
        }
    }

    var sum: Tile;
    for (var k = 0u; k < inner; k += DEPTH) {
        let steps = vec4<u32>(k) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(inner);
        var rows: Rows;
        for (var i = 0u; i < ROW_LOADS; i++) {
            if A_SHIFTED == 1u {
                let next = Accumulator4(a[min(left[i] + k / 4u + 1u, a_last)]);
                rows[i] = shifted(carried[i], next, shift[i]);
                carried[i] = next;
            } else {
                rows[i] = Accumulator4(a[left[i] + k / 4u]);
            }
            rows[i] = select(Accumulator4(0), rows[i], steps);
        }
        var pixels: Pixels;
        if B_LAYOUT == 1u {
            pixels = shifted_columns(b_start, k, first * 4u, local);
        } else if B_LAYOUT == 2u {
            for (var v = 0u; v < TILE_VECTORS; v++) {
                let at = right[v] + k / 4u;
                let x = Accumulator4(b[at.x]);
                let y = Accumulator4(b[at.y]);
                let z = Accumulator4(b[at.z]);
                let w = Accumulator4(b[at.w]);
                pixels[v] = Accumulator4(x.x, y.x, z.x, w.x);
                pixels[v + TILE_VECTORS] = Accumulator4(x.y, y.y, z.y, w.y);
                pixels[v + 2u * TILE_VECTORS] = Accumulator4(x.z, y.z, z.z, w.z);
                pixels[v + 3u * TILE_VECTORS] = Accumulator4(x.w, y.w, z.w, w.w);
            }
        } else {
            for (var i = 0u; i < DEPTH * TILE_VECTORS; i++) {
                let d = i / TILE_VECTORS;
                let at = min(k + d, inner - 1u) * b_row;
                pixels[i] = select(Accumulator4(0), Accumulator4(b[right[i % TILE_VECTORS].x + at]), steps[d]);
            }
        }
        for (var part = 0u; part < PARTS; part++) {
            let quad = part / TILE_VECTORS;
            let v = part % TILE_VECTORS;
            let lane = quad % 2u * 4u;
            let a0 = subgroupShuffle(rows[quad / 2u], lane);
            let a1 = subgroupShuffle(rows[quad / 2u], lane + 1u);
            let a2 = subgroupShuffle(rows[quad / 2u], lane + 2u);
            let a3 = subgroupShuffle(rows[quad / 2u], lane + 3u);
            let p0 = pixels[v];
            let p1 = pixels[v + TILE_VECTORS];
            let p2 = pixels[v + 2u * TILE_VECTORS];
            let p3 = pixels[v + 3u * TILE_VECTORS];
            sum[part][0] = sum[part][0] + a0.x * p0 + a0.y * p1 + a0.z * p2 + a0.w * p3;
            sum[part][1] = sum[part][1] + a1.x * p0 + a1.y * p1 + a1.z * p2 + a1.w * p3;
            sum[part][2] = sum[part][2] + a2.x * p0 + a2.y * p1 + a2.z * p2 + a2.w * p3;
            sum[part][3] = sum[part][3] + a3.x * p0 + a3.y * p1 + a3.z * p2 + a3.w * p3;
        }
    }
    return sum;
}

/// The addends of four columns of row m, those past the end being the last one's; `first` is a column of this dispatch.
fn addends(m: u32, first: u32) -> Accumulator4 {
    let columns = params.first_column + min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.columns - 1u));
    let at = m * params.c_row + columns * params.c_column;
    return Accumulator(params.beta) * Accumulator4(Accumulator(c[at.x]), Accumulator(c[at.y]), Accumulator(c[at.z]), Accumulator(c[at.w]));
}
