//! Losses.

use super::NodeReader;
use crate::ops::{LossReduction, NegativeLogLikelihoodLoss, Op, SoftmaxCrossEntropyLoss};

/// The attributes of both losses.
fn attributes(node: &mut NodeReader<'_>) -> Result<(LossReduction, Option<i64>), String> {
    let reduction = match node.attributes.string("reduction")?.unwrap_or("mean") {
        "none" => LossReduction::None,
        "mean" => LossReduction::Mean,
        "sum" => LossReduction::Sum,
        other => return Err(format!("attribute `reduction` must be none, mean or sum, got {other}")),
    };
    Ok((reduction, node.attributes.int("ignore_index")?))
}

pub(super) fn negative_log_likelihood(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let (reduction, ignore_index) = attributes(node)?;
    Ok(NegativeLogLikelihoodLoss { reduction, ignore_index }.into())
}

pub(super) fn softmax_cross_entropy(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let (reduction, ignore_index) = attributes(node)?;
    Ok(SoftmaxCrossEntropyLoss { reduction, ignore_index }.into())
}
