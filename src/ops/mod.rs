//! The operators: attributes, shape rule, cost and lowering, one file per family. Nothing here names wgpu.

pub(crate) mod activation;
pub(crate) mod arg_reduce;
pub(crate) mod attention;
pub(crate) mod binary;
pub(crate) mod build;
pub(crate) mod cast;
pub(crate) mod classify;
pub(crate) mod constant;
pub(crate) mod conv;
pub(crate) mod cumsum;
pub(crate) mod det;
pub(crate) mod dropout;
pub(crate) mod einsum;
pub(crate) mod fused;
pub(crate) mod image_scaler;
pub(crate) mod layout;
pub(crate) mod loss;
pub(crate) mod matmul;
pub(crate) mod movement;
pub(crate) mod norm;
pub(crate) mod pool;
pub(crate) mod quantize;
mod reach;
pub(crate) mod reduce;
pub(crate) mod rows;
pub(crate) mod sampling;
pub(crate) mod softmax;
pub(crate) mod stencil;
pub(crate) mod tile;
pub(crate) mod top_k;
pub(crate) mod window;

use std::fmt;

pub use activation::{Clip, GeluApproximation, PRelu, Unary};
pub use arg_reduce::ArgReduce;
pub use attention::{Attention, RotaryEmbedding, Scores};
pub use binary::{Binary, Comparison, Not, Variadic, Where};
pub use cast::{Cast, CastLike};
pub use classify::Classify;
pub use constant::{ConstantOfShape, EyeLike, Range, ShapeOf, Size};
pub use conv::{Conv, ConvInteger, ConvTranspose, DeformConv, QLinearConv};
pub use cumsum::CumSum;
pub use det::Det;
pub use dropout::Dropout;
pub use einsum::Einsum;
pub use fused::{Fused, Step};
pub use image_scaler::ImageScaler;
pub use layout::{Flatten, Identity, Reshape, Squeeze, Unsqueeze};
pub use loss::{LossReduction, NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss};
pub use matmul::{Gemm, MatMul, MatMulInteger, QLinearMatMul};
pub use movement::{
    AspectRatio, CenterCropPad, Compress, Concat, DepthOrder, DepthToSpace, Expand, Gather, GatherElements, GatherNd, NearestMode, NonZero,
    OneHot, Pad, PadMode, Resize, ResizeCoordinates, ResizeMode, ReverseSequence, ScatterElements, ScatterNd, ScatterReduction, Slice,
    SpaceToDepth, Split, TensorScatter, Tile, Transpose, Trilu, Unique,
};
pub use norm::{
    BatchNormalization, GroupNormalization, InstanceNormalization, LayerNormalization, LocalResponseNormalization, LpNormalization,
    MeanVarianceNormalization, RmsNormalization,
};
pub use pool::{AveragePool, GlobalLpPool, GlobalPool, LpPool, MaxPool, MaxUnpool, PoolKind};
pub use quantize::{DequantizeLinear, DynamicQuantizeLinear, QLinear, QLinearFunction, QuantizeLinear};
pub use reach::{AxisReach, Reach, ReachContext};
pub use reduce::{Reduce, ReduceFunction};
pub use sampling::{AffineGrid, Col2Im, GridPadding, GridSample, Interpolation, NonMaxSuppression, RoiAlign, RoiPool};
pub use softmax::{Hardmax, Softmax};
pub use stencil::Stencil;
pub use top_k::TopK;
pub use window::{Padding, Placement, Spatial, Window};

use crate::error::{OpError, Result};
use crate::graph::{Parts, TensorType, ValueId};
use crate::plan::{LowerContext, Lowered};
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

