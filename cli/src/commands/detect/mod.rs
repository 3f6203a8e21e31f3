//! `macula detect`: what is where in a photo.

mod boxes;
mod decoder;
mod ultraface;
mod yolox;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use image::RgbImage;
use macula::{Outputs, Session, TensorType};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::model::{DeviceArgs, ImageInput, Model, device_name};
use crate::paint::{self, Area, Font};
use crate::{images, labels, pictures, terminal};
use boxes::{Detection, suppress};
use decoder::Decoder;

/// Find things in a photo and draw boxes around them
///
/// The network is recognised by the shapes of its outputs; photos are prepared as its authors do.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  macula detect yolox_nano.onnx photo.jpg --out boxes.png
  macula detect version-RFB-320.onnx people.jpg --out faces.png --score 0.8
  macula detect mine.onnx photo.jpg --decoder yolox --labels names.txt --json")]
pub struct DetectArgs {
    /// The network, an ONNX file: YOLOX or UltraFace
    model: PathBuf,
    /// The photo
    photo: PathBuf,
    /// Where to write the photo with its boxes
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What the network is [default: recognised by its shapes]
    #[arg(long, value_enum)]
    decoder: Option<Decoder>,
    /// The lowest score of a box [default: 0.3 for yolox, 0.7 for ultraface]
    #[arg(long, value_name = "0…1", value_parser = parse_share)]
    score: Option<f64>,
    /// How much a box may overlap a surer one of its class, as intersection over union [default: 0.45 for yolox, 0.5 for ultraface]
    #[arg(long, value_name = "0…1", value_parser = parse_share)]
    iou: Option<f64>,
    /// The classes' names, one a line [default: COCO's for 80 classes]
    #[arg(short, long, value_name = "FILE")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

fn parse_share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "expected a number from 0 to 1".into())
}

