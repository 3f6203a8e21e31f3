// y[n, c, i] = (x[n, c, i] - mean[c]) / sqrt(var[c] + eps) * scale[c] + bias[c], mean and variance of x over n and i
//
// Layout: dense [N, C, ...]. One workgroup owns one channel, its invocations every WORKGROUP_SIZE-th element of a map, so that
// neighbours load and store side by side; channels are read three times: mean, variance, output.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: workgroups past the last channel do nothing. Source: ONNX BatchNormalization with training_mode 1.

struct Params {
    samples: u32,
    channels: u32,
    map_elements: u32, // of one channel of one sample
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> scale: array<Element>;
@group(0) @binding(3) var<storage, read> bias: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let channel = flat_workgroup(workgroup, workgroups);
    let statistics = channel_statistics(channel, local);
    if channel < params.channels {
        let factor = f32(scale[channel]) / sqrt(statistics.variance + params.eps);
        for (var n = 0u; n < params.samples; n += 1u) {
            let first = (n * params.channels + channel) * params.map_elements;
            for (var i = local; i < params.map_elements; i += WORKGROUP_SIZE) {
                let centered = (f32(x[first + i]) - statistics.shift) - statistics.correction;
                y[first + i] = Element(centered * factor + f32(bias[channel]));
            }
        }
    }
}
