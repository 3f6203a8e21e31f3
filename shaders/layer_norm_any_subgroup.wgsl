// y[r, i] = (x[r, i] − mean[r]) / sqrt(var[r] + eps) · scale[i] + bias[i], or without CENTER by the mean square of x[r] alone
//
// Layout: dense; a row r holds the normalised axes, the innermost ones. A workgroup owns a row, invocation i its elements i, i + WORKGROUP_SIZE,
// …, which stay in registers: a row is loaded once and stored once, neighbours side by side. Sums meet by subgroup operations, of subgroups of
// any size.
// Overrides: HAS_BIAS, 0 where bias is left out; CENTER, 0 for RMSNormalization; STEPS, the elements of an invocation, at most 16;
// WORKGROUP_SIZE, invocations; those of the epilogue.
// Edges: workgroups past the last row repeat it and store nothing, so that barriers stay uniform. Source: ONNX LayerNormalization; J. L. Ba et
// al., arXiv:1607.06450; the variance by T. F. Chan, G. H. Golub, R. J. LeVeque, The American Statistician 37 (1983), equation 1.7.

override HAS_BIAS: u32;
override CENTER: u32;
override STEPS: u32;
override WORKGROUP_SIZE: u32;

const MOST_STEPS: u32 = 16u;

struct Params {
    rows: u32,
    row_elements: u32,
    eps: f32,
    before_alpha: f32, // of the epilogue
    before_beta: f32,
    after_alpha: f32,
    after_beta: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> scale: array<Element>;
@group(0) @binding(3) var<storage, read> bias: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;
@group(0) @binding(5) var<storage, read> held: array<Element>;

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
    let elements = params.row_elements;
    let start = min(group, params.rows - 1u) * elements;
    let count = f32(elements);
    var v: array<f32, MOST_STEPS>;
    var own = 0.0;
    for (var i = 0u; i < STEPS; i++) {
        let at = i * WORKGROUP_SIZE + local;
        v[i] = 0.0;
        if at < elements {
            v[i] = f32(x[start + at]);
        }
        own += v[i];
    }
    var mean = 0.0;
    if CENTER == 1u {
        mean = workgroup_add(own, lane) / count;
    }
    var differences = 0.0;
    var squares = 0.0;
    for (var i = 0u; i < STEPS; i++) {
        let difference = select(0.0, v[i] - mean, i * WORKGROUP_SIZE + local < elements);
        v[i] = difference;
        differences += difference;
        squares += difference * difference;
    }
    var correction = 0.0;
    if CENTER == 1u {
        correction = workgroup_add(differences, lane) / count;
    }
    let variance = max(workgroup_add(squares, lane) / count - correction * correction, 0.0);
    let inverse = 1.0 / sqrt(variance + params.eps);
    for (var i = 0u; i < STEPS; i++) {
        let at = i * WORKGROUP_SIZE + local;
        if group < params.rows && at < elements {
            var result = (v[i] - correction) * inverse * f32(scale[at]);
            if HAS_BIAS == 1u {
                result += f32(bias[at]);
            }
            y[start + at] = Element(finish(result, hold(start + at, 0u)));
        }
    }
}
