//! `--compare`: figures of an earlier run beside those of this one.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::record::Record;
use crate::failure::Failure;

/// What is read of a line of an earlier run.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct Old {
    model: String,
    device: String,
    adapter: String,
    batch: usize,
    #[serde(default)]
    size: Option<[usize; 2]>,
    median_ms: f64,
}

impl Old {
    fn is_of(&self, record: &Record) -> bool {
        let Record { model, device, adapter, batch, size, .. } = record;
        (&self.model, &self.device, &self.adapter, self.batch, self.size) == (model, device, adapter, *batch, *size)
    }

    /// The line in words.
    fn name(&self) -> String {
        let size = self.size.map_or(String::new(), |[height, width]| format!(", {height}×{width}"));
        format!("{} on {}, batch {}{size}", self.model, self.adapter, self.batch)
    }
}

/// The lines of a file that `--json` has written.
pub fn read(path: &Path) -> Result<Vec<Old>, Failure> {
    let fail = |why: String| Failure::failed(format!("{}: {why}", path.display()));
    let bytes = fs::read(path).map_err(|e| fail(e.to_string()))?;
    let lines: Vec<Old> = serde_json::from_slice(&bytes).map_err(|e| fail(format!("not figures of `macula bench --json`: {e}")))?;
    match lines.iter().find(|line| line.median_ms <= 0.0) {
        Some(line) => Err(fail(format!("{}: a median of {} ms", line.name(), line.median_ms))),
        None => Ok(lines),
    }
}

/// Which earlier line belongs to which line.
pub struct Comparison {
    /// The earlier median of each line, where there is one.
    medians: Vec<Option<f64>>,
    /// Earlier lines without one now, in words.
    pub gone: Vec<String>,
}

impl Comparison {
    /// Lines that are alike, as on two adapters of one kind, are matched in their order.
    pub fn new(old: &[Old], records: &[Record]) -> Self {
        let mut left: Vec<&Old> = old.iter().collect();
        let mut partner = |record: &Record| left.iter().position(|old| old.is_of(record)).map(|at| left.remove(at).median_ms);
        let medians = records.iter().map(&mut partner).collect();
        Self { medians, gone: left.iter().map(|old| old.name()).collect() }
    }

    /// The earlier median of a line in milliseconds, where there is one.
    pub fn old_median(&self, line: usize) -> Option<f64> {
        self.medians[line]
    }

    /// How many lines had no earlier one.
    pub fn new_lines(&self) -> usize {
        self.medians.iter().filter(|median| median.is_none()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(model: &str, batch: usize, size: Option<[usize; 2]>, median_ms: f64) -> Record {
        Record { model: model.into(), batch, size, median_ms, ..super::super::record::tests::record() }
    }

    fn old(of: &Record, median_ms: f64) -> Old {
        let Record { model, device, adapter, batch, size, .. } = of.clone();
        Old { model, device, adapter, batch, size, median_ms }
    }

    #[test]
    fn lines_are_matched_by_all_that_they_are_of() {
        let now =
            [record("a", 1, Some([5, 7]), 2.0), record("a", 4, Some([5, 7]), 6.0), record("a", 4, None, 8.0), record("b", 1, None, 3.0)];
        let olds = [
            old(&now[2], 4.0),
            old(&now[0], 10.0),
            old(&record("a", 4, Some([7, 5]), 1.0), 1.0),
            Old { adapter: "x".into(), ..old(&now[3], 1.0) },
        ];
        let comparison = Comparison::new(&olds, &now);
        let medians: Vec<_> = (0..4).map(|line| comparison.old_median(line)).collect();
        assert_eq!(medians, [Some(10.0), None, Some(4.0), None]);
        assert_eq!(comparison.new_lines(), 2);
        assert_eq!(comparison.gone, ["a on CPU, 3 threads, batch 4, 7×5", "b on x, batch 1"]);
    }

    #[test]
    fn lines_that_are_alike_are_matched_in_order() {
        let now = [record("a", 1, None, 1.0), record("a", 1, None, 1.0), record("a", 1, None, 1.0)];
        let comparison = Comparison::new(&[old(&now[0], 3.0), old(&now[0], 5.0)], &now);
        assert_eq!([0, 1, 2].map(|line| comparison.old_median(line)), [Some(3.0), Some(5.0), None]);
        assert!(comparison.gone.is_empty());
    }
}
