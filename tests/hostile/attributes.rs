//! Attributes and shape inputs out of their range: each an error that says what is wrong in numbers.

use super::*;

/// What a network of one node, from `x: f32[1,3,5,7]`, is refused with.
#[track_caller]
fn node_refused(op: &str, attributes: Vec<AttributeProto>, constants: Vec<TensorProto>, expected: &[&str]) {
    let names: Vec<_> = constants.iter().map(|c| c.name.as_str()).collect();
    let inputs = format!("x {}", names.join(" "));
    refused(&model(vec![node(op, &inputs, "y", attributes)], constants), &[&[&*format!("`n_y` ({op})")], expected].concat());
}

fn kernel() -> Vec<TensorProto> {
    vec![full("w", &[4, 3, 3, 3], 1.0)]
}

#[test]
fn windows_out_of_range_are_refused() {
    let conv = |attributes, expected: &str| node_refused("Conv", attributes, kernel(), &[expected]);
    conv(vec![ints("strides", &[0, 1])], "stride");
    conv(vec![ints("strides", &[1, -1])], "stride");
    conv(vec![ints("strides", &[i64::MIN, 1])], "stride");
    conv(vec![ints("dilations", &[0, 1])], "dilation");
    conv(vec![ints("dilations", &[1, -7])], "dilation");
    conv(vec![ints("dilations", &[1, i64::MAX])], "must be at most 1073741824 on every axis");
    conv(vec![ints("dilations", &[3, 1])], "spans 7 on axis 2, more than the input's 5");
    conv(vec![int("group", 0)], "group");
    conv(vec![int("group", -1)], "group");
    conv(vec![int("group", i64::MAX)], "do not divide into 9223372036854775807 groups");
    conv(vec![int("group", 2)], "weight has 3 input channels per group × 2 groups, input has 3");
    conv(vec![ints("kernel_shape", &[0, 3])], "kernel_shape");
    conv(vec![ints("kernel_shape", &[-3, 3])], "kernel_shape");
    conv(vec![ints("kernel_shape", &[5, 5])], "kernel");
    conv(vec![ints("kernel_shape", &[3])], "kernel_shape");
    conv(vec![ints("pads", &[-9, 0, 0, 0])], "pad");
    conv(vec![ints("pads", &[i64::MAX, 0, i64::MAX, 0])], "at most 1073741824 can be");
    conv(vec![ints("pads", &[1, 1])], "padding [1], [1] does not have 2 axes");
    conv(vec![text("auto_pad", "SAME_SIDEWAYS")], "SAME_SIDEWAYS");
    node_refused("Conv", vec![], vec![full("w", &[4, 2, 3, 3], 1.0)], &["2"]);
    node_refused("Conv", vec![], vec![full("w", &[4, 3, 3], 1.0)], &["so the input needs 3 axes"]);
    node_refused("Conv", vec![], vec![full("w", &[4, 3, 0, 3], 1.0)], &["kernel size [0, 3] must be at least 1"]);
    for op in ["MaxPool", "AveragePool", "LpPool"] {
        let pool = |attributes, expected: &str| node_refused(op, attributes, vec![], &[expected]);
        let square = || ints("kernel_shape", &[2, 2]);
        pool(vec![], "kernel_shape");
        pool(vec![ints("kernel_shape", &[0, 2])], "kernel size [0, 2] must be at least 1");
        pool(vec![ints("kernel_shape", &[-1, 2])], "kernel_shape");
        pool(vec![ints("kernel_shape", &[9, 9])], "spans 9 on axis 2");
        pool(vec![ints("kernel_shape", &[i64::MAX, i64::MAX])], "must be at most 1073741824");
        pool(vec![square(), ints("strides", &[0, 0])], "stride");
        pool(vec![square(), ints("strides", &[-2, 1])], "stride");
        pool(vec![square(), ints("dilations", &[0, 1])], "dilation");
        pool(vec![square(), ints("pads", &[-1, 0, 0, 0])], "pad");
    }
    let transposed =
        |attributes, expected: &str| node_refused("ConvTranspose", attributes, vec![full("w", &[3, 2, 3, 3], 1.0)], &[expected]);
    transposed(vec![ints("strides", &[0, 1])], "stride");
    transposed(vec![ints("strides", &[1 << 30, 1 << 30])], "gives more than 1073741824");
    transposed(vec![ints("output_padding", &[-1, 0])], "output_padding");
    transposed(vec![ints("output_shape", &[1 << 40, 1])], "1 to 1073741824 can be");
    transposed(vec![ints("output_shape", &[-1, 1])], "output_shape");
    transposed(vec![ints("pads", &[50, 50, 50, 50])], "1 to 1073741824 can be");
}

