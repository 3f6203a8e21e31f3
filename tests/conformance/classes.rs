//! Classes of operators, for the tables and for what the GPU must serve.

use crate::case::Case;

/// A class, and whether its operators may be on the CPU of a GPU session.
struct Class {
    name: &'static str,
    on_gpu: bool,
    operators: &'static [&'static str],
}

/// A case belongs to the first class that one of its operators is in.
#[rustfmt::skip]
const CLASSES: &[Class] = &[
    Class { name: "Attention", on_gpu: true, operators: &["Attention", "RotaryEmbedding"] },
    Class { name: "Losses", on_gpu: true, operators: &["NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"] },
    Class { name: "Quantization", on_gpu: true, operators: &[
        "ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul", "QuantizeLinear",
    ] },
    Class { name: "Convolution", on_gpu: true, operators: &["Col2Im", "Conv", "ConvTranspose", "DeformConv"] },
    Class { name: "Pooling", on_gpu: true, operators: &[
        "AveragePool", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "LpPool", "MaxPool", "MaxUnpool",
    ] },
    Class { name: "Normalization", on_gpu: true, operators: &[
        "BatchNormalization", "GroupNormalization", "InstanceNormalization", "LRN", "LayerNormalization", "LpNormalization",
        "MeanVarianceNormalization", "RMSNormalization",
    ] },
    Class { name: "Softmax family", on_gpu: true, operators: &["Hardmax", "LogSoftmax", "Softmax"] },
    Class { name: "Matrix products", on_gpu: true, operators: &["Det", "Einsum", "Gemm", "MatMul"] },
    Class { name: "Resize and sampling", on_gpu: true, operators: &["AffineGrid", "GridSample", "Resize", "RoiAlign", "Upsample"] },
    Class { name: "Selection", on_gpu: true, operators: &["Compress", "TopK"] },
    Class { name: "Selection", on_gpu: false, operators: &["NonMaxSuppression", "NonZero", "Unique"] },
    Class { name: "Gather and scatter", on_gpu: true, operators: &[
        "Gather", "GatherElements", "GatherND", "OneHot", "Scatter", "ScatterElements", "ScatterND", "TensorScatter",
    ] },
    Class { name: "Reductions", on_gpu: true, operators: &[
        "ArgMax", "ArgMin", "CumSum", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
        "ReduceSum", "ReduceSumSquare",
    ] },
    Class { name: "Data movement", on_gpu: true, operators: &[
        "CenterCropPad", "Concat", "Crop", "DepthToSpace", "Expand", "Flatten", "Pad", "Reshape", "ReverseSequence", "Slice", "SpaceToDepth",
        "Split", "Squeeze", "Tile", "Transpose", "Trilu", "Unsqueeze",
    ] },
    Class { name: "Activations", on_gpu: true, operators: &[
        "Celu", "Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Relu", "Selu", "Shrink", "Sigmoid", "Softplus",
        "Softsign", "Swish", "Tanh", "ThresholdedRelu",
    ] },
    Class { name: "Comparison and logic", on_gpu: true, operators: &[
        "And", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less",
        "LessOrEqual", "Not", "Or", "Where", "Xor",
    ] },
    Class { name: "Casts", on_gpu: true, operators: &["Cast"] },
    Class { name: "Arithmetic and functions", on_gpu: true, operators: &[
        "Abs", "Acos", "Acosh", "Add", "Affine", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Div", "Erf", "Exp", "Floor", "ImageScaler",
        "Log", "Max", "Mean", "Min", "Mod", "Mul", "Neg", "Pow", "Reciprocal", "Round", "Sign", "Sin", "Sinh", "Sqrt", "Sub", "Sum", "Tan",
    ] },
];

const REST: &str = "Shapes and constants";

/// The class of a case that passes.
pub fn of(case: &Case) -> String {
    let operators = case.operators();
    let class = CLASSES.iter().find(|class| class.operators.iter().any(|name| operators.contains(name)));
    class.map_or(REST, |class| class.name).to_owned()
}

/// Whether an operator may not be on the CPU of a GPU session.
pub fn belongs_on_gpu(operator: &str) -> bool {
    CLASSES.iter().any(|class| class.on_gpu && class.operators.contains(&operator))
}

/// The names of all classes, in the table's order.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = CLASSES.iter().map(|class| class.name).collect();
    names.dedup();
    names.push(REST);
    names
}
