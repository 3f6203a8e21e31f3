//! The network as typed, shape-checked static single assignment: nodes, values, constants.

mod builder;
mod half;
mod infer;
mod limits;
mod parts;
mod split;

pub use builder::GraphBuilder;
pub(crate) use infer::{InputSpec, Specialized};
pub(crate) use limits::Limits;
pub use parts::Parts;
pub(crate) use split::{Source, Split};

use std::fmt;

use crate::error::{Error, OpError, Result};
use crate::ops::Op;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// A value of a [`Graph`]: an input, a constant or a node's output.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ValueId(pub(crate) u32);

/// A node of a [`Graph`]; nodes are numbered in execution order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct NodeId(pub(crate) u32);

impl ValueId {
    /// The position in [`Graph::values`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl NodeId {
    /// The position in [`Graph::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One extent of a declared shape: a number, or a name that stands for any number.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Dim {
    /// A fixed extent.
    Fixed(usize),
    /// A named extent, the same wherever the name appears: `N`, `batch_size`, `height`.
    Symbol(String),
    /// Any number, 0 included: what files mean that declare an extent of 0.
    Any,
}

impl Dim {
    /// The name of an extent that a run may choose, empty where it has none; `None` for a number.
    pub fn symbol(&self) -> Option<&str> {
        match self {
            Dim::Fixed(_) => None,
            Dim::Symbol(name) => Some(name),
            Dim::Any => Some(""),
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(n) => write!(f, "{n}"),
            Dim::Any => f.write_str("0"),
            Dim::Symbol(name) if name.is_empty() => f.write_str("?"),
            Dim::Symbol(name) => f.write_str(name),
        }
    }
}

impl From<usize> for Dim {
    fn from(extent: usize) -> Self {
        Dim::Fixed(extent)
    }
}

impl From<&str> for Dim {
    fn from(name: &str) -> Self {
        Dim::Symbol(name.to_owned())
    }
}

/// An element type and a shape, both known.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// The element type.
    pub dtype: DType,
    /// The shape.
    pub shape: Shape,
}

impl TensorType {
    /// A type from its parts.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Self {
        Self { dtype, shape: shape.into() }
    }

    /// The size of a dense tensor of this type in bytes, on the host.
    pub fn bytes(&self) -> usize {
        self.shape.elements().saturating_mul(self.dtype.size())
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}

impl fmt::Debug for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is known of a value.
#[derive(Clone, Debug, Default)]
pub struct Value {
    /// The name in the file, unique in the graph.
    pub name: String,
    /// The element type that the file declares.
    pub dtype: Option<DType>,
    /// The shape that the file declares.
    pub dims: Option<Vec<Dim>>,
    /// Type and shape, once they are known as numbers: of constants always, of the rest in a plan's graph.
    pub ty: Option<TensorType>,
    /// The elements, for a constant.
    pub constant: Option<Tensor>,
    /// The elements of an input that shapes depend on and that is data too: for the nodes that ask for them, and no others.
    pub(crate) known: Option<Tensor>,
}

impl Value {
    /// Type and shape for messages: `f32[N,3,224,224]`.
    pub fn declared(&self) -> String {
        if let Some(ty) = &self.ty {
            return ty.to_string();
        }
        let dtype = self.dtype.map_or("?", DType::name);
        match &self.dims {
            Some(dims) => {
                let dims: Vec<_> = dims.iter().map(Dim::to_string).collect();
                format!("{dtype}[{}]", dims.join(","))
            }
            None => format!("{dtype}[…]"),
        }
    }
}

/// An operator applied to values.
#[derive(Clone, Debug)]
pub struct Node {
    /// The name in the file, or one made from the operator and its output.
    pub name: String,
    /// The operator and its attributes.
    pub op: Op,
    /// The inputs in the operator's order; `None` where an optional one is left out.
    pub inputs: Vec<Option<ValueId>>,
    /// The outputs in the operator's order; `None` where an optional one is not asked for.
    pub outputs: Vec<Option<ValueId>>,
    /// The nodes of the file that this one stands for after optimisation, itself included.
    pub origins: Vec<String>,
}

impl Error {
    /// The input of `node`, and its value, whose elements this error says a shape rule must know.
    pub(crate) fn needs_value(&self, node: &Node) -> Option<(usize, ValueId)> {
        let Error::Node { node: name, source: OpError::NeedsValue { input, .. }, .. } = self else { return None };
        let value = node.inputs.get(*input).copied().flatten()?;
        (*name == node.name).then_some((*input, value))
    }
}

/// A network: nodes in execution order over values in single assignment.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(crate) name: String,
    pub(crate) nodes: Vec<Node>,
    pub(crate) values: Vec<Value>,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) outputs: Vec<ValueId>,
    pub(crate) limits: Limits,
}

impl Graph {
    /// The name, as the file gives it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The nodes in execution order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Every value, indexed by [`ValueId::index`].
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The value `id` stands for.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    /// The node `id` stands for.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The inputs that a run must supply, in the file's order.
    pub fn inputs(&self) -> &[ValueId] {
        &self.inputs
    }

