//! Normalizations, softmax, reductions, what orders and adds along an axis.

use super::NodeReader;
use crate::ops::{
    ArgReduce, BatchNormalization, CumSum, Dropout, GroupNormalization, Hardmax, Identity, InstanceNormalization, LayerNormalization,
    LocalResponseNormalization, LpNormalization, MeanVarianceNormalization, Op, Reduce, ReduceFunction, RmsNormalization, Softmax, TopK,
};
use crate::tensor::Tensor;

fn eps(node: &mut NodeReader<'_>) -> Result<f32, String> {
    Ok(node.attributes.float("epsilon")?.unwrap_or(1e-5))
}

/// `stash_type`, the type that statistics are computed in, is `f32` here.
fn stash_type(node: &mut NodeReader<'_>) -> Result<(), String> {
    match node.attributes.int("stash_type")?.unwrap_or(1) {
        1 => Ok(()),
        other => Err(format!("attribute `stash_type` {other} is not supported, only 1 (float)")),
    }
}

/// Before opset 14, naming the outputs of training asks for training.
pub(super) fn batch(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let eps = eps(node)?;
    let momentum = node.attributes.float("momentum")?.unwrap_or(0.9);
    if node.opset < 9 && !node.attributes.flag("spatial", true)? {
        return Err("attribute `spatial` 0 is not supported".into());
    }
    let training = node.opset >= 14 && node.attributes.flag("training_mode", false)?;
    match node.outputs.len() {
        2.. if node.opset < 14 => Err("the outputs of training are not supported before opset 14".into()),
        2.. if !training => Err("has the outputs of training, and `training_mode` is 0".into()),
        4.. => Err(format!("has {} outputs, at most 3 are supported", node.outputs.len())),
        _ => Ok(BatchNormalization { eps, momentum, training }.into()),
    }
}

pub(super) fn instance(node: &mut NodeReader<'_>) -> Result<Op, String> {
    Ok(InstanceNormalization { eps: eps(node)? }.into())
}

pub(super) fn group(node: &mut NodeReader<'_>) -> Result<Op, String> {
    stash_type(node)?;
    let groups = node.attributes.count("num_groups")?.ok_or("attribute `num_groups` is missing")?;
    Ok(GroupNormalization { groups, eps: eps(node)? }.into())
}

pub(super) fn layer(node: &mut NodeReader<'_>) -> Result<Op, String> {
    stash_type(node)?;
    let axis = node.attributes.int("axis")?.unwrap_or(-1);
    Ok(LayerNormalization { axis, eps: eps(node)? }.into())
}

pub(super) fn rms(node: &mut NodeReader<'_>) -> Result<Op, String> {
    stash_type(node)?;
    let axis = node.attributes.int("axis")?.unwrap_or(-1);
    Ok(RmsNormalization { axis, eps: eps(node)? }.into())
}

pub(super) fn lrn(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let mut float = |name, default| Ok::<_, String>(node.attributes.float(name)?.unwrap_or(default));
    let (alpha, beta, bias) = (float("alpha", 1e-4)?, float("beta", 0.75)?, float("bias", 1.0)?);
    let size = node.attributes.count("size")?.ok_or("attribute `size` is missing")?;
    Ok(LocalResponseNormalization { alpha, beta, bias, size }.into())
}

pub(super) fn lp(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let axis = node.attributes.int("axis")?.unwrap_or(-1);
    match node.attributes.int("p")?.unwrap_or(2) {
        p @ 1..=2 => Ok(LpNormalization { axis, l1: p == 1 }.into()),
        other => Err(format!("attribute `p` must be 1 or 2, got {other}")),
    }
}

/// Before opset 9 there is no such operator; all forms since then have `axes`.
pub(super) fn mean_variance(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let axes = node.attributes.ints("axes")?.map_or_else(|| vec![0, 2, 3], <[i64]>::to_vec);
    Ok(MeanVarianceNormalization { axes }.into())
}

/// Before opset 13 the input is a matrix, its columns the axes from `axis` on.
pub(super) fn softmax(node: &mut NodeReader<'_>, log: bool) -> Result<Op, String> {
    let flatten = node.opset < 13;
    let axis = node.attributes.int("axis")?.unwrap_or(if flatten { 1 } else { -1 });
    Ok(Softmax { axis, log, flatten }.into())
}

/// Axes are an attribute before opset `until`; there an empty list means all axes.
pub(super) fn reduce(node: &mut NodeReader<'_>, function: ReduceFunction, until: i64) -> Result<Op, String> {
    let keep_dims = node.attributes.flag("keepdims", true)?;
    let noop_with_empty_axes = node.opset >= until && node.attributes.flag("noop_with_empty_axes", false)?;
    node.add_integers(1, "axes", until)?;
    Ok(Reduce { function, keep_dims, noop_with_empty_axes }.into())
}

/// As [`softmax`], before opset 13 of a matrix.
pub(super) fn hardmax(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let flatten = node.opset < 13;
    let axis = node.attributes.int("axis")?.unwrap_or(if flatten { 1 } else { -1 });
    Ok(Hardmax { axis, flatten }.into())
}

pub(super) fn arg_reduce(node: &mut NodeReader<'_>, largest: bool) -> Result<Op, String> {
    let axis = node.attributes.int("axis")?.unwrap_or(0);
    let keep_dims = node.attributes.flag("keepdims", true)?;
    let select_last_index = node.opset >= 12 && node.attributes.flag("select_last_index", false)?;
    Ok(ArgReduce { largest, axis, keep_dims, select_last_index }.into())
}

pub(super) fn cumsum(node: &mut NodeReader<'_>) -> Result<Op, String> {
    Ok(CumSum { exclusive: node.attributes.flag("exclusive", false)?, reverse: node.attributes.flag("reverse", false)? }.into())
}

/// Before opset 10 `k` is an attribute, and before opset 11 the largest are wanted. Any order is right where none is asked for.
pub(super) fn top_k(node: &mut NodeReader<'_>) -> Result<Op, String> {
    if node.opset < 10 {
        let k = node.attributes.int("k")?.ok_or("attribute `k` is missing")?;
        node.add_input(1, "K", Tensor::vector(vec![k]))?;
    }
    node.attributes.flag("sorted", true)?;
    Ok(TopK { axis: node.attributes.int("axis")?.unwrap_or(-1), largest: node.attributes.flag("largest", true)? }.into())
}

/// Where training is known to be off, and nothing reads the mask, the input itself.
pub(super) fn dropout(node: &mut NodeReader<'_>) -> Result<Op, String> {
    if node.opset < 12 {
        node.attributes.float("ratio")?;
    } else {
        node.attributes.int("seed")?;
    }
    let training = node.inputs.get(2).filter(|i| i.given);
    let off = training.is_none_or(|t| t.constant.as_ref().and_then(|c| c.data::<bool>()).is_some_and(|v| v == [false]));
    if off {
        node.kept_inputs = 1;
    }
    if !off || node.outputs.get(1) == Some(&true) {
        return Ok(Dropout { typed_mask: node.opset < 10 }.into());
    }
    node.kept_outputs = 1;
    Ok(Identity.into())
}
