//! `macula verify`: which node is wrong, and by how much.

mod bisect;
mod expect;
mod heatmap;
mod json;
mod kernels;
mod operators;
mod text;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use macula::{DType, Device, Graph, NodeCheck, Pass, Session, Tensor, TensorView};

use crate::failure::{Failure, warn};
use crate::inputs::{self, DimArgs};
use crate::model::{DeviceArgs, EMBEDDED_PICTURE, Model, device_name};
use crate::preprocess::{Preprocess, PreprocessArgs, Preset};
use crate::{images, pictures};
use expect::{Bounds, Held, Stored};

/// Check every node of a network on a device against the CPU reference
///
/// Runs the network and computes every node again in 64-bit floating point, from the same inputs. Prints the first node whose result
/// is beyond its operator's tolerance, the worst ones, and how far each kind of operator is off.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit code: 0 where everything is within its tolerance, 1 where something is beyond it, 2 where that could not be found out.

Examples:
  macula verify model.onnx --device gpu
  macula verify model.onnx --device gpu --bisect
  macula verify model.onnx --device gpu --kernel all
  macula verify model.onnx --input photo.jpg --preset caffe --heatmap error.png
  macula verify model.onnx --input input_0.pb --expect output_0.pb"
)]
pub struct VerifyArgs {
    /// The network, an ONNX file [default: the embedded one, on the embedded picture]
    model: Option<PathBuf>,
    /// An input: a .npy file, a .pb file of the ONNX tests, or a picture; NAME may be left out where there is one input
    #[arg(short, long = "input", value_name = "NAME=FILE")]
    inputs: Vec<String>,
    /// The seed of the random values of inputs not given [default: 0]
    #[arg(long, value_name = "SEED", num_args = 0..=1, default_missing_value = "0", value_parser = inputs::parse_seed)]
    random: Option<u64>,
    /// What another runtime computed for an output, a .npy or .pb file; may be repeated; NAME may be left out where there is one output
    #[arg(long, value_name = "NAME=FILE")]
    expect: Vec<String>,
    #[command(flatten)]
    bounds: Bounds,
    /// Search for the first wrong node by halves, held against the CPU device: much quicker on large networks, but an error that does not
    /// reach the outputs is not seen
    #[arg(long)]
    bisect: bool,
    /// Compute nodes by this kernel, or a variant of it, wherever it can serve; `all` tries every kernel on every node it can serve
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// The network in half precision, also held against itself in single precision on the CPU device
    #[arg(long)]
    f16: bool,
    /// A picture of where the worst node's output is wrong: a tile for each channel, the absolute error in colours
    #[arg(long, value_name = "FILE", conflicts_with = "bisect")]
    heatmap: Option<PathBuf>,
    /// How many of the worst nodes to print
    #[arg(long, default_value_t = 8)]
    top: usize,
    #[command(flatten)]
    dims: DimArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// One JSON object with every node instead of tables
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    preprocess: PreprocessArgs,
}

/// What is checked: a network on a device, with inputs.
struct Subject<'a> {
    model: &'a Model,
    session: Session,
    inputs: Vec<(String, Tensor)>,
    /// The device in a few words.
    device: String,
}

impl Subject<'_> {
    fn views(&self) -> Vec<(&str, TensorView<'_>)> {
        self.inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect()
    }
}

