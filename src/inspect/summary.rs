//! What a network is made of and what it costs.

use std::collections::HashSet;

use super::parameters::{Parameters, distinct};
use super::{ReceptiveField, ReceptiveFields};
use crate::graph::{Graph, Node, TensorType, ValueId};
use crate::plan::{Placed, Plan, Step};
use crate::tensor::Tensor;

/// One node of a network, as it runs or as its file has it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Layer {
    /// The node's name.
    pub name: String,
    /// The operator.
    pub op: &'static str,
    /// The nodes of the file that it stands for, itself included, in the file's order where they were merged.
    pub origins: Vec<String>,
    /// The types of its outputs; empty without a plan.
    pub outputs: Vec<TensorType>,
    /// Elements of the weights that the nodes of the file read that it stands for; see [`Graph::parameters`]. Where one node of the file
    /// runs as several, the first has them; a weight that several nodes share counts for each.
    pub parameters: usize,
    /// Floating-point operations of one run, a multiply-add counted as two; `None` without a plan.
    pub flops: Option<u64>,
    /// What one unit of its first output sees of each input that it depends on and that has spatial axes.
    pub receptive_fields: Vec<(ValueId, ReceptiveField)>,
    /// Where it runs; `None` without a plan.
    pub placed: Option<Placed>,
}

/// What a plan takes of a device's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Memory {
    /// The constants that nodes read, each once: as uploaded on a GPU, padded, transformed and with their kernels' tables, as they are on
    /// the CPU device.
    pub weights_bytes: u64,
    /// The buffers that activations share, all together. `None` on the CPU device, which plans no buffers; so the next two.
    pub peak_bytes: Option<u64>,
    /// What activations would take without sharing.
    pub no_reuse_bytes: Option<u64>,
    /// The most bytes of activations alive at once: no plan can need less.
    pub lower_bound_bytes: Option<u64>,
}

/// A network's layers with their costs, and the sums.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The nodes in execution order.
    pub layers: Vec<Layer>,
    /// The parameters of the file's network, each weight once, however many nodes read it; see [`Graph::parameters`].
    pub parameters: usize,
    /// The sum of the layers' floating-point operations; `None` without a plan.
    pub flops: Option<u64>,
    /// Kernels that one run dispatches; `None` without a plan.
    pub dispatches: Option<usize>,
    /// `None` without a plan.
    pub memory: Option<Memory>,
}

impl Summary {
    /// The network as it runs by `plan`; `file` is its graph as the file has it, before any optimisation.
    ///
    /// Floating-point operations are of what runs, parameters of the file, so that merging nodes changes the first alone.
    pub fn new(file: &Graph, plan: &Plan) -> Self {
        let (graph, by_node, fields) = (&plan.graph, Parameters::of(file), ReceptiveFields::new(plan));
        let mut counted: HashSet<&str> = HashSet::new();
        let mut layers = vec![];
        for (node, placed) in graph.nodes().iter().zip(&plan.placed) {
            let mut weights: Vec<(ValueId, usize)> = vec![];
            for origin in node.origins.iter().filter(|origin| counted.insert(origin)) {
                weights.extend(by_node.of_node(origin));
            }
            let outputs: Vec<_> = node.outputs.iter().flatten().map(|id| graph.tensor_type(*id)).collect();
            let first = node.outputs.iter().flatten().next();
            let seen = |&input: &ValueId| Some((input, fields.get(*first?, input)?));
            layers.push(Layer {
                name: node.name.clone(),
                op: node.op.name(),
                origins: node.origins.clone(),
                parameters: distinct(&weights),
                flops: Some(node.op.operator().flops(&graph.operands(node), &outputs)),
                receptive_fields: graph.inputs().iter().filter_map(seen).collect(),
                placed: Some(placed.clone()),
                outputs,
            });
        }
        let dispatches = plan.steps.iter().filter(|step| matches!(step, Step::Dispatch { .. })).count();
        Self {
            parameters: by_node.total(),
            flops: Some(layers.iter().filter_map(|layer| layer.flops).fold(0, u64::saturating_add)),
            dispatches: Some(dispatches),
            memory: Some(Memory::of(plan)),
            layers,
        }
    }

    /// What is known of a network without a plan: its nodes and their parameters.
    pub fn of_file(file: &Graph) -> Self {
        let by_node = Parameters::of(file);
        let layer = |node: &Node| Layer {
            name: node.name.clone(),
            op: node.op.name(),
            origins: node.origins.clone(),
            outputs: vec![],
            parameters: distinct(by_node.of_node(&node.name)),
            flops: None,
            receptive_fields: vec![],
            placed: None,
        };
        let layers = file.nodes().iter().map(layer).collect();
        Self { layers, parameters: by_node.total(), flops: None, dispatches: None, memory: None }
    }
}

impl Memory {
    fn of(plan: &Plan) -> Self {
        let on_gpu = plan.placed.iter().any(|placed| matches!(placed, Placed::Gpu(_)));
        // Elements may be gone from the host, sizes are not.
        let bytes = |tensor: &Tensor| (tensor.len() * tensor.dtype().size()) as u64;
        let weights_bytes = if on_gpu {
            plan.weights_bytes()
        } else {
            let read: HashSet<ValueId> = plan.graph.nodes().iter().flat_map(|node| node.inputs.iter().flatten().copied()).collect();
            read.into_iter().filter_map(|id| plan.graph.value(id).constant.as_ref()).map(bytes).sum()
        };
        let figure = |bytes: u64| on_gpu.then_some(bytes);
        Self {
            weights_bytes,
            peak_bytes: figure(plan.peak_bytes()),
            no_reuse_bytes: figure(plan.no_reuse_bytes),
            lower_bound_bytes: figure(plan.lower_bound_bytes),
        }
    }
}
