//! Values that lie in others' memory: copies of whole ranges that need not be made, and dispatches that work in place.

use std::collections::BTreeMap;

use super::lower::{Draft, Slot};
use super::storage::{Move, Operand, Storages};
use super::{Access, Dispatch, HOLD_DENSE};
use crate::graph::NodeId;
use crate::ops::movement::copied;

/// Elides the copies by which `Concat`, `Split`, `Slice` and the like move whole ranges of bytes: the pieces of a concatenation are
/// written where it lies, the parts of a split are read where they are.
///
/// A copy stays where its range is not aligned, where the source's or the target's bytes hold something else in the meantime, and where
/// some dispatch would read and write one buffer: of several copies that exclude one another those of the most bytes go.
pub(super) fn elide_copies(steps: &mut [Option<Draft>], storages: &mut Storages, is_fixed: impl Fn(NodeId) -> bool) {
    let mut at = 0;
    while at < steps.len() {
        let node = match &steps[at] {
            Some(Draft::Dispatch { node, .. }) => *node,
            _ => {
                at += 1;
                continue;
            }
        };
        let of_node = |step: &Option<Draft>| matches!(step, Some(Draft::Dispatch { node: other, .. }) if *other == node);
        let end = at + steps[at..].iter().take_while(|step| of_node(step)).count();
        if !is_fixed(node) {
            for elided in elide(moves(&steps[at..end], at, storages), storages) {
                steps[elided] = None;
            }
        }
        at = end;
    }
}

/// The copies of contiguous ranges among a node's dispatches, where all of these copy and write each byte once.
fn moves(dispatches: &[Option<Draft>], first: usize, storages: &Storages) -> Vec<Move> {
    let mut written: BTreeMap<usize, u64> = BTreeMap::new();
    let mut moves = vec![];
    for (index, draft) in dispatches.iter().enumerate() {
        let Some(Draft::Dispatch { dispatch, .. }) = draft else { return vec![] };
        let (Some(copied), [from, Slot::Stored { storage: to, .. }]) = (copied(dispatch), &dispatch.bindings[..]) else { return vec![] };
        *written.entry(*to).or_default() += copied.bytes;
        if let (Some((from_offset, to_offset)), Slot::Stored { storage: from, .. }) = (copied.range, from) {
            let (from_offset, to_offset, bytes) = (from_offset as i64, to_offset as i64, copied.bytes as i64);
            moves.push(Move { step: first + index, from: *from, from_offset, to: *to, to_offset, bytes });
        }
    }
    moves.retain(|m| written[&m.to] == storages.bytes(m.to));
    moves
}

/// Elides the moves of one node as far as possible; returns their steps.
fn elide(moves: Vec<Move>, storages: &mut Storages) -> Vec<usize> {
    let Some(first) = moves.first() else { return vec![] };
    // The storage that all moves have in common, and for each of the others its moves.
    let gathers = moves.iter().all(|m| m.to == first.to);
    let hub = storages.find(if gathers { first.to } else { first.from }).0;
    let mut spokes: Vec<(usize, Vec<Move>)> = vec![];
    for m in moves {
        let spoke = storages.find(if gathers { m.from } else { m.to }).0;
        match spokes.iter_mut().find(|(other, _)| *other == spoke) {
            Some((_, moves)) => moves.push(m),
            None => spokes.push((spoke, vec![m])),
        }
    }
    spokes.retain(|(spoke, moves)| *spoke != hub && !storages.conflict(hub, *spoke, |step, _| moves.iter().any(|m| m.step == step)));
    let conflicts: Vec<Vec<usize>> = (0..spokes.len())
        .map(|i| (0..spokes.len()).filter(|&j| i != j && storages.conflict(spokes[i].0, spokes[j].0, |_, _| false)).collect())
        .collect();
    let bytes: Vec<i64> = spokes.iter().map(|(_, moves)| moves.iter().map(|m| m.bytes).sum()).collect();
    let chosen = heaviest_independent(&bytes, &conflicts);
    // What was not chosen may still do where a choice turned out not to.
    let rest = (0..spokes.len()).filter(|i| !chosen.contains(i));
    let mut elided = vec![];
    for i in chosen.iter().copied().chain(rest) {
        let (spoke, moves) = &spokes[i];
        if storages.elide(hub, *spoke, moves) {
            elided.extend(moves.iter().map(|m| m.step));
        }
    }
    elided
}

/// How many of the items that exclude others are looked at in every combination.
const EXACT: usize = 16;

