//! Which constants are parameters, and whose.

use std::collections::{HashMap, HashSet};

use crate::graph::{Graph, ValueId};
use crate::ops::Op;
use crate::tensor::{DType, Tensor};

/// A weight and its number of elements.
type Weight = (ValueId, usize);

/// The weights of each node of a network: `M · (K₁ · K₂ · N + 1)` elements for a convolution with bias.
///
/// What is computed from constants alone, such as weights that are stored as integers, belongs to the node that reads the result.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    by_node: HashMap<String, Vec<Weight>>,
}

impl Parameters {
    /// Of a network as its file has it.
    pub fn of(file: &Graph) -> Self {
        let mut by_node: HashMap<String, Vec<Weight>> = HashMap::new();
        // The weights behind values that follow from constants.
        let mut behind: HashMap<ValueId, Vec<Weight>> = HashMap::new();
        for node in file.nodes() {
            let mut weights = vec![];
            let mut constant = !node.inputs.is_empty();
            for (input, id) in node.inputs.iter().enumerate() {
                let Some(id) = id else { continue };
                match (&file.value(*id).constant, behind.get(id)) {
                    (Some(tensor), _) if is_parameter(&node.op, input, tensor) => weights.push((*id, tensor.len())),
                    (Some(_), _) => {}
                    (None, Some(inner)) => weights.extend(inner),
                    (None, None) => constant = false,
                }
            }
            if constant {
                behind.extend(node.outputs.iter().flatten().map(|id| (*id, weights.clone())));
            } else {
                by_node.entry(node.name.clone()).or_default().extend(weights);
            }
        }
        Self { by_node }
    }

    /// What a node of the file reads.
    pub fn of_node(&self, name: &str) -> &[Weight] {
        self.by_node.get(name).map_or(&[], Vec::as_slice)
    }

    /// The elements of all weights, each once.
    pub fn total(&self) -> usize {
        distinct(&self.by_node.values().flatten().copied().collect::<Vec<_>>())
    }
}

/// The elements of weights, each once.
pub(super) fn distinct(weights: &[Weight]) -> usize {
    weights.iter().collect::<HashSet<_>>().into_iter().map(|(_, elements)| elements).sum()
}

fn is_parameter(op: &Op, input: usize, tensor: &Tensor) -> bool {
    let weight = match op {
        // A running mean and variance are statistics.
        Op::BatchNormalization(_) => matches!(input, 1 | 2),
        Op::QLinearConv(_) => matches!(input, 3 | 8),
        Op::QLinearMatMul(_) | Op::QLinear(_) => matches!(input, 0 | 3),
        Op::ConvInteger(_) | Op::MatMulInteger(_) => input < 2,
        Op::Clip(_)
        | Op::DequantizeLinear(_)
        | Op::Expand(_)
        | Op::Gather(_)
        | Op::Pad(_)
        | Op::QuantizeLinear(_)
        | Op::Reshape(_)
        | Op::Resize(_)
        | Op::Slice(_)
        | Op::Tile(_) => input == 0,
        _ => true,
    };
    let stored_as_integers = matches!(op, Op::DequantizeLinear(_) | Op::QLinearConv(_));
    let number = tensor.dtype().is_float() || matches!(tensor.dtype(), DType::I8 | DType::U8) || stored_as_integers;
    // One number beside a whole tensor is an exponent, a bound or a factor.
    let alone =
        tensor.shape().rank() == 0 || tensor.len() == 1 && matches!(op, Op::Binary(_) | Op::Comparison(_) | Op::Unary(_) | Op::Where(_));
    weight && number && !alone
}
