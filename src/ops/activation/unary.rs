//! Functions of one element.

use super::lower_unary;
use crate::error::OpError;
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::binary::NUMBERS;
use crate::ops::{Binary, Cast, Clip, FLOATS, Op, Operands, Operator, PRelu};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// How `Gelu` approximates the normal distribution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GeluApproximation {
    /// `x · Φ(x)`
    None,
    /// `½x · (1 + tanh(√(2/π) · (x + 0.044715x³)))`
    Tanh,
}

/// An elementwise function of one input. Input and output have the same shape and type.
///
/// Floats; `Abs`, `Neg`, `Relu`, `Shrink` and `Sign` take integers too, which wrap at their width.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub enum Unary {
    /// `max(x, 0)`
    Relu,
    /// `x` where positive, else `alpha · x`
    LeakyRelu {
        /// Slope of the negative side.
        alpha: f32,
    },
    /// `1 ÷ (1 + exp(−x))`
    Sigmoid,
    /// `clamp(alpha · x + beta, 0, 1)`
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Offset.
        beta: f32,
    },
    /// `x · clamp(x/6 + ½, 0, 1)`
    HardSwish,
    /// The hyperbolic tangent
    Tanh,
    /// The error function
    Erf,
    /// `x · Φ(x)`
    Gelu(GeluApproximation),
    /// The exponential function
    Exp,
    /// The square root
    Sqrt,
    /// `|x|`
    Abs,
    /// `−x`
    Neg,
    /// 1, 0 or −1; NaN passes
    Sign,
    /// The integer not below
    Ceil,
    /// The integer not above
    Floor,
    /// The nearest integer, the even one of two
    Round,
    /// `1 ÷ x`
    Reciprocal,
    /// The natural logarithm
    Log,
    /// The sine
    Sin,
    /// The cosine
    Cos,
    /// The tangent
    Tan,
    /// The arcsine
    Asin,
    /// The arccosine
    Acos,
    /// The arctangent
    Atan,
    /// The hyperbolic sine
    Sinh,
    /// The hyperbolic cosine
    Cosh,
    /// The inverse of the hyperbolic sine
    Asinh,
    /// The inverse of the hyperbolic cosine
    Acosh,
    /// The inverse of the hyperbolic tangent
    Atanh,
    /// `x` where positive, else `alpha · (exp(x) − 1)`
    Elu {
        /// What large negative numbers come near to, negated.
        alpha: f32,
    },
    /// `x` where positive, else `alpha · (exp(x ÷ alpha) − 1)`
    Celu {
        /// What large negative numbers come near to, negated.
        alpha: f32,
    },
    /// `gamma · x` where positive, else `gamma · alpha · (exp(x) − 1)`
    Selu {
        /// What large negative numbers come near to, negated and before `gamma`.
        alpha: f32,
        /// Factor of all.
        gamma: f32,
    },
    /// `log(1 + exp(x))`
    Softplus,
    /// `x ÷ (1 + |x|)`
    Softsign,
    /// `x · tanh(log(1 + exp(x)))`
    Mish,
    /// `x ÷ (1 + exp(−alpha · x))`
    Swish {
        /// Factor of `x` in the sigmoid.
        alpha: f32,
    },
    /// `x + bias` below `−lambda`, `x − bias` above `lambda`, else 0
    Shrink {
        /// Half the width of what becomes 0.
        lambda: f32,
        /// How far the rest moves toward 0.
        bias: f32,
    },
    /// `x` above `alpha`, else 0
    ThresholdedRelu {
        /// The threshold.
        alpha: f32,
    },
    /// `alpha · x + beta`
    Affine {
        /// Factor.
        alpha: f32,
        /// Offset.
        beta: f32,
    },
    /// `alpha · tanh(beta · x)`
    ScaledTanh {
        /// Factor of the result.
        alpha: f32,
        /// Factor of the input.
        beta: f32,
    },
    /// `alpha · log(1 + exp(beta · x))`
    ParametricSoftplus {
        /// Factor of the result.
        alpha: f32,
        /// Factor of the input.
        beta: f32,
    },
}

