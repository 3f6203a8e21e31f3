//! Specialising a graph to input shapes: every type inferred, everything that follows from shapes folded.

use std::collections::{BTreeSet, HashMap};

use super::limits::{Folded, work};
use super::{Dim, Graph, Node, TensorType, ValueId};
use crate::error::{Error, OpError, Result};
use crate::ops::{Operand, Operands};
use crate::shape::MAX_RANK;
use crate::tensor::Tensor;

/// No single tensor of a network may be larger: it is a broken or hostile file.
const MAX_TENSOR_BYTES: usize = 1 << 34;

/// An input too large to be a shape, an axis or a count is data: nothing is computed from its values to make a plan, and only
/// the nodes whose shape rules ask for them get them.
const MAX_SHAPE_ELEMENTS: usize = 4096;

/// What a run knows of one input before it is planned.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct InputSpec {
    /// Its type.
    pub ty: TensorType,
    /// Its elements, where shapes depend on them.
    pub value: Option<Tensor>,
}

/// The outcome of [`Graph::specialize`].
pub(crate) enum Specialized {
    /// Every shape is known.
    Graph(Graph),
    /// Shapes depend on the elements of these inputs (positions in [`Graph::inputs`]).
    NeedsValues(Vec<usize>),
    /// Shapes depend on the elements of this value, which nodes compute from data.
    NeedsRun(ValueId),
}

impl Graph {
    /// This graph for inputs of these types: values have numbers for shapes, what follows from shapes and constants is
    /// folded, operators that run as several are taken apart, and nodes that no output needs are gone. Value ids stay the same.
    pub(crate) fn specialize(&self, inputs: &[InputSpec]) -> Result<Specialized> {
        let mut graph = self.clone();
        self.bind_inputs(inputs, &mut graph)?;
        let mut kept: Vec<Node> = vec![];
        for node in &self.nodes {
            let Err(error) = graph.place(node.clone(), &mut kept) else { continue };
            return match error.needs_value(node) {
                Some((_, value)) if graph.value(value).constant.is_none() && graph.value(value).known.is_none() => {
                    Ok(self.elements_of(value, inputs))
                }
                _ => Err(error),
            };
        }
        graph.nodes = kept;
        graph.remove_dead_nodes();
        Ok(Specialized::Graph(graph))
    }

    /// Gives the inputs of `graph`, a clone of this one, their types, or says what does not fit.
    pub(crate) fn bind_inputs(&self, inputs: &[InputSpec], graph: &mut Graph) -> Result<()> {
        let mut symbols: HashMap<&str, (usize, &str)> = HashMap::new();
        for (&id, spec) in self.inputs.iter().zip(inputs) {
            let declared = self.value(id);
            let fail = |message: String| Error::Input { name: declared.name.clone(), message };
            if spec.ty.shape.rank() > MAX_RANK {
                return Err(fail(format!("has {} axes, more than the limit of {MAX_RANK}", spec.ty.shape.rank())));
            }
            let wrong = || fail(format!("expected {}, got {}", declared.declared(), spec.ty));
            if declared.dtype.is_some_and(|d| d != spec.ty.dtype) {
                return Err(wrong());
            }
            if let Some(dims) = &declared.dims {
                if dims.len() != spec.ty.shape.rank() {
                    return Err(wrong());
                }
                for (axis, (dim, &extent)) in dims.iter().zip(spec.ty.shape.iter()).enumerate() {
                    match dim {
                        Dim::Fixed(n) if *n != extent => return Err(wrong()),
                        Dim::Fixed(_) | Dim::Any => {}
                        Dim::Symbol(_) if extent == 0 => {
                            return Err(fail(format!("axis {axis} is empty in {}; give at least one element", spec.ty)));
                        }
                        Dim::Symbol(name) if name.is_empty() => {}
                        Dim::Symbol(name) => match symbols.get(name.as_str()) {
                            Some((bound, by)) if *bound != extent => {
                                return Err(fail(format!("`{name}` is {extent} here and {bound} in input `{by}`")));
                            }
                            Some(_) => {}
                            None => {
                                symbols.insert(name, (extent, &declared.name));
                            }
                        },
                    }
                }
            }
            let value = &mut graph.values[id.index()];
            value.ty = Some(spec.ty.clone());
            match &spec.value {
                Some(tensor) if tensor.len() > MAX_SHAPE_ELEMENTS => value.known = Some(tensor.clone()),
                small => value.constant = small.clone(),
            }
        }
        Ok(())
    }

