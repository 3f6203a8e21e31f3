//! `inspect --json`.

use macula::plan::{Candidate, Placed};
use macula::{Layer, ReceptiveField, ValueId};
use serde_json::{Value, json};

use super::{Report, kernels};

/// Everything, as one object; the fields are documented in the command's help.
pub fn object(report: &Report) -> Value {
    let (summary, plan) = (&report.summary, report.plan);
    let values = |ids: &[ValueId]| ids.iter().map(|&id| value(report, id)).collect::<Vec<_>>();
    json!({
        "model": report.model,
        "device": report.device,
        "inputs": values(report.file.inputs()),
        "outputs": values(report.file.outputs()),
        "totals": {
            "parameters": summary.parameters,
            "flops": summary.flops,
            "dispatches": summary.dispatches,
            "nodes": plan.map(|plan| plan.graph.nodes().len()),
            "file_nodes": report.file.nodes().len(),
        },
        "memory": {
            "weights_bytes": summary.memory.map(|m| m.weights_bytes),
            "peak_bytes": summary.memory.and_then(|m| m.peak_bytes),
            "no_reuse_bytes": summary.memory.and_then(|m| m.no_reuse_bytes),
            "lower_bound_bytes": summary.memory.and_then(|m| m.lower_bound_bytes),
        },
        "layers": summary.layers.iter().enumerate().map(|(at, layer)| self::layer(report, at, layer)).collect::<Vec<_>>(),
        "passes": plan.map(|plan| plan.passes.iter().map(|pass| json!({
            "pass": pass.pass.name(),
            "changes": pass.changes,
            "nodes_before": pass.nodes_before,
            "nodes_after": pass.nodes_after,
        })).collect::<Vec<_>>()),
    })
}

fn value(report: &Report, id: ValueId) -> Value {
    let value = report.file.value(id);
    let ty = report.plan.map(|plan| plan.tensor_type(id));
    json!({
        "name": value.name,
        "declared": value.declared(),
        "type": ty.as_ref().map(|ty| ty.to_string()),
        "dtype": ty.as_ref().map(|ty| ty.dtype.name()),
        "shape": ty.as_ref().map(|ty| ty.shape.dims().to_vec()),
    })
}

fn layer(report: &Report, at: usize, layer: &Layer) -> Value {
    let origin = |name: &String| json!({ "name": name, "op": report.op_of(name) });
    let fields: Vec<Value> = layer.receptive_fields.iter().map(|(input, field)| self::field(report, *input, field)).collect();
    let (device, variants, reason) = match &layer.placed {
        Some(Placed::Gpu(variants)) => (Some("gpu"), variants.clone(), None),
        Some(Placed::Cpu(reason)) => (Some("cpu"), vec![], Some(reason.as_str()).filter(|reason| !reason.is_empty())),
        Some(Placed::View) | None => (None, vec![], None),
    };
    json!({
        "name": layer.name,
        "op": layer.op,
        "origins": layer.origins.iter().map(origin).collect::<Vec<_>>(),
        "output_shape": layer.outputs.first().map(|ty| ty.shape.dims().to_vec()),
        "outputs": layer.outputs.iter().map(|ty| ty.to_string()).collect::<Vec<_>>(),
        "parameters": layer.parameters,
        "flops": layer.flops,
        "receptive_field": fields.first(),
        "receptive_fields": fields,
        "kernel": kernels(layer.placed.as_ref()),
        "variants": variants,
        "candidates": report.plan.map(|plan| plan.candidates[at].iter().map(candidate).collect::<Vec<_>>()),
        "device": device,
        "reason": reason,
    })
}

fn candidate(candidate: &Candidate) -> Value {
    json!({
        "kernel": candidate.kernel,
        "name": candidate.name,
        "nanoseconds": candidate.time.map(|time| time.as_nanos() as u64),
        "wrong": candidate.wrong,
        "chosen": candidate.chosen,
    })
}

fn field(report: &Report, input: ValueId, field: &ReceptiveField) -> Value {
    json!({
        "input": report.graph().value(input).name,
        "size": field.axes.iter().map(|axis| axis.size).collect::<Vec<_>>(),
        "stride": field.axes.iter().map(|axis| axis.stride).collect::<Vec<_>>(),
        "centre": field.axes.iter().map(|axis| axis.centre).collect::<Vec<_>>(),
        "whole": field.axes.iter().map(|axis| axis.whole).collect::<Vec<_>>(),
    })
}
