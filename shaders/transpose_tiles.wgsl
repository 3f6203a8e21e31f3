// y[Σ i_k·output_strides_k + r·row + c] = x[Σ i_k·input_strides_k + c·column + r] for r below rows, c below columns, i below dims
//
// Layout: r is contiguous in x, c in y. A workgroup owns a tile of 32 rows by 32 columns, which it loads along r and stores along c through
// workgroup memory, so that both coalesce; a row of memory has an element more, so that neither meets bank conflicts.
// Workgroups: x the tiles of rows, y those of columns, z the batches.
// Overrides: AXES, how many of the innermost axes of dims are walked, the others having extent 1.
// Edges: elements past the last row or column are neither loaded nor stored.

override AXES: u32;

const TILE: u32 = 32u;
const PITCH: u32 = 33u;
const WORKGROUP_SIZE: u32 = 256u;

struct Params {
    dims: array<vec4<u32>, 2>, // without r and c
    input_strides: array<vec4<u32>, 2>,
    output_strides: array<vec4<u32>, 2>,
    rows: u32,
    columns: u32,
    row: u32, // the stride of r in y
    column: u32, // the stride of c in x
    input_offset: u32,
    output_offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

var<workgroup> tile: array<Element, TILE * PITCH>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    var rest = workgroup.z;
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

    let first_row = workgroup.x * TILE;
    let first_column = workgroup.y * TILE;
    let fast = local % TILE;
    let slow = local / TILE;
    for (var i = slow; i < TILE; i += WORKGROUP_SIZE / TILE) {
        if first_row + fast < params.rows && first_column + i < params.columns {
            tile[i * PITCH + fast] = x[read_at + (first_column + i) * params.column + first_row + fast];
        }
    }
    workgroupBarrier();
    for (var i = slow; i < TILE; i += WORKGROUP_SIZE / TILE) {
        if first_row + i < params.rows && first_column + fast < params.columns {
            y[write_at + (first_row + i) * params.row + first_column + fast] = tile[fast * PITCH + i];
        }
    }
}