macro_rules! ops {
    ($($name:ident),* $(,)?) => {
        /// An operator with its attributes. Closed: a `match` tells whoever forgets a place.
        #[derive(Clone, PartialEq, Debug)]
        #[non_exhaustive]
        pub enum Op { $(#[doc = concat!("[`", stringify!($name), "`]")] $name($name),)* }

        impl Op {
            /// The operator's rules.
            pub fn operator(&self) -> &dyn Operator {
                match self { $(Op::$name(op) => op,)* }
            }
        }

        $(impl From<$name> for Op { fn from(op: $name) -> Self { Op::$name(op) } })*
    };
}

ops! {
    AffineGrid, ArgReduce, Attention, AveragePool, BatchNormalization, Binary, Cast, CastLike, CenterCropPad,
    Classify, Clip, Col2Im, Comparison, Compress, Concat, ConstantOfShape, Conv, ConvInteger, ConvTranspose, CumSum,
    DeformConv, DepthToSpace, DequantizeLinear, Det, Dropout, DynamicQuantizeLinear, Einsum, Expand, EyeLike, Flatten, Fused,
    Gather, GatherElements, GatherNd, Gemm, GlobalLpPool, GlobalPool, GridSample, GroupNormalization, Hardmax,
    Identity, ImageScaler, InstanceNormalization, LayerNormalization, LocalResponseNormalization, LpNormalization,
    LpPool, MatMul, MatMulInteger, MaxPool, MaxUnpool, MeanVarianceNormalization, NegativeLogLikelihoodLoss,
    NonMaxSuppression, NonZero, Not, OneHot, PRelu, Pad, QLinear, QLinearConv, QLinearMatMul, QuantizeLinear, Range,
    Reduce, Reshape, Resize, ReverseSequence, RmsNormalization, RoiAlign, RotaryEmbedding, ScatterElements, ScatterNd,
    ShapeOf, Size, Slice, Softmax, SoftmaxCrossEntropyLoss, SpaceToDepth, Split, Squeeze, TensorScatter, Tile, TopK,
    Transpose, Trilu, Unary, Unique, Unsqueeze, Variadic, Where,
}

impl Op {
    /// The ONNX operator's name.
    pub fn name(&self) -> &'static str {
        self.operator().name()
    }
}

/// What a node computes: `Conv`, or `Conv + Add + Relu` where several are fused.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Fused(fused) => fused.fmt(f),
            op => f.pad(op.name()),
        }
    }
}

/// The rules of one operator. Implementations live one family a file, here and in `reference/` under the same name.
pub trait Operator: fmt::Debug + Send + Sync {
    /// The ONNX operator's name.
    fn name(&self) -> &'static str;

    /// The shape rule: types of all outputs, or what is wrong with the inputs, in numbers.
    ///
    /// Everything that `lower` and `reference` rely on is checked here.
    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError>;

    /// The element type of output `index`, as far as those of the inputs say it without shapes.
    fn output_dtype(&self, inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        inputs.first().copied().flatten()
    }

    /// Floating-point operations of one run, a multiply-add counted as two; 0 for data movement.
    fn flops(&self, _inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        outputs.first().map_or(0, |t| t.shape.elements() as u64)
    }

    /// What each unit of an output reads of an input: at least what the reference reads, everything where no rule is written.
    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        context.whole()
    }

    /// The output, where it follows from the inputs' shapes alone.
    fn fold(&self, _inputs: &Operands<'_>) -> Option<Tensor> {
        None
    }

    /// The same from simpler operators, where that is how it runs: the values of all outputs. Both devices then run the parts.
    fn decompose(&self, _parts: &mut Parts<'_>) -> Result<Option<Vec<ValueId>>> {
        Ok(None)
    }

    /// The GPU's ways to compute this node, best first, or why there is none.
    fn lower(&self, context: &LowerContext<'_>) -> Lowered;

    /// The definition of right: all outputs from plain loops in `f64`.
    ///
    /// Called only with inputs that `infer` accepted. `outputs` is how many outputs the node declares.
    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError>;

    /// How far a correct implementation in `dtype` may be from the reference on the same inputs.
    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::rounding(dtype)
    }
}

/// The bound `|a − b| ≤ atol · max|b| + rtol · |b|` on an implementation's error, NaN failing unless both are NaN.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Tolerance {
    /// Relative to the element.
    pub rtol: f64,
    /// Relative to the largest finite magnitude in the tensor.
    pub atol: f64,
}

impl Tolerance {
    /// Equal bit for bit, for data movement and integers.
    pub const EXACT: Tolerance = Tolerance { rtol: 0.0, atol: 0.0 };

