//! The memory plan: which storage lies in which buffer, and where, so that all buffers together are small.
//!
//! Buffers hold several storages side by side and after one another. What a dispatch reads is never in a buffer that it writes.

use std::collections::BTreeSet;

use super::Access;
use super::storage::{PADDING, Storages};

/// Bytes that are taken for some steps, both included, relative to the block they belong to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Taken {
    start: u64,
    end: u64,
    first: usize,
    last: usize,
}

/// A storage to be placed.
#[derive(Clone, Debug)]
struct Block {
    bytes: u64,
    taken: Vec<Taken>,
    /// The blocks that some dispatch writes while it reads this one, or the other way round.
    excludes: Vec<usize>,
}

/// Where storages lie: for each its buffer and the position of its first byte there, and the sizes of the buffers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Placement {
    pub places: Vec<(usize, u64)>,
    pub sizes: Vec<u64>,
    /// The most bytes alive at once, which no placement of these storages can go below.
    ///
    /// A piece of a concatenation that is written in place counts from its own first write to its last read; what is computed in place
    /// counts once.
    pub lower_bound: u64,
}

impl Placement {
    /// The sum of the buffers.
    pub fn bytes(&self) -> u64 {
        self.sizes.iter().sum()
    }
}

/// Places every storage. No buffer is larger than `largest`, unless for one storage.
pub(super) fn place(storages: &Storages, largest: u64) -> Placement {
    let roots: Vec<usize> = (0..storages.len()).filter(|&storage| storages.find(storage).0 == storage).collect();
    let starts: Vec<i64> = roots.iter().map(|&root| storages.spans(root).iter().map(|s| s.start).min().unwrap_or(0)).collect();
    let blocks = blocks(storages, &roots, &starts);
    let lower_bound = lower_bound(&blocks);
    let layout = Search::new(&blocks, storages.alignment(), largest).run(lower_bound);
    let places = (0..storages.len()).map(|storage| {
        let (root, offset) = storages.find(storage);
        let index = roots.binary_search(&root).expect("what is found is a root");
        let (buffer, at) = layout.places[index];
        (buffer, (at as i64 + offset - starts[index]) as u64)
    });
    Placement { places: places.collect(), sizes: layout.sizes, lower_bound }
}

/// Places storages, none of which is part of another, each in a buffer of its own.
pub(super) fn apart(storages: &Storages) -> Placement {
    let all = 0..storages.len();
    let roots: Vec<usize> = all.clone().collect();
    let lower_bound = lower_bound(&blocks(storages, &roots, &vec![0; roots.len()]));
    let sizes = all.clone().map(|storage| storages.padded_bytes(storage)).collect();
    Placement { places: all.map(|storage| (storage, 0)).collect(), sizes, lower_bound }
}

fn blocks(storages: &Storages, roots: &[usize], starts: &[i64]) -> Vec<Block> {
    let mut excludes = vec![BTreeSet::new(); roots.len()];
    for operands in storages.operands() {
        let of = |access| {
            let with = operands.iter().filter(move |operand| operand.access == access);
            with.map(|operand| roots.binary_search(&storages.find(operand.storage).0).expect("a root"))
        };
        for written in of(Access::Write) {
            for other in of(Access::Read).chain(of(Access::Write)).filter(|other| *other != written) {
                excludes[written].insert(other);
                excludes[other].insert(written);
            }
        }
    }
    let block = |((&root, &start), excludes): ((&usize, &i64), BTreeSet<usize>)| {
        let mut taken: Vec<Taken> = storages
            .spans(root)
            .iter()
            .map(|s| Taken { start: (s.start - start) as u64, end: (s.padded - start) as u64, first: s.first, last: s.last })
            .collect();
        taken.sort_by_key(|t| (t.start, t.first));
        let bytes = taken.iter().map(|t| t.end).max().unwrap_or(0).next_multiple_of(PADDING);
        Block { bytes, taken, excludes: excludes.into_iter().collect() }
    };
    roots.iter().zip(starts).zip(excludes).map(block).collect()
}

