// output[m, r, c] = input[m, r, c] where c - r >= diagonal (upper) or c - r <= diagonal (lower), else 0
//
// Layout: dense matrices. One invocation owns one element, a workgroup WORKGROUP_SIZE neighbours: loads and stores are
// coalesced.
// Overrides: UPPER, 1 where the upper triangle stays and 0 where the lower does; WORKGROUP_SIZE, invocations.
// Edges: the host keeps rows, columns and the diagonal within 2^30.
// Source: ONNX `Trilu`, opset 14.

override WORKGROUP_SIZE: u32;
override UPPER: u32;

struct Params {
    elements: u32,
    rows: u32,
    columns: u32,
    diagonal: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Element>;
@group(0) @binding(2) var<storage, read_write> output: array<Element>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i < params.elements {
        let row = i / params.columns;
        let distance = i32(i - row * params.columns) - i32(row % params.rows);
        if select(distance <= params.diagonal, distance >= params.diagonal, UPPER == 1u) {
            output[i] = input[i];
        } else {
            output[i] = Element();
        }
    }
}
