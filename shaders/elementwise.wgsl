// y[i] = step5(… step1(step0(x[i]))): up to six functions, and operators with other operands, in one pass over the elements
//
// Layout: x, y dense, of one shape; an operand's elements each stand for `run` neighbours, all `period` of them over and over, as in
// binary.wgsl. One invocation owns four neighbouring elements, a workgroup WORKGROUP_SIZE times as many, so loads and stores are whole
// vectors side by side. The host pads buffers to whole vectors; the tail computes on padding.
// Overrides: STEP_0 to STEP_5: 0 nothing; below 64 a function, by the number of functions.wgsl; from 64 on an operator, 64 more than its
// number in arithmetic.wgsl, and from 96 on 96 more where the operand is the left one. Operators take their operands in order.
// READ_0 to READ_3, how an operand is read: 0 dense; 1 an element for a whole vector: run % 4 = 0 or period = 1; 2 an element for each
// lane; 3 vectors over and over: run = 1, period % 4 = 0. WORKGROUP_SIZE, invocations. IN_PLACE 1 where x is y.

override STEP_0: u32;
override STEP_1: u32;
override STEP_2: u32;
override STEP_3: u32;
override STEP_4: u32;
override STEP_5: u32;
override READ_0: u32;
override READ_1: u32;
override READ_2: u32;
override READ_3: u32;
override WORKGROUP_SIZE: u32;
override IN_PLACE: u32;

struct Params {
    run: vec4<u32>, // of each operand
    period: vec4<u32>,
    alpha: array<vec4<f32>, 2>, // of each step
    beta: array<vec4<f32>, 2>,
    vectors: u32, // ceil(elements / 4)
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read> a: array<Element4>;
@group(0) @binding(3) var<storage, read> b: array<Element4>;
@group(0) @binding(4) var<storage, read> c: array<Element4>;
@group(0) @binding(5) var<storage, read> d: array<Element4>;
@group(0) @binding(6) var<storage, read_write> y: array<Element4>;

fn vector(operand: u32, i: u32) -> vec4<f32> {
    switch operand {
        case 0u: { return vec4<f32>(a[i]); }
        case 1u: { return vec4<f32>(b[i]); }
        case 2u: { return vec4<f32>(c[i]); }
        default: { return vec4<f32>(d[i]); }
    }
}

/// What stands beside element i of the output.
fn repeated(operand: u32, i: u32) -> f32 {
    let at = (i / params.run[operand]) % params.period[operand];
    return vector(operand, at / 4u)[at % 4u];
}

fn load(operand: u32, read: u32, i: u32) -> vec4<f32> {
    switch read {
        case 0u: { return vector(operand, i); }
        case 1u: { return vec4<f32>(repeated(operand, 4u * i)); }
        case 2u: {
            let first = 4u * i;
            return vec4<f32>(
                repeated(operand, first), repeated(operand, first + 1u), repeated(operand, first + 2u), repeated(operand, first + 3u)
            );
        }
        default: { return vector(operand, i % (params.period[operand] / 4u)); }
    }
}

fn step(code: u32, index: u32, v: vec4<f32>, operand: u32, i: u32) -> vec4<f32> {
    if code == 0u {
        return v;
    }
    if code < 64u {
        var result = v;
        for (var lane = 0u; lane < 4u; lane++) {
            result[lane] = function(code, v[lane], params.alpha[index / 4u][index % 4u], params.beta[index / 4u][index % 4u]);
        }
        return result;
    }
    var read = READ_3;
    switch operand {
        case 0u: { read = READ_0; }
        case 1u: { read = READ_1; }
        case 2u: { read = READ_2; }
        default: {}
    }
    let other = load(operand, read, i);
    if code < 96u {
        return combine(code - 64u, v, other);
    }
    return combine(code - 96u, other, v);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i >= params.vectors {
        return;
    }
    var v: vec4<f32>;
    if IN_PLACE == 1u {
        v = vec4<f32>(y[i]);
    } else {
        v = vec4<f32>(x[i]);
    }
    var operand = 0u;
    v = step(STEP_0, 0u, v, operand, i);
    operand += u32(STEP_0 >= 64u);
    v = step(STEP_1, 1u, v, operand, i);
    operand += u32(STEP_1 >= 64u);
    v = step(STEP_2, 2u, v, operand, i);
    operand += u32(STEP_2 >= 64u);
    v = step(STEP_3, 3u, v, operand, i);
    operand += u32(STEP_3 >= 64u);
    v = step(STEP_4, 4u, v, operand, i);
    operand += u32(STEP_4 >= 64u);
    v = step(STEP_5, 5u, v, operand, i);
    y[i] = Element4(v);
}
