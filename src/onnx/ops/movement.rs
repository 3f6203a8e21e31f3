//! Shapes, data movement, constants.

use super::super::tensor::{TensorProblem, decode};
use super::NodeReader;
use crate::ops::{
    Concat, ConstantOfShape, Flatten, Gather, Op, Pad, PadMode, Reshape, Resize, ShapeOf, Slice, Split, Squeeze, Transpose, Unsqueeze,
};
use crate::tensor::Tensor;

pub(super) fn concat(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let axis = node.attributes.int("axis")?.ok_or("attribute `axis` is missing")?;
    Ok(Concat { axis }.into())
}

pub(super) fn constant_of_shape(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let value = match node.attributes.tensor("value")? {
        Some(proto) => decode(proto, node.external).map_err(TensorProblem::into_message)?,
        None => Tensor::vector(vec![0f32]),
    };
    if value.len() != 1 {
        return Err(format!("attribute `value` must have one element, got {value:?}"));
    }
    Ok(ConstantOfShape { value }.into())
}

pub(super) fn flatten(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let axis = node.attributes.int("axis")?.unwrap_or(1);
    Ok(Flatten { axis }.into())
}

pub(super) fn gather(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let axis = node.attributes.int("axis")?.unwrap_or(0);
    Ok(Gather { axis }.into())
}

pub(super) fn pad(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let mode = match node.attributes.string("mode")?.unwrap_or("constant") {
        "constant" => PadMode::Constant,
        "reflect" => PadMode::Reflect,
        "edge" => PadMode::Edge,
        "wrap" => PadMode::Wrap,
        other => return Err(format!("mode `{other}` is not supported")),
    };
    node.add_integers(1, "pads", 11)?;
    if node.opset < 11
        && let Some(value) = node.attributes.float("value")?.filter(|&v| v != 0.0)
    {
        node.add_input(2, "constant_value", node.scalar(value)?)?;
    }
    Ok(Pad { mode }.into())
}

pub(super) fn reshape(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let allow_zero = node.attributes.flag("allowzero", false)?;
    Ok(Reshape { allow_zero }.into())
}

/// Nearest neighbour, in the ways of rounding that repeat every element when the factor is whole.
pub(super) fn resize(node: &mut NodeReader<'_>) -> Result<Op, String> {
    if node.opset < 11 {
        return Err("the form before opset 11 is not supported".into());
    }
    let mut text = |name, default| Ok::<_, String>(node.attributes.string(name)?.unwrap_or(default));
    let (mode, position) = (text("mode", "nearest")?, text("coordinate_transformation_mode", "half_pixel")?);
    let rounding = text("nearest_mode", "round_prefer_floor")?;
    let policy = text("keep_aspect_ratio_policy", "stretch")?;
    // These concern other modes.
    node.attributes.float("cubic_coeff_a")?;
    node.attributes.float("extrapolation_value")?;
    let ignored = node.attributes.flag("exclude_outside", false)? || node.attributes.flag("antialias", false)?;
    match (mode, position, rounding, policy) {
        ("nearest", "asymmetric", "floor", "stretch") if !ignored => Ok(Resize.into()),
        ("nearest", "half_pixel", "round_prefer_floor" | "round_prefer_ceil", "stretch") if !ignored => Ok(Resize.into()),
        ("nearest", ..) => Err(format!("mode nearest with {position}, {rounding} and {policy} is not supported")),
        _ => Err(format!("mode {mode} is not supported")),
    }
}

pub(super) fn shape(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let start = node.attributes.int("start")?.unwrap_or(0);
    let end = node.attributes.int("end")?;
    Ok(ShapeOf { start, end }.into())
}

pub(super) fn slice(node: &mut NodeReader<'_>) -> Result<Op, String> {
    for (at, name) in [(1, "starts"), (2, "ends"), (3, "axes")] {
        node.add_integers(at, name, 10)?;
    }
    Ok(Slice.into())
}

pub(super) fn split(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let axis = node.attributes.int("axis")?.unwrap_or(0);
    node.add_integers(1, "split", 13)?;
    if let Some(parts) = node.attributes.count("num_outputs")?
        && parts != node.outputs.len()
    {
        return Err(format!("attribute `num_outputs` is {parts}, the node has {} outputs", node.outputs.len()));
    }
    Ok(Split { axis }.into())
}

pub(super) fn squeeze(node: &mut NodeReader<'_>) -> Result<Op, String> {
    node.add_integers(1, "axes", 13)?;
    Ok(Squeeze.into())
}

pub(super) fn transpose(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let permutation = node.attributes.extents("perm")?.unwrap_or_default();
    Ok(Transpose { permutation }.into())
}

pub(super) fn unsqueeze(node: &mut NodeReader<'_>) -> Result<Op, String> {
    node.add_integers(1, "axes", 13)?;
    Ok(Unsqueeze.into())
}
