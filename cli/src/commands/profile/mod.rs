//! `macula profile`: where the time goes, layer by layer and kernel by kernel, beside what the device can do at most.

mod json;
mod plot;
mod text;
mod trace;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use macula::plan::Placed;
use macula::{Bound, Clock, DeviceKind, LayerProfile, Profile, TensorView};

use crate::failure::Failure;
use crate::files;
use crate::inputs::{self, DimArgs};
use crate::model::{DeviceArgs, Model, device_name};
use crate::terminal;

/// Time every layer of a network on a device, and hold it against what the device can do at most
#[derive(Args, Debug)]
#[command(
    after_help = EXAMPLES,
    long_about = "Time every layer of a network on a device, and hold it against what the device can do at most\n\n\
        On a GPU every dispatch runs in a pass of its own between two timestamps; where the adapter has none, in a submission of its own, \
        and the output says so. On the CPU device the host's clock tells. Times are medians. GFLOP/s count operations as an operator's \
        definition has them, a multiply-add as two, and GB/s each input, weight and output once: what a kernel saves shows as speed. The \
        roof is what this device was measured to reach: multiply-adds on numbers in registers, and copying buffers that no cache holds. A \
        GPU's is kept in the cache folder; --measure-roofline measures it anew, as is right where other work was in the way. A layer is bound \
        by launches where starting its dispatches takes longer than their work would."
)]
pub struct ProfileArgs {
    /// The network, an ONNX file [default: the embedded one]
    model: Option<PathBuf>,
    /// An input: a .npy file, or a .pb file of the ONNX tests; random values for those not given
    #[arg(short, long = "input", value_name = "NAME=FILE")]
    inputs: Vec<String>,
    /// How many runs the medians are of
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Measure anew what the device can do at most, though the cache folder has it
    #[arg(long)]
    measure_roofline: bool,
    /// Print the slowest layers only, so many of them
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    #[command(flatten)]
    dims: DimArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// One JSON object instead of tables
    #[arg(long)]
    json: bool,
    /// Write a trace for chrome://tracing or ui.perfetto.dev
    #[arg(long, value_name = "FILE.json")]
    trace: Option<PathBuf>,
    /// Draw the roofline: each layer a dot under the roof
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// The same as a picture
    #[arg(long, value_name = "FILE.png")]
    png: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  macula profile model.onnx --device gpu --top 20
  macula profile model.onnx --batch 4 --trace trace.json --svg roofline.svg --json";

/// Runs the command.
pub fn profile(args: &ProfileArgs, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let model = Model::load(args.model.as_ref())?;
    let files = inputs::assign(&model.graph, &args.inputs)?;
    let given = files.into_iter().map(|(name, file)| Ok((name, inputs::read(&file)?))).collect::<Result<Vec<_>, Failure>>()?;
    let inputs = inputs::complete(&model.graph, given, &args.dims, Some(0))?;
    let device = args.device.open()?;
    let session = args.device.compile_to_run(&device, model.graph)?;
    let views: Vec<(&str, TensorView<'_>)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
    if args.measure_roofline {
        device.measure_roofline()?;
    }
    let profile = session.profile(&views, args.runs.into())?;
    let report = Report {
        model: &model.name,
        device: device_name(device.info()),
        on_cpu: device.info().kind == DeviceKind::Cpu,
        runs: args.runs,
        profile: &profile,
    };
    if let Some(file) = &args.trace {
        files::write(file, trace::events(&report).to_string().as_bytes())?;
    }
    if let Some(file) = &args.svg {
        files::write(file, plot::svg(&report)?.as_bytes())?;
    }
    if let Some(file) = &args.png {
        files::write(file, &plot::png(&report)?)?;
    }
    match args.json {
        true => writeln!(out, "{}", json::object(&report))?,
        false => text::write(out, &report, args.top, terminal::width())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What was found, for all forms of output.
struct Report<'a> {
    model: &'a str,
    device: String,
    on_cpu: bool,
    runs: u16,
    profile: &'a Profile,
}

/// What a kernel takes of all layers together.
struct KernelTime {
    kernel: String,
    dispatches: usize,
    time: Duration,
    bytes: u64,
}

impl Report<'_> {
    /// The share of a time of all layers together, 0 to 1.
    fn share(&self, time: Duration) -> f64 {
        let total = self.profile.total().as_secs_f64();
        if total == 0.0 { 0.0 } else { time.as_secs_f64() / total }
    }

    /// The kernels, the one that takes longest first; layers on the CPU by their operators.
    fn kernels(&self) -> Vec<KernelTime> {
        let mut kernels: Vec<KernelTime> = vec![];
        let mut add = |kernel: &str, time: Duration, bytes: u64| match kernels.iter_mut().find(|k| k.kernel == kernel) {
            Some(known) => {
                (known.dispatches, known.time, known.bytes) = (known.dispatches + 1, known.time + time, known.bytes + bytes);
            }
            None => kernels.push(KernelTime { kernel: kernel.to_owned(), dispatches: 1, time, bytes }),
        };
        for layer in &self.profile.layers {
            layer.dispatches.iter().for_each(|d| add(d.kernel, d.time, d.bytes));
            if let Placed::Cpu(_) = layer.placed {
                add(&format!("{} on the CPU", layer.op), layer.time, layer.bytes);
            }
        }
        kernels.sort_by_key(|k| std::cmp::Reverse(k.time));
        kernels
    }

    /// What told the time, in words.
    fn clock(&self) -> &'static str {
        match self.profile.clock {
            Clock::Timestamps => "by the GPU's timestamps",
            Clock::Submissions => {
                "each dispatch submitted alone, since the adapter has no timestamps: times include what a submission costs"
            }
            _ => "by the host's clock",
        }
    }

    /// What bounds a layer; `None` for views, and for layers on the CPU of a network on a GPU: the roof is not theirs.
    fn bound(&self, layer: &LayerProfile) -> Option<&'static str> {
        let here = match layer.placed {
            Placed::Gpu(_) => true,
            Placed::Cpu(_) => self.on_cpu,
            Placed::View => false,
        };
        here.then(|| match layer.bound(&self.profile.roofline) {
            Bound::Arithmetic => "arithmetic",
            Bound::Memory => "memory",
            Bound::Launch => "launch",
        })
    }
}

/// A time in milliseconds.
fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
