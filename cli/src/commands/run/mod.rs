//! `macula run`: any network on any inputs, `.npy` or photos in, `.npy` or pictures out.

mod photo;
mod picture;

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use macula::{Outputs, Tensor, TensorView};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::inputs::{self, DimArgs};
use crate::model::{DeviceArgs, Model, device_name};
use crate::preprocess::PreprocessArgs;
use crate::{files, npy, terminal};
use photo::PhotoArgs;
use picture::{PictureArgs, Wanted};

/// Run a network on .npy files, photos or random inputs, and write its outputs as .npy files or pictures
///
/// Photos are prepared as `macula classify` does, but by --preset unit and without a margin unless asked. Where the network leaves its size
/// open, it is the photo's, to the nearest multiple of 32.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  macula run model.onnx --input image=x.npy --output results/
  macula run model.onnx --random 7 --batch 4 --device gpu --json
  macula run style.onnx --image-in photo.jpg --preset bytes --image-out painting.png
  macula run super-resolution.onnx --image-in photo.jpg --image-out large.png --as luma
  macula run matting.onnx --image-in photo.jpg --channel-order bgr --size 256 --image-out cut.png --as alpha
  macula run road.onnx --image-in photo.jpg --crop none --image-out drivable_area=road.png --image-out lanes=road.png --as mask")]
pub struct RunArgs {
    /// The network, an ONNX file
    model: PathBuf,
    /// An input: a .npy file, or a .pb file of the ONNX tests; NAME may be left out where there is one input
    #[arg(short, long = "input", value_name = "NAME=FILE")]
    inputs: Vec<String>,
    /// Where to write each output, as NAME.npy; without it only their statistics are printed
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    photos: PhotoArgs,
    #[command(flatten)]
    pictures: PictureArgs,
    /// Fill the inputs not given with random values, the same for the same seed [default seed: 0]
    #[arg(long, value_name = "SEED", num_args = 0..=1, default_missing_value = "0", value_parser = inputs::parse_seed)]
    random: Option<u64>,
    #[command(flatten)]
    dims: DimArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    preprocess: PreprocessArgs,
}

