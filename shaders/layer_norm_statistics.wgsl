// mean[r] = sum over i of x[r, i] / row_elements, inverse[r] = 1 / sqrt(var[r] + eps)
//
// Layout: dense; a row r holds the normalised axes, the innermost ones. One workgroup owns one row, its invocations every
// WORKGROUP_SIZE-th element, so that neighbours load side by side; rows are read twice: mean, variance.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: workgroups past the last row do nothing. Source: ONNX LayerNormalization, its outputs Mean and InvStdDev.

struct Params {
    rows: u32,
    row_elements: u32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> mean: array<f32>;
@group(0) @binding(3) var<storage, read_write> inverse: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = flat_workgroup(workgroup, workgroups);
    let elements = select(0u, params.row_elements, row < params.rows);
    let statistics = row_statistics(row * params.row_elements, elements, local);
    if local == 0u && row < params.rows {
        mean[row] = statistics.shift + statistics.correction;
        inverse[row] = 1.0 / sqrt(statistics.variance + params.eps);
    }
}
