//! Changes of extents by interpolation.

use super::NodeReader;
use crate::ops::{AspectRatio, NearestMode, Op, Resize, ResizeCoordinates, ResizeMode};
use crate::tensor::Tensor;

/// Before opset 11 the inputs are `X` and `scales`, and positions those of [`upsample`].
pub(super) fn resize(node: &mut NodeReader<'_>) -> Result<Op, String> {
    if node.opset < 11 {
        return upsample(node);
    }
    let rounding = match node.attributes.string("nearest_mode")?.unwrap_or("round_prefer_floor") {
        "round_prefer_floor" => NearestMode::RoundPreferFloor,
        "round_prefer_ceil" => NearestMode::RoundPreferCeil,
        "floor" => NearestMode::Floor,
        "ceil" => NearestMode::Ceil,
        other => return Err(format!("nearest_mode `{other}` is not supported")),
    };
    let coefficient = node.attributes.float("cubic_coeff_a")?.unwrap_or(-0.75);
    let mode = match node.attributes.string("mode")?.unwrap_or("nearest") {
        "nearest" => ResizeMode::Nearest(rounding),
        "linear" => ResizeMode::Linear,
        "cubic" => ResizeMode::Cubic { coefficient },
        other => return Err(format!("mode `{other}` is not supported")),
    };
    let coordinates = match node.attributes.string("coordinate_transformation_mode")?.unwrap_or("half_pixel") {
        "half_pixel" => ResizeCoordinates::HalfPixel,
        "half_pixel_symmetric" => ResizeCoordinates::HalfPixelSymmetric,
        "pytorch_half_pixel" => ResizeCoordinates::PytorchHalfPixel,
        "align_corners" => ResizeCoordinates::AlignCorners,
        "asymmetric" => ResizeCoordinates::Asymmetric,
        "tf_crop_and_resize" => ResizeCoordinates::CropAndResize,
        other => return Err(format!("coordinate_transformation_mode `{other}` is not supported")),
    };
    let aspect_ratio = match node.attributes.string("keep_aspect_ratio_policy")?.unwrap_or("stretch") {
        "stretch" => AspectRatio::Stretch,
        "not_larger" => AspectRatio::NotLarger,
        "not_smaller" => AspectRatio::NotSmaller,
        other => return Err(format!("keep_aspect_ratio_policy `{other}` is not supported")),
    };
    let antialias = node.attributes.flag("antialias", false)?;
    if antialias && matches!(mode, ResizeMode::Nearest(_)) {
        return Err("antialias with mode nearest is not supported".into());
    }
    Ok(Resize {
        mode,
        coordinates,
        aspect_ratio,
        axes: node.attributes.ints("axes")?.map(<[i64]>::to_vec),
        antialias,
        exclude_outside: node.attributes.flag("exclude_outside", false)?,
        extrapolation_value: node.attributes.float("extrapolation_value")?.unwrap_or(0.0),
    }
    .into())
}

/// Scales are an attribute before opset 9; positions are `x ÷ scale`, and the nearest element the one before.
pub(super) fn upsample(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let mode = match node.attributes.string("mode")?.unwrap_or("nearest") {
        "nearest" => ResizeMode::Nearest(NearestMode::Floor),
        "linear" | "bilinear" => ResizeMode::Linear,
        other => return Err(format!("mode `{other}` is not supported")),
    };
    if node.opset < 9 {
        let scales = node.attributes.floats("scales")?.ok_or("attribute `scales` is missing")?;
        node.add_input(1, "scales", Tensor::vector(scales.to_vec()))?;
    }
    if node.inputs.len() > 2 {
        return Err(format!("has {} inputs, at most 2 are supported", node.inputs.len()));
    }
    Ok(Resize { mode, coordinates: ResizeCoordinates::Asymmetric, ..Resize::default() }.into())
}
