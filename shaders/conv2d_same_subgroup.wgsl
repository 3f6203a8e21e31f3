// y[n, m, p] = b[m] + Σ_k w[k, m] · x[n, c(k), p + y(k)·W + x(k) − top·W − left], k = (c, ky, kx), in each group: stride 1, y as large as x
//
// The convolution as a matrix product [M, K] × [K, H·W], whose right matrix is never stored: a tap moves the whole plane, so a subgroup
// reads neighbouring vectors from wherever the tap begins, and shifts them by the rest. For software devices whose subgroup is one SIMD
// vector: there a load in a loop costs as much as dozens of multiply-adds, whatever it loads, and a shuffle costs nothing.
// Layout: x [N·groups·C·H·W / 4] in vectors of four pixels, rounded up; y [N·groups, M, H·W]; w [groups, tiles of M, K, TILE_ROWS/4] in vectors
// of four output channels, the last tile padded with zeros; C and M are channels of one group. taps [K'] in vectors (offset from the first
// element of an image's group, 0, y(k), x(k)), K' = K padded to whole steps of the loop.
// One invocation owns TILE_ROWS output channels × TILE_VECTORS vectors of pixels; a workgroup is one subgroup and owns the same channels
// for TILE_VECTORS · SUBGROUP − 1 neighbouring vectors: the last lane of the last vector only lends its pixels.
// Workgroups: x the tiles of channels, so that the pixels they share stay in cache; y the blocks of pixels; z image and group.
// Overrides: HAS_BIAS 0 or 1; those of the epilogue.
// Edges: taps in the padding count zero, as do those that pad K, which read the last one; vectors outside x read its first or last one;
// pixels past the end are not stored, neither are the channels that pad w.

override HAS_BIAS: u32;

// The pixels that a workgroup owns.
const PIXELS: u32 = 4u * (TILE_VECTORS * SUBGROUP - 1u);

struct Params {
    inner: u32, // K
    in_elements: u32, // of a group's image
    in_vectors: u32, // of x
    height: u32,
    width: u32,
    top: u32,
    left: u32,
    out_channels: u32, // of a group
    groups: u32,
    before_alpha: f32, // of the epilogue
    before_beta: f32,
    after_alpha: f32,
    after_beta: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read> w: array<Element4>;
@group(0) @binding(3) var<storage, read> b: array<Element>;
@group(0) @binding(4) var<storage, read> taps: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> y: array<Element>;
@group(0) @binding(6) var<storage, read> held: array<Element>;

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let row = workgroup.x * TILE_ROWS;
    let height = params.height;
    let width = params.width;
    let plane = height * width;
    let inner = params.inner;
    let last_vector = i32(params.in_vectors) - 1;
    let group = workgroup.z % params.groups * params.out_channels;
    let map = workgroup.z * params.out_channels;
    let end = min(row + TILE_ROWS, params.out_channels);
    let weight = weight_run(workgroup.z % params.groups, workgroup.x, params.out_channels, inner);
    let next_lane = (local + 1u) % SUBGROUP;

    // The first of the workgroup's pixels in x, moved to the first tap; and the input position of each pixel's first tap, which wraps in
    // the padding and is outside as well.
    let first = workgroup.y * PIXELS;
    let source = i32(workgroup.z * params.in_elements + first) - i32(params.top * width + params.left);
    var first_y: array<vec4<u32>, TILE_VECTORS>;
    var first_x: array<vec4<u32>, TILE_VECTORS>;
    // Always so: see lane_tile.wgsl.
    if row < end {
        for (var v = 0u; v < TILE_VECTORS; v++) {
            let p = first + (v * SUBGROUP + local) * 4u + vec4<u32>(0u, 1u, 2u, 3u);
            first_y[v] = p / width - params.top;
            first_x[v] = p % width - params.left;
        }
    }

    var sum: Tile;
    if HAS_BIAS != 0u {
        sum = bias_tile(group + row, group + end - 1u, local);
    }
    for (var k = 0u; k < inner; k += DEPTH) {
        let tap = taps[k + local % DEPTH];
        var weights = load_weights(weight, k, inner, local);
        var pixels: Pixels;
        var loaded: Pixels;
        for (var i = 0u; i < DEPTH * TILE_VECTORS; i++) {
            let start = source + i32(subgroupShuffle(tap.x, i / TILE_VECTORS));
            loaded[i] = Accumulator4(x[u32(clamp((start >> 2u) + i32(i % TILE_VECTORS * SUBGROUP + local), 0, last_vector))]);
        }
        // Always so: see lane_tile.wgsl.
        if k < inner {
            for (var i = 0u; i < DEPTH * TILE_VECTORS; i++) {
                let d = i / TILE_VECTORS;
                let v = i % TILE_VECTORS;
                let step = subgroupShuffle(tap, d);
                // The lane after the last one is the first of the next vector.
                let behind = loaded[i + min(1u, TILE_VECTORS - 1u - v)].xyz;
                let lent = select(loaded[i].xyz, behind, local == 0u);
                let next = Accumulator4(subgroupShuffle(lent, next_lane), Accumulator(0));
                let in_y = first_y[v] + step.z;
                let in_x = first_x[v] + step.w;
                let inside = (in_y < vec4<u32>(height)) & (in_x < vec4<u32>(width)) & vec4<bool>(k + d < inner);
                pixels[i] = select(Accumulator4(0), shifted(loaded[i], next, u32(source + i32(step.x)) & 3u), inside);
            }
        }
        multiply_add(&sum, &weights, &pixels);
    }

    // Epilogue.
    for (var part = 0u; part < parts(end - row); part++) {
        let quad = tile_part(&sum, part);
        let row_first = row + part / TILE_VECTORS * 4u;
        let vector = part % TILE_VECTORS * SUBGROUP + local;
        for (var m = row_first; m < min(row_first + 4u, end); m++) {
            let value = part_row(quad, m - row_first);
            for (var j = 0u; j < 4u; j++) {
                let p = first + vector * 4u + j;
                if p < plane && vector < PIXELS / 4u {
                    let at = (map + m) * plane + p;
                    y[at] = Element(finish(value[j], hold(at, group + m)));
                }
            }
        }
    }
}
