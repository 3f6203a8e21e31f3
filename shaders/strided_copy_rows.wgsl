// output[c + columns · r] = input[input_offset + c + Σ i_k·input_strides_k], i the coordinates of row r in dims, c below columns
//
// Layout: rows of the input are contiguous and begin anywhere; the output is dense. Both are read and written in vectors of four. One invocation
// owns four rows of the output, which together are whole vectors: each vector of the input is loaded once and shifted in registers, and where a
// vector holds the end of one row and the start of the next, it waits for both. For software devices, where loads cost by their number.
// Overrides: AXES, how many of the innermost axes of dims are walked, the others having extent 1; WORKGROUP_SIZE, invocations.
// Edges: what is read outside of a row is inside of the input, or clamped, and not used. The padding behind the last row is written.

override WORKGROUP_SIZE: u32;
override AXES: u32;

struct Params {
    dims: array<vec4<u32>, 2>, // of rows
    input_strides: array<vec4<u32>, 2>,
    rows: u32,
    columns: u32,
    last: u32, // vector of the input that has an element of a row
    input_offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Element4>;
@group(0) @binding(2) var<storage, read_write> output: array<Element4>;

fn row_start(row: u32) -> u32 {
    var rest = row;
    var at = params.input_offset;
    for (var axis = 7u; axis > 8u - AXES; axis--) {
        let outer = rest / params.dims[axis / 4u][axis % 4u];
        at += (rest - outer * params.dims[axis / 4u][axis % 4u]) * params.input_strides[axis / 4u][axis % 4u];
        rest = outer;
    }
    let outermost = 8u - AXES;
    return at + rest * params.input_strides[outermost / 4u][outermost % 4u];
}

/// Four elements from `shift` on in two vectors.
fn shifted(a: Element4, b: Element4, shift: u32) -> Element4 {
    let two = (shift & 2u) != 0u;
    let by_two = select(a, Element4(a.zw, b.xy), two);
    return select(by_two, Element4(by_two.yzw, select(b.x, b.z, two)), (shift & 1u) != 0u);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let columns = params.columns;
    let last = i32(params.last);
    let owned = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    let rows = min(4u, params.rows - min(4u * owned, params.rows));
    var write_at = owned * columns;
    var carry: Element4;
    for (var r = 0u; r < rows; r++) {
        // Elements of the row's first vector that belong to rows before.
        let before = r * columns % 4u;
        let start = i32(row_start(4u * owned + r)) - i32(before);
        let shift = u32(start & 3);
        var word = start >> 2u;
        var held = input[clamp(word, 0, last)];
        let whole = (before + columns) / 4u;
        for (var i = 0u; i < whole; i++) {
            word++;
            let next = input[clamp(word, 0, last)];
            let value = shifted(held, next, shift);
            output[write_at] = select(value, carry, (vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(before)) & vec4<bool>(i == 0u));
            write_at++;
            held = next;
        }
        let value = shifted(held, input[clamp(word + 1, 0, last)], shift);
        carry = select(value, carry, (vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(before)) & vec4<bool>(whole == 0u));
    }
    if rows * columns % 4u != 0u {
        output[write_at] = carry;
    }
}
