// y[i] = v after 32 * rounds steps v = v * scale + offset from v = i mod 4: a device's rate of multiply-adds
//
// Layout: y one vector of four an invocation. An invocation owns CHAINS vectors that do not wait for one another, which hides
// the latency of a multiply-add; there are few enough of them for the narrowest register file. STEPS of each are written out
// by the compiler, so that the loop around them costs nothing. Stores are side by side, once for all the arithmetic.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: the host dispatches whole workgroups, there is no tail.
// Source: S. Williams, A. Waterman, D. Patterson, Roofline, CACM 52 (2009).

override WORKGROUP_SIZE: u32;

struct Params {
    rounds: u32,
    scale: f32, // below 1, so that v stays finite
    offset: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

const CHAINS: u32 = 2u;
const STEPS: u32 = 32u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    let scale = vec4<f32>(params.scale);
    let offset = vec4<f32>(params.offset);
    var v: array<vec4<f32>, CHAINS>;
    for (var c = 0u; c < CHAINS; c++) {
        v[c] = vec4<f32>(f32(i % 4u));
    }
    for (var round = 0u; round < params.rounds; round++) {
        for (var step = 0u; step < STEPS; step++) {
            for (var c = 0u; c < CHAINS; c++) {
                v[c] = fma(v[c], scale, offset);
            }
        }
    }
    // The mean of equal numbers keeps every chain alive.
    var sum = vec4<f32>();
    for (var c = 0u; c < CHAINS; c++) {
        sum += v[c];
    }
    y[i] = sum / f32(CHAINS);
}