/// The most bytes taken at once.
fn lower_bound(blocks: &[Block]) -> u64 {
    let mut events: Vec<(usize, i64)> = vec![];
    for block in blocks {
        for (i, t) in block.taken.iter().enumerate() {
            // The padding of a piece may be the start of the next one.
            let next = block.taken[i + 1..].iter().map(|other| other.start).find(|&start| start > t.start).unwrap_or(t.end);
            let bytes = (t.end.min(next) - t.start) as i64;
            events.extend((t.first <= t.last).then_some([(t.first, bytes), (t.last + 1, -bytes)]).into_iter().flatten());
        }
    }
    events.sort_unstable();
    let alive = events.iter().scan(0, |alive, (_, change)| {
        *alive += change;
        Some(*alive)
    });
    alive.max().unwrap_or(0) as u64
}

#[derive(Clone, Debug, Default)]
struct Layout {
    places: Vec<(usize, u64)>,
    sizes: Vec<u64>,
}

impl Layout {
    /// What is to be small: bytes, then buffers.
    fn cost(&self) -> (u64, usize) {
        (self.sizes.iter().sum(), self.sizes.len())
    }
}

/// How many pairs of spans are compared before the best layout so far is taken.
const BUDGET: usize = 4_000_000;

/// How many orders are tried after those that are worth a try in themselves.
const ATTEMPTS: usize = 400;

/// How many stretches of time spans are looked up by.
const STRETCHES: usize = 256;

/// Greedy placement in several orders, and changes to the best of them at random for a while; the random numbers are always the same.
///
/// Greedy by size after "Efficient Memory Management for Deep Neural Net Inference" (Pisarchyk and Lee, 2020), as are the other orders.
struct Search<'a> {
    blocks: &'a [Block],
    alignment: u64,
    largest: u64,
    /// How many steps a stretch has.
    stretch: usize,
    compared: usize,
}

impl<'a> Search<'a> {
    fn new(blocks: &'a [Block], alignment: u64, largest: u64) -> Self {
        let steps = blocks.iter().flat_map(|b| &b.taken).map(|t| t.last + 1).max().unwrap_or(1);
        Self { blocks, alignment, largest, stretch: steps.div_ceil(STRETCHES).max(1), compared: 0 }
    }

