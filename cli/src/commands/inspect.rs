//! `macula inspect`: what a network is made of, what it costs, and what runs where.

use std::collections::HashSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use macula::ops::{Operand, Operands};
use macula::plan::{Placed, Plan};
use macula::{DType, Error, Graph, Node, TensorType, ValueId};
use serde_json::{Value, json};

use crate::failure::{Failure, warn};
use crate::inputs::{self, DimArgs};
use crate::model::{DeviceArgs, Model, device_name};
use crate::terminal::{bytes, count, digits, kernel_names, table};

/// Print a network's inputs, outputs and nodes, with shapes, parameters, cost, and which kernel runs each node
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  macula inspect model.onnx --device gpu
  macula inspect model.onnx --dim height=480 --dim width=640 --json")]
pub struct InspectArgs {
    /// The network, an ONNX file [default: the embedded one]
    model: Option<PathBuf>,
    #[command(flatten)]
    dims: DimArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// One JSON object instead of tables
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn inspect(args: &InspectArgs, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let model = Model::load(args.model.as_ref())?;
    let types = match inputs::missing_types(&model.graph, &[], &args.dims) {
        Ok(types) => Some(types),
        Err(Failure::Usage(message)) if args.dims.dims.is_empty() => {
            warn(&format!("no shapes and no cost: {message}"));
            None
        }
        Err(failure) => return Err(failure),
    };
    let device = args.device.open()?;
    let device_name = device_name(device.info());
    let graph = model.graph.clone();
    let plan = match types {
        Some(types) => {
            let types: Vec<(&str, TensorType)> = types.iter().map(|(name, ty)| (name.as_str(), ty.clone())).collect();
            match args.device.compile(&device, model.graph)?.plan(&types) {
                Err(error @ Error::NeedsElements(_)) => {
                    warn(&format!("no shapes and no cost: {error}"));
                    None
                }
                plan => Some(plan?),
            }
        }
        None => None,
    };
    let lines = match &plan {
        Some(plan) => planned(plan),
        None => graph.nodes().iter().map(|node| Line::of(&graph, node)).collect(),
    };
    if args.json {
        writeln!(out, "{}", as_json(&model.name, &device_name, &graph, plan.as_deref(), &lines))?;
    } else {
        print(out, &model.name, &device_name, &graph, plan.as_deref(), &lines)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One node.
struct Line {
    node: String,
    op: &'static str,
    outputs: Vec<String>,
    parameters: usize,
    flops: Option<u64>,
    place: Option<String>,
}

impl Line {
    fn of(graph: &Graph, node: &Node) -> Self {
        Self {
            node: node.name.clone(),
            op: node.op.name(),
            outputs: node.outputs.iter().flatten().map(|id| graph.value(*id).declared()).collect(),
            parameters: constants(graph, node).map(|(_, elements)| elements).sum(),
            flops: None,
            place: None,
        }
    }
}

fn planned(plan: &Plan) -> Vec<Line> {
    let one = |(node, placed): (&Node, &Placed)| {
        let outputs: Vec<TensorType> = node.outputs.iter().flatten().map(|id| plan.tensor_type(*id)).collect();
        let types: Vec<Option<TensorType>> = node.inputs.iter().map(|id| id.map(|id| plan.tensor_type(id))).collect();
        let operand = |(id, ty): (&Option<ValueId>, &'_ Option<TensorType>)| {
            let constant = id.and_then(|id| plan.graph.value(id).constant.as_ref());
            ty.as_ref().map(|ty| (ty.dtype, ty.shape.clone(), constant))
        };
        let owned: Vec<_> = node.inputs.iter().zip(&types).map(operand).collect();
        let inputs = owned.iter().map(|o| o.as_ref().map(|(dtype, shape, constant)| Operand { dtype: *dtype, shape, constant: *constant }));
        let operands = Operands { inputs: inputs.collect(), outputs: node.outputs.len() };
        Line { flops: Some(node.op.operator().flops(&operands, &outputs)), place: Some(placed.to_string()), ..Line::of(&plan.graph, node) }
    };
    plan.graph.nodes().iter().zip(&plan.placed).map(one).collect()
}

/// The weights of a node: constants that are not the shapes, axes and indices that `i64` stands for in ONNX.
fn constants<'a>(graph: &'a Graph, node: &'a Node) -> impl Iterator<Item = (ValueId, usize)> + 'a {
    node.inputs.iter().flatten().filter_map(|&id| {
        let tensor = graph.value(id).constant.as_ref()?;
        (tensor.dtype() != DType::I64).then(|| (id, tensor.len()))
    })
}

/// Every weight once, however many nodes read it.
fn parameters(graph: &Graph) -> usize {
    let mut seen = HashSet::new();
    graph.nodes().iter().flat_map(|node| constants(graph, node)).filter(|(id, _)| seen.insert(*id)).map(|(_, elements)| elements).sum()
}

fn values(graph: &Graph, ids: &[ValueId], plan: Option<&Plan>) -> Vec<(String, String, Option<String>)> {
    let shape = |id: ValueId| Some(plan?.graph.value(id).ty.as_ref()?.to_string());
    ids.iter().map(|&id| (graph.value(id).name.clone(), graph.value(id).declared(), shape(id))).collect()
}

fn print(out: &mut dyn Write, model: &str, device: &str, graph: &Graph, plan: Option<&Plan>, lines: &[Line]) -> Result<(), Failure> {
    writeln!(out, "{model} on {device}\n")?;
    for (what, ids) in [("input", graph.inputs()), ("output", graph.outputs())] {
        for (name, declared, shape) in values(graph, ids, plan) {
            let here = shape.filter(|s| *s != declared).map_or_else(String::new, |s| format!(", here {s}"));
            writeln!(out, "{what:<7} {name}  {declared}{here}")?;
        }
    }
    let none = || "–".to_owned();
    let rows = lines.iter().map(|line| {
        vec![
            line.node.clone(),
            line.op.to_owned(),
            line.outputs.join("\n"),
            if line.parameters == 0 { none() } else { count(line.parameters as u64) },
            line.flops.filter(|&f| f > 0).map_or_else(none, |f| digits(f as f64 / 1e6)),
            line.place.as_deref().map_or_else(none, kernel_names),
        ]
    });
    writeln!(out, "\n{}", table(&["node", "op", "output", "parameters", "MFLOP", "runs as"], rows, &[3, 4]))?;
    let total: u64 = lines.iter().filter_map(|l| l.flops).sum();
    write!(out, "{} nodes, {} parameters", count(lines.len() as u64), count(parameters(graph) as u64))?;
    let Some(plan) = plan else {
        writeln!(out)?;
        return Ok(());
    };
    writeln!(out, ", {} GFLOP a run", digits(total as f64 / 1e9))?;
    let on = |what: fn(&Placed) -> bool| plan.placed.iter().filter(|p| what(p)).count();
    let (gpu, views, cpu) = (on(|p| matches!(p, Placed::Gpu(_))), on(|p| matches!(p, Placed::View)), on(|p| matches!(p, Placed::Cpu(_))));
    writeln!(out, "nodes on the GPU {gpu}, on the CPU {cpu}, views {views}; folded away from the file {}", folded(graph, plan))?;
    if gpu > 0 {
        writeln!(
            out,
            "activations {} in {} buffers (without sharing {}, at least {}), weights {}",
            bytes(plan.peak_bytes()),
            plan.buffers.len(),
            bytes(plan.no_reuse_bytes),
            bytes(plan.lower_bound_bytes),
            bytes(weight_bytes(plan)),
        )?;
    }
    Ok(())
}

fn folded(graph: &Graph, plan: &Plan) -> usize {
    graph.nodes().len().saturating_sub(plan.graph.nodes().len())
}

fn weight_bytes(plan: &Plan) -> u64 {
    plan.weights.iter().map(|w| w.tensor.bytes().len() as u64).sum()
}

fn as_json(model: &str, device: &str, graph: &Graph, plan: Option<&Plan>, lines: &[Line]) -> Value {
    let list = |ids: &[ValueId]| -> Vec<Value> {
        let one = |(name, declared, shape)| json!({ "name": name, "declared": declared, "type": shape });
        values(graph, ids, plan).into_iter().map(one).collect()
    };
    let nodes: Vec<Value> = lines
        .iter()
        .map(|l| json!({ "name": l.node, "op": l.op, "outputs": l.outputs, "parameters": l.parameters, "flops": l.flops, "runs_as": l.place }))
        .collect();
    json!({
        "model": model,
        "device": device,
        "inputs": list(graph.inputs()),
        "outputs": list(graph.outputs()),
        "nodes": nodes,
        "parameters": parameters(graph),
        "flops": plan.map(|_| lines.iter().filter_map(|l| l.flops).sum::<u64>()),
        "memory": plan.map(|plan| json!({
            "activation_bytes": plan.peak_bytes(),
            "buffers": plan.buffers.len(),
            "without_sharing_bytes": plan.no_reuse_bytes,
            "lower_bound_bytes": plan.lower_bound_bytes,
            "weight_bytes": weight_bytes(plan),
        })),
    })
}
