// y[r, c] = exp(x[r, c] - m_r) / Σ_k exp(x[r, k] - m_r), m_r = max_k x[r, k], or the logarithm of it
//
// Layout: x, y [rows, columns] dense. COOPERATIVE = 0: one invocation owns a row, for short rows and many. COOPERATIVE = 1: a
// workgroup owns a row, its invocations read and write elements side by side, and maximum and sum meet in workgroup memory.
// Runs of 64 elements are summed on their own, so that long sums keep their precision.
// Overrides: LOG; COOPERATIVE; WORKGROUP_SIZE, invocations, a multiple of 16.
// Edges: workgroups past the last row repeat it and store nothing, so that barriers stay uniform.

override COOPERATIVE: u32;
override WORKGROUP_SIZE: u32;

struct Params {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

var<workgroup> maxima: array<f32, WORKGROUP_SIZE>;
var<workgroup> sums: array<f32, WORKGROUP_SIZE>;

/// The maximum of elements first, first + step, … of the row that starts at `start`.
fn row_maximum(start: u32, first: u32, step: u32) -> f32 {
    var maximum = f32(x[start]);
    for (var c = first; c < params.columns; c += step) {
        maximum = larger(maximum, f32(x[start + c]));
    }
    return maximum;
}

fn row_sum(start: u32, first: u32, step: u32, maximum: f32) -> f32 {
    var sum = 0.0;
    var c = first;
    while c < params.columns {
        var run = 0.0;
        let end = min(c + 64u * step, params.columns);
        for (; c < end; c += step) {
            run += exp(f32(x[start + c]) - maximum);
        }
        sum += run;
    }
    return sum;
}

fn store_row(start: u32, first: u32, step: u32, maximum: f32, sum: f32) {
    for (var c = first; c < params.columns; c += step) {
        y[start + c] = Element(normalized(f32(x[start + c]), maximum, sum));
    }
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
            let start = row * params.columns;
            let maximum = row_maximum(start, 0u, 1u);
            store_row(start, 0u, 1u, maximum, row_sum(start, 0u, 1u, maximum));
        }
    } else {
        let start = min(group, params.rows - 1u) * params.columns;
        maxima[local] = row_maximum(start, local, WORKGROUP_SIZE);
        workgroupBarrier();
        // Sixteen invocations gather the rest, all gather those: two steps instead of a tree's eight.
        if local < 16u {
            for (var i = local + 16u; i < WORKGROUP_SIZE; i += 16u) {
                maxima[local] = larger(maxima[local], maxima[i]);
            }
        }
        workgroupBarrier();
        var maximum = maxima[0];
        for (var i = 1u; i < 16u; i++) {
            maximum = larger(maximum, maxima[i]);
        }
        sums[local] = row_sum(start, local, WORKGROUP_SIZE, maximum);
        workgroupBarrier();
        if local < 16u {
            for (var i = local + 16u; i < WORKGROUP_SIZE; i += 16u) {
                sums[local] += sums[i];
            }
        }
        workgroupBarrier();
        var sum = sums[0];
        for (var i = 1u; i < 16u; i++) {
            sum += sums[i];
        }
        if group < params.rows {
            store_row(start, local, WORKGROUP_SIZE, maximum, sum);
        }
    }
}
