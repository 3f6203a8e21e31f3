//! Attributes of every operator, read strictly.

use super::*;
use crate::ops::*;
use crate::tensor::{DType, Tensor};

/// The operator of one node from `x` to `y`, its other inputs constants `w: f32[1,4,3,3]`.
fn read(opset: i64, op_type: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> Result<Graph> {
    let mut model = model_of(opset, vec![node(op_type, inputs, &["y"], attributes)]);
    model.graph.as_mut().unwrap().initializer = vec![weights("w", &[1, 4, 3, 3], &[0.5; 36])];
    load(&model)
}

#[track_caller]
fn op(opset: i64, op_type: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> Op {
    read(opset, op_type, inputs, attributes).unwrap_or_else(|e| panic!("{e}")).nodes()[0].op.clone()
}

/// The constant that an attribute became.
#[track_caller]
fn added(opset: i64, op_type: &str, attributes: Vec<AttributeProto>, at: usize) -> Option<Tensor> {
    let graph = read(opset, op_type, &["x"], attributes).unwrap_or_else(|e| panic!("{e}"));
    let id = graph.nodes()[0].inputs.get(at).copied().flatten()?;
    graph.value(id).constant.clone()
}

#[track_caller]
fn rejects(opset: i64, op_type: &str, inputs: &[&str], attributes: Vec<AttributeProto>, expected: &str) {
    let error = read(opset, op_type, inputs, attributes).expect_err("the node must not load");
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    let expected = format!("`n_{op_type}` ({op_type}): {expected}");
    assert!(error.to_string().contains(&expected), "`{error}` does not contain `{expected}`");
}

#[test]
fn every_operator_without_attributes_loads() {
    let one = ["Relu", "Sigmoid", "HardSwish", "Tanh", "Erf", "Exp", "Sqrt", "Identity", "GlobalAveragePool", "GlobalMaxPool"];
    for name in one {
        assert_eq!(op(17, name, &["x"], vec![]).name(), name);
        rejects(17, name, &["x", "w"], vec![], "has 2 inputs, at most 1 are supported");
        rejects(17, name, &["x"], vec![int("strange", 1)], "attribute `strange` is not supported");
    }
    for name in ["Add", "Sub", "Mul", "Div", "Pow", "MatMul", "PRelu", "Expand"] {
        assert!(read(17, name, &["x", "w"], vec![]).is_ok(), "{name}");
        rejects(17, name, &["x"], vec![], "has 1 inputs, at least 2 are supported");
        rejects(17, name, &["x", "w"], vec![int("axis", 1), int("broadcast", 1)], "attributes `axis`, `broadcast` are not supported");
    }
}

#[test]
fn activations_have_the_defaults_of_the_standard() {
    assert_eq!(op(17, "LeakyRelu", &["x"], vec![]), Unary::LeakyRelu { alpha: 0.01 }.into());
    assert_eq!(op(17, "HardSigmoid", &["x"], vec![]), Unary::HardSigmoid { alpha: 0.2, beta: 0.5 }.into());
    assert_eq!(op(17, "HardSigmoid", &["x"], vec![float("alpha", 0.1)]), Unary::HardSigmoid { alpha: 0.1, beta: 0.5 }.into());
    assert_eq!(op(20, "Gelu", &["x"], vec![]), Unary::Gelu(GeluApproximation::None).into());
    assert_eq!(op(20, "Gelu", &["x"], vec![string("approximate", "tanh")]), Unary::Gelu(GeluApproximation::Tanh).into());
    rejects(20, "Gelu", &["x"], vec![string("approximate", "sigmoid")], "attribute `approximate` must be none or tanh");
}

#[test]
fn elementwise_operators_read_their_attributes() {
    assert_eq!(op(22, "Elu", &["x"], vec![]), Unary::Elu { alpha: 1.0 }.into());
    assert_eq!(op(12, "Celu", &["x"], vec![float("alpha", 2.0)]), Unary::Celu { alpha: 2.0 }.into());
    assert_eq!(op(22, "Selu", &["x"], vec![]), Unary::Selu { alpha: 1.673_263_2, gamma: 1.050_701 }.into());
    assert_eq!(op(9, "Shrink", &["x"], vec![float("lambd", 1.5)]), Unary::Shrink { lambda: 1.5, bias: 0.0 }.into());
    assert_eq!(op(24, "Swish", &["x"], vec![]), Unary::Swish { alpha: 1.0 }.into());
    assert_eq!(op(22, "ThresholdedRelu", &["x"], vec![]), Unary::ThresholdedRelu { alpha: 1.0 }.into());
    assert_eq!(op(7, "Affine", &["x"], vec![float("beta", 2.0)]), Unary::Affine { alpha: 1.0, beta: 2.0 }.into());
    assert_eq!(op(13, "Mod", &["x", "w"], vec![int("fmod", 1)]), Binary::Mod { fmod: true }.into());
    assert_eq!(op(11, "BitShift", &["x", "w"], vec![string("direction", "RIGHT")]), Binary::ShiftRight.into());
    rejects(11, "BitShift", &["x", "w"], vec![], "attribute `direction` is missing");
    let positive = Classify::Infinite { positive: true, negative: false };
    assert_eq!(op(20, "IsInf", &["x"], vec![int("detect_negative", 0)]), positive.into());
    // The type of an input is known, so the input is not needed.
    assert_eq!(op(15, "CastLike", &["x", "w"], vec![]), Cast { to: DType::F32 }.into());
    for name in ["Max", "Min", "Sum", "Mean"] {
        assert_eq!(op(13, name, &["x", "w", "x"], vec![]).name(), name);
    }
}

#[test]
fn quantization_reads_its_attributes() {
    let attributes = vec![int("axis", 2), int("block_size", 3), int("output_dtype", 5), int("precision", 10), int("saturate", 1)];
    let expected = QuantizeLinear { axis: 2, block_size: 3, output: Some(DType::I16), precision: Some(DType::F16) };
    assert_eq!(op(24, "QuantizeLinear", &["x", "w"], attributes), expected.into());
    assert_eq!(op(10, "DequantizeLinear", &["x", "w"], vec![]), DequantizeLinear::default().into());
    rejects(24, "QuantizeLinear", &["x", "w"], vec![int("output_dtype", 17)], "attribute `output_dtype`: element type float8e4m3fn is not");
    rejects(24, "QuantizeLinear", &["x", "w"], vec![int("precision", 6)], "attribute `precision` i32 is not supported");
}

#[test]
fn quantized_operators_are_of_another_domain() {
    let read = |name: &str, inputs: &[&str], attributes| {
        let quantized = NodeProto { domain: "com.microsoft".into(), ..node(name, inputs, &["y"], attributes) };
        let mut model = model_of(12, vec![quantized]);
        model.graph.as_mut().unwrap().initializer = vec![weights("w", &[1, 4, 3, 3], &[0.5; 36])];
        load(&model)
    };
    let graph = read("QLinearAdd", &["x", "w", "w", "x", "w", "w", "w"], vec![]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(graph.nodes()[0].op, QLinear { function: QLinearFunction::Add }.into());
    let graph = read("QLinearConcat", &["w", "w", "x", "w", "w"], vec![int("axis", 1)]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(graph.nodes()[0].op, QLinear { function: QLinearFunction::Concat(Concat { axis: 1 }) }.into());
    let fails = |name, inputs: &[&str], attributes| read(name, inputs, attributes).unwrap_err().to_string();
    let message = fails("QLinearGlobalAveragePool", &["x", "w", "w", "w"], vec![int("channels_last", 1)]);
    assert!(message.contains("(com.microsoft.QLinearGlobalAveragePool): attribute `channels_last` 1 is not supported"), "{message}");
    let message = fails("QLinearSoftmax", &["x", "w"], vec![]);
    assert!(message.contains("operator is not supported"), "{message}");
}

#[test]
fn attributes_of_the_wrong_type_are_errors() {
    rejects(17, "LeakyRelu", &["x"], vec![int("alpha", 1)], "attribute `alpha` must be a float, got an integer");
    rejects(17, "Flatten", &["x"], vec![ints("axis", &[1])], "attribute `axis` must be an integer, got a list of integers");
    rejects(17, "Flatten", &["x"], vec![int("axis", 1), int("axis", 2)], "attribute `axis` is given twice");
    rejects(17, "Gemm", &["x", "w"], vec![int("transA", 2)], "attribute `transA` must be 0 or 1, got 2");
    let reference = AttributeProto { ref_attr_name: "outer".into(), ..int("axis", 1) };
    rejects(17, "Flatten", &["x"], vec![reference], "attribute `axis` refers to `outer`");
    let graph = AttributeProto { kind: AttributeKind::Graph as i32, ..int("axis", 1) };
    rejects(17, "Flatten", &["x"], vec![graph], "attribute `axis` must be an integer, got a graph");
}

#[test]
fn attributes_without_a_type_are_known_by_their_field() {
    let untyped = AttributeProto { kind: 0, ..int("axis", 3) };
    assert_eq!(op(17, "Flatten", &["x"], vec![untyped]), Flatten { axis: 3 }.into());
    let ambiguous = AttributeProto { kind: 0, f: Some(1.0), ..int("axis", 3) };
    rejects(17, "Flatten", &["x"], vec![ambiguous], "attribute `axis` has a type that is not supported");
}

#[test]
fn convolutions_and_windows() {
    let attributes = vec![
        ints("kernel_shape", &[3, 3]),
        ints("strides", &[2, 1]),
        ints("dilations", &[1, 2]),
        ints("pads", &[0, 1, 2, 3]),
        int("group", 4),
    ];
    let expected = Conv {
        stride: Some([2, 1].into()),
        dilation: Some([1, 2].into()),
        padding: Padding::Explicit { before: [0, 1].into(), after: [2, 3].into() },
        groups: 4,
    };
    assert_eq!(op(11, "Conv", &["x", "w"], attributes), expected.into());
    assert_eq!(op(11, "Conv", &["x", "w"], vec![]), Conv::default().into());
    let same = vec![string("auto_pad", "SAME_UPPER"), ints("pads", &[0, 0, 0, 0])];
    assert_eq!(op(11, "Conv", &["x", "w"], same), Conv { padding: Padding::SameUpper, ..Conv::default() }.into());
    rejects(11, "Conv", &["x", "w"], vec![string("auto_pad", "SAME_LOWER"), ints("pads", &[1, 1, 1, 1])], "has both `auto_pad` and");
    rejects(11, "Conv", &["x", "w"], vec![string("auto_pad", "same")], "attribute `auto_pad` same is not supported");
    rejects(11, "Conv", &["x", "w"], vec![ints("pads", &[1, 1, 1])], "attribute `pads` must have two numbers for each");
    rejects(11, "Conv", &["x", "w"], vec![ints("pads", &[1, 1, -1, 1])], "attribute `pads` with the negative number");
    rejects(11, "Conv", &["x", "w"], vec![ints("strides", &[1; 4])], "attribute `strides` [1, 1, 1, 1] with other than 1 to 3");
    rejects(11, "Conv", &["x", "w"], vec![int("group", 0)], "attribute `group` must be at least 1, got 0");
    rejects(
        11,
        "Conv",
        &["x", "w"],
        vec![ints("kernel_shape", &[5, 3])],
        "attribute `kernel_shape` [5, 3] does not fit the weight [1,4,3,3]",
    );

    let window =
        Window { kernel_size: [3, 2].into(), stride: [1, 1].into(), dilation: [1, 1].into(), padding: Padding::Valid, ceil_mode: true };
    let attributes = || vec![ints("kernel_shape", &[3, 2]), int("ceil_mode", 1)];
    assert_eq!(op(12, "MaxPool", &["x"], attributes()), MaxPool { window, column_major: false }.into());
    let count = [attributes(), vec![int("count_include_pad", 1)]].concat();
    assert_eq!(op(12, "AveragePool", &["x"], count), AveragePool { window, count_include_pad: true }.into());
    rejects(12, "MaxPool", &["x"], vec![], "attribute `kernel_shape` is missing");
}

#[test]
fn relatives_of_convolution() {
    let shared = || vec![ints("strides", &[2, 1]), ints("pads", &[0, 1, 2, 3]), int("group", 2)];
    let padding = Padding::Explicit { before: [0, 1].into(), after: [2, 3].into() };
    let conv = Conv { stride: Some([2, 1].into()), padding, groups: 2, ..Conv::default() };
    let attributes = [shared(), vec![ints("output_padding", &[1, 0]), ints("output_shape", &[9, 7])]].concat();
    let expected = ConvTranspose {
        stride: conv.stride,
        padding,
        output_padding: Some([1, 0].into()),
        output_size: Some([9, 7].into()),
        groups: 2,
        ..ConvTranspose::default()
    };
    assert_eq!(op(11, "ConvTranspose", &["x", "w"], attributes), expected.into());
    assert_eq!(op(22, "ConvTranspose", &["x", "w"], vec![]), ConvTranspose::default().into());
    assert_eq!(op(10, "ConvInteger", &["x", "w"], shared()), ConvInteger { conv }.into());
    let inputs = ["x", "w", "w", "w", "w", "w", "w", "w"];
    assert_eq!(op(10, "QLinearConv", &inputs, shared()), QLinearConv { conv }.into());
    let groups = [shared(), vec![int("offset_group", 3)]].concat();
    assert_eq!(op(19, "DeformConv", &["x", "w", "w"], groups), DeformConv { conv, offset_groups: 3 }.into());
    assert_eq!(op(22, "DeformConv", &["x", "w", "w"], vec![]), DeformConv::default().into());
    rejects(10, "QLinearConv", &inputs, vec![ints("kernel_shape", &[5, 3])], "attribute `kernel_shape` [5, 3] does not fit the weight");
    rejects(19, "DeformConv", &["x", "w", "w"], vec![int("offset_group", 0)], "attribute `offset_group` must be at least 1, got 0");
}

#[test]
fn normalizations() {
    let inputs = ["x", "w", "w", "w", "w"];
    let batch = |training| BatchNormalization { eps: 1e-5, momentum: 0.9, training }.into();
    assert_eq!(op(15, "BatchNormalization", &inputs, vec![]), batch(false));
    assert_eq!(op(15, "BatchNormalization", &inputs, vec![int("training_mode", 1)]), batch(true));
    assert_eq!(op(7, "BatchNormalization", &inputs, vec![int("spatial", 1)]), batch(false));
    rejects(7, "BatchNormalization", &inputs, vec![int("spatial", 0)], "attribute `spatial` 0 is not supported");
    rejects(13, "BatchNormalization", &inputs, vec![int("training_mode", 0)], "attribute `training_mode` is not supported");
    for (opset, attributes) in [(13, vec![]), (15, vec![])] {
        let model = model_of(opset, vec![node("BatchNormalization", &["x"; 5], &["y", "mean", "var"], attributes)]);
        fails(&model, &["`n_BatchNormalization` (BatchNormalization): ", "the outputs of training"]);
    }
    assert_eq!(op(22, "InstanceNormalization", &["x", "w", "w"], vec![float("epsilon", 0.5)]), InstanceNormalization { eps: 0.5 }.into());
    assert_eq!(
        op(21, "GroupNormalization", &["x", "w", "w"], vec![int("num_groups", 2)]),
        GroupNormalization { groups: 2, eps: 1e-5 }.into()
    );
    assert_eq!(op(17, "LayerNormalization", &["x", "w"], vec![int("axis", 2)]), LayerNormalization { axis: 2, eps: 1e-5 }.into());
    rejects(17, "LayerNormalization", &["x", "w"], vec![int("stash_type", 10)], "attribute `stash_type` 10 is not supported");
    rejects(21, "GroupNormalization", &["x", "w", "w"], vec![], "attribute `num_groups` is missing");
}

#[test]
fn losses() {
    for name in ["NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"] {
        rejects(13, name, &["x"], vec![], "has 1 inputs, at least 2 are supported");
        rejects(13, name, &["x", "x"], vec![string("reduction", "max")], "attribute `reduction` must be none, mean or sum, got max");
        rejects(13, name, &["x", "x"], vec![float("ignore_index", 1.0)], "attribute `ignore_index` must be an integer, got a float");
    }
}

#[test]
fn softmax_changed_its_meaning_in_opset_13() {
    assert_eq!(op(12, "Softmax", &["x"], vec![]), Softmax { axis: 1, log: false, flatten: true }.into());
    assert_eq!(op(13, "Softmax", &["x"], vec![]), Softmax { axis: -1, log: false, flatten: false }.into());
    assert_eq!(op(11, "LogSoftmax", &["x"], vec![int("axis", 2)]), Softmax { axis: 2, log: true, flatten: true }.into());
}

#[test]
fn lists_that_became_inputs() {
    let list = |values: &[i64]| Some(Tensor::vector(values.to_vec()));
    assert_eq!(added(12, "Squeeze", vec![ints("axes", &[2, -1])], 1), list(&[2, -1]));
    assert_eq!(added(12, "Squeeze", vec![], 1), None);
    assert_eq!(added(11, "Unsqueeze", vec![ints("axes", &[0])], 1), list(&[0]));
    assert_eq!(added(11, "ReduceSum", vec![ints("axes", &[3])], 1), list(&[3]));
    assert_eq!(added(17, "ReduceMean", vec![ints("axes", &[3])], 1), list(&[3]));
    assert_eq!(added(11, "Split", vec![ints("split", &[1, 3])], 1), list(&[1, 3]));
    let slice = || vec![ints("starts", &[1]), ints("ends", &[9]), ints("axes", &[2])];
    assert_eq!(added(9, "Slice", slice(), 1), list(&[1]));
    assert_eq!(added(9, "Slice", slice(), 2), list(&[9]));
    assert_eq!(added(9, "Slice", slice(), 3), list(&[2]));
    let pad = || vec![string("mode", "constant"), ints("pads", &[0, 1]), float("value", 2.5)];
    assert_eq!(added(10, "Pad", pad(), 1), list(&[0, 1]));
    assert_eq!(added(10, "Pad", pad(), 2), Some(Tensor::scalar(2.5f32)));
    assert_eq!(added(10, "Clip", vec![float("max", f32::MAX), float("min", -1.0)], 1), Some(Tensor::scalar(-1f32)));
    assert_eq!(added(10, "Clip", vec![float("max", f32::MAX)], 2), None);

    // The new opsets know them as inputs only.
    rejects(13, "Squeeze", &["x"], vec![ints("axes", &[0])], "attribute `axes` is not supported");
    rejects(13, "ReduceSum", &["x"], vec![ints("axes", &[0])], "attribute `axes` is not supported");
    rejects(18, "ReduceMax", &["x"], vec![ints("axes", &[0])], "attribute `axes` is not supported");
    rejects(10, "Slice", &["x", "w", "w"], vec![ints("axes", &[0])], "attribute `axes` is not supported");
    rejects(13, "Split", &["x"], vec![ints("split", &[0])], "attribute `split` is not supported");
    rejects(11, "Pad", &["x", "w"], vec![ints("pads", &[0])], "attribute `pads` is not supported");
    rejects(11, "Clip", &["x"], vec![float("min", 0.0)], "attribute `min` is not supported");
    rejects(12, "Squeeze", &["x", "w"], vec![ints("axes", &[0])], "`axes` is both an input and an attribute");
}

#[test]
fn movement() {
    assert_eq!(op(13, "Concat", &["x", "w"], vec![int("axis", -1)]), Concat { axis: -1 }.into());
    rejects(13, "Concat", &["x"], vec![], "attribute `axis` is missing");
    assert_eq!(op(14, "Reshape", &["x", "w"], vec![int("allowzero", 1)]), Reshape { allow_zero: true }.into());
    assert_eq!(op(13, "Transpose", &["x"], vec![ints("perm", &[1, 0])]), Transpose { permutation: vec![1, 0] }.into());
    rejects(13, "Transpose", &["x"], vec![ints("perm", &[1, -2])], "attribute `perm` with the negative number");
    assert_eq!(op(13, "Gather", &["x", "w"], vec![int("axis", 1)]), Gather { axis: 1 }.into());
    assert_eq!(op(15, "Shape", &["x"], vec![int("start", 1), int("end", -1)]), ShapeOf { start: 1, end: Some(-1) }.into());
    assert_eq!(op(9, "ConstantOfShape", &["x"], vec![]), ConstantOfShape { value: Tensor::vector(vec![0f32]) }.into());
    assert_eq!(op(18, "Split", &["x"], vec![int("num_outputs", 1)]), Split { axis: 0 }.into());
    rejects(18, "Split", &["x"], vec![int("num_outputs", 3)], "attribute `num_outputs` is 3, the node has 1 outputs");
    assert_eq!(op(19, "Pad", &["x", "w"], vec![string("mode", "wrap")]), Pad { mode: PadMode::Wrap }.into());
    rejects(13, "Pad", &["x", "w"], vec![string("mode", "mirror")], "mode `mirror` is not supported");
    assert_eq!(op(13, "Cast", &["x"], vec![int("to", 10)]), Cast { to: DType::F16 }.into());
    assert_eq!(op(19, "Cast", &["x"], vec![int("to", 7), int("saturate", 0)]), Cast { to: DType::I64 }.into());
    rejects(13, "Cast", &["x"], vec![int("to", 16)], "element type bfloat16 is not supported");
    let reduce = Reduce { function: ReduceFunction::Sum, keep_dims: false, noop_with_empty_axes: true };
    assert_eq!(op(13, "ReduceSum", &["x"], vec![int("keepdims", 0), int("noop_with_empty_axes", 1)]), reduce.into());
}

#[test]
fn resize_in_every_opset() {
    let attributes = |mode, position, rounding| {
        let position = string("coordinate_transformation_mode", position);
        vec![string("mode", mode), position, string("nearest_mode", rounding), float("cubic_coeff_a", -0.5)]
    };
    assert_eq!(op(13, "Resize", &["x", "", "w"], vec![]), Resize::default().into());
    let before = Resize { mode: ResizeMode::Nearest(NearestMode::Floor), coordinates: ResizeCoordinates::Asymmetric, ..Resize::default() };
    assert_eq!(op(11, "Resize", &["x", "", "w"], attributes("nearest", "asymmetric", "floor")), before.clone().into());
    assert_eq!(op(10, "Resize", &["x", "w"], vec![]), before.clone().into());
    assert_eq!(op(9, "Upsample", &["x", "w"], vec![]), before.clone().into());
    assert_eq!(op(7, "Upsample", &["x"], vec![floats("scales", &[1.0, 2.0])]), before.into());
    rejects(7, "Upsample", &["x"], vec![], "attribute `scales` is missing");
    let cubic = Resize {
        mode: ResizeMode::Cubic { coefficient: -0.5 },
        coordinates: ResizeCoordinates::AlignCorners,
        axes: Some(vec![2, -1]),
        aspect_ratio: AspectRatio::NotLarger,
        ..Resize::default()
    };
    let extra = [ints("axes", &[2, -1]), string("keep_aspect_ratio_policy", "not_larger")];
    assert_eq!(
        op(18, "Resize", &["x", "", "", "w"], [attributes("cubic", "align_corners", "ceil"), extra.to_vec()].concat()),
        cubic.into()
    );
    rejects(11, "Resize", &["x", "", "w"], attributes("area", "half_pixel", "floor"), "mode `area` is not supported");
    rejects(
        11,
        "Resize",
        &["x", "", "w"],
        attributes("linear", "nowhere", "floor"),
        "coordinate_transformation_mode `nowhere` is not supported",
    );
    rejects(11, "Resize", &["x", "", "w"], attributes("linear", "half_pixel", "up"), "nearest_mode `up` is not supported");
    rejects(18, "Resize", &["x", "", "w"], vec![int("antialias", 1)], "antialias with mode nearest is not supported");
}

#[test]
fn data_movement_and_sampling() {
    let shuffle = DepthToSpace { block_size: 2, mode: DepthOrder::ColumnRowDepth };
    assert_eq!(op(13, "DepthToSpace", &["x"], vec![int("blocksize", 2), string("mode", "CRD")]), shuffle.into());
    rejects(13, "DepthToSpace", &["x"], vec![], "attribute `blocksize` is missing");
    let scatter = |axis, reduction| Op::from(ScatterElements { axis, reduction });
    assert_eq!(op(10, "Scatter", &["x", "w", "w"], vec![int("axis", 1)]), scatter(1, ScatterReduction::None));
    assert_eq!(op(18, "ScatterElements", &["x", "w", "w"], vec![string("reduction", "max")]), scatter(0, ScatterReduction::Max));
    let grid = GridSample { mode: Interpolation::Cubic, padding: GridPadding::Border, align_corners: true };
    let attributes = |mode| vec![string("mode", mode), string("padding_mode", "border"), int("align_corners", 1)];
    assert_eq!(op(16, "GridSample", &["x", "w"], attributes("bicubic")), grid.into());
    assert_eq!(op(20, "GridSample", &["x", "w"], attributes("cubic")), grid.into());
    let roi = |half_pixel| Op::from(RoiAlign { mode: RoiPool::Average, output: [1, 3], sampling_ratio: 0, spatial_scale: 1.0, half_pixel });
    assert_eq!(op(10, "RoiAlign", &["x", "w", "w"], vec![int("output_width", 3)]), roi(false));
    assert_eq!(op(16, "RoiAlign", &["x", "w", "w"], vec![int("output_width", 3)]), roi(true));
    let reverse = ReverseSequence { batch_first: true };
    assert_eq!(op(10, "ReverseSequence", &["x", "w"], vec![int("batch_axis", 0), int("time_axis", 1)]), reverse.into());
    rejects(10, "ReverseSequence", &["x", "w"], vec![int("batch_axis", 0)], "attributes `batch_axis` 0 and `time_axis` 0 must be 0 and 1");
    assert_eq!(op(9, "EyeLike", &["x"], vec![int("dtype", 6), int("k", -1)]), EyeLike { dtype: Some(DType::I32), diagonal: -1 }.into());
    assert_eq!(op(7, "Crop", &["x"], vec![ints("border", &[1, 2, 3, 0])]), Slice.into());
    rejects(7, "Crop", &["x"], vec![ints("border", &[1, 2, -3, 0])], "attribute `border` must not be negative");
    let col2im = Col2Im { padding: Some([[0, 1].into(), [2, 1].into()]), ..Col2Im::default() };
    assert_eq!(op(18, "Col2Im", &["x", "w", "w"], vec![ints("pads", &[0, 1, 2, 1])]), col2im.into());
    rejects(18, "Col2Im", &["x", "w", "w"], vec![ints("pads", &[0, 1, 2])], "attribute `pads` must have two numbers for each axis");
}

#[test]
fn dropout_passes_its_input() {
    let graph = read(7, "Dropout", &["x"], vec![float("ratio", 0.3)]).unwrap();
    assert!(matches!(graph.nodes()[0].op, Op::Identity(_)));
    let flag =
        vec![node("Constant", &[], &["flag"], vec![int("value_int", 0)]), node("Cast", &["flag"], &["training"], vec![int("to", 9)])];
    let computed = loaded(&model([flag, vec![node("Dropout", &["x", "", "training"], &["y"], vec![])]].concat()));
    assert!(computed.nodes().iter().any(|n| matches!(n.op, Op::Dropout(_)) && n.inputs.len() == 3));

    let unread = loaded(&model(vec![node("Dropout", &["x"], &["y", "mask"], vec![])]));
    assert_eq!(unread.nodes()[0].outputs.len(), 1);
    let read = vec![node("Dropout", &["x"], &["a", "mask"], vec![]), node("Cast", &["mask"], &["y"], vec![int("to", 1)])];
    assert!(matches!(loaded(&model(read)).nodes()[0].op, Op::Dropout(Dropout { typed_mask: false })));
}

#[test]
fn every_unsupported_node_is_listed_at_once() {
    let custom = NodeProto { domain: "com.example".into(), ..node("Magic", &["c"], &["d"], vec![]) };
    let mut proto = model(vec![
        node("Loop", &["x"], &["a"], vec![]),
        node("Relu", &["a"], &["b"], vec![int("strange", 1)]),
        node("Cast", &["b"], &["c"], vec![int("to", 8)]),
        custom,
        node("Add", &["d", "half"], &["e"], vec![]),
        node("Sigmoid", &["e"], &["y"], vec![]),
    ]);
    let half = TensorProto { name: "half".into(), data_type: 16, ..Default::default() };
    proto.graph.as_mut().unwrap().initializer = vec![half];
    let Error::Unsupported { origin, items } = fails(&proto, &["5 nodes are not supported"]) else { panic!() };
    assert_eq!(origin, "model");
    let expected = [
        "initializer `half`: element type bfloat16 is not supported",
        "`n_Loop` (Loop): operator is not supported",
        "`n_Relu` (Relu): attribute `strange` is not supported",
        "`n_Cast` (Cast): element type string is not supported",
        "`n_Magic` (com.example.Magic): operator is not supported",
    ];
    assert_eq!(items, expected);
}
