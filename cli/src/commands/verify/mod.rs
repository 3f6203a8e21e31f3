//! `macula verify`: which node is wrong, and by how much.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use macula::{Graph, NodeCheck, Pass, Tensor, TensorView, VerifyReport};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::inputs::{self, DimArgs};
use crate::model::{DeviceArgs, EMBEDDED_PICTURE, Model, device_name};
use crate::preprocess::{Preprocess, PreprocessArgs, Preset};
use crate::{images, terminal};

/// Check every node of a network on a device against the CPU reference
///
/// Runs the network and computes every node again in 64-bit floating point, from the same inputs. Prints the first node whose result
/// is beyond its operator's tolerance, and the worst ones. Exits with 1 where there is such a node.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  macula verify model.onnx --device gpu
  macula verify model.onnx --input photo.jpg --preset caffe")]
pub struct VerifyArgs {
    /// The network, an ONNX file [default: the embedded one, on the embedded picture]
    model: Option<PathBuf>,
    /// An input: a .npy file, a .pb file of the ONNX tests, or a picture; NAME may be left out where there is one input
    #[arg(short, long = "input", value_name = "NAME=FILE")]
    inputs: Vec<String>,
    /// The seed of the random values of inputs not given [default: 0]
    #[arg(long, value_name = "SEED", num_args = 0..=1, default_missing_value = "0", value_parser = inputs::parse_seed)]
    random: Option<u64>,
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

/// Runs the command.
pub fn verify(args: &VerifyArgs, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let model = Model::load(args.model.as_ref())?;
    let given = given(args, &model)?;
    let inputs = inputs::complete(&model.graph, given, &args.dims, Some(args.random.unwrap_or_default()))?;
    let device = args.device.open()?;
    let session = args.device.compile(&device, model.graph.clone())?;
    let views: Vec<(&str, TensorView<'_>)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
    let report = session.verify(&views)?;

    let device = device_name(device.info());
    if args.json {
        let nodes: Vec<Value> = report.nodes.iter().map(|check| as_json(check, &model.graph)).collect();
        writeln!(out, "{}", json!({ "model": model.name, "device": device, "passed": report.passed(), "nodes": nodes }))?;
    } else {
        print(out, &report, &model, &device, args.top)?;
        if let Some(first) = report.first_failure().filter(|check| check.is_merged()) {
            let plans = session.plans_for(&views)?;
            let passes = plans.iter().flat_map(|plan| &plan.passes).filter(|pass| pass.changes > 0).map(|pass| pass.pass);
            writeln!(out, "\n{}", advice(first, &model.graph, passes))?;
        }
    }
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

fn print(out: &mut dyn Write, report: &VerifyReport, model: &Model, device: &str, top: usize) -> Result<(), Failure> {
    writeln!(out, "{} on {device}, every node against the reference", model.name)?;
    let row = |check: &NodeCheck| row(check, &model.graph);
    let header = ["node", "op", "kernel", "output", "abs. error", "rel. error", "at", "got", "expected", "beyond"];
    let numbers = [4, 5, 7, 8, 9];
    let bad = report.nodes.iter().filter(|n| !n.comparison.passed()).count();
    if let Some(first) = report.first_failure() {
        writeln!(out, "\nFirst node beyond its tolerance:\n{}", terminal::table(&header, [row(first)], &numbers))?;
    }
    let worst: Vec<_> = report.worst(top).into_iter().filter(|n| n.comparison.severity > 0.0).collect();
    if !worst.is_empty() {
        writeln!(out, "\nThe worst, by their tolerance:\n{}", terminal::table(&header, worst.into_iter().map(row), &numbers))?;
    }
    let total = report.nodes.len();
    match bad {
        0 => writeln!(out, "\nAll {total} node outputs are within tolerance.")?,
        _ => writeln!(out, "\n{bad} of {total} node outputs are beyond tolerance.")?,
    }
    Ok(())
}

fn row(check: &NodeCheck, file: &Graph) -> Vec<String> {
    let c = &check.comparison;
    let (at, got, expected) = match (&c.worst, &c.mismatch) {
        (_, Some(mismatch)) => (mismatch.clone(), "–".into(), "–".into()),
        (Some(w), _) => (format!("{:?}", w.at), format!("{:.6}", w.got), format!("{:.6}", w.expected)),
        (None, None) => ("–".into(), "–".into(), "–".into()),
    };
    vec![
        check.node.clone(),
        ops_of(check, file),
        terminal::kernel_names(&check.kernel),
        format!("{}{}", check.dtype, c.shape),
        terminal::error_size(c.worst_absolute),
        terminal::error_size(c.worst_relative),
        at,
        got,
        expected,
        if c.beyond == 0 { "–".into() } else { format!("{} of {}", c.beyond, c.shape.elements()) },
    ]
}

fn as_json(check: &NodeCheck, file: &Graph) -> Value {
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

#[cfg(test)]
mod tests {
    use super::*;
    use macula::ops::{BatchNormalization, Conv};
    use macula::{DType, Device, GraphBuilder};

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
        assert_eq!(row(check, &file)[..2], ["conv1", "Conv + BatchNormalization"]);
        assert_eq!(as_json(check, &file)["origins"][1], json!({ "name": "bn1", "op": "BatchNormalization" }));
        let text = advice(check, &file, Pass::all());
        assert!(text.starts_with("`conv1` stands for `conv1` (Conv), `bn1` (BatchNormalization) of the file; "), "{text}");
        assert!(text.contains("--without-pass fold-affine") && !text.contains("fold-constants"), "{text}");
    }
}
