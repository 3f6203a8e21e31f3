//! `inspect` for people.

use std::io::Write;

use macula::plan::{Placed, Plan};
use macula::{DType, Layer, Memory, ReceptiveField, ValueId};

use super::{Report, kernels, per_axis};
use crate::failure::Failure;
use crate::terminal::{self, Column, bytes, count, digits, fitted};

/// Everything, in tables of at most `width` characters.
pub fn write(out: &mut dyn Write, report: &Report, with_kernels: bool, width: Option<usize>) -> Result<(), Failure> {
    writeln!(out, "{} on {}\n", report.model, report.device)?;
    for (what, ids) in [("input", report.file.inputs()), ("output", report.file.outputs())] {
        for &id in ids {
            let (value, ty) = (report.file.value(id), report.plan.map(|plan| plan.tensor_type(id).to_string()));
            let declared = value.declared();
            match ty.filter(|ty| *ty != declared) {
                Some(ty) => writeln!(out, "{what:7} {}  {declared}, here {ty}", value.name)?,
                None => writeln!(out, "{what:7} {}  {declared}", value.name)?,
            }
        }
    }
    layers(out, report, width)?;
    if let (Some(plan), true) = (report.plan, with_kernels) {
        candidates(out, plan, width)?;
    }
    totals(out, report)?;
    if let Some(plan) = report.plan {
        passes(out, plan, width)?;
        places(out, report, plan, width)?;
    }
    Ok(())
}

const fn column(title: &'static str, number: bool, least: Option<usize>, dispensable: Option<u8>) -> Column {
    Column { title, number, least, dispensable }
}

const COLUMNS: [Column; 10] = [
    column("layer", false, Some(14), None),
    column("op", false, Some(9), None),
    column("holds", false, Some(16), Some(2)),
    column("output", false, None, None),
    column("parameters", true, None, None),
    column("MFLOP", true, None, None),
    column("field", true, None, Some(3)),
    column("stride", true, None, Some(1)),
    column("centre", true, None, Some(0)),
    column("runs as", false, Some(14), Some(4)),
];

fn layers(out: &mut dyn Write, report: &Report, width: Option<usize>) -> Result<(), Failure> {
    let seen = report.seen_input();
    let rows: Vec<Vec<String>> = report.summary.layers.iter().enumerate().map(|(at, layer)| row(report, seen, at, layer)).collect();
    // A column that says nothing of this network is not one that the terminal was too narrow for.
    let told: Vec<usize> = (0..COLUMNS.len()).filter(|&at| at < 2 || rows.iter().any(|row| row[at] != "–")).collect();
    let columns: Vec<Column> = told.iter().map(|&at| COLUMNS[at]).collect();
    let rows: Vec<Vec<String>> = rows.into_iter().map(|row| told.iter().map(|&at| row[at].clone()).collect()).collect();
    let (table, left_out) = fitted(&columns, &rows, width);
    writeln!(out, "\n{table}")?;
    if !left_out.is_empty() {
        writeln!(out, "Left out for want of width: {}.", left_out.join(", "))?;
    }
    if let Some(input) = seen.filter(|_| report.graph().inputs().len() > 1) {
        writeln!(out, "Fields are those in input `{}`.", report.graph().value(input).name)?;
    }
    Ok(())
}

fn row(report: &Report, seen: Option<ValueId>, at: usize, layer: &Layer) -> Vec<String> {
    let none = || "–".to_owned();
    let output = match (layer.outputs.first(), report.plan) {
        (Some(ty), _) if ty.dtype == DType::F32 => ty.shape.to_string(),
        (Some(ty), _) => ty.to_string(),
        (None, Some(_)) => none(),
        (None, None) => report.file.nodes()[at].outputs.iter().flatten().next().map_or_else(none, |id| report.file.value(*id).declared()),
    };
    let field = layer.receptive_fields.iter().find(|(input, _)| Some(*input) == seen).map(|(_, field)| field);
    vec![
        layer.name.clone(),
        layer.op.to_owned(),
        held(report, layer).unwrap_or_else(none),
        output,
        if layer.parameters == 0 { none() } else { count(layer.parameters as u64) },
        layer.flops.filter(|&flops| flops > 0).map_or_else(none, |flops| digits(flops as f64 / 1e6)),
        field.map_or_else(none, size),
        field.and_then(stride).unwrap_or_else(none),
        field.filter(|field| !whole(field)).map_or_else(none, |field| per_axis(field, |axis| number(field.axes[axis].centre))),
        match &layer.placed {
            Some(Placed::Gpu(_)) => kernels(layer.placed.as_ref()).unwrap_or_default(),
            Some(Placed::Cpu(_)) => "CPU".into(),
            Some(Placed::View) => "view".into(),
            None => none(),
        },
    ]
}

/// The file's nodes in a layer that stands for more than itself: the operators of those merged, or what it is a part of.
fn held(report: &Report, layer: &Layer) -> Option<String> {
    if layer.origins.len() == 1 && layer.origins[0] == layer.name {
        return None;
    }
    let ops: Option<Vec<&str>> = layer.origins.iter().map(|origin| report.op_of(origin)).collect();
    match &layer.origins[..] {
        [] => None,
        [one] => Some(format!("part of {}", report.op_of(one).unwrap_or(one))),
        all => Some(ops.map_or_else(|| all.join(" + "), |ops| ops.join(" + "))),
    }
}

fn whole(field: &ReceptiveField) -> bool {
    field.axes.iter().all(|axis| axis.whole)
}

fn size(field: &ReceptiveField) -> String {
    if whole(field) {
        return "whole".into();
    }
    field.axes.iter().map(|axis| axis.size.to_string()).collect::<Vec<_>>().join("×")
}

