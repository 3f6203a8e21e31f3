//! What `verify` found, as tables.

use std::io::Write;

use macula::{Graph, NodeCheck, VerifyReport};

use super::{Subject, operators, ops_of};
use crate::failure::Failure;
use crate::terminal;

const HEADER: [&str; 10] = ["node", "op", "kernel", "output", "abs. error", "rel. error", "at", "got", "expected", "beyond"];
const NUMBERS: [usize; 5] = [4, 5, 7, 8, 9];

/// A table of nodes.
pub fn table<'a>(checks: impl IntoIterator<Item = &'a NodeCheck>, file: &Graph) -> String {
    terminal::table(&HEADER, checks.into_iter().map(|check| row(check, file)), &NUMBERS)
}

/// Prints the first node that is wrong, the worst ones, and a row for each kind of operator.
pub fn print(out: &mut dyn Write, subject: &Subject<'_>, report: &VerifyReport, top: usize) -> Result<(), Failure> {
    writeln!(out, "{} on {}, every node against the reference", subject.model.name, subject.device)?;
    let file = &subject.model.graph;
    let bad = report.nodes.iter().filter(|n| !n.comparison.passed()).count();
    if let Some(first) = report.first_failure() {
        writeln!(out, "\nFirst node beyond its tolerance:\n{}", table([first], file))?;
    }
    let worst: Vec<_> = report.worst(top).into_iter().filter(|n| n.comparison.severity > 0.0).collect();
    if !worst.is_empty() {
        writeln!(out, "\nThe worst, by their tolerance:\n{}", table(worst, file))?;
    }
    if !report.nodes.is_empty() {
        writeln!(
            out,
            "\nBy operator, with the relative errors of its nodes as powers of ten from ≤ -9 to ≥ 0:\n{}",
            operators::table(report)
        )?;
    }
    let total = report.nodes.len();
    match bad {
        0 => writeln!(out, "\nAll {total} node outputs are within tolerance.")?,
        _ => writeln!(out, "\n{bad} of {total} node outputs are beyond tolerance.")?,
    }
    Ok(())
}

/// A node's cells.
pub fn row(check: &NodeCheck, file: &Graph) -> Vec<String> {
    let c = &check.comparison;
    let (at, got, expected) = match (&c.worst, &c.mismatch) {
        (_, Some(mismatch)) => (mismatch.clone(), "–".into(), "–".into()),
        (Some(w), _) => (format!("{:?}", w.at), format!("{:.6}", w.got), format!("{:.6}", w.expected)),
        (None, None) => ("–".into(), "–".into(), "–".into()),
    };
    vec![
        check.node.clone(),
        ops_of(check, file),
        terminal::kernel_names(&check.kernel),
        format!("{}{}", check.dtype, c.shape),
        terminal::error_size(c.worst_absolute),
        terminal::error_size(c.worst_relative),
        at,
        got,
        expected,
        if c.beyond == 0 { "–".into() } else { format!("{} of {}", c.beyond, c.shape.elements()) },
    ]
}
