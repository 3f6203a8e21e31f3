//! Opsets before 7: what differs from opset 7 in attributes that later ones dropped.

use super::NodeReader;
use crate::ops::Unsqueeze;
use crate::tensor::Tensor;

/// Reads the attributes that opset 7 does not have, and brings the node into the form of opset 7.
pub(super) fn adapt(op_type: &str, node: &mut NodeReader<'_>) -> Result<(), String> {
    if node.opset >= 7 {
        return Ok(());
    }
    // Which inputs may be overwritten: a hint.
    node.attributes.ints("consumed_inputs")?;
    match op_type {
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "And" | "Or" | "Xor" | "Equal" | "Less" | "Greater" => {
            let broadcast = node.attributes.flag("broadcast", false)?;
            match node.attributes.int("axis")? {
                Some(axis) if broadcast => align(node, axis),
                _ => Ok(()),
            }
        }
        // A slope for each channel.
        "PRelu" if node.inputs.get(1).is_some_and(|slope| slope.rank == Some(1)) => align(node, 1),
        "Gemm" => node.attributes.flag("broadcast", false).map(drop),
        "BatchNormalization" | "Dropout" if !node.attributes.flag("is_test", false)? => {
            Err("attribute `is_test` 0, training, is not supported".into())
        }
        _ => Ok(()),
    }
}

/// Gives input 1, whose axes are input 0's from `axis` on, axes of extent 1 behind them.
fn align(node: &mut NodeReader<'_>, axis: i64) -> Result<(), String> {
    let rank = |at: usize| node.inputs.get(at).and_then(|i| i.rank);
    let (Some(a), Some(b)) = (rank(0), rank(1)) else {
        let message = "attribute `axis` of broadcasting needs inputs of known rank: convert the model with onnx.version_converter";
        return Err(message.into());
    };
    let (a, b) = (a as i64, b as i64);
    let first = if axis < 0 { axis.saturating_add(a) } else { axis };
    if !(0..=a - b).contains(&first) {
        return Err(format!("attribute `axis` {axis} does not align {b} axes with {a}"));
    }
    let missing = a - b - first;
    if missing > 0 {
        node.prepended.push((1, Unsqueeze.into(), ("axes", Tensor::vector((b..b + missing).collect::<Vec<i64>>()))));
    }
    Ok(())
}
