// y[Σ i_k·output_strides_k + r·row + c] = x[Σ i_k·input_strides_k + c·column + r] for r below rows, c below columns, i below dims
//
// Layout: r is contiguous in x, c in y; rows, columns, all strides and offsets are multiples of four. One invocation owns `run` blocks of four
// rows by four columns side by side in y: it loads four vectors of x, turns them in registers, stores four of y. For software devices, where
// workgroup memory is no faster than buffers and loads do not coalesce.
// Overrides: AXES, how many of the innermost axes of dims are walked, the others having extent 1; WORKGROUP_SIZE, invocations.
// Edges: invocations past the last run do nothing.

override WORKGROUP_SIZE: u32;
override AXES: u32;

struct Params {
    dims: array<vec4<u32>, 2>, // without r and c
    input_strides: array<vec4<u32>, 2>, // all counted in vectors of four
    output_strides: array<vec4<u32>, 2>,
    batches: u32, // the product of dims
    rows: u32, // in vectors of four
    columns: u32,
    row: u32, // the stride of r in y
    column: u32, // the stride of c in x
    run: u32,
    runs: u32, // of four rows
    input_offset: u32,
    output_offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read_write> y: array<Element4>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let owned = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    // Neighbours own neighbouring rows: together they read whole lines of x.
    let four = owned / params.rows;
    let r = owned - four * params.rows;
    let batch = four / params.runs;
    let first = (four - batch * params.runs) * params.run;
    var rest = batch;
    var read_at = params.input_offset + r;
    var write_at = params.output_offset + 4u * r * params.row;
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
    let row = params.row;
    let column = params.column;
    let last = select(0u, min(first + params.run, params.columns), batch < params.batches);
    for (var c = first; c < last; c++) {
        let source = read_at + 4u * c * column;
        let v0 = x[source];
        let v1 = x[source + column];
        let v2 = x[source + 2u * column];
        let v3 = x[source + 3u * column];
        let to = write_at + c;
        y[to] = Element4(v0.x, v1.x, v2.x, v3.x);
        y[to + row] = Element4(v0.y, v1.y, v2.y, v3.y);
        y[to + 2u * row] = Element4(v0.z, v1.z, v2.z, v3.z);
        y[to + 3u * row] = Element4(v0.w, v1.w, v2.w, v3.w);
    }
}
