//! `macula inspect`: what a network is made of, what it costs, what it sees, and what runs where.

mod dot;
mod json;
mod text;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use macula::plan::{Placed, Plan};
use macula::{Device, Error, Graph, ReceptiveField, Summary, TensorType, ValueId};

use crate::failure::{Failure, warn};
use crate::inputs::{self, DimArgs};
use crate::model::{DeviceArgs, Model, device_name};
use crate::terminal;

/// Print a network's layers with shapes, parameters, cost and receptive fields, its memory, and what runs where
#[derive(Args, Debug)]
#[command(
    after_help = EXAMPLES,
    after_long_help = FIELDS,
    long_about = "Print a network's layers with shapes, parameters, cost and receptive fields, its memory, and what runs where\n\n\
        Layers are what runs, after the optimiser. Parameters are those of the file, wherever its nodes went: weights and biases, \
        each once, without running means and variances, scales, zero points and single numbers. A multiply-add is two floating-point \
        operations. A receptive field is what one unit of a layer sees of the first input with spatial axes: its size, how far it \
        moves from unit to unit, and the middle of the first unit's, all [height, width] in pixels of the input."
)]
pub struct InspectArgs {
    /// The network, an ONNX file [default: the embedded one]
    model: Option<PathBuf>,
    #[command(flatten)]
    dims: DimArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// One JSON object instead of tables; `--help` lists its fields
    #[arg(long)]
    json: bool,
    /// The layers as a graph in Graphviz's language, to be drawn by `dot -Tsvg`
    #[arg(long, conflicts_with = "json")]
    dot: bool,
    /// Every way to compute each layer on a GPU, with its time where `--tune` has measured it
    #[arg(long, conflicts_with_all = ["json", "dot"])]
    kernels: bool,
}

const EXAMPLES: &str = "Examples:
  macula inspect model.onnx --device gpu
  macula inspect model.onnx --device gpu --tune --kernels
  macula inspect model.onnx --dim height=480 --dim width=640 --json
  macula inspect model.onnx --dot | dot -Tsvg > model.svg";

const FIELDS: &str = "Examples:
  macula inspect model.onnx --device gpu
  macula inspect model.onnx --device gpu --tune --kernels
  macula inspect model.onnx --dim height=480 --dim width=640 --json
  macula inspect model.onnx --dot | dot -Tsvg > model.svg

Fields of --json (null where a plan would be needed and there is none):
  model, device                    what was inspected, and for which device
  inputs[], outputs[]              name, declared (type in the file), type, dtype, shape
  totals.parameters                elements of all weights of the file, each once
  totals.flops, totals.dispatches  of one run
  totals.nodes, totals.file_nodes  layers that run, and nodes in the file
  memory.weights_bytes             constants, each once
  memory.peak_bytes                all buffers of activations; null on the CPU device, which plans no buffers; so the next two
  memory.no_reuse_bytes            what activations would take without sharing
  memory.lower_bound_bytes         the most alive at once: no plan needs less
  layers[].name, .op               the node that runs
  layers[].origins[]               the file's nodes that it holds: name, op
  layers[].output_shape, .outputs  shape of the first output; types of all
  layers[].parameters, .flops      weights of the nodes it holds, shared ones for each that reads them; operations of one run
  layers[].receptive_field         in the first input it depends on: input, size, stride, centre, whole, one entry an axis;
                                   size counts padding; stride is null where the field does not move along one axis; null
                                   where there is none
  layers[].receptive_fields[]      the same in every input
  layers[].kernel, .variants[]     kernels by name, and with types, tiles and overrides; null and none where none runs
  layers[].candidates[]            what it was chosen from, as the planner's rule orders them: kernel, name (variants and workgroups),
                                   nanoseconds (null where not measured), wrong (its output was), chosen
  layers[].device, .reason         gpu, cpu, or null for views, which run nowhere; why a layer is on the CPU
  passes[]                         the optimiser's: pass, changes, nodes_before, nodes_after";

/// Runs the command.
pub fn inspect(args: &InspectArgs, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let model = Model::load(args.model.as_ref())?;
    let device = args.device.open()?;
    let plan = plan(args, &device, &model.graph)?;
    let summary = plan.as_ref().map_or_else(|| Summary::of_file(&model.graph), |plan| Summary::new(&model.graph, plan));
    let report = Report { model: &model.name, device: device_name(device.info()), file: &model.graph, plan: plan.as_deref(), summary };
    match (args.json, args.dot) {
        (true, _) => writeln!(out, "{}", json::object(&report))?,
        (_, true) => dot::write(out, &report)?,
        _ => text::write(out, &report, args.kernels, terminal::width())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The plan, where shapes alone give one.
fn plan(args: &InspectArgs, device: &Device, graph: &Graph) -> Result<Option<Arc<Plan>>, Failure> {
    let types = match inputs::missing_types(graph, &[], &args.dims) {
        Ok(types) => types,
        Err(Failure::Usage(message)) if args.dims.dims.is_empty() => {
            warn(&format!("no shapes and no cost: {message}"));
            return Ok(None);
        }
        Err(failure) => return Err(failure),
    };
    let types: Vec<(&str, TensorType)> = types.iter().map(|(name, ty)| (name.as_str(), ty.clone())).collect();
    match args.device.compile(device, graph.clone())?.plan(&types) {
        Err(error @ Error::NeedsElements(_)) => {
            warn(&format!("no shapes and no cost: {error}"));
            Ok(None)
        }
        plan => Ok(Some(plan?)),
    }
}

/// What was found, for all forms of output.
struct Report<'a> {
    model: &'a str,
    device: String,
    /// The network as its file has it.
    file: &'a Graph,
    plan: Option<&'a Plan>,
    summary: Summary,
}

impl Report<'_> {
    /// The graph that layers are nodes of.
    fn graph(&self) -> &Graph {
        self.plan.map_or(self.file, |plan| &plan.graph)
    }

    /// The input that most is said about: the first that any layer has a field in.
    fn seen_input(&self) -> Option<ValueId> {
        let inputs = self.graph().inputs().iter();
        let seen = |input: &&ValueId| self.summary.layers.iter().any(|layer| layer.receptive_fields.iter().any(|(id, _)| id == *input));
        inputs.copied().find(|input| seen(&input))
    }

    /// The operator of a node of the file.
    fn op_of(&self, origin: &str) -> Option<&'static str> {
        self.file.nodes().iter().find(|node| node.name == origin).map(|node| node.op.name())
    }
}

/// Kernels by their names; `None` where none runs.
fn kernels(placed: Option<&Placed>) -> Option<String> {
    match placed? {
        Placed::Gpu(_) => Some(terminal::kernel_names(&placed?.to_string())),
        _ => None,
    }
}

/// A number for each axis, one where all are the same: `2`, `2×1`.
fn per_axis(field: &ReceptiveField, number: impl Fn(usize) -> String) -> String {
    let numbers: Vec<String> = (0..field.axes.len()).map(number).collect();
    match numbers.first() {
        Some(first) if numbers.iter().all(|n| n == first) => first.clone(),
        _ => numbers.join("×"),
    }
}
