//! Activations that exporters write as several nodes, as the operator that they are.

mod forms;

use super::known::Known;
use super::pattern::{Cursor, Index};
use crate::error::Result;
use crate::graph::{Graph, ValueId};
use crate::ops::{Op, Unary};
use crate::tensor::DType;

pub(super) fn run(graph: &mut Graph) -> Result<usize> {
    let (known, mut index) = (Known::new(graph), Index::new(graph));
    let mut changes = 0;
    for at in 0..graph.nodes.len() {
        let Some((x, function)) = recognized(graph, &index, &known, at) else { continue };
        let Some(nodes) = index.between(graph, at, &[x]).filter(|nodes| keep_shape(graph, nodes, known.rank(x))) else { continue };
        changes += nodes.len();
        index.replace(graph, &nodes, function.into(), vec![Some(x)]);
    }
    Ok(changes)
}

/// What node `at` is a function of, and which, where it is the last of several nodes or of another operator.
fn recognized(graph: &Graph, index: &Index, known: &Known, at: usize) -> Option<(ValueId, Unary)> {
    let [Some(output)] = graph.nodes[at].outputs[..] else { return None };
    let root = Cursor::new(graph, index, output);
    let dtype = known.dtype(output).filter(|dtype| dtype.is_float()).unwrap_or(DType::F32);
    let (x, function) = forms::of(root, dtype)?;
    // Attributes are f32: numbers of f64 that are not would change.
    let double = known.dtype(output) == Some(DType::F64) || known.dtype(x.id) == Some(DType::F64);
    (graph.nodes[at].op != Op::Unary(function) && !(double && has_numbers(function))).then_some((x.id, function))
}

/// Whether a function has attributes that come from the file's constants.
fn has_numbers(function: Unary) -> bool {
    match function {
        Unary::Swish { alpha } => alpha != 1.0,
        Unary::LeakyRelu { .. } | Unary::HardSigmoid { .. } => true,
        _ => false,
    }
}

/// Whether the numbers among the inputs of `nodes` have no more axes than `rank`, so that they broadcast to what they are beside.
fn keep_shape(graph: &Graph, nodes: &[usize], rank: Option<usize>) -> bool {
    let inputs =
        nodes.iter().filter(|&&at| !matches!(graph.nodes[at].op, Op::Clip(_))).flat_map(|&at| graph.nodes[at].inputs.iter().flatten());
    inputs.filter_map(|id| graph.value(*id).constant.as_ref()).all(|number| number.shape().rank() <= rank.unwrap_or(0))
}

#[cfg(test)]
mod tests;
