// y[r, i] = (x[r, i] − mean[r]) / sqrt(var[r] + eps) · scale[i] + bias[i], or without CENTER by the mean square of x[r] alone
//
// Layout: dense, in vectors of four; a row r holds the normalised axes, the innermost ones, a multiple of four elements. A workgroup is one
// subgroup of eight SIMD lanes of a processor and owns `group` rows, one after the other; lane l holds vectors l, l + 8, … of scale and bias for
// all of them, and of a row, so that a row is loaded once and stored once.
// Overrides: HAS_BIAS, 0 where bias is left out; CENTER, 0 for RMSNormalization; STEPS, the vectors of a lane, at most 32.
// Edges: vectors past the end of a row count zero and are not stored. Source: ONNX LayerNormalization; J. L. Ba et al., arXiv:1607.06450; the
// variance by T. F. Chan, G. H. Golub, R. J. LeVeque, The American Statistician 37 (1983), equation 1.7.

override HAS_BIAS: u32;
override CENTER: u32;
override STEPS: u32;

const MOST_STEPS: u32 = 32u;

struct Params {
    rows: u32,
    vectors: u32, // of a row
    group: u32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read> scale: array<Element4>;
@group(0) @binding(3) var<storage, read> bias: array<Element4>;
@group(0) @binding(4) var<storage, read_write> y: array<Element4>;

/// The sum over the subgroup's lanes of all elements.
fn subgroup_sum(v: vec4<f32>, local: u32) -> f32 {
    var sum = (v.x + v.y) + (v.z + v.w);
    sum += subgroupShuffle(sum, (local + 4u) % 8u);
    sum += subgroupShuffle(sum, (local + 2u) % 8u);
    return sum + subgroupShuffle(sum, (local + 1u) % 8u);
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let vectors = params.vectors;
    let eps = params.eps;
    let count = f32(4u * vectors);
    var scales: array<vec4<f32>, MOST_STEPS>;
    var biases: array<vec4<f32>, MOST_STEPS>;
    for (var i = 0u; i < STEPS; i++) {
        let at = min(8u * i + local, vectors - 1u);
        scales[i] = vec4<f32>(scale[at]);
        if HAS_BIAS == 1u {
            biases[i] = vec4<f32>(bias[at]);
        }
    }
    let first_row = flat_workgroup(workgroup, workgroups) * params.group;
    let last_row = min(first_row + params.group, params.rows);
    for (var row = first_row; row < last_row; row++) {
        let first = row * vectors;
        var v: array<vec4<f32>, MOST_STEPS>;
        var sums = vec4<f32>(0.0);
        for (var i = 0u; i < STEPS; i++) {
            let at = 8u * i + local;
            v[i] = select(vec4<f32>(0.0), vec4<f32>(x[first + min(at, vectors - 1u)]), at < vectors);
            sums += v[i];
        }
        var mean = 0.0;
        if CENTER == 1u {
            mean = subgroup_sum(sums, local) / count;
        }
        var squares = vec4<f32>(0.0);
        sums = vec4<f32>(0.0);
        for (var i = 0u; i < STEPS; i++) {
            v[i] = select(vec4<f32>(0.0), v[i] - mean, 8u * i + local < vectors);
            sums += v[i];
            squares += v[i] * v[i];
        }
        var correction = 0.0;
        if CENTER == 1u {
            correction = subgroup_sum(sums, local) / count;
        }
        let variance = max(subgroup_sum(squares, local) / count - correction * correction, 0.0);
        let inverse = 1.0 / sqrt(variance + eps);
        for (var i = 0u; i < STEPS; i++) {
            let at = 8u * i + local;
            if at < vectors {
                var result = (v[i] - correction) * inverse * scales[i];
                if HAS_BIAS == 1u {
                    result += biases[i];
                }
                y[first + at] = Element4(result);
            }
        }
    }
}
