// y[i_0, …] = data[i_0, …], then reduced with every updates[j_0, …] in turn, j_k = i_k but along the axis, where indices[j] = i
//
// Layout: dense. An update keeps its coordinates along the other axes, so that one invocation, which owns one element of the
// output, looks through one line of the indices: no two write one element, and the order of duplicates is that of the updates.
// A workgroup owns WORKGROUP_SIZE neighbours: loads and stores are coalesced where the axis is not the last.
// Overrides: REDUCTION, 0 none, 1 add, 2 mul, 3 min, 4 max; AXES, how many of the innermost axes are walked, the others having
// extent 1; WORKGROUP_SIZE, invocations.
// Edges: an index out of range, which the host refuses where it can see it, means no element.
// Source: ONNX `ScatterElements`, opset 18.

override WORKGROUP_SIZE: u32;
override AXES: u32;

struct Params {
    dims: array<vec4<u32>, 2>, // of data
    index_dims: array<vec4<u32>, 2>,
    index_strides: array<vec4<u32>, 2>,
    elements: u32, // the product of dims
    axis: u32, // in the arrays above
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
        var rest = i;
        var line = 0u;
        var wanted = 0u;
        var inside = true;
        for (var k = 1u; k <= AXES; k++) {
            let axis = 8u - k;
            let outer = rest / params.dims[axis / 4u][axis % 4u];
            let at = rest - outer * params.dims[axis / 4u][axis % 4u];
            rest = outer;
            if axis == params.axis {
                wanted = at;
            } else {
                inside = inside && at < params.index_dims[axis / 4u][axis % 4u];
                line += at * params.index_strides[axis / 4u][axis % 4u];
            }
        }
        var value = Accumulator(data[i]);
        if inside {
            let extent = params.dims[params.axis / 4u][params.axis % 4u];
            let count = params.index_dims[params.axis / 4u][params.axis % 4u];
            let stride = params.index_strides[params.axis / 4u][params.axis % 4u];
            let from_start = Index(i32(wanted));
            let from_end = Index(i32(wanted) - i32(extent));
            for (var j = 0u; j < count; j += 1u) {
                let index = indices[line + j * stride];
                if index == from_start || index == from_end {
                    value = reduce(value, Accumulator(updates[line + j * stride]));
                }
            }
        }
        y[i] = Element(value);
    }
}
