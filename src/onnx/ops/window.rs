//! Convolution and pooling.

use super::NodeReader;
use crate::ops::{
    AveragePool, Conv, ConvInteger, ConvTranspose, DeformConv, GlobalLpPool, GlobalPool, LpPool, MaxPool, MaxUnpool, Op, Padding, PoolKind,
    QLinearConv, Spatial, Window,
};

/// One number per spatial axis.
fn spatial(node: &mut NodeReader<'_>, name: &str) -> Result<Option<Spatial>, String> {
    let Some(values) = node.attributes.extents(name)? else { return Ok(None) };
    let spatial = Spatial::from_slice(&values);
    spatial.map(Some).ok_or_else(|| format!("attribute `{name}` {values:?} with other than 1 to 3 spatial axes is not supported"))
}

fn padding(node: &mut NodeReader<'_>) -> Result<Padding, String> {
    let pads = node.attributes.extents("pads")?.filter(|pads| !pads.is_empty());
    let padding = match node.attributes.string("auto_pad")?.unwrap_or("NOTSET") {
        "" | "NOTSET" => {
            let Some(pads) = pads else { return Ok(Padding::Valid) };
            let (before, after) = pads.split_at(pads.len() / 2);
            let before = Spatial::from_slice(before).filter(|_| before.len() == after.len());
            return match (before, Spatial::from_slice(after)) {
                (Some(before), Some(after)) => Ok(Padding::Explicit { before, after }),
                _ => Err(format!("attribute `pads` must have two numbers for each of 1 to 3 spatial axes, got {pads:?}")),
            };
        }
        "SAME_UPPER" => Padding::SameUpper,
        "SAME_LOWER" => Padding::SameLower,
        "VALID" => Padding::Valid,
        other => return Err(format!("attribute `auto_pad` {other} is not supported")),
    };
    match pads {
        Some(pads) if pads.iter().any(|&p| p != 0) => Err(format!("has both `auto_pad` and `pads` {pads:?}")),
        _ => Ok(padding),
    }
}

fn window(node: &mut NodeReader<'_>) -> Result<Window, String> {
    let kernel_size = spatial(node, "kernel_shape")?.ok_or("attribute `kernel_shape` is missing")?;
    let ones = Spatial::splat(kernel_size.len(), 1);
    Ok(Window {
        kernel_size,
        stride: spatial(node, "strides")?.unwrap_or(ones),
        dilation: spatial(node, "dilations")?.unwrap_or(ones),
        padding: padding(node)?,
        ceil_mode: node.attributes.flag("ceil_mode", false)?,
    })
}

/// Reads `kernel_shape`. The weight, input `w`, says the kernel size; a weight that is computed can only be trusted to agree.
fn check_kernel_shape(node: &mut NodeReader<'_>, w: usize) -> Result<(), String> {
    if let Some(kernel) = spatial(node, "kernel_shape")?
        && let Some(weight) = node.inputs.get(w).and_then(|i| i.constant.as_ref())
        && weight.shape().get(2..) != Some(&*kernel)
    {
        return Err(format!("attribute `kernel_shape` {kernel:?} does not fit the weight {}", weight.shape()));
    }
    Ok(())
}

/// The attributes that all convolutions share; the weight is input `w`.
fn convolution(node: &mut NodeReader<'_>, w: usize) -> Result<Conv, String> {
    let conv = Conv {
        stride: spatial(node, "strides")?,
        dilation: spatial(node, "dilations")?,
        padding: padding(node)?,
        groups: node.attributes.count("group")?.unwrap_or(1),
    };
    check_kernel_shape(node, w)?;
    Ok(conv)
}

pub(super) fn conv(node: &mut NodeReader<'_>) -> Result<Op, String> {
    Ok(convolution(node, 1)?.into())
}

pub(super) fn conv_integer(node: &mut NodeReader<'_>) -> Result<Op, String> {
    Ok(ConvInteger { conv: convolution(node, 1)? }.into())
}

pub(super) fn qlinear_conv(node: &mut NodeReader<'_>) -> Result<Op, String> {
    Ok(QLinearConv { conv: convolution(node, 3)? }.into())
}

/// `pads` beside `output_shape` are ignored, as the specification says.
pub(super) fn conv_transpose(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let Conv { stride, dilation, padding, groups } = convolution(node, 1)?;
    let output_padding = spatial(node, "output_padding")?;
    let output_size = spatial(node, "output_shape")?;
    Ok(ConvTranspose { stride, dilation, padding, output_padding, output_size, groups }.into())
}

pub(super) fn deform_conv(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let conv = convolution(node, 1)?;
    let offset_groups = node.attributes.count("offset_group")?.unwrap_or(1);
    Ok(DeformConv { conv, offset_groups }.into())
}

pub(super) fn max_pool(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let column_major = node.attributes.flag("storage_order", false)?;
    Ok(MaxPool { window: window(node)?, column_major }.into())
}

pub(super) fn average_pool(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let count_include_pad = node.attributes.flag("count_include_pad", false)?;
    Ok(AveragePool { window: window(node)?, count_include_pad }.into())
}

pub(super) fn global_pool(kind: PoolKind) -> Op {
    GlobalPool { kind }.into()
}

/// The order of a norm.
fn order(node: &mut NodeReader<'_>) -> Result<u32, String> {
    let p = node.attributes.count("p")?.unwrap_or(2);
    u32::try_from(p).map_err(|_| format!("attribute `p` {p} is not supported"))
}

pub(super) fn lp_pool(node: &mut NodeReader<'_>) -> Result<Op, String> {
    Ok(LpPool { p: order(node)?, window: window(node)? }.into())
}

pub(super) fn global_lp_pool(node: &mut NodeReader<'_>) -> Result<Op, String> {
    Ok(GlobalLpPool { p: order(node)? }.into())
}

pub(super) fn max_unpool(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let Window { kernel_size, stride, padding, .. } = window(node)?;
    let zeros = Spatial::splat(kernel_size.len(), 0);
    let (before, after) = match padding {
        Padding::Explicit { before, after } => (before, after),
        _ => (zeros, zeros),
    };
    Ok(MaxUnpool { kernel_size, stride, before, after }.into())
}