    fn run(mut self, lower_bound: u64) -> Layout {
        let mut best: Option<(Layout, Vec<usize>)> = None;
        for order in self.orders() {
            let layout = self.layout(&order);
            if best.as_ref().is_none_or(|(known, _)| layout.cost() < known.cost()) {
                best = Some((layout, order));
            }
            if self.compared > BUDGET {
                break;
            }
        }
        let Some((mut best, mut order)) = best else { return Layout::default() };
        let mut state = 0x2545_F491_4F6C_DD1Du64;
        let mut below = move |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % n as u64) as usize
        };
        for _ in 0..ATTEMPTS {
            if best.cost().0 <= lower_bound || self.compared > BUDGET {
                break;
            }
            // A block goes before one that was placed earlier.
            let mut changed = order.clone();
            let from = below(changed.len());
            let block = changed.remove(from);
            changed.insert(below(from + 1), block);
            let layout = self.layout(&changed);
            if layout.cost() <= best.cost() {
                (best, order) = (layout, changed);
            }
        }
        best
    }

    /// By size; by size and time; by the most that is alive at once; by the first step.
    fn orders(&self) -> Vec<Vec<usize>> {
        let blocks = self.blocks;
        let first = |i: usize| blocks[i].taken.iter().map(|t| t.first).min().unwrap_or(0);
        let area =
            |i: usize| blocks[i].taken.iter().map(|t| (t.end - t.start) as u128 * (t.last.saturating_sub(t.first) + 1) as u128).sum();
        let crowd = self.crowds();
        let sorted = |key: &dyn Fn(usize) -> u128| {
            let mut order: Vec<usize> = (0..blocks.len()).collect();
            order.sort_by_key(|&i| (std::cmp::Reverse(key(i)), std::cmp::Reverse(blocks[i].bytes), first(i)));
            order
        };
        vec![sorted(&|i| blocks[i].bytes.into()), sorted(&|i| crowd[i].into()), sorted(&area), sorted(&|i| (usize::MAX - first(i)) as u128)]
    }

    /// The most bytes that are taken in a stretch of time in which a block lives.
    fn crowds(&self) -> Vec<u64> {
        let mut taken = vec![0u64; STRETCHES + 1];
        let stretches = |t: &Taken| t.first.min(t.last) / self.stretch..=t.last / self.stretch;
        for t in self.blocks.iter().flat_map(|b| &b.taken) {
            stretches(t).for_each(|s| taken[s] += t.end - t.start);
        }
        let most = |b: &Block| b.taken.iter().flat_map(stretches).map(|s| taken[s]).max().unwrap_or(0);
        self.blocks.iter().map(most).collect()
    }

    /// Places blocks in this order, each where the buffers grow least.
    fn layout(&mut self, order: &[usize]) -> Layout {
        let mut layout = Layout { places: vec![(usize::MAX, 0); self.blocks.len()], sizes: vec![] };
        // For each stretch of time the spans that are placed and live in it.
        let mut placed: Vec<Vec<(usize, Taken)>> = vec![vec![]; STRETCHES + 1];
        for &i in order {
            let block = &self.blocks[i];
            let mut excluded = vec![false; layout.sizes.len()];
            for &other in &block.excludes {
                if let Some(excluded) = excluded.get_mut(layout.places[other].0) {
                    *excluded = true;
                }
            }
            let mut forbidden = self.forbidden(block, &placed, &layout, &excluded);
            forbidden.sort_unstable();
            let mut best = ((block.bytes, 0), (layout.sizes.len(), 0));
            for (buffer, &size) in layout.sizes.iter().enumerate().filter(|(buffer, _)| !excluded[*buffer]) {
                let from = forbidden.partition_point(|f| f.0 < buffer);
                let here = forbidden[from..].iter().take_while(|f| f.0 == buffer);
                let at = lowest(here.map(|&(_, low, high)| (low, high)), self.alignment);
                let end = at + block.bytes;
                // Of buffers that need not grow the smallest, so that the large ones stay free.
                let cost = (end.saturating_sub(size), size + 1);
                if end <= self.largest.max(size) && (cost.0 < best.0.0 || cost.0 == best.0.0 && cost.0 == 0 && cost < best.0) {
                    best = (cost, (buffer, at));
                }
            }
            let (buffer, at) = best.1;
            if buffer == layout.sizes.len() {
                layout.sizes.push(0);
            }
            layout.sizes[buffer] = layout.sizes[buffer].max(at + block.bytes);
            layout.places[i] = best.1;
            for t in block.taken.iter().filter(|t| t.first <= t.last) {
                (t.first / self.stretch..=t.last / self.stretch).for_each(|s| placed[s].push((i, *t)));
            }
        }
        layout
    }

    /// For each buffer the open ranges in which the first byte of `block` may not lie.
    fn forbidden(&mut self, block: &Block, placed: &[Vec<(usize, Taken)>], layout: &Layout, excluded: &[bool]) -> Vec<(usize, i64, i64)> {
        let mut forbidden = vec![];
        for mine in block.taken.iter().filter(|t| t.first <= t.last) {
            let stretches = mine.first / self.stretch..=mine.last / self.stretch;
            for stretch in stretches.clone() {
                self.compared += placed[stretch].len();
                for (other, theirs) in &placed[stretch] {
                    // A pair that meets in several stretches counts in the first.
                    let meets = theirs.first <= mine.last && mine.first <= theirs.last;
                    let (buffer, at) = layout.places[*other];
                    if meets && !excluded[buffer] && (theirs.first.max(mine.first) / self.stretch) == stretch {
                        let (low, high) = (at + theirs.start, at + theirs.end);
                        forbidden.push((buffer, low as i64 - mine.end as i64, high as i64 - mine.start as i64));
                    }
                }
            }
        }
        forbidden
    }
}

/// The lowest aligned position outside the open ranges, which are sorted.
fn lowest(forbidden: impl Iterator<Item = (i64, i64)>, alignment: u64) -> u64 {
    let mut at = 0i64;
    for (low, high) in forbidden {
        if low >= at {
            break;
        }
        at = at.max((high.max(0) as u64).next_multiple_of(alignment) as i64);
    }
    at as u64
}
