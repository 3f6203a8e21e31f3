//! Functions of one element, matrix products, conversion.

use super::super::tensor::dtype;
use super::{Clip, NodeReader, Unary};
use crate::ops::{Binary, Cast, CastLike, Classify, Einsum, GeluApproximation, Gemm, ImageScaler, Op};

pub(super) fn leaky_relu(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let alpha = node.attributes.float("alpha")?.unwrap_or(0.01);
    Ok(Unary::LeakyRelu { alpha }.into())
}

pub(super) fn hard_sigmoid(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let alpha = node.attributes.float("alpha")?.unwrap_or(0.2);
    let beta = node.attributes.float("beta")?.unwrap_or(0.5);
    Ok(Unary::HardSigmoid { alpha, beta }.into())
}

/// The attributes `names`, where they are not given `defaults`.
fn floats<const N: usize>(node: &mut NodeReader<'_>, names: [&str; N], defaults: [f32; N]) -> Result<[f32; N], String> {
    let mut values = defaults;
    for (value, name) in values.iter_mut().zip(names) {
        *value = node.attributes.float(name)?.unwrap_or(*value);
    }
    Ok(values)
}

pub(super) fn elu(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let [alpha] = floats(node, ["alpha"], [1.0])?;
    Ok(Unary::Elu { alpha }.into())
}

pub(super) fn celu(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let [alpha] = floats(node, ["alpha"], [1.0])?;
    Ok(Unary::Celu { alpha }.into())
}

pub(super) fn selu(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let [alpha, gamma] = floats(node, ["alpha", "gamma"], [1.673_263_2, 1.050_701])?;
    Ok(Unary::Selu { alpha, gamma }.into())
}

pub(super) fn swish(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let [alpha] = floats(node, ["alpha"], [1.0])?;
    Ok(Unary::Swish { alpha }.into())
}

pub(super) fn shrink(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let [lambda, bias] = floats(node, ["lambd", "bias"], [0.5, 0.0])?;
    Ok(Unary::Shrink { lambda, bias }.into())
}

pub(super) fn thresholded_relu(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let [alpha] = floats(node, ["alpha"], [1.0])?;
    Ok(Unary::ThresholdedRelu { alpha }.into())
}

pub(super) fn affine(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let [alpha, beta] = floats(node, ["alpha", "beta"], [1.0, 0.0])?;
    Ok(Unary::Affine { alpha, beta }.into())
}

pub(super) fn scaled_tanh(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let [alpha, beta] = floats(node, ["alpha", "beta"], [1.0, 1.0])?;
    Ok(Unary::ScaledTanh { alpha, beta }.into())
}

pub(super) fn parametric_softplus(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let [alpha, beta] = floats(node, ["alpha", "beta"], [1.0, 1.0])?;
    Ok(Unary::ParametricSoftplus { alpha, beta }.into())
}

pub(super) fn image_scaler(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let [scale] = floats(node, ["scale"], [1.0])?;
    let bias = node.attributes.floats("bias")?.ok_or("attribute `bias` is missing")?.to_vec();
    Ok(ImageScaler { scale, bias }.into())
}

pub(super) fn modulo(node: &mut NodeReader<'_>) -> Result<Op, String> {
    Ok(Binary::Mod { fmod: node.attributes.flag("fmod", false)? }.into())
}

pub(super) fn bit_shift(node: &mut NodeReader<'_>) -> Result<Op, String> {
    match node.attributes.string("direction")?.ok_or("attribute `direction` is missing")? {
        "LEFT" => Ok(Binary::ShiftLeft.into()),
        "RIGHT" => Ok(Binary::ShiftRight.into()),
        other => Err(format!("attribute `direction` must be LEFT or RIGHT, got {other}")),
    }
}

pub(super) fn is_inf(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let positive = node.attributes.flag("detect_positive", true)?;
    let negative = node.attributes.flag("detect_negative", true)?;
    Ok(Classify::Infinite { positive, negative }.into())
}

pub(super) fn gelu(node: &mut NodeReader<'_>) -> Result<Op, String> {
    match node.attributes.string("approximate")?.unwrap_or("none") {
        "none" => Ok(Unary::Gelu(GeluApproximation::None).into()),
        "tanh" => Ok(Unary::Gelu(GeluApproximation::Tanh).into()),
        other => Err(format!("attribute `approximate` must be none or tanh, got {other}")),
    }
}

/// Bounds are attributes before opset 11; their defaults, the largest finite numbers, are no bounds.
pub(super) fn clip(node: &mut NodeReader<'_>) -> Result<Op, String> {
    if node.opset < 11 {
        if let Some(min) = node.attributes.float("min")?.filter(|&v| v != f32::MIN) {
            node.add_input(1, "min", node.scalar(min)?)?;
        }
        if let Some(max) = node.attributes.float("max")?.filter(|&v| v != f32::MAX) {
            node.add_input(2, "max", node.scalar(max)?)?;
        }
    }
    Ok(Clip.into())
}

pub(super) fn einsum(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let equation = node.attributes.string("equation")?.ok_or("attribute `equation` is missing")?;
    Ok(Einsum { equation: equation.to_owned() }.into())
}

pub(super) fn gemm(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let gemm = Gemm {
        alpha: node.attributes.float("alpha")?.unwrap_or(1.0),
        beta: node.attributes.float("beta")?.unwrap_or(1.0),
        transpose_a: node.attributes.flag("transA", false)?,
        transpose_b: node.attributes.flag("transB", false)?,
    };
    Ok(gemm.into())
}

/// As [`cast`]; where the type is known already, the input that has it is not needed.
pub(super) fn cast_like(node: &mut NodeReader<'_>) -> Result<Op, String> {
    node.attributes.int("saturate")?;
    node.attributes.string("round_mode")?;
    let Some(to) = node.inputs.get(1).and_then(|like| like.dtype) else { return Ok(CastLike.into()) };
    node.kept_inputs = 1;
    Ok(Cast { to }.into())
}

/// `saturate` and `round_mode` concern 8-bit floats alone, which are no [`DType`](crate::DType).
pub(super) fn cast(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let to = node.attributes.int("to")?.ok_or("attribute `to` is missing")?;
    node.attributes.int("saturate")?;
    node.attributes.string("round_mode")?;
    let to = i32::try_from(to).map_err(|_| format!("element type number {to} is not supported"))?;
    Ok(Cast { to: dtype(to)? }.into())
}
