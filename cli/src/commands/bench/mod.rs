//! `macula bench`: how long networks take, by device, batch and size.

mod case;
mod compare;
mod record;
mod text;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use macula::{Device, DeviceInfo, DeviceKind};

use crate::failure::{Failure, complain, warn};
use crate::files;
use crate::inputs;
use crate::model::{CompileArgs, Model, is_device};
use crate::preprocess::{Size, parse_size};
use crate::terminal;
use case::{Amount, Case, measure};
use compare::Comparison;
use record::Record;

macro_rules! examples {
    () => {
        "Examples:
  macula bench model.onnx --device all --batch 1,4,16
  macula bench a.onnx b.onnx --size 224,320x240 --json new.json --compare old.json"
    };
}

/// Time runs of networks, by device, batch and size
///
/// A run takes its inputs, random numbers that are always the same, from host memory and brings the outputs there. For each network, device,
/// batch and size the device is opened and the network compiled anew; then come the first run, which may compile too, some runs that are
/// not counted, and those that the figures are of, as long as --seconds says, at least ten. Compile times are with what the cache folder has of
/// earlier programs; --no-cache tells those without, though drivers may have a cache of their own. Other work on the machine shows in the
/// figures: the minimum suffers least.
#[derive(Args, Debug)]
#[command(
    after_help = examples!(),
    after_long_help = concat!(examples!(), "

Fields of --json, an array of one object a line of the table:
  model, batch, size            the file, pictures a run, [height, width] of the first input
                                that has them or null
  device, adapter, driver       cpu or gpu; its name and its driver
  median_ms, min_ms             of all counted runs
  p10_ms, p90_ms                a tenth of them is at least as fast, a tenth at least as slow
  runs                          how many were counted
  images_per_s                  batch ÷ median
  first_ms, compile_ms          the first run; planning, kernels and uploading weights, without
                                reading the file
  peak_bytes                    all buffers of activations of a run, without weights, staging and
                                what the driver takes; null on the CPU device, which plans none
  weights_bytes                 constants, as the device has them
  fallbacks[]                   nodes that ran on the CPU though the device is a GPU: node, op,
                                reason
  old_median_ms, ratio          with --compare, of lines that OLD.json has too: its median, and
                                that ÷ this")
)]
pub struct BenchArgs {
    /// The networks, ONNX files [default: the embedded one]
    models: Vec<PathBuf>,
    /// Batches, where the network leaves its batch open [default: 1]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = inputs::parse_extent)]
    batch: Vec<usize>,
    /// Sizes of pictures, where the network leaves them open: numbers or HEIGHTxWIDTH
    #[arg(long, value_name = "SIZE,…", value_delimiter = ',', value_parser = parse_size)]
    size: Vec<Size>,
    /// Extent of another open axis: its name in the model, as `macula inspect` prints it, or INPUT.AXIS for one without a name
    #[arg(long = "dim", value_name = "NAME=EXTENT", value_parser = inputs::parse_dim)]
    dims: Vec<(String, usize)>,
    /// Where to run: all, auto, cpu, gpu, adapters' numbers in `macula devices`, or several of them
    #[arg(long, env = "MACULA_DEVICE", default_value = "auto", value_name = "NAME,…", value_delimiter = ',', value_parser = parse_device)]
    device: Vec<String>,
    /// How long the counted runs take at least, each line; there are at least ten of them
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = parse_seconds)]
    seconds: f64,
    /// How many runs are counted, instead of --seconds
    #[arg(long, value_name = "N", conflicts_with = "seconds", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    runs: Option<u32>,
    #[command(flatten)]
    compile: CompileArgs,
    /// Write the figures as JSON too, or `-`: to the standard output instead of a table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print old ÷ new beside each line that a file of --json has too
    #[arg(long, value_name = "OLD.json")]
    compare: Option<PathBuf>,
}

fn parse_device(text: &str) -> Result<String, String> {
    let known = text.eq_ignore_ascii_case("all") || is_device(text);
    known
        .then(|| text.to_ascii_lowercase())
        .ok_or_else(|| "expected all, auto, cpu, gpu, or an adapter's number in `macula devices`".into())
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds)).ok_or_else(|| "expected seconds, from 0 to 86400".into())
}

