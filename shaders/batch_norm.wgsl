// y[n, c, i] = (x[n, c, i] - mean[c]) * (scale[c] / sqrt(variance[c] + eps)) + bias[c]
//
// Layout: dense [N, C, ...]. One invocation owns four neighbouring elements, a workgroup WORKGROUP_SIZE times as many, so
// loads and stores are whole vectors side by side.
// Overrides: WORKGROUP_SIZE, invocations; WHOLE_VECTORS, 1 where the elements of a map are a multiple of four, so that none
// of the four belongs to another map; those of the epilogue.
// Edges: the host pads buffers to whole vectors; the tail computes on padding. Source: ONNX BatchNormalization.

override WORKGROUP_SIZE: u32;
override WHOLE_VECTORS: u32;

struct Params {
    vectors: u32, // ceil(elements / 4)
    channels: u32,
    map_elements: u32, // of one channel of one sample
    eps: f32,
    before_alpha: f32, // of the epilogue
    before_beta: f32,
    after_alpha: f32,
    after_beta: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read> scale: array<Element>;
@group(0) @binding(3) var<storage, read> bias: array<Element>;
@group(0) @binding(4) var<storage, read> mean: array<Element>;
@group(0) @binding(5) var<storage, read> variance: array<Element>;
@group(0) @binding(6) var<storage, read_write> y: array<Element4>;
@group(0) @binding(7) var<storage, read> held: array<Element4>;

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
    let map = 4u * i / params.map_elements;
    var channel = map % params.channels;
    var result = normalize_channel(v, channel);
    if WHOLE_VECTORS == 0u {
        var at = 4u * i - map * params.map_elements;
        for (var lane = 1u; lane < 4u; lane += 1u) {
            at += 1u;
            if at == params.map_elements {
                at = 0u;
                channel = select(channel + 1u, 0u, channel + 1u == params.channels);
                result = select(result, normalize_channel(v, channel), vec4<u32>(0u, 1u, 2u, 3u) >= vec4<u32>(lane));
            }
        }
    }
    y[i] = Element4(finish_vector(result, hold_vector(i, 0u)));
}