    /// Makes an input a constant, so that runs need not supply it and kernels may have it packed.
    ///
    /// # Errors
    /// [`Error::Input`] where there is no such input or its declared type is another.
    pub fn freeze_input(&mut self, name: &str, tensor: Tensor) -> Result<()> {
        let fail = |message: String| Error::Input { name: name.to_owned(), message };
        let at = self.inputs.iter().position(|id| self.value(*id).name == name).ok_or_else(|| fail("no such input".into()))?;
        let value = &mut self.values[self.inputs[at].index()];
        let fits = |(dim, extent): (&Dim, &usize)| !matches!(dim, Dim::Fixed(n) if n != extent);
        let dims_fit =
            value.dims.as_ref().is_none_or(|d| d.len() == tensor.shape().rank() && d.iter().zip(tensor.shape().iter()).all(fits));
        if !dims_fit || value.dtype.is_some_and(|dtype| dtype != tensor.dtype()) {
            return Err(fail(format!("expected {}, got {}{}", value.declared(), tensor.dtype(), tensor.shape())));
        }
        value.ty = Some(TensorType::new(tensor.dtype(), tensor.shape()));
        value.constant = Some(tensor);
        self.inputs.remove(at);
        Ok(())
    }

    /// The outputs that a run returns, in the file's order.
    pub fn outputs(&self) -> &[ValueId] {
        &self.outputs
    }

    /// Makes what a node computes a further output, behind those of the file; nothing where it is an output already.
    ///
    /// [`Session::run`](crate::Session::run) then returns it under its name, whatever the optimiser merges around it.
    ///
    /// # Errors
    /// [`Error::Graph`] where no node computes a value of this name.
    pub fn add_output(&mut self, name: &str) -> Result<()> {
        let computed = self.nodes.iter().flat_map(|node| &node.outputs).flatten();
        let Some(&id) = computed.into_iter().find(|id| self.value(**id).name == name) else {
            return Err(Error::Graph { graph: self.name.clone(), message: format!("no node computes a value `{name}`") });
        };
        if !self.outputs.contains(&id) {
            self.outputs.push(id);
        }
        Ok(())
    }

    /// The elements of all weights, each once: what nodes read as constants, and the constants behind what follows from them.
    ///
    /// Not counted are running means and variances, scales and zero points, shapes, axes and indices, and single numbers.
    pub fn parameters(&self) -> usize {
        crate::inspect::Parameters::of(self).total()
    }

    /// Drops the elements of constants, of those of more than a kilobyte that are not `kept`; types and shapes stay.
    pub(crate) fn drop_elements(&mut self, kept: impl Fn(ValueId) -> bool) {
        for (index, value) in self.values.iter_mut().enumerate() {
            if let Some(constant) = &mut value.constant
                && constant.bytes().len() > 1024
                && !kept(ValueId(index as u32))
            {
                *constant = constant.without_elements();
            }
        }
    }

    pub(crate) fn add_value(&mut self, value: Value) -> ValueId {
        self.values.push(value);
        ValueId(self.values.len() as u32 - 1)
    }

    pub(crate) fn add_constant(&mut self, name: impl Into<String>, tensor: Tensor) -> ValueId {
        let ty = TensorType::new(tensor.dtype(), tensor.shape());
        self.limits.constants = self.limits.constants.saturating_add(ty.bytes() as u64);
        self.add_value(Value { name: name.into(), ty: Some(ty), constant: Some(tensor), ..Value::default() })
    }

    /// The type of a value of a specialised graph.
    pub(crate) fn tensor_type(&self, id: ValueId) -> TensorType {
        self.value(id).ty.clone().expect("every value of a specialised graph has a type")
    }

    /// The types of all outputs that a node of a specialised graph declares; left-out ones get the type they would have.
    pub(crate) fn output_types(&self, node: &Node) -> Result<Vec<TensorType>> {
        self.infer_node(node, &self.operands(node))
    }

    /// Drops nodes that no output needs.
    pub(crate) fn remove_dead_nodes(&mut self) {
        let mut needed = vec![false; self.values.len()];
        for id in &self.outputs {
            needed[id.index()] = true;
        }
        let mut live = vec![false; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().rev() {
            live[index] = node.outputs.iter().flatten().any(|id| needed[id.index()]);
            if live[index] {
                for id in node.inputs.iter().flatten() {
                    needed[id.index()] = true;
                }
            }
        }
        let mut live = live.into_iter();
        self.nodes.retain(|_| live.next().unwrap_or(true));
    }

    /// Checks single assignment and order, and that every name an engineer will see is unique.
    pub(crate) fn check(&self) -> Result<()> {
        let fail = |message: String| Error::Graph { graph: self.name.clone(), message };
        let mut defined: Vec<bool> = self.values.iter().map(|v| v.constant.is_some()).collect();
        for id in &self.inputs {
            if std::mem::replace(&mut defined[id.index()], true) {
                return Err(fail(format!("input `{}` is defined twice", self.value(*id).name)));
            }
        }
        for node in &self.nodes {
            for id in node.inputs.iter().flatten() {
                if !defined[id.index()] {
                    let name = &self.value(*id).name;
                    return Err(fail(format!(
                        "node `{}` ({}) reads `{name}`, which no earlier node, input or initializer defines",
                        node.name,
                        node.op.name()
                    )));
                }
            }
            for id in node.outputs.iter().flatten() {
                if std::mem::replace(&mut defined[id.index()], true) {
                    return Err(fail(format!(
                        "value `{}` is written twice, the second time by node `{}` ({})",
                        self.value(*id).name,
                        node.name,
                        node.op.name()
                    )));
                }
            }
        }
        match self.outputs.iter().find(|id| !defined[id.index()]) {
            Some(id) => Err(fail(format!("output `{}` is never written", self.value(*id).name))),
            None => Ok(()),
        }
    }
}
