//! ONNX operator → [`Op`]: the table, and what its rows read a node with.
//!
//! Each row reads every attribute that its operator has in the opsets 7 to 28; `legacy` brings older nodes into that form. Where attributes became inputs in a later
//! opset, the old form is turned into the new one, so that [`Op`] knows only one.

mod arithmetic;
mod attention;
mod legacy;
mod loss;
pub(super) mod microsoft;
mod movement;
mod norm;
mod quantization;
mod resize;
mod sampling;
mod window;

use std::ops::RangeInclusive;

use super::attributes::Attributes;
use super::tensor::TensorReader;
use crate::ops::{
    Binary, Classify, Clip, Comparison, Det, DynamicQuantizeLinear, Expand, Identity, MatMul, MatMulInteger, NonZero, Not, Op, PRelu,
    PoolKind, QLinearMatMul, Range, ReduceFunction, Size, Tile, Unary, Variadic, Where,
};
use crate::tensor::{DType, Tensor};

/// What is known of a node's input at load.
#[derive(Clone, Default)]
pub(super) struct Input {
    /// Whether the node gives it.
    pub given: bool,
    /// The element type, where it follows from declared ones.
    pub dtype: Option<DType>,
    /// The number of axes, where it is declared.
    pub rank: Option<usize>,
    /// The elements, for a constant.
    pub constant: Option<Tensor>,
}

