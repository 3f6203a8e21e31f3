//! Every kernel that can serve each node.

use std::io::Write;

use macula::{KernelCheck, VerifyReport};

use super::Subject;
use crate::failure::Failure;
use crate::terminal::{self, Column, fitted_and_told};

/// Fails where no node can be computed by a kernel of this name.
pub fn check_name(subject: &Subject<'_>, kernel: &str) -> Result<(), Failure> {
    let plans = subject.session.plans_for(&subject.views())?;
    let candidates = || plans.iter().flat_map(|plan| plan.candidates.iter().flatten());
    let served = |c: &macula::plan::Candidate| c.chosen && (c.kernel == kernel || c.name.starts_with(kernel));
    if candidates().any(served) {
        return Ok(());
    }
    let mut known: Vec<&str> = candidates().map(|c| c.kernel).collect();
    known.sort_unstable();
    known.dedup();
    let known = if known.is_empty() { "no node runs on a GPU".to_owned() } else { format!("kernels that can: {}", known.join(", ")) };
    Err(Failure::usage(format!("--kernel {kernel}: no node can be computed by it on {}; {known}", subject.device)))
}

/// Prints a row for each of the worst kernels of a node, the worst first, and how many there are.
pub fn print(out: &mut dyn Write, report: &VerifyReport, top: usize) -> Result<(), Failure> {
    if report.kernels.is_empty() {
        writeln!(out, "\nNo node runs on a GPU, so there are no kernels to choose from.")?;
        return Ok(());
    }
    let mut worst: Vec<&KernelCheck> = report.kernels.iter().collect();
    worst.sort_by(|a, b| b.severity().total_cmp(&a.severity()));
    let beyond = worst.iter().filter(|check| !check.passed()).count();
    // Whatever is wrong is told, however much it is.
    worst.truncate(top.max(beyond));
    // Why a kernel did not run is told in the last column.
    let columns = [
        Column::new("node", false, Some(10), None),
        Column::new("op", false, Some(9), Some(0)),
        Column::new("kernel", false, Some(14), None),
        Column::new("abs. error", true, None, Some(2)),
        Column::new("rel. error", true, None, Some(1)),
        Column::new("of tolerance", true, None, Some(4)),
        Column::new("runs", false, None, Some(3)),
        Column::new("beyond", false, Some(12), None),
    ];
    writeln!(
        out,
        "\nEvery kernel that can serve each node, the worst first:\n{}",
        fitted_and_told(&columns, &worst.into_iter().map(row).collect::<Vec<_>>(), terminal::width())
    )?;
    let nodes = report.kernels.chunk_by(|a, b| a.node == b.node).count();
    let total = report.kernels.len();
    match beyond {
        0 => writeln!(out, "\nAll {total} kernels of {nodes} nodes are within tolerance.")?,
        _ => writeln!(out, "\n{beyond} of {total} kernels of {nodes} nodes are beyond tolerance.")?,
    }
    Ok(())
}

fn row(check: &KernelCheck) -> Vec<String> {
    let chosen = if check.chosen { "yes" } else { "" };
    let start = vec![check.node.clone(), check.op.to_owned(), check.candidate.clone()];
    let rest = match &check.outcome {
        Ok(c) => vec![
            terminal::error_size(c.worst_absolute),
            terminal::error_size(c.worst_relative),
            format!("{:.1} %", c.severity * 100.0),
            chosen.into(),
            if c.beyond == 0 { "–".into() } else { format!("{} of {}", c.beyond, c.shape.elements()) },
        ],
        Err(why) => vec!["–".into(), "–".into(), "–".into(), chosen.into(), why.clone()],
    };
    [start, rest].concat()
}
