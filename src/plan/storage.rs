//! Which values share memory: storages, what lives in them and when, and how two of them become one.

use std::ops::Range;

use super::{Access, Elem};

/// Buffers are bound in whole vectors of four of the widest element, so that kernels may read and write them so.
pub(super) const PADDING: u64 = 32;

/// Bytes of a storage that hold one content for a time.
///
/// In one storage no two spans that live at the same time have a byte in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Span {
    /// Bytes `start..end` of the storage.
    pub start: i64,
    pub end: i64,
    /// How far a kernel that writes the last elements may write: it stores whole vectors.
    pub padded: i64,
    /// From the step that writes it first to the step that needs it last, both included: a dispatch may not read and write one buffer,
    /// so what it reads lives as long as what it writes.
    pub first: usize,
    pub last: usize,
    /// The last step that writes it.
    pub written: usize,
}

impl Span {
    /// Lives at no time.
    const GONE: Span = Span { start: 0, end: 0, padded: 0, first: usize::MAX, last: 0, written: 0 };

    fn is_alive(&self, step: usize) -> bool {
        (self.first..=self.last).contains(&step)
    }

    fn shifted(self, by: i64) -> Self {
        Self { start: self.start + by, end: self.end + by, padded: self.padded + by, ..self }
    }

    /// Whether one of the two is overwritten by the other, or by the tail of what the other's kernel writes, while it lives.
    fn collides(&self, other: &Span) -> bool {
        let alive = self.first <= other.last && other.first <= self.last;
        let share = self.start < other.end && other.start < self.end;
        let spills = |a: &Span, b: &Span| a.end < b.end && b.start < a.padded && a.first <= b.last && b.first <= a.written;
        alive && share || spills(self, other) || spills(other, self)
    }
}

/// A storage that a dispatch binds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Operand {
    pub storage: usize,
    /// The position among the dispatch's bindings.
    pub binding: usize,
    pub access: Access,
}

/// A copy of `bytes` from one storage to another, by the dispatch at `step`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Move {
    pub step: usize,
    pub from: usize,
    pub from_offset: i64,
    pub to: usize,
    pub to_offset: i64,
    pub bytes: i64,
}

#[derive(Clone, Debug)]
struct Storage {
    /// The element type; scratch has none.
    elem: Option<Elem>,
    bytes: u64,
    /// The storage that it has become a part of, and the position of its first byte there.
    parent: Option<(usize, i64)>,
    spans: Vec<Span>,
    /// The dispatches that bind it, in order.
    steps: Vec<usize>,
}

/// The storages of a plan: at first one for each value and scratch, then fewer.
#[derive(Clone, Debug)]
pub(super) struct Storages {
    /// Of every place in a storage that a kernel binds.
    alignment: i64,
    storages: Vec<Storage>,
    operands: Vec<Vec<Operand>>,
}

/// New states of spans, by their positions.
type Changes = Vec<(usize, Span)>;

impl Storages {
    pub fn new(alignment: u64) -> Self {
        Self { alignment: alignment.max(PADDING) as i64, storages: vec![], operands: vec![] }
    }

    pub fn alignment(&self) -> u64 {
        self.alignment as u64
    }

    /// A storage of its own for `bytes` of a value or scratch, which nothing has accessed yet.
    pub fn add(&mut self, bytes: u64, elem: Option<Elem>) -> usize {
        let (end, padded) = (bytes as i64, bytes.next_multiple_of(PADDING) as i64);
        let span = Span { start: 0, end, padded, ..Span::GONE };
        self.storages.push(Storage { elem, bytes, parent: None, spans: vec![span], steps: vec![] });
        self.storages.len() - 1
    }

    /// `step` needs a storage that nothing has been joined with.
    pub fn touch(&mut self, storage: usize, step: usize) {
        for span in &mut self.storages[storage].spans {
            span.first = span.first.min(step);
            span.last = span.last.max(step);
        }
    }

    /// `step` writes it.
    pub fn write(&mut self, storage: usize, step: usize) {
        self.touch(storage, step);
        self.storages[storage].spans.iter_mut().for_each(|span| span.written = span.written.max(step));
    }

