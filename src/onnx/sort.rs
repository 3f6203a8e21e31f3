//! Putting nodes in execution order: files may list them in any.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::proto::NodeProto;

/// A node and the label by which messages call it.
pub(super) struct Unordered<'a> {
    pub proto: &'a NodeProto,
    pub label: &'a str,
}

/// The positions of `nodes` in execution order, the file's order wherever that is one.
///
/// `producers` says which node writes a value, by its position; every other value must be `defined` elsewhere.
pub(super) fn execution_order(
    nodes: &[Unordered<'_>],
    producers: &HashMap<&str, usize>,
    defined: impl Fn(&str) -> bool,
) -> Result<Vec<usize>, String> {
    let mut waiting_for = vec![0usize; nodes.len()];
    let mut readers: Vec<Vec<usize>> = vec![vec![]; nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        for name in node.proto.input.iter().filter(|name| !name.is_empty()) {
            if let Some(&producer) = producers.get(name.as_str()) {
                waiting_for[at] += 1;
                readers[producer].push(at);
            } else if !defined(name) {
                let (label, op) = (node.label, &node.proto.op_type);
                return Err(format!("node `{label}` ({op}) reads `{name}`, which no node, input or initializer defines"));
            }
        }
    }
    let mut ready: BinaryHeap<_> = (0..nodes.len()).filter(|&at| waiting_for[at] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse(at)) = ready.pop() {
        order.push(at);
        for &reader in &readers[at] {
            waiting_for[reader] -= 1;
            if waiting_for[reader] == 0 {
                ready.push(Reverse(reader));
            }
        }
    }
    if order.len() == nodes.len() { Ok(order) } else { Err(describe_cycle(nodes, producers, &waiting_for)) }
}

/// Names a cycle: every node that still waits is on one or behind one.
fn describe_cycle(nodes: &[Unordered<'_>], producers: &HashMap<&str, usize>, waiting_for: &[usize]) -> String {
    const SHOWN: usize = 8;
    let waiting = |at: usize| waiting_for[at] > 0;
    let producer = |at: usize| {
        let inputs = nodes[at].proto.input.iter();
        inputs.filter_map(|name| producers.get(name.as_str()).copied()).find(|&p| waiting(p))
    };
    let mut seen = vec![None; nodes.len()];
    let mut path = vec![];
    let mut at = (0..nodes.len()).find(|&at| waiting(at));
    let start = loop {
        let Some(node) = at else { break 0 };
        if let Some(start) = seen[node] {
            break start;
        }
        seen[node] = Some(path.len());
        path.push(node);
        at = producer(node);
    };
    let cycle: Vec<_> = path[start..].iter().map(|&at| format!("`{}`", nodes[at].label)).collect();
    let more = if cycle.len() > SHOWN { format!(" and {} more", cycle.len() - SHOWN) } else { String::new() };
    format!("nodes read each other's outputs in a cycle: {}{more}", cycle[..cycle.len().min(SHOWN)].join(" ← "))
}
