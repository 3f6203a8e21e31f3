//! Real numbers as small integers.

use super::super::tensor::dtype;
use super::NodeReader;
use crate::ops::{DequantizeLinear, Op, QuantizeLinear};
use crate::tensor::DType;

/// An element type as an attribute, where 0 leaves it open.
fn element_type(node: &mut NodeReader<'_>, name: &str) -> Result<Option<DType>, String> {
    match node.attributes.int(name)?.unwrap_or(0) {
        0 => Ok(None),
        code => dtype(i32::try_from(code).unwrap_or(i32::MAX)).map(Some).map_err(|problem| format!("attribute `{name}`: {problem}")),
    }
}

fn axis_and_block(node: &mut NodeReader<'_>) -> Result<(i64, usize), String> {
    Ok((node.attributes.int("axis")?.unwrap_or(1), node.attributes.count("block_size")?.unwrap_or(0)))
}

/// `saturate` concerns 8-bit floats alone, which are no [`DType`].
pub(super) fn quantize(node: &mut NodeReader<'_>) -> Result<Op, String> {
    node.attributes.int("saturate")?;
    let (axis, block_size) = axis_and_block(node)?;
    let (output, precision) = (element_type(node, "output_dtype")?, element_type(node, "precision")?);
    if let Some(other) = precision.filter(|p| !matches!(p, DType::F32 | DType::F16)) {
        return Err(format!("attribute `precision` {other} is not supported, only f32 and f16"));
    }
    Ok(QuantizeLinear { axis, block_size, output, precision }.into())
}

pub(super) fn dequantize(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let (axis, block_size) = axis_and_block(node)?;
    let output = element_type(node, "output_dtype")?;
    Ok(DequantizeLinear { axis, block_size, output }.into())
}
