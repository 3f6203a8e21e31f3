// y[r, c] = exp(x[r, c] − m_r) / Σ_k exp(x[r, k] − m_r), m_r = max_k x[r, k], or the logarithm of it
//
// Layout: x, y [rows, columns] dense. A workgroup owns a row, invocation i its elements i, i + WORKGROUP_SIZE, …, which stay in registers: a row
// is loaded once and stored once, neighbours side by side. Maximum and sum meet by subgroup operations, of subgroups of any size.
// Overrides: LOG; STEPS, the elements of an invocation, at most 16; WORKGROUP_SIZE, invocations.
// Edges: workgroups past the last row repeat it and store nothing, so that barriers stay uniform. A maximum that NaN hides is no NaN, but the
// sum of a row with NaN is.

override STEPS: u32;
override WORKGROUP_SIZE: u32;

const MOST_STEPS: u32 = 16u;
const LOWEST: f32 = -3.4028234e38;

struct Params {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let lane = Lane(subgroup, invocation, subgroups);
    let group = flat_workgroup(workgroup, workgroups);
    let start = min(group, params.rows - 1u) * params.columns;
    var v: array<f32, MOST_STEPS>;
    var most = LOWEST;
    for (var i = 0u; i < STEPS; i++) {
        let c = i * WORKGROUP_SIZE + local;
        v[i] = LOWEST;
        if c < params.columns {
            v[i] = f32(x[start + c]);
        }
        most = larger(most, v[i]);
    }
    let maximum = workgroup_max(most, lane);
    var own = 0.0;
    for (var i = 0u; i < STEPS; i++) {
        let power = select(0.0, exp(v[i] - maximum), i * WORKGROUP_SIZE + local < params.columns);
        own += power;
        if LOG == 0u {
            v[i] = power;
        }
    }
    let sum = workgroup_add(own, lane);
    for (var i = 0u; i < STEPS; i++) {
        let c = i * WORKGROUP_SIZE + local;
        if group < params.rows && c < params.columns {
            var value = v[i] / sum;
            if LOG == 1u {
                value = v[i] - maximum - log(sum);
            }
            y[start + c] = Element(value);
        }
    }
}
