//! Normalizations, softmax, reductions.

use super::NodeReader;
use crate::ops::{BatchNormalization, GroupNormalization, InstanceNormalization, LayerNormalization, Op, Reduce, ReduceFunction, Softmax};

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
