// y[n, c, i] = (x[n, c, i] - mean[c]) * (scale[c] / sqrt(variance[c] + eps)) + bias[c]
//
// Layout: dense [N, C, ...], in vectors of four elements. One invocation owns `run` vectors one after the other, of one map where maps are whole
// vectors; with one vector each, loads and stores of neighbours are side by side.
// Overrides: WORKGROUP_SIZE, invocations; BOUNDARIES, how many maps at most begin inside of a vector: 0 where the elements of a map are a
// multiple of four, 1 where they are at least four, else 4; those of the epilogue.
// Edges: the host pads buffers to whole vectors; the tail computes on padding. Source: ONNX BatchNormalization.

override BOUNDARIES: u32;
override WORKGROUP_SIZE: u32;

struct Params {
    vectors: u32, // ceil(elements / 4)
    channels: u32,
    map_elements: u32, // of one channel of one sample
    run: u32,
    runs: u32, // of a map, where BOUNDARIES is 0
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

/// What x of a channel becomes: (x − mean) · factor + bias.
struct Channel {
    mean: f32,
    factor: f32,
    bias: f32,
}

fn channel_of(map: u32) -> Channel {
    let c = map % params.channels;
    return Channel(f32(mean[c]), f32(scale[c]) / sqrt(f32(variance[c]) + params.eps), f32(bias[c]));
}

fn normalize_vector(v: vec4<f32>, channel: Channel) -> vec4<f32> {
    return (v - channel.mean) * channel.factor + channel.bias;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let map_elements = params.map_elements;
    let invocation = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    var first = invocation * params.run;
    var end = min(first + params.run, params.vectors);
    var map = invocation / params.runs;
    if BOUNDARIES == 0u {
        let last = min((map + 1u) * (map_elements / 4u), params.vectors);
        first = map * (map_elements / 4u) + (invocation - map * params.runs) * params.run;
        end = min(first + params.run, last);
    } else {
        map = 4u * first / map_elements;
    }
    var at = 4u * first - map * map_elements; // of the vector's first element in its map
    var channel = channel_of(map);
    var next = channel;
    if BOUNDARIES == 1u {
        next = channel_of(map + 1u);
    }
    for (var i = first; i < end; i++) {
        let v = vec4<f32>(x[i]);
        var result = normalize_vector(v, channel);
        if BOUNDARIES == 1u {
            result = select(result, normalize_vector(v, next), at + vec4<u32>(0u, 1u, 2u, 3u) >= vec4<u32>(map_elements));
        }
        if BOUNDARIES == 4u {
            for (var lane = 0u; lane < 4u; lane++) {
                let other = normalize_vector(v, channel_of((4u * i + lane) / map_elements));
                result = select(result, other, vec4<u32>(0u, 1u, 2u, 3u) == vec4<u32>(lane));
            }
        }
        y[i] = Element4(finish_vector(result, hold_vector(i, 0u)));
        if BOUNDARIES == 1u {
            at += 4u;
            if at >= map_elements {
                map += 1u;
                at -= map_elements;
                channel = next;
                next = channel_of(map + 1u);
            }
        }
    }
}