    /// The dispatch at `step` binds it.
    pub fn bind(&mut self, step: usize, operand: Operand) {
        match operand.access {
            Access::Read => self.touch(operand.storage, step),
            Access::Write => self.write(operand.storage, step),
        }
        if self.operands.len() <= step {
            self.operands.resize(step + 1, vec![]);
        }
        self.operands[step].push(operand);
        let steps = &mut self.storages[operand.storage].steps;
        if steps.last() != Some(&step) {
            steps.push(step);
        }
    }

    /// The size of what it was made for, in bytes.
    pub fn bytes(&self, storage: usize) -> u64 {
        self.storages[storage].bytes
    }

    /// Its size as kernels bind it.
    pub fn padded_bytes(&self, storage: usize) -> u64 {
        self.storages[storage].bytes.next_multiple_of(PADDING)
    }

    /// The sum of all, each by itself.
    pub fn no_reuse_bytes(&self) -> u64 {
        (0..self.storages.len()).map(|storage| self.padded_bytes(storage)).sum()
    }

    /// How many there were at first.
    pub fn len(&self) -> usize {
        self.storages.len()
    }

    /// The storage that it is part of by now, itself or another, and where its first byte is there.
    pub fn find(&self, mut storage: usize) -> (usize, i64) {
        let mut offset = 0;
        while let Some((parent, at)) = self.storages[storage].parent {
            (storage, offset) = (parent, offset + at);
        }
        (storage, offset)
    }

    /// What lives in a storage, in its own bytes; nothing where it has become a part of another.
    pub fn spans(&self, storage: usize) -> &[Span] {
        &self.storages[storage].spans
    }

    /// What each dispatch binds, by step; elided ones bind nothing.
    pub fn operands(&self) -> &[Vec<Operand>] {
        &self.operands
    }

    /// Whether a dispatch would read and write one buffer, or write it twice, if `a` and `b` were one.
    pub fn conflict(&self, a: usize, b: usize, ignored: impl Fn(usize, &Operand) -> bool) -> bool {
        let of = |storage: usize| &self.storages[storage].steps;
        let fewer = if of(a).len() < of(b).len() { of(a) } else { of(b) };
        fewer.iter().any(|&step| {
            let inside = |operand: &&Operand| [a, b].contains(&self.find(operand.storage).0) && !ignored(step, operand);
            let (mut bound, mut writes) = (0, false);
            for operand in self.operands[step].iter().filter(inside) {
                bound += 1;
                writes |= operand.access == Access::Write;
            }
            bound > 1 && writes
        })
    }

    /// Makes `hub` and `spoke` one storage in which `moves`, all between these two, have nothing to do, and says whether that goes.
    ///
    /// What is copied stays where it is, and lives as long as the copy did.
    pub fn elide(&mut self, hub: usize, spoke: usize, moves: &[Move]) -> bool {
        // Where the spoke's first byte is in the hub: every move must say the same.
        let delta = |m: &Move| {
            let ((from, at), (_, to_at)) = (self.find(m.from), self.find(m.to));
            let (from_offset, to_offset) = (at + m.from_offset, to_at + m.to_offset);
            if from == spoke { to_offset - from_offset } else { from_offset - to_offset }
        };
        let Some(at) = moves.first().map(delta) else { return false };
        if hub == spoke || at % self.alignment != 0 || moves.iter().any(|m| delta(m) != at) {
            return false;
        }
        if self.conflict(hub, spoke, |step, _| moves.iter().any(|m| m.step == step)) {
            return false;
        }
        let mut changes: [Changes; 2] = Default::default();
        for m in moves {
            let mut side = |storage: usize, offset: i64| {
                let (root, base) = self.find(storage);
                (root, self.cut(root, base + offset..base + offset + m.bytes, m.step))
            };
            let ((from, source), (to, target)) = (side(m.from, m.from_offset), side(m.to, m.to_offset));
            let last = target.iter().map(|&i| self.storages[to].spans[i].last).max().unwrap_or(0);
            let lives_on = |&i: &usize| {
                let span = self.storages[from].spans[i];
                (i, Span { last: span.last.max(last), ..span })
            };
            changes[usize::from(from == spoke)].extend(source.iter().map(lives_on));
            changes[usize::from(to == spoke)].extend(target.iter().map(|&i| (i, Span::GONE)));
        }
        let joined = self.join(hub, spoke, at, changes);
        if joined {
            moves.iter().for_each(|m| self.operands[m.step].clear());
        }
        joined
    }

