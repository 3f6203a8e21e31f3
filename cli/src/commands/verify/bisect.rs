//! The first wrong node, searched for by halves.

use std::io::Write;
use std::time::Instant;

use macula::{Bisection, Probe, Verdict};
use serde_json::{Value, json};

use super::expect::{self, Held};
use super::{Subject, json as as_json, text};
use crate::failure::Failure;
use crate::terminal::{self, Column, fitted_and_told};

const COLUMNS: [Column; 7] = [
    Column::new("nodes", false, None, None),
    Column::new("from", false, Some(9), Some(3)),
    Column::new("to", false, Some(9), Some(4)),
    Column::new("rel. error", true, None, Some(1)),
    Column::new("of tolerance", true, None, Some(2)),
    Column::new("ends", false, None, None),
    Column::new("time", true, None, Some(0)),
];

/// Searches, tells how, and returns whether no node is wrong and all outputs are as expected, which `held` says.
pub fn run(
    subject: &Subject<'_>,
    held: impl FnOnce() -> Result<Vec<Held>, Failure>,
    json: bool,
    out: &mut dyn Write,
) -> Result<bool, Failure> {
    let start = Instant::now();
    let found = subject.session.bisect(&subject.views())?;
    let elapsed = start.elapsed();
    let time = terminal::time(elapsed);
    let held = held()?;
    let passed = !matches!(found.verdict, Verdict::Node(_)) && held.iter().all(|held| held.comparison.passed());
    if json {
        let mut all = report(subject, &found, elapsed.as_secs_f64(), passed);
        if !held.is_empty() {
            all["expected"] = held.iter().map(Held::json).collect();
        }
        writeln!(out, "{all}")?;
        return Ok(passed);
    }
    writeln!(out, "{} on {}, by halves", subject.model.name, subject.device)?;
    let (width, rows) = (terminal::width(), found.probes.iter().map(row).collect::<Vec<_>>());
    writeln!(out, "\n{}", fitted_and_told(&COLUMNS, &rows, width))?;
    let runs = found.probes.len();
    let cost = format!("{runs} {} of parts of {} nodes in {time}", if runs == 1 { "run" } else { "runs" }, found.nodes);
    match &found.verdict {
        Verdict::Node(check) => {
            let table = text::table([&**check], &subject.model.graph, width);
            writeln!(out, "\nThe first wrong node, by the reference, after {cost}:\n{table}")?;
        }
        Verdict::Spread(probe) => writeln!(
            out,
            "\nNo node is beyond its tolerance, after {cost}; but from `{}` to `{}` the devices drift apart: {}.\n\
             Roundings add up there, or decide which integer or branch is taken.",
            probe.first, probe.last, probe.comparison
        )?,
        _ => writeln!(out, "\nThe outputs agree, after {cost}. Without --bisect, errors that do not reach them are seen too.")?,
    }
    expect::print(out, &held)?;
    Ok(passed)
}

fn row(probe: &Probe) -> Vec<String> {
    let c = &probe.comparison;
    vec![
        format!("{}–{}", probe.nodes.start + 1, probe.nodes.end),
        probe.first.clone(),
        probe.last.clone(),
        terminal::error_size(c.worst_relative),
        if c.severity.is_finite() { format!("{:.1} %", c.severity * 100.0) } else { "–".into() },
        if c.passed() { "agree".into() } else { "differ".into() },
        terminal::time(probe.time),
    ]
}

fn report(subject: &Subject<'_>, found: &Bisection, seconds: f64, passed: bool) -> Value {
    let probe = |probe: &Probe| {
        json!({
            "nodes": [probe.nodes.start, probe.nodes.end],
            "first": probe.first,
            "last": probe.last,
            "worst_relative": probe.comparison.worst_relative,
            "agree": probe.comparison.passed(),
            "ms": probe.time.as_secs_f64() * 1e3,
        })
    };
    let (verdict, detail) = match &found.verdict {
        Verdict::Node(check) => ("node", as_json::node(check, &subject.model.graph)),
        Verdict::Spread(part) => ("spread", probe(part)),
        _ => ("agrees", Value::Null),
    };
    json!({
        "model": subject.model.name,
        "device": subject.device,
        "passed": passed,
        "verdict": verdict,
        "found": detail,
        "nodes": found.nodes,
        "probes": found.probes.iter().map(probe).collect::<Vec<_>>(),
        "seconds": seconds,
    })
}
