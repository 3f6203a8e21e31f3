// y[r] = reduce over c of x[r, c]
//
// Layout: x [rows, columns] dense, read in the vectors that cover a row, foreign lanes set to zero. A workgroup owns a row, its invocations read
// vectors side by side, and their totals meet by subgroup operations, of subgroups of any size.
// Overrides: FUNCTION, a sum of some kind: 0, 1, 5, 6, 7 or 9; WORKGROUP_SIZE, invocations.
// Edges: workgroups past the last row repeat it and store nothing, so that barriers stay uniform.

override WORKGROUP_SIZE: u32;

struct Params {
    rows: u32,
    columns: u32,
    lowest: f32, // the least finite number
    mask: u32, // 0: there are no integers
    sign: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let group = flat_workgroup(workgroup, workgroups);
    let start = min(group, params.rows - 1u) * params.columns;
    let end = start + params.columns;
    var total = Accumulator4();
    for (var i = start / 4u + local; 4u * i < end; i += WORKGROUP_SIZE) {
        let at = 4u * i + vec4<u32>(0u, 1u, 2u, 3u);
        total += select(Accumulator4(), prepare4(Accumulator4(x[i])), (at >= vec4<u32>(start)) & (at < vec4<u32>(end)));
    }
    let sum = workgroup_add((total.x + total.y) + (total.z + total.w), Lane(subgroup, invocation, subgroups));
    if local == 0u && group < params.rows {
        y[group] = Element(finish(sum, params.columns));
    }
}
