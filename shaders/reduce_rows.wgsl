// y[r] = reduce over c of x[r, c]
//
// Layout: x [rows, columns] dense. Rows need not start on a whole vector: they are read in the vectors that cover them, foreign
// lanes set to the neutral element. COOPERATIVE = 0: one invocation owns a row, for short rows and many. COOPERATIVE = 1: a
// workgroup owns a row, its invocations read vectors side by side, and their totals meet in workgroup memory.
// Overrides: FUNCTION; COOPERATIVE; WORKGROUP_SIZE, invocations, a multiple of 16.
// Edges: workgroups past the last row repeat it and store nothing, so that barriers stay uniform.

override COOPERATIVE: u32;
override WORKGROUP_SIZE: u32;

struct Params {
    rows: u32,
    columns: u32,
    lowest: f32, // the least finite number
    mask: u32,   // the bits of an integer that is narrower than its storage, else 0
    sign: u32,   // its sign bit, 0 where it has none
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

var<workgroup> partials: array<Accumulator, WORKGROUP_SIZE>;

/// The reduction of vectors first, first + step, … of the row from element `start` on.
fn walk(start: u32, first: u32, step: u32) -> Accumulator {
    let end = start + params.columns;
    let none = neutral(Accumulator(x[start / 4u][start % 4u]));
    var total = Accumulator4(none);
    for (var i = start / 4u + first; 4u * i < end; i += step) {
        var v = prepare4(Accumulator4(x[i]));
        if 4u * i < start || 4u * i + 4u > end {
            let at = 4u * i + vec4<u32>(0u, 1u, 2u, 3u);
            v = select(Accumulator4(none), v, (at >= vec4<u32>(start)) & (at < vec4<u32>(end)));
        }
        total = accumulate4(total, v);
    }
    return accumulate(accumulate(total.x, total.y), accumulate(total.z, total.w));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let group = flat_workgroup(workgroup, workgroups);
    if COOPERATIVE == 0u {
        let row = group * WORKGROUP_SIZE + local;
        if row < params.rows {
            y[row] = Element(finish(walk(row * params.columns, 0u, 1u), params.columns));
        }
    } else {
        let row = min(group, params.rows - 1u);
        partials[local] = walk(row * params.columns, local, WORKGROUP_SIZE);
        workgroupBarrier();
        // Sixteen invocations gather the rest, one gathers those: two steps instead of a tree's eight.
        var total = partials[local];
        if local < 16u {
            for (var i = local + 16u; i < WORKGROUP_SIZE; i += 16u) {
                total = accumulate(total, partials[i]);
            }
            partials[local] = total;
        }
        workgroupBarrier();
        if local == 0u && group < params.rows {
            for (var i = 1u; i < 16u; i++) {
                total = accumulate(total, partials[i]);
            }
            y[row] = Element(finish(total, params.columns));
        }
    }
}
