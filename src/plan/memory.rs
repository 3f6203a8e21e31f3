//! The memory plan: buffers whose lifetimes do not overlap share one allocation.

/// A buffer before it is placed: its size, and the first and last step that touch it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lifetime {
    pub bytes: u64,
    pub first: usize,
    pub last: usize,
}

impl Lifetime {
    fn overlaps(&self, other: &Lifetime) -> bool {
        // Inclusive: a dispatch may not read and write one buffer, so its inputs and outputs never share.
        self.first <= other.last && other.first <= self.last
    }
}

/// Assigns each buffer a slot: largest first, into the slot that grows least. Returns slots and their sizes in bytes.
///
/// Greedy by size, after "Efficient Memory Management for Deep Neural Net Inference" (Pisarchyk and Lee, 2020).
pub(super) fn assign(buffers: &[Lifetime], reuse: bool) -> (Vec<usize>, Vec<u64>) {
    if !reuse {
        return ((0..buffers.len()).collect(), buffers.iter().map(|b| b.bytes).collect());
    }
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(buffers[i].bytes), buffers[i].first));
    let mut slots: Vec<(u64, Vec<usize>)> = vec![];
    let mut assigned = vec![0; buffers.len()];
    for i in order {
        let free = |(_, members): &&(u64, Vec<usize>)| members.iter().all(|&m| !buffers[m].overlaps(&buffers[i]));
        let best = slots.iter().enumerate().filter(|(_, s)| free(s)).min_by_key(|(_, s)| s.0).map(|(at, _)| at);
        let slot = best.unwrap_or_else(|| {
            slots.push((buffers[i].bytes, vec![]));
            slots.len() - 1
        });
        slots[slot].1.push(i);
        assigned[i] = slot;
    }
    (assigned, slots.into_iter().map(|s| s.0).collect())
}

/// The most bytes alive at once: no plan can need less.
pub(super) fn lower_bound(buffers: &[Lifetime]) -> u64 {
    let alive_at = |step: usize| buffers.iter().filter(|b| b.first <= step && step <= b.last).map(|b| b.bytes).sum();
    buffers.iter().map(|b| alive_at(b.first)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(bytes: u64, first: usize, last: usize) -> Lifetime {
        Lifetime { bytes, first, last }
    }

    #[test]
    fn a_chain_needs_two_buffers() {
        let chain: Vec<_> = (0..9).map(|i| live(100 - i as u64, i, i + 1)).collect();
        let (slots, sizes) = assign(&chain, true);
        assert_eq!(sizes, [100, 99]);
        assert_eq!(lower_bound(&chain), 199);
        assert!(slots.windows(2).all(|w| w[0] != w[1]));
    }

    #[test]
    fn overlapping_buffers_never_share() {
        let buffers = [live(10, 0, 5), live(20, 2, 3), live(5, 4, 6), live(8, 3, 4), live(7, 6, 7)];
        let (slots, sizes) = assign(&buffers, true);
        for i in 0..buffers.len() {
            assert!(sizes[slots[i]] >= buffers[i].bytes);
            for j in 0..i {
                assert!(!(slots[i] == slots[j] && buffers[i].overlaps(&buffers[j])), "{i} and {j} share");
            }
        }
        assert_eq!(assign(&buffers, false).1, [10, 20, 5, 8, 7]);
    }
}