impl Unary {
    /// The ONNX name, the number by which the shaders know the function, and its attributes.
    fn describe(&self) -> (&'static str, u32, f32, f32) {
        match *self {
            Unary::Relu => ("Relu", 1, 0.0, 0.0),
            Unary::LeakyRelu { alpha } => ("LeakyRelu", 2, alpha, 0.0),
            Unary::Sigmoid => ("Sigmoid", 3, 0.0, 0.0),
            Unary::HardSigmoid { alpha, beta } => ("HardSigmoid", 4, alpha, beta),
            Unary::HardSwish => ("HardSwish", 5, 0.0, 0.0),
            Unary::Tanh => ("Tanh", 6, 0.0, 0.0),
            Unary::Erf => ("Erf", 7, 0.0, 0.0),
            Unary::Gelu(GeluApproximation::None) => ("Gelu", 8, 0.0, 0.0),
            Unary::Gelu(GeluApproximation::Tanh) => ("Gelu", 9, 0.0, 0.0),
            Unary::Exp => ("Exp", 10, 0.0, 0.0),
            Unary::Sqrt => ("Sqrt", 11, 0.0, 0.0),
            Unary::Abs => ("Abs", 13, 0.0, 0.0),
            Unary::Neg => ("Neg", 14, 0.0, 0.0),
            Unary::Sign => ("Sign", 15, 0.0, 0.0),
            Unary::Ceil => ("Ceil", 16, 0.0, 0.0),
            Unary::Floor => ("Floor", 17, 0.0, 0.0),
            Unary::Round => ("Round", 18, 0.0, 0.0),
            Unary::Reciprocal => ("Reciprocal", 19, 0.0, 0.0),
            Unary::Log => ("Log", 20, 0.0, 0.0),
            Unary::Sin => ("Sin", 21, 0.0, 0.0),
            Unary::Cos => ("Cos", 22, 0.0, 0.0),
            Unary::Tan => ("Tan", 23, 0.0, 0.0),
            Unary::Asin => ("Asin", 24, 0.0, 0.0),
            Unary::Acos => ("Acos", 25, 0.0, 0.0),
            Unary::Atan => ("Atan", 26, 0.0, 0.0),
            Unary::Sinh => ("Sinh", 27, 0.0, 0.0),
            Unary::Cosh => ("Cosh", 28, 0.0, 0.0),
            Unary::Asinh => ("Asinh", 29, 0.0, 0.0),
            Unary::Acosh => ("Acosh", 30, 0.0, 0.0),
            Unary::Atanh => ("Atanh", 31, 0.0, 0.0),
            Unary::Elu { alpha } => ("Elu", 32, alpha, 1.0),
            Unary::Selu { alpha, gamma } => ("Selu", 32, alpha, gamma),
            Unary::Celu { alpha } => ("Celu", 33, alpha, 0.0),
            Unary::Softplus => ("Softplus", 34, 0.0, 0.0),
            Unary::Softsign => ("Softsign", 35, 0.0, 0.0),
            Unary::Mish => ("Mish", 36, 0.0, 0.0),
            Unary::Swish { alpha } => ("Swish", 37, alpha, 0.0),
            Unary::Shrink { lambda, bias } => ("Shrink", 38, lambda, bias),
            Unary::ThresholdedRelu { alpha } => ("ThresholdedRelu", 39, alpha, 0.0),
            Unary::Affine { alpha, beta } => ("Affine", 40, alpha, beta),
            Unary::ScaledTanh { alpha, beta } => ("ScaledTanh", 41, alpha, beta),
            Unary::ParametricSoftplus { alpha, beta } => ("ParametricSoftplus", 42, alpha, beta),
        }
    }

    /// The number by which `shaders/shared/activation.wgsl` and `functions.wgsl` know the function, and its attributes.
    pub(crate) fn code(&self) -> (u32, f32, f32) {
        let (_, code, alpha, beta) = self.describe();
        (code, alpha, beta)
    }

    /// The element types that the function is defined on.
    fn dtypes(&self) -> &'static [DType] {
        match self {
            Unary::Abs | Unary::Neg | Unary::Relu | Unary::Shrink { .. } | Unary::Sign => NUMBERS,
            _ => FLOATS,
        }
    }
}

/// Every number that `ACTIVATION` may have in the kernel `unary`.
pub(crate) const CODES: &[u32] = &[
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35,
    36, 37, 38, 39, 40, 41, 42,
];

impl Operator for Unary {
    fn name(&self) -> &'static str {
        self.describe().0
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        Ok(vec![inputs.expect_dtype(0, "X", self.dtypes())?.tensor_type()])
    }

    /// Integers have operators of two operands, and functions of narrow ones are exact in `f32`.
    fn decompose(&self, parts: &mut Parts<'_>) -> crate::Result<Option<Vec<ValueId>>> {
        let Some(x) = parts.input(0) else { return Ok(None) };
        let dtype = parts.dtype(x);
        if dtype.is_float() {
            return Ok(None);
        }
        let mut scalar = |name: &str, value: i128| {
            let tensor = reference::cast::from_integers(dtype, &Shape::scalar(), vec![value]);
            parts.constant(name, tensor)
        };
        let (op, inputs): (Op, Vec<ValueId>) = match *self {
            Unary::Relu => (Clip.into(), vec![x, scalar("zero", 0)]),
            Unary::Sign if dtype.is_signed() => (Clip.into(), vec![x, scalar("least", -1), scalar("most", 1)]),
            Unary::Sign => (Clip.into(), vec![x, scalar("least", 0), scalar("most", 1)]),
            Unary::Neg => (Binary::Sub.into(), vec![scalar("zero", 0), x]),
            Unary::Abs if dtype.is_signed() => (PRelu.into(), vec![x, scalar("slope", -1)]),
            Unary::Abs => return Ok(Some(vec![x])),
            Unary::Shrink { .. } if dtype.size() < 4 => {
                let wide = parts.node("f32", Cast { to: DType::F32 }, &[x])?;
                let shrunk = parts.node("shrunk", *self, &[wide])?;
                return Ok(Some(vec![parts.node("back", Cast { to: dtype }, &[shrunk])?]));
            }
            _ => return Ok(None),
        };
        Ok(Some(vec![parts.node(self.name(), op, &inputs)?]))
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        if context.outputs[0].dtype.is_integer() {
            return Lowered::Host(format!("f32 does not hold every {}", context.outputs[0].dtype));
        }
        Lowered::from_rule(lower_unary(context, self.code()))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![reference::activation::unary(self, reference::input(inputs, 0))])
    }
}