/// The items of the largest sum of weights no two of which exclude each other, heaviest first where there are too many to try all.
fn heaviest_independent(weights: &[i64], conflicts: &[Vec<usize>]) -> Vec<usize> {
    let (mut chosen, mut contested): (Vec<usize>, Vec<usize>) = (0..weights.len()).partition(|&i| conflicts[i].is_empty());
    if contested.len() <= EXACT {
        let excluded = |i: usize| contested.iter().enumerate().filter(|(_, j)| conflicts[i].contains(j)).map(|(bit, _)| 1u32 << bit).sum();
        let masks: Vec<u32> = contested.iter().map(|&i| excluded(i)).collect();
        let members = |set: u32| (0..contested.len()).filter(move |bit| set >> bit & 1 == 1);
        let independent = |set: &u32| members(*set).all(|bit| masks[bit] & set == 0);
        let weight = |set: u32| members(set).map(|bit| weights[contested[bit]]).sum::<i64>();
        let best = (0..1u32 << contested.len()).filter(independent).max_by_key(|&set| (weight(set), std::cmp::Reverse(set)));
        chosen.extend(members(best.unwrap_or(0)).map(|bit| contested[bit]));
        return chosen;
    }
    contested.sort_by_key(|&i| (std::cmp::Reverse(weights[i]), conflicts[i].len(), i));
    for i in contested {
        if conflicts[i].iter().all(|j| !chosen.contains(j)) {
            chosen.push(i);
        }
    }
    chosen
}

/// Which dispatches work in place, of those whose kernels can.
///
/// What is computed in place is one storage with what it overwrites, so it must be apart from all that either of them must be apart
/// from: now and then that costs more than it saves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum InPlace {
    /// Whichever can.
    All,
    /// Elementwise kernels, but not those that hold an operand beside what they sum up.
    Elementwise,
}

/// Lets dispatches overwrite the operand that their kernel allows, where they are its last reader; returns these and its binding.
pub(super) fn work_in_place(
    steps: &[Option<Draft>],
    storages: &mut Storages,
    which: InPlace,
    is_fixed: impl Fn(NodeId) -> bool,
) -> Vec<(usize, usize)> {
    let mut found = vec![];
    for (step, draft) in steps.iter().enumerate() {
        let Some(Draft::Dispatch { node, dispatch }) = draft else { continue };
        if is_fixed(*node) || which == InPlace::Elementwise && dispatch.variant.kernel.has_epilogue() {
            continue;
        }
        if let Some((x, y)) = in_place_operands(dispatch)
            && storages.compute_in_place(step, x, y)
        {
            found.push((step, x.binding));
        }
    }
    found
}

/// The position of `HOLD` among the overrides of an epilogue.
const HOLD: usize = 2;

/// The operand that the kernel may overwrite and its output, where both are in storages.
fn in_place_operands(dispatch: &Dispatch<Slot>) -> Option<(Operand, Operand)> {
    let (access, x) = (dispatch.variant.kernel.storage(), dispatch.variant.kernel.in_place?);
    if dispatch.variant.kernel.has_epilogue() && dispatch.variant.epilogue[HOLD] != HOLD_DENSE {
        return None;
    }
    let operand = |binding: usize| match dispatch.bindings.get(binding)? {
        Slot::Stored { storage, .. } => Some(Operand { storage: *storage, binding, access: access[binding] }),
        _ => None,
    };
    let mut outputs = (0..access.len()).filter(|&binding| access[binding] == Access::Write);
    match (outputs.next(), outputs.next()) {
        (Some(y), None) => Some((operand(x)?, operand(y)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_items_that_go_together_are_chosen() {
        // A chain in which each excludes its neighbours: the ends and the middle weigh less than the two between.
        let chain = |n: usize| -> Vec<Vec<usize>> { (0..n).map(|i| (0..n).filter(|&j| i.abs_diff(j) == 1).collect()).collect() };
        let sorted = |mut chosen: Vec<usize>| {
            chosen.sort_unstable();
            chosen
        };
        assert_eq!(sorted(heaviest_independent(&[2, 9, 8, 9, 2], &chain(5))), [1, 3]);
        assert_eq!(sorted(heaviest_independent(&[9, 2, 3, 2, 9], &chain(5))), [0, 2, 4]);
        // One against three that go together, and one that nothing excludes.
        let star = vec![vec![1, 2, 3], vec![0], vec![0], vec![0], vec![]];
        assert_eq!(sorted(heaviest_independent(&[5, 2, 2, 2, 1], &star)), [1, 2, 3, 4]);
        assert_eq!(sorted(heaviest_independent(&[7, 2, 2, 2, 1], &star)), [0, 4]);
        let many = sorted(heaviest_independent(&vec![1; 31], &chain(31)));
        assert!(many.len() == 16 && many.windows(2).all(|w| w[1] - w[0] > 1), "{many:?}");
    }
}
