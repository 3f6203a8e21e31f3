// y[n, m, oz, oy, ox] = b[m] + Σ_k w[k, m] · x[n, c(k), oz·sz − front + z(k), oy·sy − top + y(k), ox·sx − left + x(k)], k = (c, kz, ky, kx), in each group
//
// The convolution as a matrix product [M, K] × [K, OH·OW] for each output slice, whose right matrix is never stored. For software devices
// whose subgroup is one SIMD vector: there a load in a loop costs as much as dozens of multiply-adds, whatever it loads, and a shuffle
// from a constant lane costs nothing. So the lanes share the loads of w and of `taps`.
// Layout: x [N·groups, C, D, H, W]; y [N·groups, M, OD, OH·OW]; w [groups, tiles of M, K, TILE_ROWS/4] in vectors of four output channels, the
// last tile padded with zeros; C and M are channels of one group. taps [K'] in vectors (offset from the first element of an image's group,
// z(k), y(k), x(k)), K' = K padded to whole steps of the loop with taps whose z is outside everything.
// One invocation owns TILE_ROWS output channels × TILE_VECTORS vectors of four pixels of a slice in registers; the pixels are SUBGROUP
// apart; a workgroup is one subgroup and owns the same channels for SUBGROUP · TILE_VECTORS · 4 neighbouring pixels.
// Workgroups: x the tiles of channels, so that the pixels they share stay in cache; y the blocks of pixels; z image, group and slice.
// Overrides: HAS_BIAS 0 or 1; those of the epilogue.
// Edges: taps in the padding and those that pad K read the first element and count zero; pixels past the end compute on the last one and
// are not stored; neither are the channels that pad w.

override HAS_BIAS: u32;

struct Params {
    inner: u32, // K
    in_elements: u32, // of a group's image
    in_depth: u32,
    in_height: u32,
    in_width: u32,
    out_channels: u32, // of a group
    out_depth: u32,
    out_width: u32,
    out_pixels: u32, // of a slice
    stride_z: u32,
    stride_y: u32,
    stride_x: u32,
    front: u32,
    top: u32,
    left: u32,
    groups: u32,
    before_alpha: f32, // of the epilogue
    before_beta: f32,
    after_alpha: f32,
    after_beta: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> w: array<Element4>;
@group(0) @binding(3) var<storage, read> b: array<Element>;
@group(0) @binding(4) var<storage, read> taps: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> y: array<Element>;
@group(0) @binding(6) var<storage, read> held: array<Element>;

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let row = workgroup.x * TILE_ROWS;
    let first = workgroup.y * (SUBGROUP * TILE_VECTORS * 4u) + local;
    let lanes = vec4<u32>(0u, 1u, 2u, 3u) * SUBGROUP;
    let map = workgroup.z / params.out_depth;
    let out_z = workgroup.z % params.out_depth;
    let out_pixels = params.out_pixels;
    let group = map % params.groups * params.out_channels;
    let end = min(row + TILE_ROWS, params.out_channels);
    let slice = (map * params.out_channels * params.out_depth + out_z) * out_pixels;
    let slices = params.out_depth * out_pixels;
    let inner = params.inner;
    let in_depth = params.in_depth;
    let in_height = params.in_height;
    let in_width = params.in_width;
    let weight = weight_run(map % params.groups, workgroup.x, params.out_channels, inner);
    let image = map * params.in_elements;

    // The input position of each pixel's first tap, and its place in a channel; in the padding they wrap, which is outside as well.
    let first_z = out_z * params.stride_z - params.front;
    var first_y: array<vec4<u32>, TILE_VECTORS>;
    var first_x: array<vec4<u32>, TILE_VECTORS>;
    var source: array<vec4<u32>, TILE_VECTORS>;
    // Always so: see lane_tile.wgsl.
    if row < end {
        for (var v = 0u; v < TILE_VECTORS; v++) {
            let p = min(first + v * 4u * SUBGROUP + lanes, vec4<u32>(out_pixels - 1u));
            first_y[v] = p / params.out_width * params.stride_y - params.top;
            first_x[v] = p % params.out_width * params.stride_x - params.left;
            source[v] = image + (first_z * in_height + first_y[v]) * in_width + first_x[v];
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
        for (var i = 0u; i < DEPTH * TILE_VECTORS; i++) {
            let v = i % TILE_VECTORS;
            let step = subgroupShuffle(tap, i / TILE_VECTORS);
            let in_y = first_y[v] + step.z;
            let in_x = first_x[v] + step.w;
            let inside = (in_y < vec4<u32>(in_height)) & (in_x < vec4<u32>(in_width)) & vec4<bool>(first_z + step.y < in_depth);
            let at = select(vec4<u32>(0u), source[v] + step.x, inside);
            let values = Accumulator4(Element4(x[at.x], x[at.y], x[at.z], x[at.w]));
            pixels[i] = select(Accumulator4(0), values, inside);
        }
        multiply_add(&sum, &weights, &pixels);
    }

    // Epilogue.
    for (var part = 0u; part < parts(end - row); part++) {
        let quad = tile_part(&sum, part);
        let row_first = row + part / TILE_VECTORS * 4u;
        for (var m = row_first; m < min(row_first + 4u, end); m++) {
            let value = part_row(quad, m - row_first);
            for (var j = 0u; j < 4u; j++) {
                let p = first + (part % TILE_VECTORS * 4u + j) * SUBGROUP;
                if p < out_pixels {
                    let at = slice + m * slices + p;
                    y[at] = Element(finish(value[j], hold(at, group + m)));
                }
            }
        }
    }
}
