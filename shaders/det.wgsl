// y[m] = det x[m], the product of the pivots of Gaussian elimination
//
// Layout: dense matrices of n rows and columns. One invocation owns one matrix and eliminates in a copy of it in `work`, the
// largest element of each column taken for its pivot; a workgroup owns WORKGROUP_SIZE neighbours.
// Overrides: WORKGROUP_SIZE, invocations.
// Edges: a column without a pivot ends the elimination with 0. NaN is taken for the largest, and propagates.
// Source: ONNX `Det`, opset 22.

override WORKGROUP_SIZE: u32;

struct Params {
    matrices: u32,
    n: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> work: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let m = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if m < params.matrices {
        let n = params.n;
        let first = m * n * n;
        for (var i = 0u; i < n * n; i += 1u) {
            work[first + i] = f32(x[first + i]);
        }
        var product = 1.0;
        for (var k = 0u; k < n; k += 1u) {
            var pivot_row = k;
            var largest = abs(work[first + k * n + k]);
            for (var row = k + 1u; row < n; row += 1u) {
                let size = abs(work[first + row * n + k]);
                // A NaN is not <= the largest, and stays.
                if !(size <= largest) && largest == largest {
                    largest = size;
                    pivot_row = row;
                }
            }
            if largest == 0.0 {
                product = 0.0;
                break;
            }
            let pivot = work[first + pivot_row * n + k];
            product *= select(-pivot, pivot, pivot_row == k);
            for (var column = k; column < n; column += 1u) {
                let swapped = work[first + k * n + column];
                work[first + k * n + column] = work[first + pivot_row * n + column];
                work[first + pivot_row * n + column] = swapped;
            }
            for (var row = k + 1u; row < n; row += 1u) {
                let factor = work[first + row * n + k] / pivot;
                for (var column = k; column < n; column += 1u) {
                    work[first + row * n + column] -= factor * work[first + k * n + column];
                }
            }
        }
        y[m] = Element(product);
    }
}