/// `None` where the field moves along no axis.
fn stride(field: &ReceptiveField) -> Option<String> {
    let one = |axis: usize| field.axes[axis].stride.map_or_else(|| "–".to_owned(), number);
    field.axes.iter().any(|axis| axis.stride.is_some()).then(|| per_axis(field, one))
}

/// A number with as few decimals as it needs, at most two.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What each layer was chosen from: a row a candidate.
fn candidates(out: &mut dyn Write, plan: &Plan, width: Option<usize>) -> Result<(), Failure> {
    let mut rows = vec![];
    for (node, candidates) in plan.graph.nodes().iter().zip(&plan.candidates) {
        let chosen = candidates.iter().find(|c| c.chosen).and_then(|c| c.time);
        for (at, candidate) in candidates.iter().enumerate() {
            let ratio = candidate.time.zip(chosen).map(|(time, chosen)| digits(time.as_secs_f64() / chosen.as_secs_f64().max(1e-12)));
            rows.push(vec![
                if at == 0 { node.name.clone() } else { String::new() },
                if candidate.chosen { "●".into() } else { String::new() },
                candidate.name.clone(),
                match candidate.time {
                    _ if candidate.wrong => "wrong".into(),
                    time => time.map_or_else(|| "–".into(), terminal::time),
                },
                ratio.unwrap_or_else(|| "–".into()),
            ]);
        }
    }
    if rows.is_empty() {
        writeln!(out, "\nNo layer has a kernel.")?;
        return Ok(());
    }
    let columns = [
        column("layer", false, Some(12), None),
        column("", false, None, None),
        column("computed by [workgroups]", false, Some(24), None),
        column("time", true, None, None),
        column("÷ chosen", true, None, Some(0)),
    ];
    writeln!(out, "\n{}", fitted(&columns, &rows, width).0)?;
    if !plan.candidates.iter().flatten().any(|c| c.time.is_some()) {
        writeln!(out, "Nothing was measured; `--tune` does.")?;
    }
    Ok(())
}

fn totals(out: &mut dyn Write, report: &Report) -> Result<(), Failure> {
    let summary = &report.summary;
    let (layers, nodes) = (summary.layers.len() as u64, report.file.nodes().len() as u64);
    if report.plan.is_none() {
        writeln!(out, "\n{} nodes, {} parameters", count(nodes), count(summary.parameters as u64))?;
        return Ok(());
    }
    write!(out, "\n{} layers from {} nodes of the file, {} parameters", count(layers), count(nodes), count(summary.parameters as u64))?;
    write!(out, ", {} GFLOP a run", digits(summary.flops.unwrap_or_default() as f64 / 1e9))?;
    match summary.dispatches {
        Some(dispatches) if dispatches > 0 => writeln!(out, " in {} dispatches", count(dispatches as u64))?,
        _ => writeln!(out)?,
    }
    match summary.memory {
        Some(Memory { weights_bytes, peak_bytes: Some(peak), no_reuse_bytes: Some(all), lower_bound_bytes: Some(least), .. }) => writeln!(
            out,
            "weights {}, activations {} (without sharing {}, at least {})",
            bytes(weights_bytes),
            bytes(peak),
            bytes(all),
            bytes(least)
        )?,
        Some(memory) => writeln!(out, "weights {}", bytes(memory.weights_bytes))?,
        None => {}
    }
    Ok(())
}

fn passes(out: &mut dyn Write, plan: &Plan, width: Option<usize>) -> Result<(), Failure> {
    let rows: Vec<Vec<String>> = plan
        .passes
        .iter()
        .map(|pass| {
            let nodes = format!("{} → {}", count(pass.nodes_before as u64), count(pass.nodes_after as u64));
            vec![pass.pass.to_string(), nodes, if pass.changes == 0 { "–".into() } else { count(pass.changes as u64) }]
        })
        .collect();
    if !rows.is_empty() {
        let columns = [column("pass", false, Some(10), None), column("nodes", true, None, None), column("changes", true, None, None)];
        writeln!(out, "\n{}", fitted(&columns, &rows, width).0)?;
    }
    Ok(())
}

fn places(out: &mut dyn Write, report: &Report, plan: &Plan, width: Option<usize>) -> Result<(), Failure> {
    let on = |what: fn(&Placed) -> bool| plan.placed.iter().filter(|placed| what(placed)).count() as u64;
    let (gpu, views, cpu) = (on(|p| matches!(p, Placed::Gpu(_))), on(|p| matches!(p, Placed::View)), on(|p| matches!(p, Placed::Cpu(_))));
    let counts: Vec<String> = [(gpu, "on the GPU"), (cpu, "on the CPU"), (views, "as views, which cost nothing")]
        .into_iter()
        .filter(|(layers, _)| *layers > 0)
        .map(|(layers, place)| format!("{} {place}", count(layers)))
        .collect();
    writeln!(out, "\nlayers: {}", counts.join(", "))?;
    // On the CPU device every layer is there, for no reason of its own.
    let rows: Vec<Vec<String>> = report
        .summary
        .layers
        .iter()
        .filter_map(|layer| match &layer.placed {
            Some(Placed::Cpu(reason)) if !reason.is_empty() => Some(vec![layer.name.clone(), layer.op.to_owned(), reason.clone()]),
            _ => None,
        })
        .collect();
    if !rows.is_empty() {
        let columns =
            [column("on the CPU", false, Some(14), None), column("op", false, Some(9), None), column("because", false, Some(30), None)];
        writeln!(out, "{}", fitted(&columns, &rows, width).0)?;
    }
    Ok(())
}
