//! Scale and shift by constants around a layer with constant weights: one layer with other weights.

mod affine;
mod linear;

use super::known::Known;
use super::pattern::Index;
use crate::error::Result;
use crate::graph::{Graph, Node, ValueId};
use affine::{Affine, Features};
use linear::Linear;

/// `s · (W·x + b) + t = (s·W)·x + (s·b + t)`, and before the layer `W·(s·x + t) + b = (W·s)·x + (W·t + b)`.
pub(super) fn run(graph: &mut Graph) -> Result<usize> {
    // A map between two layers belongs to the one before it, whatever that one's padding.
    let after = fold(graph, |graph, index, known, at| following(graph, index, known, at).map(|maps| (maps, Side::After)));
    let before = fold(graph, |graph, index, known, at| preceding(graph, index, known, at).map(|maps| (maps, Side::Before)));
    Ok(after + before)
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Before,
    After,
}

/// Nodes in execution order, and the one map that they are together.
struct Maps {
    nodes: Vec<usize>,
    map: Affine,
}

fn fold(graph: &mut Graph, found: impl Fn(&Graph, &Index, &Known, usize) -> Option<(Maps, Side)>) -> usize {
    let (index, known) = (Index::new(graph), Known::new(graph));
    let mut changes = 0;
    for at in 0..graph.nodes.len() {
        let Some((Maps { nodes, map }, side)) = found(graph, &index, &known, at) else { continue };
        let Some(linear) = Linear::new(graph, &graph.nodes[at]) else { continue };
        let folded = if side == Side::After { linear.scaled_after(&map) } else { linear.scaled_before(&map) };
        let Some(folded) = folded else { continue };
        let Node { name, origins, mut inputs, outputs, .. } = graph.nodes[at].clone();
        let of_maps = nodes.iter().flat_map(|&map| graph.nodes[map].origins.clone());
        let (origins, outputs, place) = match side {
            Side::After => {
                let last = nodes.last().copied().unwrap_or(at);
                (origins.into_iter().chain(of_maps).collect(), graph.nodes[last].outputs.clone(), last)
            }
            Side::Before => {
                inputs[0] = nodes.first().and_then(|&first| affine::argument(graph, &graph.nodes[first]));
                (of_maps.chain(origins).collect(), outputs, at)
            }
        };
        inputs.resize(3, None);
        if let Some(weight) = folded.weight {
            inputs[1] = Some(graph.add_constant(format!("{name}.folded_weight"), weight));
        }
        inputs[2] = folded.bias.map(|bias| graph.add_constant(format!("{name}.folded_bias"), bias));
        inputs.truncate(2 + usize::from(inputs[2].is_some()));
        // The layer's old place and the maps write what nobody reads any more.
        graph.nodes[place] = Node { name, op: folded.op, inputs, outputs, origins };
        changes += nodes.len();
    }
    graph.remove_dead_nodes();
    changes
}

/// The maps after a layer, as far as each is the only reader of what is before it.
fn following(graph: &Graph, index: &Index, known: &Known, at: usize) -> Option<Maps> {
    let linear = Linear::new(graph, &graph.nodes[at])?;
    let [Some(mut value)] = graph.nodes[at].outputs[..] else { return None };
    let features = linear.outputs(known);
    let mut found: Option<Maps> = None;
    while let Some(reader) = index.only_reader(value)
        && let Some(map) = Affine::of(graph, &graph.nodes[reader], &features)
        && affine::argument(graph, &graph.nodes[reader]) == Some(value)
        && let [Some(output)] = graph.nodes[reader].outputs[..]
    {
        value = output;
        let (mut nodes, earlier) = found.map_or((vec![], None), |maps| (maps.nodes, Some(maps.map)));
        nodes.push(reader);
        found = Some(Maps { nodes, map: earlier.map_or_else(|| map.clone(), |earlier| earlier.then(&map)) });
    }
    found
}

/// The maps before a layer, as far as each has no reader but the next.
fn preceding(graph: &Graph, index: &Index, known: &Known, at: usize) -> Option<Maps> {
    let linear = Linear::new(graph, &graph.nodes[at])?;
    let mut value = (*graph.nodes[at].inputs.first()?)?;
    let features = linear.inputs()?;
    let mut found: Option<Maps> = None;
    while index.only_reader(value).is_some()
        && let Some(maker) = index.maker(value)
        && let Some(map) = Affine::of(graph, &graph.nodes[maker], &features)
        && let Some(argument) = affine::argument(graph, &graph.nodes[maker])
        && keeps_shape(graph, known, &graph.nodes[maker], argument, &features)
    {
        value = argument;
        let (mut nodes, later) = found.map_or((vec![], None), |maps| (maps.nodes, Some(maps.map)));
        nodes.insert(0, maker);
        found = Some(Maps { nodes, map: later.map_or_else(|| map.clone(), |later| map.then(&later)) });
    }
    found
}

/// Whether a map's constant broadcasts to its argument, and not the argument to the constant.
fn keeps_shape(graph: &Graph, known: &Known, node: &Node, argument: ValueId, features: &Features) -> bool {
    let constants = node.inputs.iter().flatten().filter_map(|id| graph.value(*id).constant.as_ref());
    let all_scalars = constants.clone().all(|c| c.len() == 1 && c.shape().rank() == 0);
    let fits = |rank: usize, extent: Option<usize>| {
        let channels_fit = extent == Some(features.channels) || constants.clone().all(|c| c.len() == 1);
        channels_fit && constants.clone().all(|c| c.shape().rank() <= rank)
    };
    let by_extents = || {
        let extents = known.extents(argument)?;
        let axis = extents.len().checked_sub(1 + features.from_end)?;
        Some(fits(extents.len(), extents[axis]))
    };
    !affine::broadcasts(&node.op) || all_scalars || by_extents().unwrap_or(false)
}

#[cfg(test)]
mod tests;
