// y[n, c, OUTPUTS·ty + r, OUTPUTS·tx + s] = b[c] + (Aᵀ m[c, t] A)[r, s]: the outputs of a Winograd convolution
//
// Layout: m [INPUTS², M, T/4] in vectors of four tiles that are neighbours in a row, or, where CHANNELS is 1, [INPUTS², T, M/4] in
// vectors of four channels; tiles in the order of conv2d_winograd_input; y [N, M, OH, OW].
// One invocation owns one vector of m in every plane; neighbours own neighbouring vectors, so that they read neighbouring vectors of m.
// Workgroups: x the vectors, those of the rows from first_row on or those of the channels; y the channels or the tiles.
// Overrides: CHANNELS 0 or 1; HAS_BIAS 0 or 1; ROLLED, as in winograd_output.wgsl; WORKGROUP_SIZE, invocations; those of the epilogue.
// Edges: outputs past the end of a row or of an image are not stored; neither are the channels that pad a vector.
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016.

override CHANNELS: u32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> m: array<Element4>;
@group(0) @binding(2) var<storage, read> b: array<Element>;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;
@group(0) @binding(4) var<storage, read> held: array<Element>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let vector = workgroup.x * WORKGROUP_SIZE + local;
    let last = min(vector, params.vectors - 1u);
    var rows = tiles(workgroup.y * params.pitch + last);

    // The first of the four tiles, and the first of the four channels.
    let tile = select(4u * last, workgroup.y, CHANNELS == 1u);
    let first = select(workgroup.y, 4u * last, CHANNELS == 1u);
    let row = params.first_row + tile / (4u * params.row_vectors);
    let out_y = row % params.tile_rows * OUTPUTS;
    let image = row / params.tile_rows;
    let tile_x = tile % (4u * params.row_vectors);
    let count = output_rows();
    for (var r = 0u; r < count; r++) {
        let outputs = output_row(&rows, r);
        for (var k = 0u; k < 4u; k++) {
            let channel = first + select(0u, k, CHANNELS == 1u);
            let out_x = (tile_x + select(k, 0u, CHANNELS == 1u)) * OUTPUTS;
            if vector < params.vectors && channel < params.channels && out_y + r < params.out_height {
                let addend = bias(channel);
                let start = ((image * params.channels + channel) * params.out_height + out_y + r) * params.out_width + out_x;
                for (var s = 0u; s < OUTPUTS; s++) {
                    if out_x + s < params.out_width {
                        y[start + s] = Element(finish(outputs[s][k] + addend, hold(start + s, channel)));
                    }
                }
            }
        }
    }
}
