//! Functions of one element.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{FLOATS, Operands, Operator};
use crate::plan::{
    Access, Arg, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Part, Variant, WORKGROUP_SIZE, params, part,
    workgroups_1d,
};
use crate::reference;
use crate::tensor::Tensor;

/// How `Gelu` approximates the normal distribution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GeluApproximation {
    /// `x · Φ(x)`
    None,
    /// `½x · (1 + tanh(√(2/π) · (x + 0.044715x³)))`
    Tanh,
}

/// An elementwise function of one input. Input and output have the same shape.
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
}

/// `Clip`: between inputs 1 (`min`) and 2 (`max`), scalars, both optional. Source: ONNX `Clip`, opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Clip;

/// `PRelu`: inputs `X`, `slope` (broadcast to `X`); `x` where positive, else `slope · x`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PRelu;

impl Unary {
    /// The number by which `shaders/shared/activation.wgsl` knows the function, and its attributes.
    pub(crate) fn code(&self) -> (u32, f32, f32) {
        match *self {
            Unary::Relu => (1, 0.0, 0.0),
            Unary::LeakyRelu { alpha } => (2, alpha, 0.0),
            Unary::Sigmoid => (3, 0.0, 0.0),
            Unary::HardSigmoid { alpha, beta } => (4, alpha, beta),
            Unary::HardSwish => (5, 0.0, 0.0),
            Unary::Tanh => (6, 0.0, 0.0),
            Unary::Erf => (7, 0.0, 0.0),
            Unary::Gelu(GeluApproximation::None) => (8, 0.0, 0.0),
            Unary::Gelu(GeluApproximation::Tanh) => (9, 0.0, 0.0),
            Unary::Exp => (10, 0.0, 0.0),
            Unary::Sqrt => (11, 0.0, 0.0),
        }
    }
}

/// The code of "no activation" and of the clamp to `[alpha, beta]` that [`Clip`] uses.
pub(crate) const CLAMP: u32 = 12;

/// Every number that `ACTIVATION` may have.
pub(crate) const ACTIVATIONS: &[u32] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, CLAMP];

/// `activate`, and the override `ACTIVATION`.
pub(crate) const ACTIVATION: Part = part!("shared/activation.wgsl");

params! {
    pub(crate) struct UnaryParams {
        vectors: u32,
        alpha: f32,
        beta: f32,
    }
}

pub(crate) static UNARY: Kernel = Kernel {
    name: "unary",
    body: part!("unary.wgsl"),
    parts: &[INDEX, ACTIVATION],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[Override { name: "ACTIVATION", values: ACTIVATIONS }, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: UnaryParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
};

/// The dispatch of `activate` over all elements of input 0.
pub(crate) fn lower_unary(context: &LowerContext<'_>, (code, alpha, beta): (u32, f32, f32)) -> Result<Lowering, String> {
    let output = &context.outputs[0];
    let elem = context.elem(output.dtype)?;
    let vectors = output.shape.elements().div_ceil(4);
    let workgroups = workgroups_1d(vectors, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
    let variant = Variant { kernel: &UNARY, types: vec![elem], tile: None, overrides: vec![code, WORKGROUP_SIZE] };
    let params = UnaryParams { vectors: vectors as u32, alpha, beta };
    Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Output(0)], workgroups))
}

impl Operator for Unary {
    fn name(&self) -> &'static str {
        match self {
            Unary::Relu => "Relu",
            Unary::LeakyRelu { .. } => "LeakyRelu",
            Unary::Sigmoid => "Sigmoid",
            Unary::HardSigmoid { .. } => "HardSigmoid",
            Unary::HardSwish => "HardSwish",
            Unary::Tanh => "Tanh",
            Unary::Erf => "Erf",
            Unary::Gelu(_) => "Gelu",
            Unary::Exp => "Exp",
            Unary::Sqrt => "Sqrt",
        }
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        Ok(vec![inputs.expect_dtype(0, "X", FLOATS)?.tensor_type()])
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(lower_unary(context, self.code()))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![reference::activation::unary(self, reference::input(inputs, 0))])
    }
}

super::unfinished!(Clip, "Clip");
super::unfinished!(PRelu, "PRelu");
