//! What `verify` found, for programs.

use macula::{Graph, KernelCheck, NodeCheck, VerifyReport};
use serde_json::{Value, json};

use super::expect::Held;
use super::{Subject, op_of, operators};

/// Everything.
pub fn report(subject: &Subject<'_>, report: &VerifyReport, held: &[Held], kernels: bool) -> Value {
    let nodes: Vec<Value> = report.nodes.iter().map(|check| node(check, &subject.model.graph)).collect();
    let mut all = json!({
        "model": subject.model.name,
        "device": subject.device,
        "passed": report.passed() && held.iter().all(|held| held.comparison.passed()),
        "nodes": nodes,
        "ops": operators::json(report),
    });
    if kernels {
        all["kernels"] = report.kernels.iter().map(kernel).collect();
    }
    if !held.is_empty() {
        all["expected"] = held.iter().map(Held::json).collect();
    }
    all
}

/// One output of one node.
pub fn node(check: &NodeCheck, file: &Graph) -> Value {
    let c = &check.comparison;
    json!({
        "node": check.node,
        "op": check.op,
        "origins": check.origins.iter().map(|origin| json!({ "name": origin, "op": op_of(file, origin) })).collect::<Vec<_>>(),
        "kernel": check.kernel,
        "output": check.output,
        "dtype": check.dtype.name(),
        "shape": c.shape.dims(),
        "worst_absolute": c.worst_absolute,
        "worst_relative": c.worst_relative,
        "at": c.worst.as_ref().map(|w| w.at.clone()),
        "got": c.worst.as_ref().map(|w| w.got),
        "expected": c.worst.as_ref().map(|w| w.expected),
        "beyond": c.beyond,
        "mismatch": c.mismatch,
        "passed": c.passed(),
    })
}

fn kernel(check: &KernelCheck) -> Value {
    let comparison = check.outcome.as_ref().ok();
    json!({
        "node": check.node,
        "op": check.op,
        "kernel": check.kernel,
        "candidate": check.candidate,
        "chosen": check.chosen,
        "worst_absolute": comparison.map(|c| c.worst_absolute),
        "worst_relative": comparison.map(|c| c.worst_relative),
        "beyond": comparison.map(|c| c.beyond),
        "error": check.outcome.as_ref().err(),
        "passed": check.passed(),
    })
}
