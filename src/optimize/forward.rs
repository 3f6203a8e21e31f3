//! Removal of nodes whose outputs are values that the graph has already.

use super::pattern::Index;
use crate::graph::{Graph, Node, ValueId};
use crate::ops::Identity;

/// The nodes that stay, as far as the walk has come.
pub(super) struct Kept {
    nodes: Vec<Node>,
    makers: Vec<Option<usize>>,
}

impl Kept {
    /// The node that writes a value.
    pub fn maker(&self, id: ValueId) -> Option<&Node> {
        self.makers.get(id.index()).copied().flatten().map(|at| &self.nodes[at])
    }

    /// What the node that writes a value stands for, with what another does after it. The node itself is left with its own name.
    fn join_origins(&mut self, id: ValueId, mut after: Vec<String>) -> Vec<String> {
        let Some(maker) = self.maker_mut(id) else { return after };
        let own = maker.origins.last().cloned().into_iter().collect();
        let mut origins = std::mem::replace(&mut maker.origins, own);
        origins.append(&mut after);
        origins
    }

    /// Has input `at` of a node read what the node before it reads, and the node stand for that one where it was its only reader.
    pub fn skip(&mut self, index: &Index, node: &mut Node, at: usize) {
        let Some((input, before)) = node.inputs[at].and_then(|input| Some((input, self.maker(input)?))) else { return };
        node.inputs[at] = before.inputs[0];
        if index.only_reader(input).is_some() {
            node.origins = self.join_origins(input, std::mem::take(&mut node.origins));
        }
    }

    /// The node that writes a value, and that may be changed.
    fn maker_mut(&mut self, id: ValueId) -> Option<&mut Node> {
        self.makers.get(id.index()).copied().flatten().map(|at| &mut self.nodes[at])
    }

    fn push(&mut self, node: Node) {
        for id in node.outputs.iter().flatten() {
            self.makers[id.index()] = Some(self.nodes.len());
        }
        self.nodes.push(node);
    }
}

/// Walks the nodes in execution order and removes those for which `equal`, which sees their inputs resolved and may change them,
/// names a value for each output: readers read that instead, and what makes it stands for the removed node too.
///
/// Graph outputs keep their names: what makes the value writes them, or where it cannot, an `Identity` does. Says how many went.
pub(super) fn forward(graph: &mut Graph, mut equal: impl FnMut(&mut Graph, &mut Kept, &mut Node) -> Option<Vec<ValueId>>) -> usize {
    let (nodes, values) = (std::mem::take(&mut graph.nodes), graph.values.len());
    let mut is_output = vec![false; values];
    graph.outputs.iter().for_each(|id| is_output[id.index()] = true);
    let mut kept = Kept { nodes: Vec::with_capacity(nodes.len()), makers: vec![None; values] };
    let mut stands_for: Vec<ValueId> = (0..values as u32).map(ValueId).collect();
    // Values that are written under an output's name in the end.
    let mut renamed: Vec<Option<ValueId>> = vec![None; values];
    let mut removed = 0;
    for mut node in nodes {
        node.inputs.iter_mut().flatten().for_each(|id| *id = stands_for[id.index()]);
        let Some(made) = equal(graph, &mut kept, &mut node).filter(|made| made.len() == node.outputs.len()) else {
            kept.push(node);
            continue;
        };
        let pairs: Vec<(ValueId, ValueId)> = node.outputs.iter().zip(&made).filter_map(|(id, made)| Some(((*id)?, *made))).collect();
        let free = |made: ValueId| kept.makers[made.index()].is_some() && !is_output[made.index()] && renamed[made.index()].is_none();
        let stays = |&(id, made): &(ValueId, ValueId)| is_output[id.index()] && !free(made);
        match pairs[..] {
            [pair] if stays(&pair) => {
                let (id, made) = pair;
                stands_for[id.index()] = made;
                removed += usize::from(node.op != Identity.into());
                kept.push(Node { op: Identity.into(), inputs: vec![Some(made)], outputs: vec![Some(id)], ..node });
                continue;
            }
            _ if pairs.iter().any(|pair| is_output[pair.0.index()]) && pairs.len() > 1 => {
                kept.push(node);
                continue;
            }
            _ => {}
        }
        for &(id, made) in &pairs {
            stands_for[id.index()] = made;
            if is_output[id.index()] {
                renamed[made.index()] = Some(id);
            }
        }
        if let Some(maker) = pairs.first().and_then(|pair| kept.maker_mut(pair.1)) {
            maker.origins.append(&mut node.origins);
        }
        removed += 1;
    }
    for id in kept.nodes.iter_mut().flat_map(|node| node.inputs.iter_mut().chain(&mut node.outputs)).flatten() {
        *id = renamed.get(id.index()).copied().flatten().unwrap_or(*id);
    }
    graph.nodes = kept.nodes;
    removed
}