    /// A few roundings in `dtype`: elementwise operators.
    pub fn rounding(dtype: DType) -> Self {
        match dtype {
            DType::F16 => Tolerance { rtol: 2e-3, atol: 1e-3 },
            DType::F32 => Tolerance { rtol: 1e-5, atol: 1e-6 },
            DType::F64 => Tolerance { rtol: 1e-12, atol: 1e-13 },
            _ => Tolerance::EXACT,
        }
    }

    /// Sums of many products in `f32`: convolutions, matrix products, normalizations.
    pub fn accumulation(dtype: DType) -> Self {
        match dtype {
            DType::F16 => Tolerance { rtol: 4e-3, atol: 2e-3 },
            DType::F32 => Tolerance { rtol: 1e-4, atol: 1e-5 },
            DType::F64 => Tolerance { rtol: 1e-10, atol: 1e-11 },
            _ => Tolerance::EXACT,
        }
    }
}

/// What a shape rule may know of one input.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    /// The element type.
    pub dtype: DType,
    /// The shape.
    pub shape: &'a Shape,
    /// The elements, where they are constant or follow from the input shapes.
    pub constant: Option<&'a Tensor>,
}

impl Operand<'_> {
    /// Type and shape, owned.
    pub fn tensor_type(&self) -> TensorType {
        TensorType::new(self.dtype, self.shape)
    }
}

/// The inputs of a node as its shape rule sees them, and how many outputs the node declares.
#[derive(Clone, Debug)]
pub struct Operands<'a> {
    /// The inputs in the operator's order.
    pub inputs: Vec<Option<Operand<'a>>>,
    /// How many outputs the node declares.
    pub outputs: usize,
}

impl<'a> Operands<'a> {
    /// Inputs that are all known, as a run gives them to a node that declares `outputs` outputs.
    pub(crate) fn of(inputs: &[Option<&'a Tensor>], outputs: usize) -> Self {
        let known = |tensor: &'a Tensor| Operand { dtype: tensor.dtype(), shape: tensor.shape(), constant: Some(tensor) };
        Self { inputs: inputs.iter().map(|input| input.map(known)).collect(), outputs }
    }

    /// The input at `index`, if the node gives it.
    pub fn get(&self, index: usize) -> Option<Operand<'a>> {
        self.inputs.get(index).copied().flatten()
    }

    /// The input at `index`, which the operator cannot do without.
    pub fn required(&self, index: usize, name: &'static str) -> Result<Operand<'a>, OpError> {
        self.get(index).ok_or_else(|| OpError::invalid(format!("input {index} (`{name}`) is missing")))
    }

    /// The elements of an input that must be known before shapes can be.
    pub fn constant(&self, index: usize, name: &'static str) -> Result<&'a Tensor, OpError> {
        self.required(index, name)?.constant.ok_or(OpError::NeedsValue { input: index, name })
    }

    /// The integers of an input that must be known before shapes can be; `None` where it is left out.
    pub fn integers(&self, index: usize, name: &'static str) -> Result<Option<Vec<i64>>, OpError> {
        if self.get(index).is_none() {
            return Ok(None);
        }
        let tensor = self.constant(index, name)?;
        match tensor.to_i64() {
            Some(values) => Ok(Some(values)),
            None => Err(OpError::invalid(format!("input {index} (`{name}`) must hold integers, got {}", tensor.dtype()))),
        }
    }

    /// That an input has one of the element types `allowed`.
    pub fn expect_dtype(&self, index: usize, name: &'static str, allowed: &[DType]) -> Result<Operand<'a>, OpError> {
        let operand = self.required(index, name)?;
        if allowed.contains(&operand.dtype) {
            return Ok(operand);
        }
        let allowed: Vec<_> = allowed.iter().map(|d| d.name()).collect();
        Err(OpError::invalid(format!("input {index} (`{name}`) is {}, expected {}", operand.dtype, allowed.join(", "))))
    }
}

/// The element types that floating-point operators take.
pub(crate) const FLOATS: &[DType] = &[DType::F32, DType::F16, DType::F64];
