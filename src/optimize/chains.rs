//! What passes that fuse chains of nodes have in common: the one reader of a value, and that reader as a step.

use super::pattern::Index;
use crate::graph::{Graph, Node, ValueId};
use crate::ops::{Op, Step};
use crate::shape::Shape;
use crate::tensor::DType;

/// A graph whose nodes are merged into chains.
pub(super) struct Chains<'a> {
    graph: &'a mut Graph,
    index: Index,
    merged: Vec<bool>,
}

/// Nodes that become one, from the first to the last.
pub(super) struct Chain {
    /// Their positions.
    pub nodes: Vec<usize>,
    /// What is done to each element; operands are numbered as in `inputs`.
    pub steps: Vec<Step>,
    /// The inputs of the node that they become.
    pub inputs: Vec<Option<ValueId>>,
    /// The value that the last of them writes.
    pub output: ValueId,
}

impl<'a> Chains<'a> {
    pub fn new(graph: &'a mut Graph) -> Self {
        let index = Index::new(graph);
        let merged = vec![false; graph.nodes.len()];
        Self { graph, index, merged }
    }

    pub fn graph(&self) -> &Graph {
        self.graph
    }

    /// The nodes that belong to no chain yet.
    pub fn is_free(&self, at: usize) -> bool {
        !self.merged[at]
    }

    pub fn shape(&self, id: ValueId) -> Shape {
        self.graph.tensor_type(id).shape
    }

    /// The node at `at` as a step on `v`, one of its inputs, with its other input at `operand` of the chain's inputs.
    pub fn step(&self, at: usize, v: ValueId, operand: usize) -> Option<(Step, Option<ValueId>)> {
        let node = &self.graph.nodes[at];
        let output = node.outputs.first().copied().flatten()?;
        let ty = self.graph.tensor_type(output);
        if !matches!(ty.dtype, DType::F32 | DType::F16) || ty != self.graph.tensor_type(v) {
            return None;
        }
        match (&node.op, &node.inputs[..]) {
            (Op::Unary(op), _) => Some((Step::Unary(*op), None)),
            (Op::Clip(_), inputs) => {
                let bound = |index: usize, missing: f32| match inputs.get(index).copied().flatten() {
                    None => Some(missing),
                    Some(id) => Some(*self.graph.value(id).constant.as_ref()?.to_f64().first()? as f32),
                };
                let step = Step::Clip { min: bound(1, f32::NEG_INFINITY)?, max: bound(2, f32::INFINITY)? };
                (inputs[0] == Some(v)).then_some((step, None))
            }
            (Op::Binary(op), [Some(a), Some(b)]) if op.combination().is_some() => {
                let (other, swapped) = if *a == v { (*b, false) } else { (*a, true) };
                (self.graph.tensor_type(other).dtype == ty.dtype).then_some((Step::Binary { op: *op, operand, swapped }, Some(other)))
            }
            (Op::PRelu(_), [Some(x), Some(slope)]) if *x == v => Some((Step::PRelu { slope: operand }, Some(*slope))),
            _ => None,
        }
    }

    /// Goes on with the nodes that read what the chain ends in and nobody else reads, while what they become `fits`.
    pub fn extend(&self, chain: &mut Chain, fits: impl Fn(&[Step], &[Option<ValueId>]) -> bool) {
        while let Some(at) = self.index.only_reader(chain.output).filter(|at| self.is_free(*at)) {
            let Some((step, operand)) = self.step(at, chain.output, chain.inputs.len()) else { return };
            let (steps, inputs) = (chain.steps.len(), chain.inputs.len());
            chain.steps.push(step);
            chain.inputs.extend(operand.map(Some));
            if !fits(&chain.steps, &chain.inputs) {
                chain.steps.truncate(steps);
                chain.inputs.truncate(inputs);
                return;
            }
            chain.nodes.push(at);
            chain.output = self.graph.nodes[at].outputs[0].expect("a step has an output");
        }
    }

    /// Puts `op` in place of a chain, where its last node was, which is after all that it reads.
    pub fn merge(&mut self, chain: Chain, op: impl Into<Op>) {
        let nodes = &self.graph.nodes;
        let origins = chain.nodes.iter().flat_map(|&at| nodes[at].origins.clone()).collect();
        let name = nodes[chain.nodes[0]].name.clone();
        chain.nodes.iter().for_each(|&at| self.merged[at] = true);
        let last = *chain.nodes.last().expect("chains have nodes");
        self.graph.nodes[last] = Node { name, op: op.into(), inputs: chain.inputs, outputs: vec![Some(chain.output)], origins };
    }
}
