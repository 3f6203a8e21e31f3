// y[r, c, p, q] = mean, or max, over samples (s, t) of bin (p, q) of box r, of x[batch_indices[r], c] between elements
//
// Layout: dense. One invocation owns one output, a workgroup WORKGROUP_SIZE neighbours: stores are coalesced, loads as far as
// bins are near. The box is the same for all outputs of a workgroup but where two meet.
// Overrides: MAXIMUM, 1 for the largest of the weighted elements of all samples and 0 for the mean of the samples; HALF_PIXEL,
// 1 where boxes are moved by half a pixel and 0 where they are at least 1 × 1; WORKGROUP_SIZE, invocations.
// Edges: samples more than one element outside are 0, others are clamped. An adaptive number of samples, and so the number of
// iterations, is at most most_samples along an axis. Batch indices out of range are clamped.
// Source: He et al., "Mask R-CNN", arXiv:1703.06870; ONNX `RoiAlign`, opset 22.

override WORKGROUP_SIZE: u32;
override MAXIMUM: u32;
override HALF_PIXEL: u32;

struct Params {
    elements: u32, // of the output
    batch: i32,
    channels: u32,
    height: i32,
    width: i32,
    output_height: u32,
    output_width: u32,
    sampling_ratio: i32, // 0 for adaptive
    most_samples: i32,
    spatial_scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> rois: array<Element>; // x1, y1, x2, y2
@group(0) @binding(3) var<storage, read> batch_indices: array<Index>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;

/// The elements before and after a position along an axis, their weights; `inside` where the sample counts.
struct Between {
    low: i32,
    high: i32,
    weight_low: f32,
    weight_high: f32,
    inside: bool,
}

fn between(position: f32, extent: i32) -> Between {
    let inside = position >= -1.0 && position <= f32(extent);
    var at = 0.0;
    if inside && position > 0.0 {
        at = position;
    }
    let low = i32(at);
    if low >= extent - 1 {
        return Between(extent - 1, extent - 1, 1.0, 0.0, inside);
    }
    let t = at - f32(low);
    return Between(low, low + 1, 1.0 - t, t, inside);
}

fn samples(size: f32) -> i32 {
    if params.sampling_ratio > 0 {
        return params.sampling_ratio;
    }
    return clamp(i32(ceil(clamp(size, 0.0, 1000.0))), 0, params.most_samples);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i < params.elements {
        let row = i / params.output_width;
        let q = i - row * params.output_width;
        let plane = row / params.output_height;
        let p = row - plane * params.output_height;
        let r = plane / params.channels;
        let c = plane - r * params.channels;
        var n = batch_indices[r];
        if n < Index(0) {
            n = Index(0);
        }
        if n > Index(params.batch - 1) {
            n = Index(params.batch - 1);
        }
        let offset = select(0.0, 0.5, HALF_PIXEL == 1u);
        let start_w = f32(rois[4u * r]) * params.spatial_scale - offset;
        let start_h = f32(rois[4u * r + 1u]) * params.spatial_scale - offset;
        var width = f32(rois[4u * r + 2u]) * params.spatial_scale - offset - start_w;
        var height = f32(rois[4u * r + 3u]) * params.spatial_scale - offset - start_h;
        if HALF_PIXEL == 0u {
            width = max(width, 1.0);
            height = max(height, 1.0);
        }
        let bin_w = width / f32(params.output_width);
        let bin_h = height / f32(params.output_height);
        let samples_w = samples(bin_w);
        let samples_h = samples(bin_h);
        let map = (i32(n) * i32(params.channels) + i32(c)) * params.height;
        var sum = 0.0;
        var found = false;
        for (var s = 0; s < samples_h; s += 1) {
            let h = between(start_h + f32(p) * bin_h + (f32(s) + 0.5) * bin_h / f32(samples_h), params.height);
            for (var t = 0; t < samples_w; t += 1) {
                let w = between(start_w + f32(q) * bin_w + (f32(t) + 0.5) * bin_w / f32(samples_w), params.width);
                var values = vec4<f32>();
                if h.inside && w.inside {
                    let low = (map + h.low) * params.width;
                    let high = (map + h.high) * params.width;
                    values = vec4<f32>(f32(x[low + w.low]), f32(x[low + w.high]), f32(x[high + w.low]), f32(x[high + w.high]));
                    values *= vec4<f32>(h.weight_low, h.weight_low, h.weight_high, h.weight_high);
                    values *= vec4<f32>(w.weight_low, w.weight_high, w.weight_low, w.weight_high);
                }
                if MAXIMUM == 1u {
                    for (var k = 0u; k < 4u; k += 1u) {
                        // A NaN is not <= the largest, and stays.
                        if !found || (!(values[k] <= sum) && sum == sum) {
                            sum = values[k];
                            found = true;
                        }
                    }
                } else {
                    sum += values.x + values.y + values.z + values.w;
                }
            }
        }
        if MAXIMUM == 0u {
            sum /= f32(max(samples_h * samples_w, 1));
        }
        y[i] = Element(sum);
    }
}