    /// What a node's shape rule may know of its inputs, all of which have types by now.
    pub(crate) fn operands(&self, node: &Node) -> Operands<'_> {
        let operand = |id: &Option<ValueId>| {
            let value = self.value((*id)?);
            let ty = value.ty.as_ref().expect("values are typed in execution order");
            Some(Operand { dtype: ty.dtype, shape: &ty.shape, constant: value.constant.as_ref() })
        };
        Operands { inputs: node.inputs.iter().map(operand).collect(), outputs: node.outputs.len() }
    }

    /// A node's output types, with its name and inputs added to what the operator finds wrong.
    pub(crate) fn infer_node(&self, node: &Node, operands: &Operands<'_>) -> Result<Vec<TensorType>> {
        let op = node.op.operator();
        let checked = op.infer(operands).and_then(|types| {
            if let Some(large) = types.iter().find(|t| t.shape.checked_elements().is_none_or(|n| n > MAX_TENSOR_BYTES / t.dtype.size())) {
                return Err(OpError::invalid(format!("the output {large} is larger than the limit of {MAX_TENSOR_BYTES} bytes")));
            }
            if let Some(ty) = types.iter().find(|t| t.shape.rank() > MAX_RANK) {
                return Err(OpError::invalid(format!("the output has {} axes, more than the limit of {MAX_RANK}", ty.shape.rank())));
            }
            if types.len() < node.outputs.len() {
                return Err(OpError::invalid(format!("has {} outputs, the node names {}", types.len(), node.outputs.len())));
            }
            Ok(types)
        });
        checked.map_err(|source| self.node_error(node, source))
    }

    /// Adds where to what an operator finds wrong.
    pub(crate) fn node_error(&self, node: &Node, source: OpError) -> Error {
        let inputs: Vec<_> = node.inputs.iter().map(|id| id.map_or("–".into(), |id| self.value(id).declared())).collect();
        Error::Node { node: node.name.clone(), op: node.op.name().to_owned(), inputs: inputs.join(", "), source }
    }

    /// The outputs of a node whose inputs are all typed, where they follow from shapes or constants alone and are not too much work.
    pub(crate) fn fold(&self, node: &Node) -> Result<Option<Folded>> {
        let operands = self.operands(node);
        let types = self.infer_node(node, &operands)?;
        self.fold_operands(node, &operands, &types)
    }

    pub(super) fn fold_operands(&self, node: &Node, operands: &Operands<'_>, types: &[TensorType]) -> Result<Option<Folded>> {
        self.check_outputs(node, types)?;
        if let Some(tensor) = node.op.operator().fold(operands) {
            let work = tensor.len() as u64;
            return Ok(Some(Folded { tensors: vec![tensor], work }));
        }
        let work = work(node, operands, types);
        if !operands.inputs.iter().flatten().all(|o| o.constant.is_some()) || !self.limits.affords(work) {
            return Ok(None);
        }
        let inputs: Vec<_> = operands.inputs.iter().map(|o| o.and_then(|o| o.constant)).collect();
        let tensors = crate::cpu::evaluate(&node.op, &inputs, node.outputs.len()).map_err(|source| self.node_error(node, source))?;
        Ok(Some(Folded { tensors, work }))
    }

    /// Makes a folded node's outputs constants.
    pub(crate) fn set_constants(&mut self, node: &Node, folded: Folded) {
        self.limits.made(node, &folded);
        for (id, tensor) in node.outputs.iter().zip(folded.tensors) {
            if let Some(id) = id {
                let value = &mut self.values[id.index()];
                value.ty = Some(TensorType::new(tensor.dtype(), tensor.shape()));
                value.constant = Some(tensor);
            }
        }
    }

    /// How to come by the elements of a value that shapes depend on: small inputs make them known, else nodes have to run.
    fn elements_of(&self, value: ValueId, known: &[InputSpec]) -> Specialized {
        if let Some(at) = self.inputs.iter().position(|id| *id == value) {
            return Specialized::NeedsValues(vec![at]);
        }
        let mut needed = BTreeSet::from([value]);
        for node in self.nodes.iter().rev() {
            if node.outputs.iter().flatten().any(|id| needed.contains(id)) {
                needed.extend(node.inputs.iter().flatten());
            }
        }
        let behind = |at: &usize| needed.contains(&self.inputs[*at]) && known[*at].value.is_none();
        let unknown: Vec<usize> = (0..self.inputs.len()).filter(behind).collect();
        let small = unknown.iter().all(|&at| known[at].ty.shape.elements() <= MAX_SHAPE_ELEMENTS);
        if small && !unknown.is_empty() { Specialized::NeedsValues(unknown) } else { Specialized::NeedsRun(value) }
    }
}