/// A node as the rows of the table see it.
pub(super) struct NodeReader<'a> {
    /// The version of the operator set.
    pub opset: i64,
    /// The attributes.
    pub attributes: Attributes<'a>,
    /// The inputs.
    pub inputs: Vec<Input>,
    /// For each output, whether anything reads it.
    pub outputs: Vec<bool>,
    /// Files that tensors in attributes may refer to.
    pub reader: &'a mut TensorReader,
    /// Inputs made from attributes: position, name, elements.
    pub added: Vec<(usize, &'static str, Tensor)>,
    /// What an input goes through first: its position, an operator, and that operator's second input with its name.
    pub prepended: Vec<(usize, Op, (&'static str, Tensor))>,
    /// How many inputs [`Op`] takes of the node's.
    pub kept_inputs: usize,
    /// How many outputs [`Op`] has of the node's.
    pub kept_outputs: usize,
}

impl NodeReader<'_> {
    /// Adds an input that was an attribute in the node's opset.
    fn add_input(&mut self, at: usize, name: &'static str, tensor: Tensor) -> Result<(), String> {
        if self.inputs.get(at).is_some_and(|i| i.given) {
            return Err(format!("`{name}` is both an input and an attribute"));
        }
        self.added.push((at, name, tensor));
        Ok(())
    }

    /// Adds the list of integers `name`, an attribute before opset `until`, as an input.
    fn add_integers(&mut self, at: usize, name: &'static str, until: i64) -> Result<(), String> {
        if self.opset >= until {
            return Ok(());
        }
        match self.attributes.ints(name)? {
            Some(values) => self.add_input(at, name, Tensor::vector(values.to_vec())),
            None => Ok(()),
        }
    }

    /// A scalar of the element type that input 0 has.
    fn scalar(&self, value: f32) -> Result<Tensor, String> {
        let dtype = self.inputs.first().and_then(|i| i.dtype).unwrap_or(DType::F32);
        Tensor::from_f64(dtype, [], vec![value.into()]).map_err(|e| e.to_string())
    }
}

/// Reads a node: its operator, or what is not supported.
pub(super) type Build = fn(&mut NodeReader<'_>) -> Result<Op, String>;

/// A row of the table.
pub(super) struct Row {
    /// How many inputs the operator takes, in any opset.
    pub inputs: RangeInclusive<usize>,
    /// The most outputs that it has, in any opset.
    pub outputs: usize,
    /// Reads its attributes.
    pub build: Build,
}

const MANY: usize = usize::MAX;

/// The row for an operator of the ONNX domain.
pub(super) fn row(op_type: &str) -> Option<Row> {
    let (inputs, outputs, build): (_, _, Build) = match op_type {
        "Abs" => (1..=1, 1, |_| Ok(Unary::Abs.into())),
        "Acos" => (1..=1, 1, |_| Ok(Unary::Acos.into())),
        "Acosh" => (1..=1, 1, |_| Ok(Unary::Acosh.into())),
        "Add" => (2..=2, 1, |_| Ok(Binary::Add.into())),
        "Affine" => (1..=1, 1, arithmetic::affine),
        "AffineGrid" => (2..=2, 1, sampling::affine_grid),
        "And" => (2..=2, 1, |_| Ok(Binary::And.into())),
        "ArgMax" => (1..=1, 1, |node| norm::arg_reduce(node, true)),
        "ArgMin" => (1..=1, 1, |node| norm::arg_reduce(node, false)),
        "Asin" => (1..=1, 1, |_| Ok(Unary::Asin.into())),
        "Asinh" => (1..=1, 1, |_| Ok(Unary::Asinh.into())),
        "Atan" => (1..=1, 1, |_| Ok(Unary::Atan.into())),
        "Atanh" => (1..=1, 1, |_| Ok(Unary::Atanh.into())),
        "Attention" => (3..=7, 4, attention::attention),
        "AveragePool" => (1..=1, 1, window::average_pool),
        "BatchNormalization" => (5..=5, 5, norm::batch),
        "BitShift" => (2..=2, 1, arithmetic::bit_shift),
        "BitwiseAnd" => (2..=2, 1, |_| Ok(Binary::BitwiseAnd.into())),
        "BitwiseNot" => (1..=1, 1, |_| Ok(Not::Bitwise.into())),
        "BitwiseOr" => (2..=2, 1, |_| Ok(Binary::BitwiseOr.into())),
        "BitwiseXor" => (2..=2, 1, |_| Ok(Binary::BitwiseXor.into())),
        "Cast" => (1..=1, 1, arithmetic::cast),
        "CastLike" => (2..=2, 1, arithmetic::cast_like),
        "Ceil" => (1..=1, 1, |_| Ok(Unary::Ceil.into())),
        "Celu" => (1..=1, 1, arithmetic::celu),
        "CenterCropPad" => (2..=2, 1, movement::center_crop_pad),
        "Clip" => (1..=3, 1, arithmetic::clip),
        "Col2Im" => (3..=3, 1, sampling::col2im),
        "Compress" => (2..=2, 1, movement::compress),
        "Concat" => (1..=MANY, 1, movement::concat),
        "ConstantOfShape" => (1..=1, 1, movement::constant_of_shape),
        "Conv" => (2..=3, 1, window::conv),
        "ConvInteger" => (2..=4, 1, window::conv_integer),
        "ConvTranspose" => (2..=3, 1, window::conv_transpose),
        "Cos" => (1..=1, 1, |_| Ok(Unary::Cos.into())),
        "Cosh" => (1..=1, 1, |_| Ok(Unary::Cosh.into())),
        "Crop" => (1..=1, 1, movement::crop),
        "CumSum" => (2..=2, 1, norm::cumsum),
        "DeformConv" => (3..=5, 1, window::deform_conv),
        "DepthToSpace" => (1..=1, 1, movement::depth_to_space),
        "DequantizeLinear" => (2..=3, 1, quantization::dequantize),
        "Det" => (1..=1, 1, |_| Ok(Det.into())),
        "Div" => (2..=2, 1, |_| Ok(Binary::Div.into())),
        "Dropout" => (1..=3, 2, norm::dropout),
        "DynamicQuantizeLinear" => (1..=1, 3, |_| Ok(DynamicQuantizeLinear.into())),
        "Einsum" => (1..=MANY, 1, arithmetic::einsum),
        "Elu" => (1..=1, 1, arithmetic::elu),
        "Equal" => (2..=2, 1, |_| Ok(Comparison::Equal.into())),
        "Erf" => (1..=1, 1, |_| Ok(Unary::Erf.into())),
        "Exp" => (1..=1, 1, |_| Ok(Unary::Exp.into())),
        "Expand" => (2..=2, 1, |_| Ok(Expand.into())),
        "EyeLike" => (1..=1, 1, movement::eye_like),
        "Flatten" => (1..=1, 1, movement::flatten),
        "Floor" => (1..=1, 1, |_| Ok(Unary::Floor.into())),
        "Gather" => (2..=2, 1, movement::gather),
        "GatherElements" => (2..=2, 1, movement::gather_elements),
        "GatherND" => (2..=2, 1, movement::gather_nd),
        "Gelu" => (1..=1, 1, arithmetic::gelu),
        "Gemm" => (2..=3, 1, arithmetic::gemm),
        "GlobalAveragePool" => (1..=1, 1, |_| Ok(window::global_pool(PoolKind::Average))),
        "GlobalLpPool" => (1..=1, 1, window::global_lp_pool),
        "GlobalMaxPool" => (1..=1, 1, |_| Ok(window::global_pool(PoolKind::Max))),
        "Greater" => (2..=2, 1, |_| Ok(Comparison::Greater.into())),
        "GreaterOrEqual" => (2..=2, 1, |_| Ok(Comparison::GreaterOrEqual.into())),
        "GridSample" => (2..=2, 1, sampling::grid_sample),
        "GroupNormalization" => (3..=3, 1, norm::group),
        "HardSigmoid" => (1..=1, 1, arithmetic::hard_sigmoid),
        "HardSwish" => (1..=1, 1, |_| Ok(Unary::HardSwish.into())),
        "Hardmax" => (1..=1, 1, norm::hardmax),
        "Identity" => (1..=1, 1, |_| Ok(Identity.into())),
        "ImageScaler" => (1..=1, 1, arithmetic::image_scaler),
        "InstanceNormalization" => (3..=3, 1, norm::instance),
        "IsInf" => (1..=1, 1, arithmetic::is_inf),
        "IsNaN" => (1..=1, 1, |_| Ok(Classify::Nan.into())),
        "LRN" => (1..=1, 1, norm::lrn),
        "LayerNormalization" => (2..=3, 3, norm::layer),
        "LeakyRelu" => (1..=1, 1, arithmetic::leaky_relu),
        "Less" => (2..=2, 1, |_| Ok(Comparison::Less.into())),
        "LessOrEqual" => (2..=2, 1, |_| Ok(Comparison::LessOrEqual.into())),
        "Log" => (1..=1, 1, |_| Ok(Unary::Log.into())),
        "LogSoftmax" => (1..=1, 1, |node| norm::softmax(node, true)),
        "LpNormalization" => (1..=1, 1, norm::lp),
        "LpPool" => (1..=1, 1, window::lp_pool),
        "MatMul" => (2..=2, 1, |_| Ok(MatMul.into())),
        "MatMulInteger" => (2..=4, 1, |_| Ok(MatMulInteger.into())),
        "Max" => (1..=MANY, 1, |_| Ok(Variadic::Max.into())),
        "MaxPool" => (1..=1, 2, window::max_pool),
        "MaxUnpool" => (2..=3, 1, window::max_unpool),
        "Mean" => (1..=MANY, 1, |_| Ok(Variadic::Mean.into())),
        "MeanVarianceNormalization" => (1..=1, 1, norm::mean_variance),
        "Min" => (1..=MANY, 1, |_| Ok(Variadic::Min.into())),
        "Mish" => (1..=1, 1, |_| Ok(Unary::Mish.into())),
        "Mod" => (2..=2, 1, arithmetic::modulo),
        "Mul" => (2..=2, 1, |_| Ok(Binary::Mul.into())),
        "Neg" => (1..=1, 1, |_| Ok(Unary::Neg.into())),
        "NegativeLogLikelihoodLoss" => (2..=3, 1, loss::negative_log_likelihood),
        "NonMaxSuppression" => (2..=5, 1, sampling::non_max_suppression),
        "NonZero" => (1..=1, 1, |_| Ok(NonZero.into())),
        "Not" => (1..=1, 1, |_| Ok(Not::Logical.into())),
        "OneHot" => (3..=3, 1, movement::one_hot),
        "Or" => (2..=2, 1, |_| Ok(Binary::Or.into())),
        "PRelu" => (2..=2, 1, |_| Ok(PRelu.into())),
        "Pad" => (1..=4, 1, movement::pad),
        "ParametricSoftplus" => (1..=1, 1, arithmetic::parametric_softplus),
        "Pow" => (2..=2, 1, |_| Ok(Binary::Pow.into())),
        "QLinearConv" => (8..=9, 1, window::qlinear_conv),
        "QLinearMatMul" => (8..=8, 1, |_| Ok(QLinearMatMul.into())),
        "QuantizeLinear" => (2..=3, 1, quantization::quantize),
        "RMSNormalization" => (2..=2, 1, norm::rms),
        "Range" => (3..=3, 1, |_| Ok(Range.into())),
        "Reciprocal" => (1..=1, 1, |_| Ok(Unary::Reciprocal.into())),
        "ReduceL1" => (1..=2, 1, |node| norm::reduce(node, ReduceFunction::L1, 18)),
        "ReduceL2" => (1..=2, 1, |node| norm::reduce(node, ReduceFunction::L2, 18)),
        "ReduceLogSum" => (1..=2, 1, |node| norm::reduce(node, ReduceFunction::LogSum, 18)),
        "ReduceLogSumExp" => (1..=2, 1, |node| norm::reduce(node, ReduceFunction::LogSumExp, 18)),
        "ReduceMax" => (1..=2, 1, |node| norm::reduce(node, ReduceFunction::Max, 18)),
        "ReduceMean" => (1..=2, 1, |node| norm::reduce(node, ReduceFunction::Mean, 18)),
        "ReduceMin" => (1..=2, 1, |node| norm::reduce(node, ReduceFunction::Min, 18)),
        "ReduceProd" => (1..=2, 1, |node| norm::reduce(node, ReduceFunction::Prod, 18)),
        "ReduceSum" => (1..=2, 1, |node| norm::reduce(node, ReduceFunction::Sum, 13)),
        "ReduceSumSquare" => (1..=2, 1, |node| norm::reduce(node, ReduceFunction::SumSquare, 18)),
        "Relu" => (1..=1, 1, |_| Ok(Unary::Relu.into())),
        "Reshape" => (2..=2, 1, movement::reshape),
        "Resize" => (1..=4, 1, resize::resize),
        "ReverseSequence" => (2..=2, 1, movement::reverse_sequence),
        "RoiAlign" => (3..=3, 1, sampling::roi_align),
        "RotaryEmbedding" => (3..=4, 1, attention::rotary_embedding),
        "Round" => (1..=1, 1, |_| Ok(Unary::Round.into())),
        "ScaledTanh" => (1..=1, 1, arithmetic::scaled_tanh),
        "Scatter" => (3..=3, 1, movement::scatter_elements),
        "ScatterElements" => (3..=3, 1, movement::scatter_elements),
        "ScatterND" => (3..=3, 1, movement::scatter_nd),
        "Selu" => (1..=1, 1, arithmetic::selu),
        "Shape" => (1..=1, 1, movement::shape),
        "Shrink" => (1..=1, 1, arithmetic::shrink),
        "Sigmoid" => (1..=1, 1, |_| Ok(Unary::Sigmoid.into())),
        "Sign" => (1..=1, 1, |_| Ok(Unary::Sign.into())),
        "Sin" => (1..=1, 1, |_| Ok(Unary::Sin.into())),
        "Sinh" => (1..=1, 1, |_| Ok(Unary::Sinh.into())),
        "Size" => (1..=1, 1, |_| Ok(Size.into())),
        "Slice" => (1..=5, 1, movement::slice),
        "Softmax" => (1..=1, 1, |node| norm::softmax(node, false)),
        "SoftmaxCrossEntropyLoss" => (2..=3, 2, loss::softmax_cross_entropy),
        "Softplus" => (1..=1, 1, |_| Ok(Unary::Softplus.into())),
        "Softsign" => (1..=1, 1, |_| Ok(Unary::Softsign.into())),
        "SpaceToDepth" => (1..=1, 1, movement::space_to_depth),
        "Split" => (1..=2, MANY, movement::split),
        "Sqrt" => (1..=1, 1, |_| Ok(Unary::Sqrt.into())),
        "Squeeze" => (1..=2, 1, movement::squeeze),
        "Sub" => (2..=2, 1, |_| Ok(Binary::Sub.into())),
        "Sum" => (1..=MANY, 1, |_| Ok(Variadic::Sum.into())),
        "Swish" => (1..=1, 1, arithmetic::swish),
        "Tan" => (1..=1, 1, |_| Ok(Unary::Tan.into())),
        "Tanh" => (1..=1, 1, |_| Ok(Unary::Tanh.into())),
        "TensorScatter" => (2..=3, 1, movement::tensor_scatter),
        "ThresholdedRelu" => (1..=1, 1, arithmetic::thresholded_relu),
        "Tile" => (2..=2, 1, |_| Ok(Tile.into())),
        "TopK" => (1..=2, 2, norm::top_k),
        "Transpose" => (1..=1, 1, movement::transpose),
        "Trilu" => (1..=2, 1, movement::trilu),
        "Unique" => (1..=1, 4, movement::unique),
        "Unsqueeze" => (1..=2, 1, movement::unsqueeze),
        "Upsample" => (1..=2, 1, resize::upsample),
        "Where" => (3..=3, 1, |_| Ok(Where.into())),
        "Xor" => (2..=2, 1, |_| Ok(Binary::Xor.into())),
        _ => return None,
    };
    Some(Row { inputs, outputs, build })
}

/// Reads a node of the ONNX domain strictly: counts of inputs and outputs, and every attribute.
pub(super) fn read(op_type: &str, node: &mut NodeReader<'_>) -> Result<Op, String> {
    read_row(row(op_type), node, |node| legacy::adapt(op_type, node))
}

/// Reads a node by its row, once it is in a form that the row knows.
fn read_row(
    row: Option<Row>,
    node: &mut NodeReader<'_>,
    adapt: impl FnOnce(&mut NodeReader<'_>) -> Result<(), String>,
) -> Result<Op, String> {
    let Row { inputs, outputs, build } = row.ok_or("operator is not supported")?;
    let (given, named) = (node.inputs.len(), node.outputs.len());
    if !inputs.contains(&given) {
        let few = if given < *inputs.start() { format!("at least {}", inputs.start()) } else { format!("at most {}", inputs.end()) };
        return Err(format!("has {given} inputs, {few} are supported"));
    }
    if named > outputs {
        return Err(format!("has {named} outputs, at most {outputs} are supported"));
    }
    adapt(node)?;
    let op = build(node)?;
    std::mem::replace(&mut node.attributes, Attributes::new(&[])).finish()?;
    Ok(op)
}