/// Runs the command.
pub fn detect(args: &DetectArgs, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    if let Some(file) = &args.out {
        pictures::check_name(file)?;
    }
    let photo = images::open(&args.photo).map_err(|why| Failure::failed(format!("{}: {why}", args.photo.display())))?;
    let model = Model::load(Some(&args.model))?;
    let (name, input) = (model.name.clone(), model.image_input()?);
    let size = input.size(None)?;
    let device = args.device.open()?;
    let session = args.device.compile_to_run(&device, model.graph)?;
    let types = output_types(&session, &input, size)?;
    let decoder = decoder(args.decoder, &name, &input, size, &types)?;
    let classes = match &args.labels {
        Some(file) => {
            let classes = labels::load(file)?;
            labels::check(&classes, file, &name, decoder.class_count(&types))?;
            Some(classes)
        }
        None => decoder.classes(&types),
    };

    let tensor = input.tensor(decoder.prepare(&photo, size), 1, size)?;
    let start = Instant::now();
    let outputs = session.run(&[(&input.name, tensor.view())])?;
    let elapsed = start.elapsed();
    check_numbers(&outputs, &name)?;
    let [score, iou] = decoder.thresholds();
    let found = decoder.decode(&outputs, &photo, size, args.score.unwrap_or(score));
    let found = suppress(found, args.iou.unwrap_or(iou));

    let label = |class: usize| classes.as_ref().and_then(|c| c.get(class)).cloned().unwrap_or_else(|| format!("class {class}"));
    if let Some(file) = &args.out {
        let mut picture = photo.clone();
        draw(&mut picture, &found, &label);
        pictures::save(file, &picture.into())?;
    }
    let device = device_name(device.info());
    if args.json {
        let boxes: Vec<Value> = found.iter().map(|one| as_json(one, classes.as_ref().map(|_| label(one.class)))).collect();
        let ms = elapsed.as_secs_f64() * 1e3;
        let file = |path: &Path| path.display().to_string();
        let object = json!({ "file": file(&args.photo), "model": name, "device": device, "ms": ms, "picture": args.out.as_deref().map(file), "boxes": boxes });
        writeln!(out, "{object}")?;
    } else {
        print(out, &found, &label)?;
        writeln!(out, "{} in {} on {device}", many(found.len()), terminal::time(elapsed))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn output_types(session: &Session, input: &ImageInput, [height, width]: [usize; 2]) -> Result<Vec<TensorType>, Failure> {
    let ty = TensorType::new(input.dtype, [1, input.channels, height, width]);
    let plan = session.plan(&[(&input.name, ty)])?;
    Ok(plan.graph.outputs().iter().map(|&id| plan.tensor_type(id)).collect())
}

/// The decoder asked for or recognised, if the network has its shapes.
fn decoder(asked: Option<Decoder>, model: &str, input: &ImageInput, size: [usize; 2], types: &[TensorType]) -> Result<Decoder, Failure> {
    let outputs = types.iter().map(TensorType::to_string).collect::<Vec<_>>().join(", ");
    if input.channels != 3 {
        return Err(Failure::failed(format!("{model}: input `{}` has one channel, detectors see colours; use `macula run`", input.name)));
    }
    match asked {
        Some(decoder) if decoder.fits(size, types) => Ok(decoder),
        Some(decoder) => Err(Failure::failed(format!(
            "{model}: the outputs are {outputs}; --decoder {} needs {} for an input of {}×{}",
            decoder.name(),
            decoder.expects(size),
            size[0],
            size[1]
        ))),
        None => Decoder::recognise(size, types).ok_or_else(|| {
            let known = [Decoder::Yolox, Decoder::Ultraface].map(|d| format!("{} with {}", d.name(), d.expects(size)));
            Failure::failed(format!(
                "{model}: the outputs are {outputs}, of no detector known here ({}); use `macula run`",
                known.join("; ")
            ))
        }),
    }
}

fn check_numbers(outputs: &Outputs, model: &str) -> Result<(), Failure> {
    match outputs.iter().find(|(_, tensor)| tensor.to_f64().iter().any(|v| v.is_nan())) {
        Some((name, _)) => {
            Err(Failure::failed(format!("{model}: output `{name}` is not a number (NaN) somewhere; `macula verify` shows where")))
        }
        None => Ok(()),
    }
}

fn many(boxes: usize) -> String {
    if boxes == 1 { "1 box".into() } else { format!("{boxes} boxes") }
}

/// Frames in a colour for each class found, the surest on top.
fn draw(picture: &mut RgbImage, found: &[Detection], label: &dyn Fn(usize) -> String) {
    let (font, thick) = (Font::for_picture(picture.width(), picture.height()), i64::from(picture.width().min(picture.height())) / 200 + 2);
    let mut classes: Vec<usize> = found.iter().map(|one| one.class).collect();
    classes.sort_unstable();
    classes.dedup();
    let colour = |class: usize| paint::colour(classes.binary_search(&class).unwrap_or_default());
    for one in found.iter().rev() {
        let [left, top, right, bottom] = [one.rect.left, one.rect.top, one.rect.right, one.rect.bottom].map(|v| v.round() as i64);
        let area = Area { x: left, y: top, width: right - left, height: bottom - top };
        paint::frame(picture, area, thick, colour(one.class));
    }
    for one in found.iter().rev() {
        let line = format!("{} {:.0} %", label(one.class), one.score * 100.0);
        let (left, top) = (one.rect.left.round() as i64, one.rect.top.round() as i64);
        paint::label(picture, [left, top - font.height()], &line, font, colour(one.class));
    }
}

fn as_json(one: &Detection, label: Option<String>) -> Value {
    let rect = one.rect;
    json!({ "class": one.class, "label": label, "score": one.score, "box": [rect.left, rect.top, rect.right, rect.bottom] })
}

fn print(out: &mut dyn Write, found: &[Detection], label: &dyn Fn(usize) -> String) -> Result<(), Failure> {
    if found.is_empty() {
        return Ok(());
    }
    let rows = found.iter().map(|one| {
        let rect = one.rect;
        let number = |v: f64| format!("{v:.0}");
        let sides = [rect.left, rect.top, rect.right - rect.left, rect.bottom - rect.top].map(number);
        [label(one.class), format!("{:.1} %", one.score * 100.0)].into_iter().chain(sides).collect()
    });
    writeln!(out, "{}", terminal::table(&["what", "score", "left", "top", "width", "height"], rows, &[1, 2, 3, 4, 5]))?;
    Ok(())
}