/// Runs the command.
pub fn bench(args: &BenchArgs, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let to_stdout = args.json.as_deref() == Some(Path::new("-"));
    let file = args.json.as_deref().filter(|_| !to_stdout);
    if let Some(file) = file {
        if file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx")) {
            return Err(Failure::usage(format!("--json {}: this would be written over, and is called as a network is", file.display())));
        }
        files::check_writable(file)?;
    }
    let old = args.compare.as_deref().map(compare::read).transpose()?;
    let paths: Vec<Option<&PathBuf>> = if args.models.is_empty() { vec![None] } else { args.models.iter().map(Some).collect() };
    let models = paths.into_iter().map(Model::load).collect::<Result<Vec<_>, _>>()?;
    let mut jobs = vec![];
    for model in &models {
        jobs.push((model, case::cases(model, &args.batch, &args.size, &args.dims)?));
    }
    let places = places(args)?;
    let (records, failed) = run(args, &jobs, &places);
    if records.is_empty() {
        return Err(Failure::failed("nothing was measured"));
    }
    let comparison = old.map(|old| Comparison::new(&old, &records));
    let json = record::json(&records, comparison.as_ref())?;
    if let Some(file) = file {
        files::write(file, json.as_bytes())?;
    }
    match to_stdout {
        true => write!(out, "{json}")?,
        false => text::write(out, &records, comparison.as_ref(), terminal::width())?,
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// All lines, and whether some failed, which are told on the standard error.
fn run(args: &BenchArgs, jobs: &[(&Model, Vec<Case>)], places: &[Place]) -> (Vec<Record>, bool) {
    /// A line's part of the bar.
    const STEPS: usize = 1000;
    let lines = places.len() * jobs.iter().map(|(_, cases)| cases.len()).sum::<usize>();
    let bar = terminal::progress_with_message(lines * STEPS);
    let amount = args.runs.map_or(Amount::Seconds(args.seconds), Amount::Runs);
    let (mut records, mut failed, mut line) = (vec![], false, 0);
    for (model, cases) in jobs {
        for place in places {
            for case in cases {
                bar.set_position((line * STEPS) as u64);
                bar.set_message(format!("{}/{lines} {} on {}, {case}", line + 1, model.name, place.label));
                let progress = |share: f64| bar.set_position(((line as f64 + share) * STEPS as f64) as u64);
                match measure(&args.compile, model, place, case, amount, &progress) {
                    Ok(record) => records.push(record),
                    Err(failure) => {
                        failed = true;
                        complain(&format!("{} on {}, {case}: {failure}", model.name, place.label));
                    }
                }
                line += 1;
            }
        }
    }
    bar.finish_and_clear();
    (records, failed)
}

/// A device to measure on.
pub struct Place {
    /// What opens it.
    name: String,
    /// What the table calls it.
    label: String,
    info: DeviceInfo,
}

impl Place {
    fn is_gpu(&self) -> bool {
        self.info.kind != DeviceKind::Cpu
    }
}

/// The devices asked for, each once.
fn places(args: &BenchArgs) -> Result<Vec<Place>, Failure> {
    let mut places: Vec<Place> = vec![];
    let mut add = |name: &str, device: &Device| {
        let info = device.info().clone();
        // Automatic choice and `gpu` take the first adapter, or the processor.
        let name = match info.kind {
            DeviceKind::Cpu => "cpu".to_owned(),
            _ => name.trim().parse().unwrap_or(0usize).to_string(),
        };
        if !places.iter().any(|place| place.name == name) {
            places.push(Place { name, label: String::new(), info });
        }
    };
    for name in &args.device {
        if name != "all" {
            add(name, &args.compile.open(name)?);
            continue;
        }
        add("cpu", &Device::cpu());
        for adapter in Device::list() {
            let name = adapter.index.to_string();
            match args.compile.open_again(&name) {
                Ok(device) => add(&name, &device),
                Err(failure) => warn(&format!("{} is left out: {failure}", adapter.name)),
            }
        }
    }
    let gpus = places.iter().filter(|place| place.is_gpu()).count();
    for place in &mut places {
        place.label = match (place.is_gpu(), gpus) {
            (false, _) => "cpu".into(),
            (true, 1) => "gpu".into(),
            (true, _) => format!("gpu {}", place.name),
        };
    }
    Ok(places)
}