    /// Lets the dispatch at `step` compute `y` in the bytes of `x`, which nothing needs afterwards, and says whether that goes.
    pub fn compute_in_place(&mut self, step: usize, x: Operand, y: Operand) -> bool {
        let of = |storage: usize| (self.storages[storage].elem, self.storages[storage].bytes);
        let ((from, from_at), (to, to_at)) = (self.find(x.storage), self.find(y.storage));
        if from == to || of(x.storage) != of(y.storage) || of(x.storage).0.is_none() {
            return false;
        }
        if self.conflict(from, to, |at, operand| at == step && operand.binding == x.binding) {
            return false;
        }
        let bytes = of(x.storage).1 as i64;
        let (source, target) = (self.cut(from, from_at..from_at + bytes, step), self.cut(to, to_at..to_at + bytes, step));
        let dies = |&i: &usize| self.storages[from].spans[i].last == step && self.storages[from].spans[i].first < step;
        if !source.iter().all(dies) || target.iter().any(|&i| self.storages[to].spans[i].first != step) {
            return false;
        }
        let ends = |&i: &usize| (i, Span { last: step - 1, ..self.storages[from].spans[i] });
        let ends: Changes = source.iter().map(ends).collect();
        // The one with more in it stays, so that a long chain is not moved again and again.
        let joined = match self.storages[from].steps.len() >= self.storages[to].steps.len() {
            true => self.join(from, to, from_at - to_at, [ends, vec![]]).then_some(from),
            false => self.join(to, from, to_at - from_at, [vec![], ends]).then_some(to),
        };
        if let Some(root) = joined {
            self.operands[step].retain(|operand| operand.binding != x.binding);
            self.fuse(root);
        }
        joined.is_some()
    }

    /// Cuts the spans that live at `step` at both ends of `range`, and returns the positions of those inside.
    fn cut(&mut self, storage: usize, range: Range<i64>, step: usize) -> Vec<usize> {
        let spans = &mut self.storages[storage].spans;
        for at in [range.start, range.end] {
            for i in 0..spans.len() {
                if spans[i].is_alive(step) && spans[i].start < at && at < spans[i].end {
                    let whole = spans[i];
                    spans[i] = Span { end: at, padded: at, ..whole };
                    spans.push(Span { start: at, ..whole });
                }
            }
        }
        let inside = |span: &Span| span.is_alive(step) && range.start <= span.start && span.end <= range.end;
        (0..spans.len()).filter(|&i| inside(&spans[i])).collect()
    }

    /// Moves what `guest` holds into `host`, its byte 0 to `at`, both with changed spans, unless something would overwrite another.
    fn join(&mut self, host: usize, guest: usize, at: i64, [of_host, of_guest]: [Changes; 2]) -> bool {
        fn exchange(spans: &mut [Span], changes: &mut Changes) {
            changes.iter_mut().for_each(|(i, span)| std::mem::swap(&mut spans[*i], span));
        }
        let mut guests = self.storages[guest].spans.clone();
        exchange(&mut guests, &mut of_guest.clone());
        guests.retain(|span| *span != Span::GONE);
        guests.iter_mut().for_each(|span| *span = span.shifted(at));
        let (mut undo, spans) = (of_host, &mut self.storages[host].spans);
        exchange(spans, &mut undo);
        if spans.iter().any(|a| guests.iter().any(|b| a.collides(b))) {
            undo.reverse();
            exchange(spans, &mut undo);
            return false;
        }
        spans.retain(|span| *span != Span::GONE);
        spans.extend(guests);
        self.storages[guest].spans.clear();
        self.storages[guest].parent = Some((host, at));
        let steps = std::mem::take(&mut self.storages[guest].steps);
        let all = &mut self.storages[host].steps;
        all.extend(steps);
        all.sort();
        all.dedup();
        true
    }

    /// Spans of the same bytes that follow one another in time become one.
    fn fuse(&mut self, storage: usize) {
        let spans = &mut self.storages[storage].spans;
        spans.sort();
        spans.dedup_by(|next, span| {
            let follows = (span.start, span.end, span.padded, span.last + 1) == (next.start, next.end, next.padded, next.first);
            if follows {
                (span.last, span.written) = (next.last, next.written);
            }
            follows
        });
    }
}
