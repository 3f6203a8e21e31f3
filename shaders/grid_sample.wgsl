// y[m, o] = Σ_d Σ_h Σ_w weight_d·weight_h·weight_w · x[m, index_d, index_h, index_w] around the position grid[n, o, …]
//
// Layout: dense maps m of N·C, axes [D, H, W] (leading ones 1 where the operator has fewer); grid as [N, positions, axes], the
// innermost axis first. One invocation owns one output, a workgroup WORKGROUP_SIZE neighbours: stores, and loads of the grid,
// are coalesced; loads of x as far as neighbours look at neighbours.
// Overrides: MODE, 0 nearest, 1 linear, 2 cubic; PADDING, 0 zeros, 1 border, 2 reflection; ALIGN_CORNERS, 1 where -1 and 1 are
// centres of elements and 0 where they are edges; WORKGROUP_SIZE, invocations.
// Edges: taps outside weigh nothing, show the border or are mirrored. A position that is NaN or beyond 2^30 is taken for one
// before the input, so that every index is in range.
// Source: ONNX `GridSample`, opset 22.

override WORKGROUP_SIZE: u32;
override MODE: u32;
override PADDING: u32;
override ALIGN_CORNERS: u32;

struct Params {
    input: vec4<u32>, // extents [D, H, W]
    elements: u32, // of the output
    channels: u32,
    positions: u32, // of the output, in one map
    axes: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> grid: array<Element>;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;

/// Indices, -1 for nothing, and weights of the taps along one axis.
struct Taps {
    index: vec4<i32>,
    weight: vec4<f32>,
}

/// `at` mirrored between `low` and `high` until it is there.
fn reflect_between(at: f32, low: f32, high: f32) -> f32 {
    let range = high - low;
    if range <= 0.0 {
        return low;
    }
    let away = abs(at - low);
    let times = floor(away / range);
    let rest = away - times * range;
    return select(low + rest, high - rest, (i32(times) & 1) == 1);
}

/// The index that a tap at `at` reads.
fn tap_index(at: i32, extent: i32) -> i32 {
    if at >= 0 && at < extent {
        return at;
    }
    switch PADDING {
        case 0u: { return -1; }
        case 1u: { return clamp(at, 0, extent - 1); }
        default: {
            let edge = select(0.5, 0.0, ALIGN_CORNERS == 1u);
            return clamp(i32(reflect_between(f32(at), -edge, f32(extent - 1) + edge)), 0, extent - 1);
        }
    }
}

fn cubic_near(d: f32) -> f32 {
    return (1.25 * d - 2.25) * d * d + 1.0;
}

fn cubic_far(d: f32) -> f32 {
    return ((-0.75 * d + 3.75) * d - 6.0) * d + 3.0;
}

fn taps(normalized: f32, extent: i32) -> Taps {
    let size = f32(extent);
    var at = select(((normalized + 1.0) * size - 1.0) * 0.5, (normalized + 1.0) * 0.5 * (size - 1.0), ALIGN_CORNERS == 1u);
    if MODE == 0u {
        at = round(at);
    }
    let edge = select(0.5, 0.0, ALIGN_CORNERS == 1u);
    if PADDING == 1u && !(at >= 0.0 && at <= size - 1.0) {
        at = clamp(at, 0.0, size - 1.0);
    }
    if PADDING == 2u && !(at >= -edge && at <= size - 1.0 + edge) {
        at = reflect_between(clamp(at, -16777216.0, 16777216.0), -edge, size - 1.0 + edge);
    }
    if !(abs(at) < 1073741824.0) {
        at = -8.0;
    }
    let before = floor(at);
    let t = at - before;
    let first = i32(before);
    switch MODE {
        case 0u: {
            return Taps(vec4<i32>(tap_index(i32(at), extent), -1, -1, -1), vec4<f32>(1.0, 0.0, 0.0, 0.0));
        }
        case 1u: {
            return Taps(vec4<i32>(tap_index(first, extent), tap_index(first + 1, extent), -1, -1), vec4<f32>(1.0 - t, t, 0.0, 0.0));
        }
        default: {
            return Taps(
                vec4<i32>(
                    tap_index(first - 1, extent), tap_index(first, extent), tap_index(first + 1, extent), tap_index(first + 2, extent)
                ),
                vec4<f32>(cubic_far(t + 1.0), cubic_near(t), cubic_near(1.0 - t), cubic_far(2.0 - t)),
            );
        }
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i < params.elements {
        let map = i / params.positions;
        let position = (map / params.channels * params.positions + i - map * params.positions) * params.axes;
        let count = select(select(2u, 4u, MODE == 2u), 1u, MODE == 0u);
        // An axis that is not there has one element, which weighs 1.
        var along_d = Taps(vec4<i32>(0, -1, -1, -1), vec4<f32>(1.0, 0.0, 0.0, 0.0));
        var along_h = along_d;
        let along_w = taps(f32(grid[position]), i32(params.input.z));
        if params.axes > 1u {
            along_h = taps(f32(grid[position + 1u]), i32(params.input.y));
        }
        if params.axes > 2u {
            along_d = taps(f32(grid[position + 2u]), i32(params.input.x));
        }
        var sum = 0.0;
        for (var d = 0u; d < count; d += 1u) {
            let index_d = along_d.index[d];
            for (var h = 0u; h < count; h += 1u) {
                let index_h = along_h.index[h];
                if index_d >= 0 && index_h >= 0 {
                    let row = ((map * params.input.x + u32(index_d)) * params.input.y + u32(index_h)) * params.input.z;
                    var part = 0.0;
                    for (var w = 0u; w < count; w += 1u) {
                        let index_w = along_w.index[w];
                        if index_w >= 0 {
                            part += along_w.weight[w] * f32(x[row + u32(index_w)]);
                        }
                    }
                    sum += along_d.weight[d] * along_h.weight[h] * part;
                }
            }
        }
        y[i] = Element(sum);
    }
}
