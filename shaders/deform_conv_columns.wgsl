// columns[n, c, k, o] = mask[n, g, k, o] · x[n, c, o·stride + k·dilation − padding + offset[n, g, k, :, o]], interpolated linearly
//
// g is the offset group of channel c. The columns times the weight are the deformable convolution; a 1×1 convolution makes the product.
// Layout: x [N, C, D, H, W]; offset [N, groups, taps, rank, P]; mask [N, groups, taps, P]; columns [N, C, taps, P]; P the outputs of a
// map; one and two dimensions are three with leading extents of 1.
// One invocation owns one tap of one output for all channels of an offset group: its position and the 2^rank corners around it are
// computed once. Neighbours own neighbouring outputs, so that offsets, masks and columns coalesce.
// Workgroups: x the outputs; y the offset groups and taps; z the image.
// Overrides: HAS_MASK 0 or 1; WORKGROUP_SIZE, invocations.
// Edges: corners outside the input count nothing; all are outside where the position is NaN.
// Source: Zhu et al., Deformable ConvNets v2, 2018; ONNX DeformConv, opset 22.

override HAS_MASK: u32;
override WORKGROUP_SIZE: u32;

const OUTSIDE: u32 = 0xffffffffu;

struct Params {
    group_channels: u32, // of an offset group
    offset_groups: u32,
    taps: u32,
    rank: u32,
    in_depth: u32,
    in_height: u32,
    in_width: u32,
    out_height: u32,
    out_width: u32,
    out_pixels: u32, // of all slices of a map
    kernel_height: u32,
    kernel_width: u32,
    stride_z: u32,
    stride_y: u32,
    stride_x: u32,
    dilation_z: u32,
    dilation_y: u32,
    dilation_x: u32,
    front: u32,
    top: u32,
    left: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> offset: array<Element>;
@group(0) @binding(3) var<storage, read> mask: array<Element>;
@group(0) @binding(4) var<storage, read_write> columns: array<Element>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let p = workgroup.x * WORKGROUP_SIZE + local;
    if p >= params.out_pixels {
        return;
    }
    let tap = workgroup.y % params.taps;
    let group = workgroup.z * params.offset_groups + workgroup.y / params.taps;
    let group_tap = group * params.taps + tap;

    // x, y, z, the innermost first, which exist for every rank.
    let output = vec3<u32>(p % params.out_width, p / params.out_width % params.out_height, p / params.out_width / params.out_height);
    let k = vec3<u32>(tap % params.kernel_width, tap / params.kernel_width % params.kernel_height, tap / params.kernel_width / params.kernel_height);
    let stride = vec3<u32>(params.stride_x, params.stride_y, params.stride_z);
    let dilation = vec3<u32>(params.dilation_x, params.dilation_y, params.dilation_z);
    let padding = vec3<u32>(params.left, params.top, params.front);
    let extent = vec3<u32>(params.in_width, params.in_height, params.in_depth);
    var position = vec3<f32>(vec3<i32>(output * stride + k * dilation - padding));
    for (var axis = 0u; axis < params.rank; axis++) {
        position[axis] += f32(offset[(group_tap * params.rank + params.rank - 1u - axis) * params.out_pixels + p]);
    }

    // The corners around the position, one bit of their number for each axis.
    let corners = 1u << params.rank;
    let below = floor(position);
    let above = position - below;
    var sources: array<u32, 8>;
    var shares: array<f32, 8>;
    for (var corner = 0u; corner < corners; corner++) {
        let bits = vec3<u32>(corner & 1u, corner >> 1u & 1u, corner >> 2u);
        let at = below + vec3<f32>(bits);
        let share = select(vec3<f32>(1.0) - above, above, bits == vec3<u32>(1u));
        shares[corner] = share.x * share.y * share.z;
        sources[corner] = OUTSIDE;
        if all(at >= vec3<f32>(0.0)) && all(at < vec3<f32>(extent)) {
            let index = vec3<u32>(at);
            sources[corner] = (index.z * extent.y + index.y) * extent.x + index.x;
        }
    }
    var factor = Accumulator(1);
    if HAS_MASK != 0u {
        factor = Accumulator(mask[group_tap * params.out_pixels + p]);
    }

    for (var c = 0u; c < params.group_channels; c++) {
        let channel = group * params.group_channels + c;
        let map = channel * extent.x * extent.y * extent.z;
        var value = Accumulator(0);
        for (var corner = 0u; corner < corners; corner++) {
            if sources[corner] != OUTSIDE {
                value += Accumulator(shares[corner]) * Accumulator(x[map + sources[corner]]);
            }
        }
        columns[(channel * params.taps + tap) * params.out_pixels + p] = Element(factor * value);
    }
}
