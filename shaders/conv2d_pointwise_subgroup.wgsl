// y[n, m, p] = b[m] + Σ_c w[c, m] · x[n, c, p], in each group: a 1×1 convolution, stride 1, no padding, as a matrix product
//
// For software devices whose subgroup is one SIMD vector: there a load in a loop costs as much as dozens of multiply-adds, whatever it
// loads, and a shuffle from a constant lane costs nothing. So the lanes share the loads of w: each loads another vector of four weights.
// Layout: x [N·groups, C, P/4], y [N·groups, M, P/4] in vectors of four pixels, P = H·W; w [groups, tiles of M, C, TILE_ROWS/4] in
// vectors of four output channels, the last tile padded with zeros; C and M are channels of one group.
// One invocation owns TILE_ROWS output channels × TILE_VECTORS vectors of pixels; a workgroup is one subgroup and owns the same channels
// for as many neighbouring vectors as it has lanes, times TILE_VECTORS.
// Workgroups: x the tiles of channels, so that the pixels they share stay in cache; y the blocks of vectors; z image and group.
// Overrides: HAS_BIAS 0 or 1; those of the epilogue.
// Edges: channels past the last one load the last one and count zero; vectors past the end compute on the last one, and are not stored;
// neither are the channels that pad w.

override HAS_BIAS: u32;

struct Params {
    in_channels: u32, // of a group
    out_channels: u32, // of a group
    groups: u32,
    vectors: u32, // H·W / 4
    before_alpha: f32, // of the epilogue
    before_beta: f32,
    after_alpha: f32,
    after_beta: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read> w: array<Element4>;
@group(0) @binding(3) var<storage, read> b: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Element4>;
@group(0) @binding(5) var<storage, read> held: array<Element4>;

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let row = workgroup.x * TILE_ROWS;
    let column = workgroup.y * (SUBGROUP * TILE_VECTORS) + local;
    let channels = params.in_channels;
    let vectors = params.vectors;
    let group = workgroup.z % params.groups * params.out_channels;
    let map = workgroup.z * params.out_channels;
    let end = min(row + TILE_ROWS, params.out_channels);
    let weight = weight_run(workgroup.z % params.groups, workgroup.x, params.out_channels, channels);

    let source = workgroup.z * channels * vectors;

    var sum: Tile;
    if HAS_BIAS != 0u {
        sum = bias_tile(group + row, group + end - 1u, local);
    }
    for (var c = 0u; c < channels; c += DEPTH) {
        var weights = load_weights(weight, c, channels, local);
        var pixels: Pixels;
        for (var i = 0u; i < DEPTH * TILE_VECTORS; i++) {
            let wanted = c + i / TILE_VECTORS;
            let k = min(wanted, channels - 1u);
            let values = Accumulator4(x[source + k * vectors + min(column + i % TILE_VECTORS * SUBGROUP, vectors - 1u)]);
            pixels[i] = select(Accumulator4(0), values, k == wanted);
        }
        multiply_add(&sum, &weights, &pixels);
    }

    // Epilogue.
    for (var part = 0u; part < parts(end - row); part++) {
        let quad = tile_part(&sum, part);
        let first = row + part / TILE_VECTORS * 4u;
        let p = column + part % TILE_VECTORS * SUBGROUP;
        for (var m = first; m < min(first + 4u, end); m++) {
            if p < vectors {
                let at = (map + m) * vectors + p;
                y[at] = Element4(finish_vector(part_row(quad, m - first), hold_vector(at, group + m)));
            }
        }
    }
}
