//! Graph → graph: passes that do not change what a network computes.

use crate::graph::Graph;

/// Applies every pass that needs no shapes.
pub(crate) fn optimize(graph: Graph) -> Graph {
    graph
}