/// Runs the command.
pub fn verify(args: &VerifyArgs, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let passed = check(args, out).map_err(Failure::without_answer)?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether everything is within its tolerance.
fn check(args: &VerifyArgs, out: &mut dyn Write) -> Result<bool, Failure> {
    if let Some(file) = &args.heatmap {
        pictures::check_name(file)?;
    }
    let every_kernel = args.kernel.as_deref() == Some("all");
    if args.bisect && every_kernel {
        return Err(Failure::usage("--bisect searches with one kernel a node; leave --kernel all out, or name one"));
    }
    if args.bounds.is_given() && args.expect.is_empty() && !args.f16 {
        return Err(Failure::usage(
            "--rtol and --atol are bounds of outputs; give --expect or --f16, for nodes have the bounds of their operators",
        ));
    }
    let mut model = Model::load(args.model.as_ref())?;
    let mut stored = expect::read(&model.graph, &args.expect)?;
    let given = given(args, &model)?;
    let mut inputs = inputs::complete(&model.graph, given, &args.dims, Some(args.random.unwrap_or_default()))?;
    let device = args.device.open()?;
    if args.f16 {
        stored.extend(single_precision(&model.graph, &inputs)?);
        model.graph = model.graph.to_f16();
        for (_, tensor) in inputs.iter_mut().filter(|(_, tensor)| tensor.dtype() == DType::F32) {
            *tensor = Tensor::from_f64(DType::F16, tensor.shape(), tensor.to_f64())?;
        }
    }
    let session = compile(args, &device, model.graph.clone())?;
    let subject = Subject { model: &model, session, inputs, device: device_name(device.info()) };
    if let Some(kernel) = args.kernel.as_deref().filter(|_| !every_kernel) {
        kernels::check_name(&subject, kernel)?;
    }
    if args.f16 {
        tell_of_missing_f16(&subject)?;
    }
    if args.bisect {
        return bisect::run(&subject, || held(&subject, &stored, args.bounds), args.json, out);
    }
    let views = subject.views();
    let report = if every_kernel { subject.session.verify_kernels(&views)? } else { subject.session.verify(&views)? };
    let held = held(&subject, &stored, args.bounds)?;
    let heatmap = match (&args.heatmap, &report.worst_values) {
        (Some(file), Some(worst)) => {
            let check = &report.nodes[worst.check];
            let picture = heatmap::picture(check, &worst.got, &worst.expected).map_err(Failure::failed)?;
            pictures::save(file, &image::DynamicImage::ImageRgb8(picture))?;
            Some(format!("{}: where `{}` ({}) differs from the reference", file.display(), check.node, check.op))
        }
        (Some(file), None) => Some(format!("{} was not written: no element differs from the reference", file.display())),
        (None, _) => None,
    };
    if args.json {
        writeln!(out, "{}", json::report(&subject, &report, &held, every_kernel))?;
    } else {
        text::print(out, &subject, &report, args.top)?;
        if every_kernel {
            kernels::print(out, &report, args.top)?;
        }
        expect::print(out, &held)?;
        if let Some(line) = heatmap {
            writeln!(out, "\n{line}")?;
        }
        if let Some(first) = report.first_failure().filter(|check| check.is_merged()) {
            let plans = subject.session.plans_for(&views)?;
            let passes = plans.iter().flat_map(|plan| &plan.passes).filter(|pass| pass.changes > 0).map(|pass| pass.pass);
            writeln!(out, "\n{}", advice(first, &model.graph, passes))?;
        }
    }
    Ok(report.passed() && held.iter().all(|held| held.comparison.passed()))
}

/// The outputs held against what is stored of them.
fn held(subject: &Subject<'_>, stored: &[Stored], bounds: Bounds) -> Result<Vec<Held>, Failure> {
    if stored.is_empty() {
        return Ok(vec![]);
    }
    Ok(expect::compare(&subject.session.run(&subject.views())?, stored, bounds))
}

fn compile(args: &VerifyArgs, device: &Device, graph: Graph) -> Result<Session, Failure> {
    match args.kernel.as_deref() {
        Some(kernel) if kernel != "all" => args.device.compile_preferring(device, graph, kernel),
        _ => args.device.compile(device, graph),
    }
}

/// The outputs of the network in single precision.
fn single_precision(graph: &Graph, inputs: &[(String, Tensor)]) -> Result<Vec<Stored>, Failure> {
    let views: Vec<_> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
    let outputs = Device::cpu().compile(graph.clone())?.run(&views)?;
    let stored =
        |(name, tensor): (&str, &Tensor)| Stored { output: name.into(), source: "single precision".into(), tensor: tensor.clone() };
    Ok(outputs.iter().map(stored).collect())
}

/// Where the device has no `f16`, what was asked for is checked on the CPU.
fn tell_of_missing_f16(subject: &Subject<'_>) -> Result<(), Failure> {
    let plans = subject.session.plans_for(&subject.views())?;
    let missing = plans.iter().flat_map(|plan| plan.host_nodes()).filter(|(_, why)| why.contains("has no f16")).count();
    if missing > 0 {
        warn(&format!("{} has no f16 in shaders: {missing} nodes run on the CPU, and their kernels are not checked", subject.device));
    }
    Ok(())
}

fn given(args: &VerifyArgs, model: &Model) -> Result<Vec<(String, Tensor)>, Failure> {
    if args.model.is_none() && args.inputs.is_empty() && args.random.is_none() {
        return Ok(vec![picture(args, model, images::decode(EMBEDDED_PICTURE).map_err(Failure::failed)?)?]);
    }
    let mut given = vec![];
    for (name, file) in inputs::assign(&model.graph, &args.inputs)? {
        if images::is_picture(&file) {
            let pixels = images::open(&file).map_err(|why| Failure::failed(format!("{}: {why}", file.display())))?;
            given.push(picture(args, model, pixels)?);
        } else {
            given.push((name, inputs::read(&file)?));
        }
    }
    Ok(given)
}

/// A picture as the network's only input, once for every place in the batch.
fn picture(args: &VerifyArgs, model: &Model, pixels: image::RgbImage) -> Result<(String, Tensor), Failure> {
    let input = model.image_input()?;
    let size = input.size(args.preprocess.size.map(|s| s.0))?;
    let default = if args.model.is_none() { Preset::Cifar10 } else { Preset::Imagenet };
    let values = Preprocess::new(&args.preprocess, default, input.channels, size)?.apply(&pixels);
    let batch = input.batch.or(args.dims.batch).unwrap_or(1);
    Ok((input.name.clone(), input.tensor(values.repeat(batch), batch, size)?))
}

/// What a merged node stands for, and how to see its parts by themselves.
fn advice(check: &NodeCheck, file: &Graph, passes: impl Iterator<Item = Pass>) -> String {
    let part = |origin: &String| match op_of(file, origin) {
        Some(op) => format!("`{origin}` ({op})"),
        None => format!("`{origin}`"),
    };
    let parts: Vec<String> = check.origins.iter().map(part).collect();
    let merging: BTreeSet<Pass> = passes.filter(|pass| *pass != Pass::FoldConstants).collect();
    let flags: Vec<String> = merging.iter().map(|pass| format!("--without-pass {pass}")).collect();
    let tell = match flags.len() {
        0 => "the optimiser has merged them".to_owned(),
        _ => format!("to check them by themselves, and to find the pass that is wrong, add {}", flags.join(" or ")),
    };
    format!("`{}` stands for {} of the file; {tell}.", check.node, parts.join(", "))
}

/// The operator of a node of the file.
fn op_of(file: &Graph, name: &str) -> Option<&'static str> {
    file.nodes().iter().find(|node| node.name == name).map(|node| node.op.name())
}

