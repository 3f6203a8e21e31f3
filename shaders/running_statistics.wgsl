// running_mean[c] = mean[c] * momentum + (mean of x[:, c]) * (1 - momentum), running_var[c] likewise
//
// Layout: x dense [N, C, ...]. One workgroup owns one channel, its invocations every WORKGROUP_SIZE-th element of a map, so that
// neighbours load side by side.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: workgroups past the last channel do nothing. Source: ONNX BatchNormalization with training_mode 1.

struct Params {
    samples: u32,
    channels: u32,
    map_elements: u32, // of one channel of one sample
    momentum: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> mean: array<Element>;
@group(0) @binding(3) var<storage, read> variance: array<Element>;
@group(0) @binding(4) var<storage, read_write> running_mean: array<Element>;
@group(0) @binding(5) var<storage, read_write> running_var: array<Element>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let channel = flat_workgroup(workgroup, workgroups);
    let statistics = channel_statistics(channel, local);
    if local == 0u && channel < params.channels {
        let kept = params.momentum;
        let own_mean = statistics.shift + statistics.correction;
        running_mean[channel] = Element(f32(mean[channel]) * kept + own_mean * (1.0 - kept));
        running_var[channel] = Element(f32(variance[channel]) * kept + statistics.variance * (1.0 - kept));
    }
}