#[test]
fn axes_out_of_range_are_refused() {
    for axis in [4, -5, i64::MAX, i64::MIN] {
        for op in ["Softmax", "LogSoftmax", "Hardmax", "ArgMax", "LpNormalization"] {
            node_refused(op, vec![int("axis", axis)], vec![], &["axis"]);
        }
        node_refused("Concat", vec![int("axis", axis)], vec![full("c", &[1, 3, 5, 7], 1.0)], &["axis"]);
        node_refused("Gather", vec![int("axis", axis)], vec![integers("i", &[0])], &["axis"]);
        node_refused("ReduceSum", vec![], vec![integers("a", &[axis])], &["ax"]);
        node_refused("CumSum", vec![], vec![integer("a", axis)], &["ax"]);
        node_refused("Split", vec![int("axis", axis), int("num_outputs", 1)], vec![], &["axis"]);
        node_refused("Squeeze", vec![], vec![integers("a", &[axis])], &["ax"]);
        node_refused("TopK", vec![int("axis", axis)], vec![integers("k", &[1])], &["axis"]);
    }
    node_refused("Unsqueeze", vec![], vec![integers("a", &[i64::MIN])], &["ax"]);
    node_refused("Unsqueeze", vec![], vec![integers("a", &[0, 0])], &["ax"]);
    node_refused("Unsqueeze", vec![], vec![integers("a", &(0..100).collect::<Vec<_>>())], &["more than the limit of 64"]);
    node_refused("Squeeze", vec![], vec![integers("a", &[1])], &["3"]);
    node_refused("Transpose", vec![ints("perm", &[0, 1, 2, 2])], vec![], &["[0, 1, 2, 2]"]);
    node_refused("Transpose", vec![ints("perm", &[0, 1, 2, i64::MIN])], vec![], &["is not supported"]);
    node_refused("Transpose", vec![ints("perm", &[0, 1])], vec![], &["must name each of 4 axes once"]);
    node_refused("Flatten", vec![int("axis", 5)], vec![], &["axis"]);
}

