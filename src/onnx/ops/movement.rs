//! Shapes, data movement, constants.

use super::super::tensor::{TensorProblem, dtype};
use super::NodeReader;
use crate::ops::{
    CenterCropPad, Compress, Concat, ConstantOfShape, DepthOrder, DepthToSpace, EyeLike, Flatten, Gather, GatherElements, GatherNd, OneHot,
    Op, Pad, PadMode, Reshape, ReverseSequence, ScatterElements, ScatterNd, ScatterReduction, ShapeOf, Slice, SpaceToDepth, Split, Squeeze,
    TensorScatter, Transpose, Trilu, Unique, Unsqueeze,
};
use crate::tensor::Tensor;

pub(super) fn center_crop_pad(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let axes = node.attributes.ints("axes")?.map(<[i64]>::to_vec);
    Ok(CenterCropPad { axes }.into())
}

pub(super) fn compress(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let axis = node.attributes.int("axis")?;
    Ok(Compress { axis }.into())
}

pub(super) fn concat(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let axis = node.attributes.int("axis")?.ok_or("attribute `axis` is missing")?;
    Ok(Concat { axis }.into())
}

pub(super) fn constant_of_shape(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let value = match node.attributes.tensor("value")? {
        Some(proto) => node.reader.read(proto).map_err(TensorProblem::into_message)?,
        None => Tensor::vector(vec![0f32]),
    };
    if value.len() != 1 {
        return Err(format!("attribute `value` must have one element, got {value:?}"));
    }
    Ok(ConstantOfShape { value }.into())
}

/// An operator of opset 1 that models still carry: a slice of rows and columns.
pub(super) fn crop(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let border = node.attributes.ints("border")?.ok_or("attribute `border` is missing")?;
    let &[left, top, right, bottom] = border else { return Err(format!("attribute `border` must be four numbers, got {border:?}")) };
    if border.iter().any(|&width| width < 0) {
        return Err(format!("attribute `border` must not be negative, got {border:?}"));
    }
    let ends = match node.attributes.ints("scale")? {
        None => [bottom, right].map(|width| if width == 0 { i64::MAX } else { -width }),
        Some(&[height, width]) if height >= 0 && width >= 0 => [top.saturating_add(height), left.saturating_add(width)],
        Some(scale) => return Err(format!("attribute `scale` must be a height and a width, got {scale:?}")),
    };
    node.add_input(1, "starts", Tensor::vector(vec![top, left]))?;
    node.add_input(2, "ends", Tensor::vector(ends.to_vec()))?;
    node.add_input(3, "axes", Tensor::vector(vec![2i64, 3]))?;
    Ok(Slice.into())
}

fn block_size(node: &mut NodeReader<'_>) -> Result<usize, String> {
    node.attributes.count("blocksize")?.ok_or_else(|| "attribute `blocksize` is missing".into())
}

pub(super) fn depth_to_space(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let mode = match node.attributes.string("mode")?.unwrap_or("DCR") {
        "DCR" => DepthOrder::DepthColumnRow,
        "CRD" => DepthOrder::ColumnRowDepth,
        other => return Err(format!("mode `{other}` is not supported")),
    };
    Ok(DepthToSpace { block_size: block_size(node)?, mode }.into())
}

pub(super) fn eye_like(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let diagonal = node.attributes.int("k")?.unwrap_or(0);
    let number = node.attributes.int("dtype")?;
    let number = number.map(|n| i32::try_from(n).map_err(|_| format!("element type number {n} is not supported"))).transpose()?;
    Ok(EyeLike { dtype: number.map(dtype).transpose()?, diagonal }.into())
}

pub(super) fn flatten(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let axis = node.attributes.int("axis")?.unwrap_or(1);
    Ok(Flatten { axis }.into())
}

pub(super) fn gather(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let axis = node.attributes.int("axis")?.unwrap_or(0);
    Ok(Gather { axis }.into())
}

pub(super) fn gather_elements(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let axis = node.attributes.int("axis")?.unwrap_or(0);
    Ok(GatherElements { axis }.into())
}

pub(super) fn gather_nd(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let batch_dims = node.attributes.int("batch_dims")?.unwrap_or(0);
    let batch_dims = usize::try_from(batch_dims).map_err(|_| format!("attribute `batch_dims` must not be negative, got {batch_dims}"))?;
    Ok(GatherNd { batch_dims }.into())
}

pub(super) fn one_hot(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let axis = node.attributes.int("axis")?.unwrap_or(-1);
    Ok(OneHot { axis }.into())
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

pub(super) fn reverse_sequence(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let (batch, time) = (node.attributes.int("batch_axis")?.unwrap_or(1), node.attributes.int("time_axis")?.unwrap_or(0));
    match (batch, time) {
        (0, 1) | (1, 0) => Ok(ReverseSequence { batch_first: batch == 0 }.into()),
        _ => Err(format!("attributes `batch_axis` {batch} and `time_axis` {time} must be 0 and 1")),
    }
}

fn reduction(node: &mut NodeReader<'_>) -> Result<ScatterReduction, String> {
    match node.attributes.string("reduction")?.unwrap_or("none") {
        "none" => Ok(ScatterReduction::None),
        "add" => Ok(ScatterReduction::Add),
        "mul" => Ok(ScatterReduction::Mul),
        "min" => Ok(ScatterReduction::Min),
        "max" => Ok(ScatterReduction::Max),
        other => Err(format!("reduction `{other}` is not supported")),
    }
}

pub(super) fn scatter_elements(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let axis = node.attributes.int("axis")?.unwrap_or(0);
    Ok(ScatterElements { axis, reduction: reduction(node)? }.into())
}

pub(super) fn scatter_nd(node: &mut NodeReader<'_>) -> Result<Op, String> {
    Ok(ScatterNd { reduction: reduction(node)? }.into())
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

pub(super) fn space_to_depth(node: &mut NodeReader<'_>) -> Result<Op, String> {
    Ok(SpaceToDepth { block_size: block_size(node)? }.into())
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

pub(super) fn tensor_scatter(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let axis = node.attributes.int("axis")?.unwrap_or(-2);
    let circular = match node.attributes.string("mode")?.unwrap_or("linear") {
        "linear" => false,
        "circular" => true,
        other => return Err(format!("mode `{other}` is not supported")),
    };
    Ok(TensorScatter { axis, circular }.into())
}

pub(super) fn transpose(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let permutation = node.attributes.extents("perm")?.unwrap_or_default();
    Ok(Transpose { permutation }.into())
}

pub(super) fn trilu(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let upper = node.attributes.flag("upper", true)?;
    Ok(Trilu { upper }.into())
}

pub(super) fn unique(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let axis = node.attributes.int("axis")?;
    let sorted = node.attributes.flag("sorted", true)?;
    Ok(Unique { axis, sorted }.into())
}

pub(super) fn unsqueeze(node: &mut NodeReader<'_>) -> Result<Op, String> {
    node.add_integers(1, "axes", 13)?;
    Ok(Unsqueeze.into())
}