/// Runs the command.
pub fn run(args: &RunArgs, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let model = Model::load(Some(&args.model))?;
    let files = inputs::assign(&model.graph, &args.inputs)?;
    let mut given = files.into_iter().map(|(name, file)| Ok((name, inputs::read(&file)?))).collect::<Result<Vec<_>, Failure>>()?;
    let (photos, tensors): (Vec<_>, Vec<_>) = args.photos.read(&model.graph, &args.dims, &args.preprocess)?.into_iter().unzip();
    if let Some(twice) = photos.iter().find(|photo| given.iter().any(|(name, _)| *name == photo.input)) {
        return Err(Failure::usage(format!("input `{}` is given by --input and by --image-in", twice.input)));
    }
    given.extend(photos.iter().map(|photo| photo.input.clone()).zip(tensors));
    let names: Vec<&str> = model.graph.outputs().iter().map(|&id| model.graph.value(id).name.as_str()).collect();
    let wanted = args.pictures.wanted(&names, photos.first())?;
    let inputs = inputs::complete(&model.graph, given, &args.dims, args.random)?;
    if let Some(directory) = &args.output {
        files::make_directory(directory)?;
    }
    let device = args.device.open()?;
    let session = args.device.compile_to_run(&device, model.graph)?;
    let views: Vec<(&str, TensorView<'_>)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
    let start = Instant::now();
    let outputs = session.run(&views)?;
    let elapsed = start.elapsed();

    let files = match &args.output {
        Some(directory) => write(directory, &outputs)?,
        None => vec![None; outputs.len()],
    };
    let pictures = wanted
        .into_iter()
        .map(|wanted| args.pictures.write(&wanted, &outputs, photos.first()).map(|size| (wanted, size)))
        .collect::<Result<Vec<_>, _>>()?;
    if args.json {
        let objects: Vec<Value> = outputs.iter().zip(&files).map(|((name, tensor), file)| as_json(name, tensor, file.as_deref())).collect();
        let ms = elapsed.as_secs_f64() * 1e3;
        let mut object = json!({ "model": model.name, "device": device_name(device.info()), "ms": ms, "outputs": objects });
        if !pictures.is_empty() {
            object["pictures"] = pictures.iter().map(|(wanted, size)| picture_json(wanted, *size)).collect();
        }
        writeln!(out, "{object}")?;
    } else {
        print(out, &outputs, &files, elapsed, &device_name(device.info()))?;
        for (wanted, [width, height]) in &pictures {
            writeln!(out, "{}: {width}×{height}, {}", wanted.file.display(), wanted.outputs.join(" and "))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write(directory: &Path, outputs: &Outputs) -> Result<Vec<Option<PathBuf>>, Failure> {
    let mut taken = HashSet::new();
    let mut files = vec![];
    for (name, tensor) in outputs.iter() {
        let stem = files::stem(name);
        let numbered = (2..).map(|n| format!("{stem}.{n}"));
        let free = std::iter::once(stem.clone()).chain(numbered).find(|s| taken.insert(s.clone())).unwrap_or(stem.clone());
        let path = directory.join(format!("{free}.npy"));
        npy::write(&path, tensor)?;
        files.push(Some(path));
    }
    Ok(files)
}

/// What can be said of a tensor in a line.
struct Statistics {
    min: f64,
    max: f64,
    mean: f64,
    not_finite: usize,
}

impl Statistics {
    /// Over the finite elements.
    fn of(tensor: &Tensor) -> Option<Self> {
        let values = tensor.to_f64();
        let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        let not_finite = values.len() - finite.len();
        (!values.is_empty()).then(|| Self {
            min: finite.iter().copied().fold(f64::INFINITY, f64::min),
            max: finite.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            mean: finite.iter().sum::<f64>() / finite.len() as f64,
            not_finite,
        })
    }
}

fn as_json(name: &str, tensor: &Tensor, file: Option<&Path>) -> Value {
    let statistics = Statistics::of(tensor);
    let of = |field: fn(&Statistics) -> f64| statistics.as_ref().map(field).filter(|v| v.is_finite());
    json!({
        "name": name,
        "dtype": tensor.dtype().name(),
        "shape": tensor.shape().dims(),
        "file": file.map(|f| f.display().to_string()),
        "min": of(|s| s.min),
        "max": of(|s| s.max),
        "mean": of(|s| s.mean),
        "not_finite": statistics.as_ref().map_or(0, |s| s.not_finite),
    })
}

fn picture_json(wanted: &Wanted, [width, height]: [u32; 2]) -> Value {
    json!({ "file": wanted.file.display().to_string(), "width": width, "height": height, "outputs": wanted.outputs })
}

fn print(out: &mut dyn Write, outputs: &Outputs, files: &[Option<PathBuf>], elapsed: Duration, device: &str) -> Result<(), Failure> {
    let number = |v: f64| if v.is_finite() { format!("{v:.5}") } else { "–".into() };
    let rows = outputs.iter().zip(files).map(|((name, tensor), file)| {
        let mut row = vec![name.to_owned(), format!("{}{}", tensor.dtype(), tensor.shape())];
        match Statistics::of(tensor) {
            Some(s) => row.extend([number(s.min), number(s.max), number(s.mean), s.not_finite.to_string()]),
            None => row.extend(["–", "–", "–", "–"].map(String::from)),
        }
        row.push(file.as_ref().map_or_else(|| "–".into(), |f| f.display().to_string()));
        row
    });
    writeln!(out, "{}", terminal::table(&["output", "type", "min", "max", "mean", "not finite", "file"], rows, &[2, 3, 4, 5]))?;
    writeln!(out, "ran in {} on {device}", terminal::time(elapsed))?;
    Ok(())
}
