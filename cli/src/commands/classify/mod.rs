//! `macula classify`: what is in a picture.

mod answers;
mod job;

use std::cell::OnceCell;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anstyle::Style;
use clap::Args;

use crate::explain::Subject;
use crate::failure::Failure;
use crate::model::{DeviceArgs, Model, Scores, device_name};
use crate::preprocess::{Preprocess, PreprocessArgs, Preset};
use crate::{images, labels, pictures, terminal};
use answers::{Classifier, Printer};
use job::{Job, Source};

/// Say what is in pictures
///
/// Without arguments, the embedded network classifies the embedded picture: nothing else is needed. Pictures may be BMP, GIF, JPEG, PNG,
/// PNM, TIFF or WebP in any colour format, up to 178 megapixels; they are turned as their EXIF says, transparency goes over white, and of
/// an animation the first frame counts.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  macula classify
  macula classify photo.jpg holiday/ 'more/*.png' --model squeezenet.onnx --labels imagenet.txt --preset caffe
  macula classify photos/ --batch 32 --json > answers.jsonl
  macula classify photo.jpg --heatmap heat.png")]
pub struct ClassifyArgs {
    /// Picture files, directories of pictures, and patterns as 'photos/**/*.jpg' [default: an embedded cat]
    pictures: Vec<String>,
    /// The network, an ONNX file [default: the embedded CIFAR-10 network]
    #[arg(short, long)]
    model: Option<PathBuf>,
    /// The classes' names, one a line, WordNet ids before them allowed
    #[arg(short, long)]
    labels: Option<PathBuf>,
    /// How many classes to print
    #[arg(short, long, default_value_t = 5, value_name = "N", value_parser = parse_count)]
    top: usize,
    /// How many pictures to run at once, where the network allows it [default: 8]
    #[arg(short, long, value_name = "N", value_parser = parse_count)]
    batch: Option<usize>,
    /// Where to draw what the network looks at in the picture, of which there is one then; see `macula look`
    #[arg(long, value_name = "FILE")]
    heatmap: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    /// One JSON object a line and picture
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    preprocess: PreprocessArgs,
}

fn parse_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=65_536) => Ok(count),
        _ => Err("expected a whole number from 1 to 65536".into()),
    }
}

/// Runs the command.
pub fn classify(args: &ClassifyArgs, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let sources = match &args.pictures[..] {
        [] => vec![Source::Embedded],
        pictures => images::expand(pictures)?.into_iter().map(Source::File).collect(),
    };
    let model = Model::load(args.model.as_ref())?;
    let input = model.image_input()?;
    let size = input.size(args.preprocess.size.map(|s| s.0))?;
    let embedded = args.model.is_none();
    let default = if embedded { Preset::Cifar10 } else { Preset::Imagenet };
    let preprocess = Preprocess::new(&args.preprocess, default, input.channels, size)?;
    let batch = match (input.batch, args.batch) {
        (Some(fixed), Some(asked)) if fixed != asked => {
            return Err(Failure::usage(format!("--batch {asked}: {} takes batches of {fixed} only", model.name)));
        }
        (Some(fixed), _) => fixed,
        (None, asked) => asked.unwrap_or(8).min(sources.len()),
    };
    let labels = match &args.labels {
        Some(file) => Some(labels::load(file)?),
        None => embedded.then(|| labels::CIFAR10.map(str::to_owned).to_vec()),
    };
    let classifier = Classifier { scores: Scores::of(&model.graph), labels, label_file: args.labels.as_deref(), model: &model.name };
    let heatmap = match (&args.heatmap, &sources[..]) {
        (None, _) => None,
        (Some(file), [source]) => {
            pictures::check_name(file)?;
            Some((file, source, model.graph.clone()))
        }
        (Some(_), many) => return Err(Failure::usage(format!("--heatmap draws on one picture, there are {}", many.len()))),
    };
    let device = args.device.open()?;
    let device_name = device_name(device.info());
    let start = Instant::now();
    let parameters = model.graph.parameters();
    let session = args.device.compile_to_run(&device, model.graph)?;
    classifier.check_plan(&session, &input, batch, size)?;
    let (compile_time, pipelines) = (start.elapsed(), device.statistics());

    let printer = Printer { json: args.json, model: &model.name, device: &device_name, top: args.top };
    if !args.json {
        let bold = Style::new().bold();
        writeln!(out, "{bold}device{bold:#}  {device_name}: {}", device.info().reason)?;
        writeln!(out, "{bold}model{bold:#}   {}, {} parameters", model.name, terminal::count(parameters as u64))?;
    }
    let progress = terminal::progress(sources.len(), "pictures");
    let job = Job { sources: &sources, preprocess: &preprocess, session: &session, input: &input, size, batch };
    let done = job.run(&classifier, &printer, &progress, out);
    progress.finish_and_clear();
    let done = done?;
    if let (Some((file, source, graph)), 0) = (&heatmap, done.failed) {
        let photo = source.pixels().map_err(|why| Failure::failed(format!("{}: {why}", source.name())))?;
        let subject = Subject {
            model: &model.name,
            graph,
            input: &input,
            size,
            preprocess: &preprocess,
            photo: &photo,
            device: &device,
            options: &args.device,
            plain: OnceCell::new(),
        };
        let heat = subject.heat(None, None)?;
        let line = heat.line(&printer.class_name(heat.class, classifier.labels.as_deref()));
        pictures::save(file, &heat.over(&subject, &line).into())?;
        if !args.json {
            writeln!(out, "\n{}: what speaks for {line}, {}", file.display(), heat.method.name())?;
        }
    }
    if !args.json {
        done.print_times(out, &job, model.load_time, compile_time, pipelines)?;
    }
    Ok(if done.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
