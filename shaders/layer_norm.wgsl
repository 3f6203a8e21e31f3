// y[r, i] = (x[r, i] - mean[r]) / sqrt(var[r] + eps) * scale[i] + bias[i], or without CENTER by the mean square of x[r] alone
//
// Layout: dense; a row r holds the normalised axes, the innermost ones. One workgroup owns one row, its invocations every
// WORKGROUP_SIZE-th element, so that neighbours load and store side by side; rows are read three times: mean, variance,
// output.
// Overrides: WORKGROUP_SIZE, invocations; HAS_BIAS, 0 where bias is left out; BROADCAST, 1 where scale or bias are not just
// of the normalised axes' shape: then they are read by their strides (0 along axes they lack) in up to eight axes of y;
// CENTER, 0 for RMSNormalization; those of the epilogue.
// Edges: workgroups past the last row do nothing. Source: ONNX LayerNormalization; J. L. Ba et al., arXiv:1607.06450.

override HAS_BIAS: u32;
override BROADCAST: u32;
override CENTER: u32;

struct Params {
    extents: array<vec4<u32>, 2>, // of y, innermost last, leading ones before them
    scale_strides: array<vec4<u32>, 2>,
    bias_strides: array<vec4<u32>, 2>,
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

/// Where the element of y at `at` finds its scale and its bias.
fn broadcast_position(at: u32) -> vec2<u32> {
    var rest = at;
    var position = vec2<u32>(0u);
    for (var axis = 8u; axis > 0u && rest > 0u; axis -= 1u) {
        let vector = (axis - 1u) / 4u;
        let lane = (axis - 1u) % 4u;
        let extent = params.extents[vector][lane];
        position += rest % extent * vec2<u32>(params.scale_strides[vector][lane], params.bias_strides[vector][lane]);
        rest /= extent;
    }
    return position;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = flat_workgroup(workgroup, workgroups);
    let elements = select(0u, params.row_elements, row < params.rows);
    let first = row * params.row_elements;
    var statistics = Statistics(0.0, 0.0, 0.0);
    if CENTER == 1u {
        statistics = row_statistics(first, elements, local);
    } else {
        statistics.variance = row_moments(first, elements, 0.0, local).y;
    }
    let inverse = 1.0 / sqrt(statistics.variance + params.eps);
    for (var i = local; i < elements; i += WORKGROUP_SIZE) {
        var position = vec2<u32>(i);
        if BROADCAST == 1u {
            position = broadcast_position(first + i);
        }
        let normalized = ((f32(x[first + i]) - statistics.shift) - statistics.correction) * inverse;
        var result = normalized * f32(scale[position.x]);
        if HAS_BIAS == 1u {
            result += f32(bias[position.y]);
        }
        y[first + i] = Element(finish(result, hold(first + i, 0u)));
    }
}
