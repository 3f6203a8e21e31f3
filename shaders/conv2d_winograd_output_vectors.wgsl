// y[n, c, OUTPUTS·ty + r, OUTPUTS·tx + s] = b[c] + (Aᵀ m[c, t] A)[r, s]: the outputs of a Winograd convolution whose rows are whole vectors
//
// Layout: m [INPUTS², M, pitch] in vectors of four tiles that are neighbours in a row, rows as conv2d_winograd_input has them;
// y [N, M, OH, OW/4] in vectors of four pixels.
// One invocation owns one vector of tiles in one channel, which is OUTPUTS vectors in OUTPUTS rows of y; neighbours own neighbouring
// vectors, so that they read neighbouring vectors of m and write neighbouring pixels.
// Workgroups: x the vectors of the rows from first_row on; y the channels.
// Overrides: HAS_BIAS 0 or 1; ROLLED, as in winograd_output.wgsl; WORKGROUP_SIZE, invocations; those of the epilogue.
// Edges: outputs past the end of a row or of an image are not stored.
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> m: array<Element4>;
@group(0) @binding(2) var<storage, read> b: array<Element>;
@group(0) @binding(3) var<storage, read_write> y: array<Element4>;
@group(0) @binding(4) var<storage, read> held: array<Element4>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let vector = workgroup.x * WORKGROUP_SIZE + local;
    let last = min(vector, params.vectors - 1u);
    let channel = workgroup.y;
    var rows = tiles(channel * params.pitch + last);
    let addend = bias(channel);

    let row = params.first_row + last / params.row_vectors;
    let out_y = row % params.tile_rows * OUTPUTS;
    let width = params.out_width / 4u;
    let first = last % params.row_vectors * OUTPUTS;
    let start = ((row / params.tile_rows * params.channels + channel) * params.out_height + out_y) * width + first;
    let count = output_rows();
    for (var r = 0u; r < count; r++) {
        let outputs = output_row(&rows, r);
        for (var q = 0u; q < OUTPUTS; q++) {
            if vector < params.vectors && out_y + r < params.out_height && first + q < width {
                var four: Accumulator4;
                for (var e = 0u; e < 4u; e++) {
                    four[e] = outputs[(4u * q + e) % OUTPUTS][(4u * q + e) / OUTPUTS];
                }
                let at = start + r * width + q;
                y[at] = Element4(finish_vector(four + addend, hold_vector(at, channel)));
            }
        }
    }
}
