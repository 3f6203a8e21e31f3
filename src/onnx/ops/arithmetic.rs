//! Functions of one element, matrix products, conversion.

use super::super::tensor::dtype;
use super::{Clip, NodeReader, Unary};
use crate::ops::{Cast, Einsum, GeluApproximation, Gemm, Op};

pub(super) fn leaky_relu(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let alpha = node.attributes.float("alpha")?.unwrap_or(0.01);
    Ok(Unary::LeakyRelu { alpha }.into())
}

pub(super) fn hard_sigmoid(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let alpha = node.attributes.float("alpha")?.unwrap_or(0.2);
    let beta = node.attributes.float("beta")?.unwrap_or(0.5);
    Ok(Unary::HardSigmoid { alpha, beta }.into())
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

/// `saturate` and `round_mode` concern 8-bit floats alone, which are no [`DType`](crate::DType).
pub(super) fn cast(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let to = node.attributes.int("to")?.ok_or("attribute `to` is missing")?;
    node.attributes.int("saturate")?;
    node.attributes.string("round_mode")?;
    let to = i32::try_from(to).map_err(|_| format!("element type number {to} is not supported"))?;
    Ok(Cast { to: dtype(to)? }.into())
}
