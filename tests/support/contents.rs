//! What every byte of a buffer holds.

use std::collections::BTreeMap;

use macula::ValueId;

/// What bytes are: those of a value from one of them on, or scratch of the node at this position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    Value(ValueId, u64),
    Scratch(usize),
}

impl Content {
    pub fn skip(self, bytes: u64) -> Self {
        match self {
            Content::Value(id, at) => Content::Value(id, at + bytes),
            scratch => scratch,
        }
    }
}

/// Bytes of a value and whose they are: `bytes` of them, and the content that they begin with.
pub type Run = (u64, Content);

/// What a buffer holds: contents by the ranges they lie in, each the key up to the first number.
#[derive(Clone, Default)]
pub struct Buffer(BTreeMap<u64, (u64, Content)>);

impl Buffer {
    pub fn erase(&mut self, start: u64, end: u64) {
        let before = self.0.range(..start).next_back().map(|(&at, &held)| (at, held));
        if let Some((at, (until, content))) = before.filter(|(_, (until, _))| *until > start) {
            self.0.insert(at, (start, content));
            if until > end {
                self.0.insert(end, (until, content.skip(end - at)));
            }
        }
        let inside: Vec<_> = self.0.range(start..end.max(start)).map(|(&at, &held)| (at, held)).collect();
        for (at, (until, content)) in inside {
            self.0.remove(&at);
            if until > end {
                self.0.insert(end, (until, content.skip(end - at)));
            }
        }
    }

    pub fn write(&mut self, start: u64, bytes: u64, content: Content) {
        self.erase(start, start + bytes);
        self.0.insert(start, (start + bytes, content));
    }

    /// The contents of a range, in order; `None` where nothing was written.
    pub fn read(&self, start: u64, end: u64) -> Vec<(u64, Option<Content>)> {
        let mut found = vec![];
        let mut at = start;
        while at < end {
            let held = self.0.range(..=at).next_back().filter(|(_, (until, _))| *until > at);
            let (until, content) = match held {
                Some((&from, &(until, content))) => (until, Some(content.skip(at - from))),
                None => (self.0.range(at..).next().map_or(end, |(&next, _)| next), None),
            };
            found.push((until.min(end) - at, content));
            at = until.min(end);
        }
        found
    }

    /// The first content that is not what is wanted from `start` on.
    pub fn differs(&self, start: u64, wanted: &[Run]) -> Option<Option<Content>> {
        let mut at = start;
        for &(bytes, content) in wanted {
            let mut done = 0;
            for (held, is) in self.read(at, at + bytes) {
                if is != Some(content.skip(done)) {
                    return Some(is);
                }
                done += held;
            }
            at += bytes;
        }
        None
    }
}

/// The runs of a value, to take ranges of.
pub struct Parts {
    /// Each with the byte that it begins at.
    runs: Vec<(u64, Run)>,
}

impl Parts {
    pub fn new(runs: Vec<Run>) -> Self {
        let starts = runs.iter().scan(0, |at, (bytes, _)| Some(std::mem::replace(at, *at + bytes)));
        Self { runs: starts.collect::<Vec<_>>().into_iter().zip(runs).collect() }
    }

    /// `bytes` of them, from byte `start` on.
    pub fn of(&self, start: u64, bytes: u64) -> impl Iterator<Item = Run> + '_ {
        let first = self.runs.partition_point(|(at, (length, _))| at + length <= start);
        self.runs[first..].iter().take_while(move |(at, _)| *at < start + bytes).map(move |&(at, (length, content))| {
            let (low, high) = (start.max(at), (start + bytes).min(at + length));
            (high - low, content.skip(low - at))
        })
    }
}
