// y[n, c, i] = (x[n, c, i] - mean[c]) * (scale[c] / sqrt(variance[c] + eps)) + bias[c]
//
// Layout: dense [N, C, ...]. One invocation owns four neighbouring elements, a workgroup WORKGROUP_SIZE times as many, so
// loads and stores are whole vectors side by side; the four may lie in several maps.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: the host pads buffers to whole vectors; the tail computes on padding. Source: ONNX BatchNormalization.

override WORKGROUP_SIZE: u32;

struct Params {
    vectors: u32, // ceil(elements / 4)
    channels: u32,
    map_elements: u32, // of one channel of one sample
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read> scale: array<Element>;
@group(0) @binding(3) var<storage, read> bias: array<Element>;
@group(0) @binding(4) var<storage, read> mean: array<Element>;
@group(0) @binding(5) var<storage, read> variance: array<Element>;
@group(0) @binding(6) var<storage, read_write> y: array<Element4>;

fn normalize_channel(v: vec4<f32>, channel: u32) -> vec4<f32> {
    let factor = f32(scale[channel]) / sqrt(f32(variance[channel]) + params.eps);
    return (v - f32(mean[channel])) * factor + f32(bias[channel]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i >= params.vectors {
        return;
    }
    let v = vec4<f32>(x[i]);
    let maps = (vec4<u32>(4u * i) + vec4<u32>(0u, 1u, 2u, 3u)) / params.map_elements;
    var result = normalize_channel(v, maps.x % params.channels);
    for (var lane = 1u; lane < 4u; lane += 1u) {
        if maps[lane] != maps.x {
            result[lane] = normalize_channel(v, maps[lane] % params.channels)[lane];
        }
    }
    y[i] = Element4(result);
}
