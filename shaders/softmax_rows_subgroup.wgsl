// y[r, c] = exp(x[r, c] − m_r) / Σ_k exp(x[r, k] − m_r), m_r = max_k x[r, k], or the logarithm of it
//
// Layout: x, y [rows, columns] dense, read and written in vectors of four, wherever rows begin in them. A workgroup is one subgroup of eight SIMD
// lanes of a processor and owns `group` rows, which together are whole vectors, one after the other; lane l holds vectors l, l + 8, … of a row,
// so that a row is loaded once and stored once. Where a vector holds the end of one row and the start of the next, it waits for both.
// Overrides: LOG; STEPS, the vectors of a lane, at most 32.
// Edges: what is outside of a row is left out of maximum and sum. The padding behind the last row is written.

override STEPS: u32;

const MOST_STEPS: u32 = 32u;
const LOWEST: f32 = -3.4028234e38;

struct Params {
    rows: u32,
    columns: u32,
    group: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read_write> y: array<Element4>;

fn four(at: u32) -> vec4<u32> {
    return vec4<u32>(at, at + 1u, at + 2u, at + 3u);
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let columns = params.columns;
    let first_row = flat_workgroup(workgroup, workgroups) * params.group;
    let last_row = min(first_row + params.group, params.rows);
    let half = (local + 4u) % 8u;
    let quarter = (local + 2u) % 8u;
    let neighbour = (local + 1u) % 8u;
    var carry = vec4<f32>(0.0);
    for (var row = first_row; row < last_row; row++) {
        let first = row * columns / 4u;
        let shift = row * columns % 4u;
        let end = shift + columns;
        let tail = end / 4u; // the first vector that is not the row's alone at its end
        var v: array<vec4<f32>, MOST_STEPS>;
        var most = vec4<f32>(LOWEST);
        for (var i = 0u; i < STEPS; i++) {
            let at = 8u * i + local;
            let inside = (four(4u * at) >= vec4<u32>(shift)) & (four(4u * at) < vec4<u32>(end));
            v[i] = select(vec4<f32>(LOWEST), vec4<f32>(x[first + min(at, (end - 1u) / 4u)]), inside);
            most = select(most, v[i], v[i] > most);
        }
        var maximum = larger(larger(most.x, most.y), larger(most.z, most.w));
        maximum = larger(maximum, subgroupShuffle(maximum, half));
        maximum = larger(maximum, subgroupShuffle(maximum, quarter));
        maximum = larger(maximum, subgroupShuffle(maximum, neighbour));
        var sums = vec4<f32>(0.0);
        for (var i = 0u; i < STEPS; i++) {
            let at = 4u * (8u * i + local);
            let power = select(vec4<f32>(0.0), exp(v[i] - maximum), (four(at) >= vec4<u32>(shift)) & (four(at) < vec4<u32>(end)));
            sums += power;
            if LOG == 0u {
                v[i] = power;
            }
        }
        var sum = (sums.x + sums.y) + (sums.z + sums.w);
        sum += subgroupShuffle(sum, half);
        sum += subgroupShuffle(sum, quarter);
        sum += subgroupShuffle(sum, neighbour);
        let stored = tail + select(0u, 1u, row + 1u == params.rows && end % 4u != 0u);
        var left = vec4<f32>(0.0);
        for (var i = 0u; i < STEPS; i++) {
            let at = 8u * i + local;
            var value = v[i] / sum;
            if LOG == 1u {
                value = v[i] - maximum - log(sum);
            }
            if i == 0u {
                value = select(value, carry, vec4<bool>(local == 0u) & (four(0u) < vec4<u32>(shift)));
            }
            left = select(left, value, vec4<bool>(at == tail));
            if at < stored {
                y[first + at] = Element4(value);
            }
        }
        let owner = tail % 8u;
        carry = vec4<f32>(subgroupShuffle(left.x, owner), subgroupShuffle(left.y, owner), subgroupShuffle(left.z, owner), subgroupShuffle(left.w, owner));
    }
}
