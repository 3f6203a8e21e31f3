//! The network's outputs beside what another runtime computed.

use std::io::Write;

use clap::Args;
use macula::ops::Tolerance;
use macula::{Comparison, DType, Graph, Outputs, Tensor};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::inputs;
use crate::terminal::{self, Column, fitted_and_told};

/// What an output should be.
pub struct Stored {
    /// The output's name.
    pub output: String,
    /// The file, or what else it comes from.
    pub source: String,
    /// The elements.
    pub tensor: Tensor,
}

/// An output held against what it should be.
pub struct Held {
    output: String,
    source: String,
    /// The difference.
    pub comparison: Comparison,
}

/// Reads the files of `--expect`.
pub fn read(graph: &Graph, arguments: &[String]) -> Result<Vec<Stored>, Failure> {
    let names: Vec<&str> = graph.outputs().iter().map(|id| graph.value(*id).name.as_str()).collect();
    let assigned = inputs::assign_to(&names, "--expect", arguments)?;
    assigned
        .into_iter()
        .map(|(output, file)| Ok(Stored { output, source: file.display().to_string(), tensor: inputs::read(&file)? }))
        .collect()
}

/// How far outputs may be from what is expected: |output − expected| ≤ rtol · |expected| + atol · the largest |expected|.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// With --expect or --f16: how far an element of an output may be off, relative to what is expected of it [default: 1e-3; in half
    /// precision 2e-2, integers 0]
    #[arg(long, value_name = "NUMBER", value_parser = parse_bound)]
    rtol: Option<f64>,
    /// Likewise, relative to the largest magnitude expected in the whole output; both add up [default: 1e-4; in half precision 1e-2,
    /// integers 0]
    #[arg(long, value_name = "NUMBER", value_parser = parse_bound)]
    atol: Option<f64>,
}

fn parse_bound(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|bound: &f64| *bound >= 0.0 && bound.is_finite()).ok_or_else(|| "expected a number from 0 on, as 1e-3".into())
}

impl Bounds {
    /// Whether any is given.
    pub fn is_given(self) -> bool {
        self.rtol.is_some() || self.atol.is_some()
    }

    /// The bound of a whole network's output, where nothing else was asked for: roundings add up over its layers.
    fn tolerance(self, dtype: DType) -> Tolerance {
        let default = match dtype {
            DType::F16 => Tolerance { rtol: 2e-2, atol: 1e-2 },
            dtype if dtype.is_float() => Tolerance { rtol: 1e-3, atol: 1e-4 },
            _ => Tolerance::EXACT,
        };
        Tolerance { rtol: self.rtol.unwrap_or(default.rtol), atol: self.atol.unwrap_or(default.atol) }
    }
}

/// Holds outputs against what is stored of them; half precision may be held against single.
pub fn compare(outputs: &Outputs, stored: &[Stored], bounds: Bounds) -> Vec<Held> {
    let one = |stored: &Stored| {
        let got = outputs.get(&stored.output)?;
        let bound = bounds.tolerance(got.dtype());
        let comparison = match (got.dtype(), stored.tensor.dtype()) {
            (DType::F16, DType::F32) => {
                let wide = Tensor::from_f64(DType::F32, got.shape(), got.to_f64()).ok()?;
                Comparison::new(&wide, &stored.tensor, bound)
            }
            _ => Comparison::new(got, &stored.tensor, bound),
        };
        Some(Held { output: stored.output.clone(), source: stored.source.clone(), comparison })
    };
    stored.iter().filter_map(one).collect()
}

/// Prints a row for each output.
pub fn print(out: &mut dyn Write, held: &[Held]) -> Result<(), Failure> {
    if held.is_empty() {
        return Ok(());
    }
    let columns = [
        Column::new("output", false, Some(8), None),
        Column::new("held against", false, Some(12), Some(3)),
        Column::new("abs. error", true, None, Some(0)),
        Column::new("rel. error", true, None, Some(1)),
        Column::new("rtol + atol", true, None, Some(2)),
        Column::new("of it", true, None, None),
        Column::new("worst", false, Some(12), None),
    ];
    let row = |held: &Held| {
        let c = &held.comparison;
        let worst = match (&c.mismatch, &c.worst) {
            (Some(mismatch), _) => mismatch.clone(),
            (None, Some(w)) => format!("{:?}: {:.6}, expected {:.6}", w.at, w.got, w.expected),
            (None, None) => "–".into(),
        };
        let share = if c.severity.is_finite() { format!("{:.1} %", c.severity * 100.0) } else { "beyond".into() };
        let [absolute, relative] = [c.worst_absolute, c.worst_relative].map(terminal::error_size);
        let Tolerance { rtol, atol } = c.tolerance;
        let bound = format!("{} + {}", bound(rtol), bound(atol));
        vec![held.output.clone(), held.source.clone(), absolute, relative, bound, share, worst]
    };
    writeln!(out, "\nOutputs:\n{}", fitted_and_told(&columns, &held.iter().map(row).collect::<Vec<_>>(), terminal::width()))?;
    let beyond = held.iter().filter(|held| !held.comparison.passed()).count();
    match (beyond, held.len()) {
        (0, 1) => writeln!(out, "\nThe output is as expected.")?,
        (0, all) => writeln!(out, "\nAll {all} outputs are as expected.")?,
        (_, 1) => writeln!(out, "\nThe output is not as expected.")?,
        (_, all) => writeln!(out, "\n{beyond} of {all} outputs are not as expected.")?,
    }
    Ok(())
}

/// A bound as it is typed.
fn bound(value: f64) -> String {
    if value == 0.0 { "0".into() } else { format!("{value:e}") }
}

impl Held {
    /// For programs.
    pub fn json(&self) -> Value {
        let c = &self.comparison;
        json!({
            "output": self.output,
            "source": self.source,
            "worst_absolute": c.worst_absolute,
            "worst_relative": c.worst_relative,
            "rtol": c.tolerance.rtol,
            "atol": c.tolerance.atol,
            "beyond": c.beyond,
            "mismatch": c.mismatch,
            "passed": c.passed(),
        })
    }
}
