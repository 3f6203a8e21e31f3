//! Operators that run as a network of simpler ones: what they are built with.

use super::{Graph, Node, TensorType, Value, ValueId};
use crate::error::Result;
use crate::ops::{Identity, Op};
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// The nodes that stand for one node of the network, built one by one in execution order; every shape is known.
#[derive(Debug)]
pub struct Parts<'a> {
    graph: &'a mut Graph,
    node: &'a Node,
    built: Vec<Node>,
}

impl Parts<'_> {
    /// The node's input at `index`, if it is given.
    pub fn input(&self, index: usize) -> Option<ValueId> {
        self.node.inputs.get(index).copied().flatten()
    }

    /// How many inputs the node lists, those left out included.
    pub fn inputs(&self) -> usize {
        self.node.inputs.len()
    }

    /// How many outputs the node declares.
    pub fn outputs(&self) -> usize {
        self.node.outputs.len()
    }

    /// The shape of an input or of a part's output.
    pub fn shape(&self, value: ValueId) -> Shape {
        self.graph.tensor_type(value).shape
    }

    /// The element type of an input or of a part's output.
    pub fn dtype(&self, value: ValueId) -> DType {
        self.graph.tensor_type(value).dtype
    }

    /// The elements of a value that is known already.
    pub fn constant_value(&self, value: ValueId) -> Option<&Tensor> {
        self.graph.value(value).constant.as_ref()
    }

    /// Adds a constant.
    pub fn constant(&mut self, name: &str, tensor: Tensor) -> ValueId {
        self.graph.add_constant(format!("{}/{name}", self.node.name), tensor)
    }

    /// Adds a node with one output.
    ///
    /// # Errors
    /// [`Error::Node`](crate::Error::Node) where the operator rejects its inputs.
    pub fn node(&mut self, name: &str, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId> {
        let inputs: Vec<_> = inputs.iter().copied().map(Some).collect();
        Ok(self.nodes(name, op, &inputs, 1)?[0])
    }

    /// Adds a node with `outputs` outputs, and inputs of which optional ones may be left out.
    ///
    /// # Errors
    /// As [`Parts::node`].
    pub fn nodes(&mut self, name: &str, op: impl Into<Op>, inputs: &[Option<ValueId>], outputs: usize) -> Result<Vec<ValueId>> {
        let name = format!("{}/{name}", self.node.name);
        let value = |index| if index == 0 { name.clone() } else { format!("{name}.{index}") };
        let ids: Vec<_> = (0..outputs).map(|i| self.graph.add_value(Value { name: value(i), ..Value::default() })).collect();
        let outputs = ids.iter().copied().map(Some).collect();
        let node = Node { name, op: op.into(), inputs: inputs.to_vec(), outputs, origins: self.node.origins.clone() };
        self.graph.place(node, &mut self.built)?;
        Ok(ids)
    }
}

impl Graph {
    /// Types, folds or decomposes a node whose inputs are all typed; what has to run is added to `kept`.
    pub(crate) fn place(&mut self, mut node: Node, kept: &mut Vec<Node>) -> Result<()> {
        let types = loop {
            let error = match self.infer_node(&node, &self.operands(&node)) {
                Ok(types) => break types,
                Err(error) => error,
            };
            let (input, value) = error.needs_value(&node).filter(|(_, id)| self.value(*id).known.is_some()).ok_or(error)?;
            let Value { name, known, .. } = self.value(value).clone();
            node.inputs[input] = known.map(|tensor| self.add_constant(name, tensor));
        };
        let operands = self.operands(&node);
        if let Some(folded) = self.fold_operands(&node, &operands, &types)? {
            self.set_constants(&node, folded);
            return Ok(());
        }
        for (id, ty) in node.outputs.iter().zip(&types) {
            if let Some(id) = id {
                self.values[id.index()].ty = Some(ty.clone());
            }
        }
        let mut parts = Parts { graph: self, node: &node, built: vec![] };
        let outputs = node.op.operator().decompose(&mut parts)?;
        let mut built = parts.built;
        match outputs {
            None => kept.push(node),
            Some(outputs) => {
                self.bind_parts(&node, &outputs, &types, &mut built);
                kept.append(&mut built);
            }
        }
        Ok(())
    }

    /// Has the parts write the outputs of the node that they stand for.
    fn bind_parts(&mut self, node: &Node, made: &[ValueId], types: &[TensorType], built: &mut Vec<Node>) {
        for ((output, made), ty) in node.outputs.iter().zip(made).zip(types) {
            let Some(output) = output else { continue };
            debug_assert_eq!(self.value(*made).ty.as_ref(), Some(ty), "the parts of `{}` ({})", node.name, node.op.name());
            if let Some(constant) = self.value(*made).constant.clone() {
                self.values[output.index()].constant = Some(constant);
            } else if let Some(writer) = built.iter_mut().flat_map(|n| &mut n.outputs).find(|id| **id == Some(*made)) {
                *writer = Some(*output);
                built.iter_mut().flat_map(|n| &mut n.inputs).filter(|id| **id == Some(*made)).for_each(|id| *id = Some(*output));
            } else {
                let name = format!("{}/output", node.name);
                let (inputs, outputs) = (vec![Some(*made)], vec![Some(*output)]);
                built.push(Node { name, op: Identity.into(), inputs, outputs, origins: node.origins.clone() });
            }
        }
    }
}
