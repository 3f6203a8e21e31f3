// output[output_offset + Σ i_k·output_strides_k] = input[input_offset + Σ i_k·input_strides_k] for every i below dims
//
// Layout: as in strided_copy.wgsl, the innermost axis contiguous on both sides. Offsets, strides and extents count vectors of four.
// One invocation owns `run` vectors of one row of the innermost axis, one after the other: it finds their place once. For software
// devices, where loads do not coalesce and divisions are slow.
// Overrides: AXES, how many axes before the innermost are walked, the others having extent 1; WORKGROUP_SIZE, invocations.
// Edges: invocations past the last run do nothing. Elements of the output outside the walk keep what they hold.

override WORKGROUP_SIZE: u32;
override AXES: u32;

struct Params {
    dims: array<vec4<u32>, 2>,
    input_strides: array<vec4<u32>, 2>,
    output_strides: array<vec4<u32>, 2>,
    rows: u32, // the product of dims, the innermost left out
    run: u32,
    runs: u32, // of a row
    input_offset: u32,
    output_offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Element4>;
@group(0) @binding(2) var<storage, read_write> output: array<Element4>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let owned = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    let row = owned / params.runs;
    let first = (owned - row * params.runs) * params.run;
    var rest = row;
    var read_at = params.input_offset;
    var write_at = params.output_offset;
    for (var axis = 6u; axis > 7u - AXES; axis--) {
        let outer = rest / params.dims[axis / 4u][axis % 4u];
        let at = rest - outer * params.dims[axis / 4u][axis % 4u];
        read_at += at * params.input_strides[axis / 4u][axis % 4u];
        write_at += at * params.output_strides[axis / 4u][axis % 4u];
        rest = outer;
    }
    let outermost = 7u - AXES;
    read_at += rest * params.input_strides[outermost / 4u][outermost % 4u];
    write_at += rest * params.output_strides[outermost / 4u][outermost % 4u];
    let last = select(0u, min(first + params.run, params.dims[1].w), row < params.rows);
    for (var i = first; i < last; i++) {
        output[write_at + i] = input[read_at + i];
    }
}