#[test]
fn shapes_and_indices_out_of_range_are_refused() {
    let reshape = |target: &[i64], expected: &str| node_refused("Reshape", vec![], vec![integers("s", target)], &[expected]);
    reshape(&[-1, -1], "-1");
    reshape(&[-2, 5], "-2");
    reshape(&[7, 7], "with 105 elements to [7, 7]");
    reshape(&[i64::MAX, i64::MAX], "with 105 elements to [");
    reshape(&[1; 100], "with 105 elements to [1, 1");
    reshape(&[0, 0, 0, 0, 0], "copies axis 4 of an input that has 4 axes");
    node_refused("Gather", vec![], vec![integers("i", &[1])], &["1"]);
    node_refused("Gather", vec![], vec![integers("i", &[i64::MIN])], &["is outside axis 0 of [1,3,5,7], whose extent is 1"]);
    node_refused("GatherND", vec![], vec![integers("i", &[0, 0, 0, 99])], &["99"]);
    node_refused("Slice", vec![], vec![integers("a", &[0]), integers("b", &[1]), integers("c", &[0]), integers("d", &[0])], &["step"]);
    node_refused("TopK", vec![], vec![integers("k", &[100])], &["100"]);
    node_refused("TopK", vec![], vec![integers("k", &[-3])], &["-3"]);
    node_refused("Split", vec![int("axis", 1)], vec![integers("s", &[4])], &["4"]);
    node_refused("Split", vec![int("axis", 1)], vec![integers("s", &[-1])], &["-1"]);
    node_refused("Tile", vec![], vec![integers("r", &[-1, 1, 1, 1])], &["-1"]);
    node_refused("Expand", vec![], vec![integers("s", &[2, 2, 2, 2])], &["do not broadcast"]);
    node_refused("Expand", vec![], vec![integers("s", &[-1])], &["-1"]);
    node_refused(
        "Pad",
        vec![],
        vec![integers("p", &[0, 0, -9, 0, 0, 0, 0, 0])],
        &["pads -9 and 0 of axis 2 with extent 5 crop more than there is"],
    );
    node_refused("DepthToSpace", vec![int("blocksize", 0)], vec![], &["blocksize"]);
    node_refused("DepthToSpace", vec![int("blocksize", i64::MAX)], vec![], &["cannot be rearranged with block_size 9223372036854775807"]);
    node_refused("SpaceToDepth", vec![int("blocksize", -2)], vec![], &["blocksize"]);
    node_refused("LRN", vec![int("size", 0)], vec![], &["size"]);
    node_refused("ReverseSequence", vec![int("batch_axis", 0), int("time_axis", 1)], vec![integers("l", &[99])], &["99"]);
    node_refused("ScatterElements", vec![], vec![full_integers("i", &[1, 1, 1, 1], 7), full("u", &[1, 1, 1, 1], 0.0)], &["7"]);
    node_refused("CenterCropPad", vec![], vec![integers("s", &[1, 3, 1 << 50, 4])], &["is larger than the limit"]);
    node_refused("Col2Im", vec![], vec![integers("s", &[1 << 40, 5]), integers("b", &[1, 5])], &["is no [N, C·block, L]"]);
    node_refused("Einsum", vec![text("equation", "abcd->e")], vec![], &["e"]);
    node_refused("Einsum", vec![text("equation", "...,->")], vec![], &["has 2 terms for 1 inputs"]);
    node_refused("RoiAlign", vec![], vec![full("r", &[1, 4], 2.0), integers("b", &[99])], &["99"]);
    let large = vec![int("output_height", 1 << 20), int("output_width", 1 << 20)];
    node_refused("RoiAlign", large, vec![full("r", &[1, 4], 2.0), integers("b", &[0])], &["limit"]);
}

fn full_integers(name: &str, dims: &[i64], number: i64) -> TensorProto {
    let int64_data = vec![number; dims.iter().product::<i64>() as usize];
    TensorProto { dims: dims.into(), int64_data, ..integers(name, &[]) }
}

#[test]
fn attributes_of_another_kind_are_named() {
    node_refused("Softmax", vec![float("axis", 1.0)], vec![], &["attribute `axis` must be"]);
    node_refused("Softmax", vec![int("axis", 1), int("axis", 1)], vec![], &["attribute `axis` is given twice"]);
    node_refused("Softmax", vec![int("axes", 1)], vec![], &["`axes` is not supported"]);
    let untyped = AttributeProto { kind: 77, ..int("axis", 1) };
    node_refused("Softmax", vec![untyped], vec![], &["attribute `axis` has a type that is not supported"]);
    let reference = AttributeProto { ref_attr_name: "outer".into(), ..int("axis", 1) };
    node_refused("Softmax", vec![reference], vec![], &["attribute `axis` refers to `outer` of a function"]);
    let bytes = AttributeProto { name: "mode".into(), s: Some(vec![0xFF, 0xFE].into()), kind: 3, ..AttributeProto::default() };
    node_refused("Resize", vec![bytes], vec![], &["attribute `mode` is not text"]);
}
