//! `inspect --dot`.

use std::collections::HashMap;
use std::io::Write;

use macula::plan::Placed;
use macula::{Graph, ValueId};

use super::{Report, kernels};
use crate::failure::Failure;
use crate::terminal::digits;

/// A directed graph: boxes for layers, coloured by device, edges labelled with shapes. Constants are left out.
pub fn write(out: &mut dyn Write, report: &Report) -> Result<(), Failure> {
    let graph = report.graph();
    writeln!(out, "digraph {} {{", quoted(report.model))?;
    writeln!(out, "  label={};", quoted(&format!("{} on {}", report.model, report.device)))?;
    writeln!(out, "  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\", fontsize=10];")?;
    writeln!(out, "  edge [fontname=\"sans-serif\", fontsize=8];")?;
    let mut writer: HashMap<ValueId, String> = HashMap::new();
    for (at, &id) in graph.inputs().iter().enumerate() {
        let label = quoted(&format!("{}\n{}", graph.value(id).name, ty(graph, id)));
        writeln!(out, "  input{at} [label={label}, shape=ellipse, fillcolor=\"#eeeeee\"];")?;
        writer.insert(id, format!("input{at}"));
    }
    for (at, (node, layer)) in graph.nodes().iter().zip(&report.summary.layers).enumerate() {
        let (colour, place) = match &layer.placed {
            Some(Placed::Gpu(_)) => ("#b3d9f2", kernels(layer.placed.as_ref())),
            Some(Placed::Cpu(reason)) if reason.is_empty() => ("#f6d5a8", Some("CPU".to_owned())),
            Some(Placed::Cpu(reason)) => ("#f6a8a8", Some(format!("CPU: {reason}"))),
            Some(Placed::View) => ("#ffffff", Some("view".to_owned())),
            None => ("#eeeeee", None),
        };
        let mut lines = vec![layer.name.clone(), layer.op.to_owned()];
        lines.extend(place);
        lines.extend(layer.flops.filter(|&flops| flops > 0).map(|flops| format!("{} MFLOP", digits(flops as f64 / 1e6))));
        let holds = if layer.origins.len() > 1 { format!(", tooltip={}", quoted(&layer.origins.join("\n"))) } else { String::new() };
        writeln!(out, "  node{at} [label={}, fillcolor=\"{colour}\"{holds}];", quoted(&lines.join("\n")))?;
        for id in node.inputs.iter().flatten() {
            if let Some(from) = writer.get(id) {
                writeln!(out, "  {from} -> node{at} [label={}];", quoted(&ty(graph, *id)))?;
            }
        }
        writer.extend(node.outputs.iter().flatten().map(|id| (*id, format!("node{at}"))));
    }
    for (at, &id) in graph.outputs().iter().enumerate() {
        let label = quoted(&format!("{}\n{}", graph.value(id).name, ty(graph, id)));
        writeln!(out, "  output{at} [label={label}, shape=ellipse, fillcolor=\"#eeeeee\"];")?;
        if let Some(from) = writer.get(&id) {
            writeln!(out, "  {from} -> output{at} [label={}];", quoted(&ty(graph, id)))?;
        }
    }
    writeln!(out, "}}")?;
    Ok(())
}

fn ty(graph: &Graph, id: ValueId) -> String {
    graph.value(id).declared()
}

/// A string as Graphviz takes it: quotes and backslashes escaped, line ends as `\n`, other control characters gone.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(quoted("a \"b\" \\ c\nd\te"), r#""a \"b\" \\ c\nd e""#);
        assert_eq!(quoted("größer\\"), r#""größer\\""#);
    }
}
