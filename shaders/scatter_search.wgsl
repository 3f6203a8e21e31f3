// y[s, n] = data[s, n], then reduced with updates[u, n] for every tuple u of indices that means slice s, in turn
//
// Layout: dense, data as [slices, inner], indices as [rows, tuple], updates as [rows, inner]. One invocation owns one element
// of the output and looks through all tuples, which a workgroup of WORKGROUP_SIZE neighbours reads at once: no two write one
// element, and the order of duplicates is that of the updates.
// Overrides: REDUCTION, 0 none, 1 add, 2 mul, 3 min, 4 max; WORKGROUP_SIZE, invocations.
// Edges: a tuple with an index out of range, which the host refuses where it can see it, means no slice.
// Source: ONNX `ScatterND`, opset 18.

override WORKGROUP_SIZE: u32;

struct Params {
    dims: array<vec4<u32>, 2>, // of the indexed axes
    strides: array<vec4<u32>, 2>, // of the indexed axes, in slices
    elements: u32, // slices · inner
    inner: u32,
    rows: u32,
    tuple: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> data: array<Element>;
@group(0) @binding(2) var<storage, read> indices: array<Index>;
@group(0) @binding(3) var<storage, read> updates: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i < params.elements {
        let slice = i / params.inner;
        let n = i - slice * params.inner;
        var value = Accumulator(data[i]);
        for (var row = 0u; row < params.rows; row += 1u) {
            var target_slice = 0u;
            var inside = true;
            for (var k = 0u; k < params.tuple; k += 1u) {
                let axis = 8u - params.tuple + k;
                let extent = Index(i32(params.dims[axis / 4u][axis % 4u]));
                var index = indices[row * params.tuple + k];
                if index < Index(0) {
                    index += extent;
                }
                inside = inside && index >= Index(0) && index < extent;
                target_slice += u32(index) * params.strides[axis / 4u][axis % 4u];
            }
            if inside && target_slice == slice {
                value = reduce(value, Accumulator(updates[row * params.inner + n]));
            }
        }
        y[i] = Element(value);
    }
}
