//! The first wrong node, searched for by halves.

use std::io::Write;
use std::time::Instant;

use macula::{Bisection, Probe, Verdict};
use serde_json::{Value, json};

use super::{Subject, json as as_json, text};
use crate::failure::Failure;
use crate::terminal;

/// Searches, tells how, and returns whether no node is wrong.
pub fn run(subject: &Subject<'_>, json: bool, out: &mut dyn Write) -> Result<bool, Failure> {
    let start = Instant::now();
    let found = subject.session.bisect(&subject.views())?;
    let time = terminal::time(start.elapsed());
    let passed = !matches!(found.verdict, Verdict::Node(_));
    if json {
        writeln!(out, "{}", report(subject, &found, start.elapsed().as_secs_f64(), passed))?;
        return Ok(passed);
    }
    writeln!(out, "{} on {}, by halves", subject.model.name, subject.device)?;
    let header = ["nodes", "from", "to", "rel. error", "of tolerance", "ends", "time"];
    writeln!(out, "\n{}", terminal::table(&header, found.probes.iter().map(row), &[3, 4, 6]))?;
    let runs = found.probes.len();
    let cost = format!("{runs} {} of parts of {} nodes in {time}", if runs == 1 { "run" } else { "runs" }, found.nodes);
    match &found.verdict {
        Verdict::Node(check) => {
            let table = text::table([&**check], &subject.model.graph);
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
