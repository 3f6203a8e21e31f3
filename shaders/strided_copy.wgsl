// output[output_offset + Σ i_k·output_strides_k] = input[input_offset + Σ i_k·input_strides_k] for every i below dims
//
// Layout: both buffers are walked with strides of their own, 0 where the input is broadcast, two's complement where it is
// walked backwards; offsets, strides and extents count units. A unit is one element, or a vector of four where the innermost
// axis is contiguous on both sides and everything is divisible by four.
// One invocation owns one unit, a workgroup WORKGROUP_SIZE units that follow one another in row-major order of dims, which the
// host gives in the output's order: stores are coalesced, loads wherever the input's innermost stride is 1.
// Overrides: AXES, how many of the innermost axes are walked, the others having extent 1; WORKGROUP_SIZE, invocations.
// Edges: invocations past `units` do nothing. Elements of the output outside the walk keep what they hold.

override WORKGROUP_SIZE: u32;
override AXES: u32;

struct Params {
    dims: array<vec4<u32>, 2>,
    input_strides: array<vec4<u32>, 2>,
    output_strides: array<vec4<u32>, 2>,
    units: u32, // the product of dims
    input_offset: u32,
    output_offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Unit>;
@group(0) @binding(2) var<storage, read_write> output: array<Unit>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    var rest = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if rest < params.units {
        var read_at = params.input_offset;
        var write_at = params.output_offset;
        for (var axis = 7u; axis > 8u - AXES; axis--) {
            let outer = rest / params.dims[axis / 4u][axis % 4u];
            let at = rest - outer * params.dims[axis / 4u][axis % 4u];
            read_at += at * params.input_strides[axis / 4u][axis % 4u];
            write_at += at * params.output_strides[axis / 4u][axis % 4u];
            rest = outer;
        }
        let outermost = 8u - AXES;
        read_at += rest * params.input_strides[outermost / 4u][outermost % 4u];
        write_at += rest * params.output_strides[outermost / 4u][outermost % 4u];
        output[write_at] = input[read_at];
    }
}
