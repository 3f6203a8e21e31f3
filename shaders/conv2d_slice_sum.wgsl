// y[n, m, p] = b[m] + Σ_s partial[s, n, m, p]: the sums of the slices that a convolution was cut into, s of them
//
// Layout: partial [slices, N, M, P]; y [N, M, P], P = H·W; M are the channels of all groups.
// One invocation owns one element; neighbours read and write neighbours.
// Overrides: HAS_BIAS 0 or 1; WORKGROUP_SIZE, invocations; those of the epilogue.
// Edges: invocations past the end do nothing.

override HAS_BIAS: u32;
override WORKGROUP_SIZE: u32;

struct Params {
    outputs: u32, // N·M·P
    out_channels: u32,
    out_pixels: u32,
    slices: u32,
    before_alpha: f32, // of the epilogue
    before_beta: f32,
    after_alpha: f32,
    after_beta: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<Element>;
@group(0) @binding(2) var<storage, read> b: array<Element>;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;
@group(0) @binding(4) var<storage, read> held: array<Element>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let at = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if at >= params.outputs {
        return;
    }
    let channel = at / params.out_pixels % params.out_channels;
    var sum = Accumulator(0);
    if HAS_BIAS != 0u {
        sum = Accumulator(b[channel]);
    }
    for (var slice = 0u; slice < params.slices; slice++) {
        sum += Accumulator(partial[slice * params.outputs + at]);
    }
    y[at] = Element(finish(sum, hold(at, channel)));
}