/// The operators that a node stands for: `Conv + BatchNormalization`.
fn ops_of(check: &NodeCheck, file: &Graph) -> String {
    let ops: Option<Vec<&str>> = check.origins.iter().map(|origin| op_of(file, origin)).collect();
    ops.filter(|_| check.is_merged()).map_or_else(|| check.op.to_owned(), |ops| ops.join(" + "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use macula::GraphBuilder;
    use macula::ops::{BatchNormalization, Conv};
    use serde_json::json;

    #[test]
    fn merged_nodes_are_named_by_the_file_and_told_apart_by_passes() {
        let mut b = GraphBuilder::new("conv and norm");
        let x = b.input("x", DType::F32, [1, 3, 5, 7]);
        let w = b.constant("w", Tensor::full([4, 3, 3, 3], 0.5f32));
        let conv = b.node("conv1", Conv::default(), &[x, w]).unwrap();
        let statistics: Vec<_> = (0..4).map(|i| b.constant(format!("s{i}"), Tensor::full([4], 1f32))).collect();
        let norm = BatchNormalization { eps: 1e-5, momentum: 0.9, training: false };
        let norm = b.node("bn1", norm, &[conv, statistics[0], statistics[1], statistics[2], statistics[3]]).unwrap();
        b.output("y", norm);
        let file = b.finish().unwrap();
        let session = Device::cpu().compile(file.clone()).unwrap();
        let x = Tensor::full([1, 3, 5, 7], 1f32);
        let report = session.verify(&[("x", x.view())]).unwrap();
        let [check] = &report.nodes[..] else { panic!("one node is left: {:?}", report.nodes) };
        assert_eq!(ops_of(check, &file), "Conv + BatchNormalization");
        assert_eq!(text::row(check, &file)[..2], ["conv1", "Conv + BatchNormalization"]);
        assert_eq!(json::node(check, &file)["origins"][1], json!({ "name": "bn1", "op": "BatchNormalization" }));
        let text = advice(check, &file, Pass::all());
        assert!(text.starts_with("`conv1` stands for `conv1` (Conv), `bn1` (BatchNormalization) of the file; "), "{text}");
        assert!(text.contains("--without-pass fold-affine") && !text.contains("fold-constants"), "{text}");
    }
}
