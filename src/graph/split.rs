//! Cutting a network in two where its shapes depend on what it computes.

use std::collections::HashSet;
use std::ops::Range;

use super::{Graph, NodeId, ValueId};

/// A network as two: the first computes what the shapes of the second depend on.
#[derive(Debug)]
pub(crate) struct Split {
    /// All that the value needs, and nothing else. Its outputs are what [`Split::second`] reads of it.
    pub first: Graph,
    /// Positions in the network's inputs of those of `first`.
    pub first_inputs: Vec<usize>,
    /// The rest; its outputs are the network's.
    pub second: Graph,
    /// Where the inputs of `second` come from.
    pub second_inputs: Vec<Source>,
}

/// Where an input of the second part comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// An input of the network.
    Input(usize),
    /// An output of the first part.
    First(usize),
}

impl Graph {
    /// A network of this node alone, of a specialised graph; what it reads and is not constant are the inputs. Value ids stay the same.
    pub(crate) fn alone(&self, node: NodeId) -> Graph {
        let node = self.node(node);
        let mut inputs: Vec<ValueId> = vec![];
        for id in node.inputs.iter().flatten() {
            if self.value(*id).constant.is_none() && !inputs.contains(id) {
                inputs.push(*id);
            }
        }
        let outputs = node.outputs.iter().flatten().copied().collect();
        Graph { nodes: vec![node.clone()], inputs, outputs, ..self.clone() }
    }

    /// A network of these nodes, of a specialised graph: what they read and do not compute are the inputs, what is read behind them or is an
    /// output of the whole are the outputs. Value ids stay the same.
    pub(crate) fn part(&self, nodes: Range<usize>) -> Graph {
        let inside = &self.nodes[nodes.clone()];
        let computed: HashSet<ValueId> = inside.iter().flat_map(|n| n.outputs.iter().flatten()).copied().collect();
        let mut inputs: Vec<ValueId> = vec![];
        for id in inside.iter().flat_map(|n| n.inputs.iter().flatten()) {
            if self.value(*id).constant.is_none() && !computed.contains(id) && !inputs.contains(id) {
                inputs.push(*id);
            }
        }
        let behind = self.nodes[nodes.end..].iter().flat_map(|n| n.inputs.iter().flatten()).chain(&self.outputs);
        let read: HashSet<ValueId> = behind.copied().collect();
        let outputs = inside.iter().flat_map(|n| n.outputs.iter().flatten()).copied().filter(|id| read.contains(id)).collect();
        Graph { nodes: inside.to_vec(), inputs, outputs, ..self.clone() }
    }

    /// This network cut behind the nodes that `value`, a node's output, is computed by. Value ids stay the same.
    pub(crate) fn split_at(&self, value: ValueId) -> Split {
        let mut needed = vec![false; self.values.len()];
        needed[value.index()] = true;
        let mut in_first = vec![false; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate().rev() {
            in_first[at] = node.outputs.iter().flatten().any(|id| needed[id.index()]);
            if in_first[at] {
                node.inputs.iter().flatten().for_each(|id| needed[id.index()] = true);
            }
        }
        let part = |wanted: bool| self.nodes.iter().zip(&in_first).filter(move |(_, first)| **first == wanted).map(|(node, _)| node);
        let mut read_later = vec![false; self.values.len()];
        read_later[value.index()] = true;
        part(false).flat_map(|n| n.inputs.iter().flatten()).chain(&self.outputs).for_each(|id| read_later[id.index()] = true);
        let crossing: Vec<ValueId> =
            part(true).flat_map(|n| n.outputs.iter().flatten()).copied().filter(|id| read_later[id.index()]).collect();

        let inputs = |read: &dyn Fn(ValueId) -> bool| (0..self.inputs.len()).filter(|&at| read(self.inputs[at])).collect::<Vec<_>>();
        let first_reads: Vec<ValueId> = part(true).flat_map(|n| n.inputs.iter().flatten()).copied().collect();
        let first_inputs = inputs(&|id| first_reads.contains(&id));
        let of_network = inputs(&|id| read_later[id.index()]);
        let first = Graph {
            nodes: part(true).cloned().collect(),
            inputs: first_inputs.iter().map(|&at| self.inputs[at]).collect(),
            outputs: crossing.clone(),
            ..self.clone()
        };
        let mut second = Graph {
            nodes: part(false).cloned().collect(),
            inputs: of_network.iter().map(|&at| self.inputs[at]).chain(crossing.iter().copied()).collect(),
            ..self.clone()
        };
        for id in &crossing {
            let value = &mut second.values[id.index()];
            (value.ty, value.dims) = (None, None);
        }
        let second_inputs = of_network.into_iter().map(Source::Input).chain((0..crossing.len()).map(Source::First)).collect();
        Split { first, first_inputs, second, second_inputs }
    }
}
