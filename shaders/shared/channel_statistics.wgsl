// Mean and variance of channel `channel` over all samples of `x` [N, C, ...], one workgroup together; needs `workgroup_sum`, the
// kernel's `x`, and `samples`, `channels` and `map_elements` in its `params`. Corrected two-pass algorithm, as for rows.

struct Statistics {
    shift: f32, // the mean as f32 holds it
    correction: f32, // what the mean is beyond it: large means leave too few digits for this
    variance: f32,
}

/// The sums of x - shift and of its square over the channel, map by map; of no channel past the last one.
fn channel_sums(channel: u32, shift: f32, local: u32) -> vec2<f32> {
    let samples = select(0u, params.samples, channel < params.channels);
    var sums = vec2<f32>(0.0);
    for (var n = 0u; n < samples; n += 1u) {
        let first = (n * params.channels + channel) * params.map_elements;
        var block = vec2<f32>(0.0);
        for (var i = local; i < params.map_elements; i += WORKGROUP_SIZE) {
            let d = f32(x[first + i]) - shift;
            block += vec2<f32>(d, d * d);
        }
        sums += block;
    }
    return workgroup_sum(sums, local);
}

fn channel_statistics(channel: u32, local: u32) -> Statistics {
    let count = f32(params.samples) * f32(params.map_elements);
    let shift = channel_sums(channel, 0.0, local).x / count;
    let moments = channel_sums(channel, shift, local) / count;
    return Statistics(shift, moments.x, max(moments.y - moments.x * moments.x, 0.0));
}
