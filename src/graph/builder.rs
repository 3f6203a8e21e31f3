//! Networks written in Rust.

use super::{Dim, Graph, Node, TensorType, Value, ValueId};
use crate::error::{Error, Result};
use crate::ops::Op;
use crate::tensor::{DType, Tensor};

/// Builds a [`Graph`] node by node, each one checked where the shapes of its inputs are known as numbers.
///
/// ```
/// use macula::{DType, GraphBuilder, Tensor, ops};
/// # fn main() -> Result<(), macula::Error> {
/// let mut b = GraphBuilder::new("edges");
/// let image = b.input("image", DType::F32, [1, 1, 5, 7]);
/// let sobel = b.constant("sobel", Tensor::new([1, 1, 3, 3], vec![1f32, 0., -1., 2., 0., -2., 1., 0., -1.])?);
/// let edges = b.node("edges", ops::Conv::default(), &[image, sobel])?;
/// b.output("edges", edges);
/// let graph = b.finish()?;
/// # assert_eq!(graph.nodes().len(), 1);
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct GraphBuilder {
    graph: Graph,
}

impl GraphBuilder {
    /// An empty network.
    pub fn new(name: impl Into<String>) -> Self {
        Self { graph: Graph { name: name.into(), ..Graph::default() } }
    }

    /// Adds an input. Extents are numbers, or names that stand for any number: `["N".into(), 3.into(), …]`.
    pub fn input<D: Into<Dim>>(&mut self, name: impl Into<String>, dtype: DType, dims: impl IntoIterator<Item = D>) -> ValueId {
        let dims: Vec<Dim> = dims.into_iter().map(Into::into).collect();
        let fixed: Option<Vec<usize>> = dims.iter().map(|d| if let Dim::Fixed(n) = d { Some(*n) } else { None }).collect();
        let ty = fixed.map(|shape| TensorType::new(dtype, shape));
        let id = self.graph.add_value(Value { name: name.into(), dtype: Some(dtype), dims: Some(dims), ty, ..Value::default() });
        self.graph.inputs.push(id);
        id
    }

    /// Adds a constant: a weight, a bias, an axis list.
    pub fn constant(&mut self, name: impl Into<String>, tensor: Tensor) -> ValueId {
        self.graph.add_constant(name, tensor)
    }

    /// Adds a node with one output, named as the node is.
    ///
    /// # Errors
    /// [`Error::Node`] where the operator rejects its inputs.
    pub fn node(&mut self, name: impl Into<String>, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId> {
        let inputs: Vec<_> = inputs.iter().copied().map(Some).collect();
        Ok(self.nodes(name, op, &inputs, 1)?[0])
    }

    /// Adds a node with `outputs` outputs, and inputs of which optional ones may be left out.
    ///
    /// The first output is named as the node is, the others `name.1`, `name.2`, …
    ///
    /// # Errors
    /// [`Error::Node`] where the operator rejects its inputs.
    pub fn nodes(
        &mut self,
        name: impl Into<String>,
        op: impl Into<Op>,
        inputs: &[Option<ValueId>],
        outputs: usize,
    ) -> Result<Vec<ValueId>> {
        let name = name.into();
        let mut node = Node { origins: vec![name.clone()], name, op: op.into(), inputs: inputs.to_vec(), outputs: vec![None; outputs] };
        let typed = node.inputs.iter().flatten().all(|id| self.graph.value(*id).ty.is_some());
        let types = match typed.then(|| self.graph.infer_node(&node, &self.graph.operands(&node))) {
            Some(Ok(types)) => types.into_iter().map(Some).collect(),
            Some(Err(Error::Node { source: crate::error::OpError::NeedsValue { .. }, .. })) | None => vec![None; outputs],
            Some(Err(error)) => return Err(error),
        };
        let mut ids = Vec::with_capacity(outputs);
        for (index, ty) in types.into_iter().take(outputs).enumerate() {
            let name = if index == 0 { node.name.clone() } else { format!("{}.{index}", node.name) };
            ids.push(self.graph.add_value(Value { name, ty, ..Value::default() }));
        }
        node.outputs = ids.iter().copied().map(Some).collect();
        self.graph.nodes.push(node);
        Ok(ids)
    }

    /// Marks a value as an output and names it.
    pub fn output(&mut self, name: impl Into<String>, value: ValueId) {
        self.graph.values[value.index()].name = name.into();
        self.graph.outputs.push(value);
    }

    /// The network, checked.
    ///
    /// # Errors
    /// [`Error::Graph`] where it is not well formed, for instance without an output.
    pub fn finish(self) -> Result<Graph> {
        if self.graph.outputs.is_empty() {
            return Err(Error::Graph { graph: self.graph.name, message: "has no output; mark one with `output`".into() });
        }
        self.graph.check()?;
        Ok(self.graph)
    }
}
