//! The figures of one line.

use serde::Serialize;

use super::compare::Comparison;
use crate::failure::Failure;

/// A line of the table; its fields are documented in the command's help.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    pub model: String,
    pub device: String,
    /// The device in tables.
    #[serde(skip)]
    pub label: String,
    pub adapter: String,
    pub driver: String,
    pub batch: usize,
    pub size: Option<[usize; 2]>,
    pub runs: usize,
    pub median_ms: f64,
    pub min_ms: f64,
    pub p10_ms: f64,
    pub p90_ms: f64,
    pub images_per_s: f64,
    pub first_ms: f64,
    pub compile_ms: f64,
    pub peak_bytes: Option<u64>,
    pub weights_bytes: u64,
    pub fallbacks: Vec<Fallback>,
}

/// A node that runs on the CPU though the device is a GPU.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Fallback {
    pub node: String,
    pub op: &'static str,
    pub reason: String,
}

/// A line with what there was before.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    record: &'a Record,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_median_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
}

/// All lines as an array, each on a line of its own.
pub fn json(records: &[Record], comparison: Option<&Comparison>) -> Result<String, Failure> {
    let object = |(at, record): (usize, &Record)| {
        let old_median_ms = comparison.and_then(|comparison| comparison.old_median(at));
        serde_json::to_string(&Line { record, old_median_ms, ratio: old_median_ms.map(|old| old / record.median_ms) })
    };
    let lines = records.iter().enumerate().map(object).collect::<Result<Vec<_>, _>>();
    let lines = lines.map_err(|e| Failure::failed(format!("the figures cannot be written as JSON: {e}")))?;
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Figures that differ.
    pub fn record() -> Record {
        Record {
            model: "net.onnx".into(),
            device: "cpu".into(),
            label: "cpu".into(),
            adapter: "CPU, 3 threads".into(),
            driver: String::new(),
            batch: 4,
            size: Some([5, 7]),
            runs: 11,
            median_ms: 20.0,
            min_ms: 10.0,
            p10_ms: 12.0,
            p90_ms: 30.0,
            images_per_s: 200.0,
            first_ms: 50.0,
            compile_ms: 400.0,
            peak_bytes: None,
            weights_bytes: 3 << 20,
            fallbacks: vec![],
        }
    }
}
