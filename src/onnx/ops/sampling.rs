//! Maps read at positions, boxes, columns.

use super::NodeReader;
use crate::ops::{AffineGrid, Col2Im, GridPadding, GridSample, Interpolation, NonMaxSuppression, Op, RoiAlign, RoiPool, Spatial};

pub(super) fn affine_grid(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let align_corners = node.attributes.flag("align_corners", false)?;
    Ok(AffineGrid { align_corners }.into())
}

pub(super) fn col2im(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let mut list = |name: &str| {
        let Some(values) = node.attributes.extents(name)? else { return Ok(None) };
        Ok::<_, String>(Some(values))
    };
    let (dilations, pads, strides) = (list("dilations")?, list("pads")?, list("strides")?);
    let spatial = |values: &[usize]| Spatial::from_slice(values).ok_or(format!("{values:?} for other than 1 to 3 axes is not supported"));
    let padding = match pads {
        Some(pads) if pads.len().is_multiple_of(2) => {
            let (before, after) = pads.split_at(pads.len() / 2);
            Some([spatial(before)?, spatial(after)?])
        }
        Some(pads) => return Err(format!("attribute `pads` must have two numbers for each axis, got {pads:?}")),
        None => None,
    };
    let [dilation, stride] = [dilations, strides].map(|values| values.map(|values| spatial(&values)).transpose());
    Ok(Col2Im { dilation: dilation?, padding, stride: stride? }.into())
}

/// Opset 16 has other names for the modes of one and two axes.
pub(super) fn grid_sample(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let mode = match node.attributes.string("mode")?.unwrap_or("linear") {
        "linear" | "bilinear" => Interpolation::Linear,
        "nearest" => Interpolation::Nearest,
        "cubic" | "bicubic" => Interpolation::Cubic,
        other => return Err(format!("mode `{other}` is not supported")),
    };
    let padding = match node.attributes.string("padding_mode")?.unwrap_or("zeros") {
        "zeros" => GridPadding::Zeros,
        "border" => GridPadding::Border,
        "reflection" => GridPadding::Reflection,
        other => return Err(format!("padding_mode `{other}` is not supported")),
    };
    let align_corners = node.attributes.flag("align_corners", false)?;
    Ok(GridSample { mode, padding, align_corners }.into())
}

pub(super) fn non_max_suppression(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let center_point_box = node.attributes.flag("center_point_box", false)?;
    Ok(NonMaxSuppression { center_point_box }.into())
}

/// Before opset 16 coordinates are not moved.
pub(super) fn roi_align(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let mode = match node.attributes.string("mode")?.unwrap_or("avg") {
        "avg" => RoiPool::Average,
        "max" => RoiPool::Max,
        other => return Err(format!("mode `{other}` is not supported")),
    };
    let default = if node.opset < 16 { "output_half_pixel" } else { "half_pixel" };
    let half_pixel = match node.attributes.string("coordinate_transformation_mode")?.unwrap_or(default) {
        "half_pixel" => true,
        "output_half_pixel" => false,
        other => return Err(format!("coordinate_transformation_mode `{other}` is not supported")),
    };
    let ratio = node.attributes.int("sampling_ratio")?.unwrap_or(0);
    Ok(RoiAlign {
        mode,
        output: [node.attributes.count("output_height")?.unwrap_or(1), node.attributes.count("output_width")?.unwrap_or(1)],
        sampling_ratio: usize::try_from(ratio).map_err(|_| format!("attribute `sampling_ratio` must not be negative, got {ratio}"))?,
        spatial_scale: node.attributes.float("spatial_scale")?.unwrap_or(1.0),
        half_pixel,
    }
    .into())
}
