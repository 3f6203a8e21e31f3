// y[r, i] = (x[r, i] - mean[r]) / sqrt(var[r] + eps) * scale[s] + bias[s],  s = (r mod groups, i / scale_elements)
//
// Layout: dense [N, C, ...]; a row r of N·groups is one group of channels of one sample, contiguous. InstanceNormalization
// has one channel a group. One workgroup owns one row, its invocations every WORKGROUP_SIZE-th element, so that neighbours
// load and store side by side; rows are read three times: mean, variance, output.
// Overrides: WORKGROUP_SIZE, invocations; those of the epilogue.
// Edges: workgroups past the last row do nothing. Source: ONNX GroupNormalization; Y. Wu, K. He, arXiv:1803.08494.

struct Params {
    rows: u32,
    groups: u32,
    row_elements: u32,
    scale_elements: u32, // neighbours in a row that share a scale and a bias
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
) {
    let row = flat_workgroup(workgroup, workgroups);
    let elements = select(0u, params.row_elements, row < params.rows);
    let first = row * params.row_elements;
    let statistics = row_statistics(first, elements, local);
    let inverse = 1.0 / sqrt(statistics.variance + params.eps);
    // The scale of element i is i / scale_elements; steps of a workgroup's size find the next without a division.
    var s = row % params.groups * (params.row_elements / params.scale_elements) + local / params.scale_elements;
    var rest = local % params.scale_elements;
    let step = WORKGROUP_SIZE / params.scale_elements;
    let step_rest = WORKGROUP_SIZE % params.scale_elements;
    for (var i = local; i < elements; i += WORKGROUP_SIZE) {
        let normalized = ((f32(x[first + i]) - statistics.shift) - statistics.correction) * inverse;
        y[first + i] = Element(finish(normalized * f32(scale[s]) + f32(bias[s]), hold(first + i, 0u)));
        rest += step_rest;
        let carry = rest >= params.scale_elements;
        rest = select(rest, rest - params.scale_elements, carry);
        s += step + u32(carry);
    }
}
