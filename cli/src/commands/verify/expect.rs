//! The network's outputs beside what another runtime computed.

use std::io::Write;

use macula::ops::Tolerance;
use macula::{Comparison, DType, Graph, Outputs, Tensor};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::{inputs, terminal};

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

/// The bound of a whole network: roundings add up over its layers.
fn tolerance(dtype: DType) -> Tolerance {
    match dtype {
        DType::F16 => Tolerance { rtol: 2e-2, atol: 1e-2 },
        dtype if dtype.is_float() => Tolerance { rtol: 1e-3, atol: 1e-4 },
        _ => Tolerance::EXACT,
    }
}

/// Holds outputs against what is stored of them; half precision may be held against single.
pub fn compare(outputs: &Outputs, stored: &[Stored]) -> Vec<Held> {
    let one = |stored: &Stored| {
        let got = outputs.get(&stored.output)?;
        let bound = tolerance(got.dtype());
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
    let header = ["output", "held against", "abs. error", "rel. error", "of tolerance", "worst"];
    let row = |held: &Held| {
        let c = &held.comparison;
        let worst = match (&c.mismatch, &c.worst) {
            (Some(mismatch), _) => mismatch.clone(),
            (None, Some(w)) => format!("{:?}: {:.6}, expected {:.6}", w.at, w.got, w.expected),
            (None, None) => "–".into(),
        };
        let share = if c.severity.is_finite() { format!("{:.1} %", c.severity * 100.0) } else { "beyond".into() };
        let [absolute, relative] = [c.worst_absolute, c.worst_relative].map(terminal::error_size);
        vec![held.output.clone(), held.source.clone(), absolute, relative, share, worst]
    };
    writeln!(out, "\nOutputs:\n{}", terminal::table(&header, held.iter().map(row), &[2, 3, 4]))?;
    let beyond = held.iter().filter(|held| !held.comparison.passed()).count();
    match beyond {
        0 => writeln!(out, "\nAll {} outputs are as expected.", held.len())?,
        _ => writeln!(out, "\n{beyond} of {} outputs are not as expected.", held.len())?,
    }
    Ok(())
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
            "beyond": c.beyond,
            "mismatch": c.mismatch,
            "passed": c.passed(),
        })
    }
}
