// y[m, o] = (sum over taps k of |x[m, o * stride + k * dilation - before]|^p)^(1 / p)
//
// Layout: dense maps m of N·C, axes [D, H, W] (leading ones 1 where the operator has fewer). One invocation owns one
// output, a workgroup WORKGROUP_SIZE neighbours of one plane, so that stores, and loads at stride 1, are side by side.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: only taps on the input are visited: padding is zero. Logarithms need not pass NaN and infinities on, so the sum does.
// Source: ONNX LpPool.

override WORKGROUP_SIZE: u32;

struct Params {
    input: vec4<u32>, // extents [D, H, W]
    output: vec4<u32>,
    kernel: vec4<u32>,
    stride: vec4<u32>,
    dilation: vec4<u32>,
    before: vec4<u32>, // padding
    maps: u32,
    tiles: u32, // workgroups for one plane of the output
    p: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

/// |x|^p by squaring, as exact as products; p is at least 1.
fn power(x: f32, p: u32) -> f32 {
    var square = abs(x);
    if p == 1u {
        return square;
    }
    var result = 1.0;
    var left = p;
    while left > 1u {
        if (left & 1u) == 1u {
            result *= square;
        }
        square *= square;
        left >>= 1u;
    }
    return result * square;
}

fn root(sum: f32, p: u32) -> f32 {
    if p == 1u {
        return sum;
    }
    if p == 2u {
        return sqrt(sum);
    }
    // Neither zero, nor NaN, nor infinity has a logarithm to rely on; sum + sum equals sum for zero and infinity.
    if sum + sum == sum || sum != sum {
        return sum;
    }
    return exp2(log2(sum) / f32(p));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let p = window_position(flat_workgroup(workgroup, workgroups), local, WORKGROUP_SIZE, params.tiles, params.output.xyz, params.maps);
    if !p.inside {
        return;
    }
    let extents = params.input.xyz;
    // Positions in the padding before the input wrap around, and so are beyond it.
    let start = p.o * params.stride.xyz - params.before.xyz;
    var sum = 0.0;
    let kernel = params.kernel.xyz * opaque(1u, workgroup);
    let exponent = opaque(params.p, workgroup);
    for (var d = 0u; d < kernel.x; d += 1u) {
        let at_d = start.x + d * params.dilation.x;
        for (var h = 0u; h < kernel.y; h += 1u) {
            let at_h = start.y + h * params.dilation.y;
            if at_d < extents.x && at_h < extents.y {
                let row = ((p.map * extents.x + at_d) * extents.y + at_h) * extents.z;
                // A sum a row: short sums keep rounding small under large kernels.
                var row_sum = 0.0;
                var at_w = start.z;
                for (var w = 0u; w < kernel.z; w += 1u) {
                    if at_w < extents.z {
                        row_sum += power(f32(x[row + at_w]), exponent);
                    }
                    at_w += params.dilation.z;
                }
                sum += row_sum;
            }
        }
    }
    let i = ((p.map * params.output.x + p.o.x) * params.output.y + p.o.y) * params.output.z + p.o.z;
    y[i] = Element(root(sum, exponent));
}
