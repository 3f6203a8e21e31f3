//! Running a plan on the CPU device: its host steps, one node after another, values freed after their last use.

use crate::error::Result;
use crate::graph::{Graph, NodeId, ValueId};
use crate::plan::{Plan, Step};
use crate::tensor::{Tensor, TensorView};

/// All outputs of a node on the host.
pub(crate) fn run_node(graph: &Graph, node: NodeId, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>> {
    let node = graph.node(node);
    super::evaluate(&node.op, inputs, node.outputs.len()).map_err(|source| graph.node_error(node, source))
}

/// Runs a plan of host steps on `inputs`, in the order of the graph's, and returns the graph's outputs.
pub(crate) fn run(plan: &Plan, inputs: &[TensorView<'_>], mut trace: Option<&mut crate::gpu::Trace<'_>>) -> Result<Vec<Tensor>> {
    let graph = &plan.graph;
    let mut values: Vec<Option<Tensor>> = graph.values().iter().map(|v| v.constant.clone()).collect();
    for (id, input) in graph.inputs().iter().zip(inputs) {
        values[id.index()] = Some(input.to_tensor());
    }
    let mut uses = vec![0usize; values.len()];
    let reads = graph.nodes().iter().flat_map(|n| n.inputs.iter().flatten()).chain(graph.outputs());
    reads.for_each(|id| uses[id.index()] += 1);
    for step in &plan.steps {
        let Step::Host { node: id } = step else { unreachable!("a plan for the CPU has host steps only") };
        let node = graph.node(*id);
        let inputs: Vec<Option<&Tensor>> = node.inputs.iter().map(|id| id.and_then(|id| values[id.index()].as_ref())).collect();
        let outputs = run_node(graph, *id, &inputs)?;
        if let Some(trace) = &mut trace {
            trace(*id, outputs.iter().cloned().map(Some).collect());
        }
        for (id, tensor) in node.outputs.iter().zip(outputs) {
            if let Some(id) = id.filter(|id| uses[id.index()] > 0) {
                values[id.index()] = Some(tensor);
            }
        }
        for id in node.inputs.iter().flatten() {
            release(&mut values, &mut uses, *id);
        }
    }
    Ok(graph.outputs().iter().map(|id| values[id.index()].clone().expect("checked by Graph::check")).collect())
}

fn release(values: &mut [Option<Tensor>], uses: &mut [usize], id: ValueId) {
    uses[id.index()] -= 1;
    if uses[id.index()] == 0 {
        values[id.index()] = None;
    }
}
