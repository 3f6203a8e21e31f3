//! Graph → graph: passes that do not change what a network computes, one a file. None needs to know shapes.

mod fold_batch_norm;
mod fold_constants;
mod remove_identities;

use crate::error::Result;
use crate::graph::{Graph, ValueId};

/// Applies every pass, then drops what nothing needs any more.
pub(crate) fn optimize(mut graph: Graph) -> Result<Graph> {
    remove_identities::run(&mut graph);
    fold_constants::run(&mut graph)?;
    fold_batch_norm::run(&mut graph);
    graph.remove_dead_nodes();
    Ok(graph)
}

/// How many nodes and graph outputs read each value.
fn count_uses(graph: &Graph) -> Vec<usize> {
    let mut uses = vec![0; graph.values.len()];
    let reads = graph.nodes.iter().flat_map(|n| n.inputs.iter().flatten()).chain(&graph.outputs);
    reads.for_each(|id| uses[id.index()] += 1);
    uses
}

/// The position of the node that writes each value.
fn producers(graph: &Graph) -> Vec<Option<usize>> {
    let mut producers = vec![None; graph.values.len()];
    for (at, node) in graph.nodes.iter().enumerate() {
        for id in node.outputs.iter().flatten() {
            producers[id.index()] = Some(at);
        }
    }
    producers
}

/// Has every node read `to` where it read `from`.
fn replace_uses(graph: &mut Graph, from: ValueId, to: ValueId) {
    for input in graph.nodes.iter_mut().flat_map(|n| &mut n.inputs) {
        if *input == Some(from) {
            *input = Some(to);
        }
    }
}
