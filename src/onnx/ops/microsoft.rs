//! The domain `com.microsoft`, opset 1: ONNX Runtime's operators on quantized tensors.

use super::{Build, MANY, NodeReader, Row, window};
use crate::ops::{Concat, Op, QLinear, QLinearFunction};

/// The domain's name.
pub(in crate::onnx) const DOMAIN: &str = "com.microsoft";

fn row(op_type: &str) -> Option<Row> {
    let (inputs, outputs, build): (_, _, Build) = match op_type {
        "QLinearAdd" => (7..=8, 1, |_| Ok(of(QLinearFunction::Add))),
        "QLinearAveragePool" => (4..=5, 1, average_pool),
        "QLinearConcat" => (3..=MANY, 1, concat),
        "QLinearGlobalAveragePool" => (4..=5, 1, global_average_pool),
        "QLinearLeakyRelu" => (4..=5, 1, leaky_relu),
        "QLinearMul" => (7..=8, 1, |_| Ok(of(QLinearFunction::Mul))),
        "QLinearSigmoid" => (4..=5, 1, |_| Ok(of(QLinearFunction::Sigmoid))),
        _ => return None,
    };
    Some(Row { inputs, outputs, build })
}

/// Reads a node of the domain as strictly as one of ONNX.
pub(in crate::onnx) fn read(op_type: &str, node: &mut NodeReader<'_>) -> Result<Op, String> {
    super::read_row(row(op_type), node, |_| Ok(()))
}

fn of(function: QLinearFunction) -> Op {
    QLinear { function }.into()
}

fn channels_first(node: &mut NodeReader<'_>) -> Result<(), String> {
    match node.attributes.flag("channels_last", false)? {
        true => Err("attribute `channels_last` 1 is not supported".into()),
        false => Ok(()),
    }
}

fn average_pool(node: &mut NodeReader<'_>) -> Result<Op, String> {
    channels_first(node)?;
    match window::average_pool(node)? {
        Op::AveragePool(pool) => Ok(of(QLinearFunction::AveragePool(pool))),
        other => Err(format!("{} has no quantized form", other.name())),
    }
}

fn global_average_pool(node: &mut NodeReader<'_>) -> Result<Op, String> {
    channels_first(node)?;
    Ok(of(QLinearFunction::GlobalAveragePool))
}

fn concat(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let axis = node.attributes.int("axis")?.ok_or("attribute `axis` is missing")?;
    if node.inputs.len() % 3 != 2 {
        return Err(format!("has {} inputs, expected scale and zero point of the output, then three for each operand", node.inputs.len()));
    }
    Ok(of(QLinearFunction::Concat(Concat { axis })))
}

fn leaky_relu(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let alpha = node.attributes.float("alpha")?.unwrap_or(0.01);
    Ok(of(QLinearFunction::LeakyRelu { alpha }))
}
