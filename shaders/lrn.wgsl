// y[n, c, i] = x[n, c, i] / (bias + factor * sum over k of x[n, k, i]^2)^beta, c - before <= k <= c + after
//
// Layout: dense [N, C, ...]. One invocation owns one element, so neighbours load and store side by side, channel by channel.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: channels that there are not are left out. Logarithms need not pass NaN on, so the base does. Source: ONNX LRN.

override WORKGROUP_SIZE: u32;

struct Params {
    elements: u32,
    channels: u32,
    map_elements: u32, // of one channel of one sample
    before: u32,       // channels
    after: u32,
    factor: f32,       // alpha / size
    bias: f32,
    beta: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i >= params.elements {
        return;
    }
    let channel = i / params.map_elements % params.channels;
    let first = channel - min(channel, params.before);
    let last = min(channel + params.after, params.channels - 1u);
    var sum = 0.0;
    var at = i - (channel - first) * params.map_elements;
    for (var k = first; k <= last; k += 1u) {
        let value = f32(x[at]);
        sum += value * value;
        at += params.map_elements;
    }
    let base = params.bias + params.factor * sum;
    let result = f32(x[i]) * exp2(-params.beta * log2(base));
    y[i] = Element(select(base, result, base == base));
}
