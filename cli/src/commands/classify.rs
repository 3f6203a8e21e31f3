//! `macula classify`: what is in a picture.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use clap::Args;
use indicatif::ProgressBar;
use macula::{Session, Tensor, TensorType};
use rayon::prelude::*;
use serde::Serialize;

use crate::failure::{Failure, complain};
use crate::model::{DeviceArgs, EMBEDDED_PICTURE, ImageInput, Model, Scores, device_name, top};
use crate::preprocess::{Preprocess, PreprocessArgs, Preset};
use crate::{images, labels, terminal};

/// Say what is in pictures
///
/// Without arguments, the embedded network classifies the embedded picture: nothing else is needed. Pictures may be BMP, GIF, JPEG, PNG,
/// PNM, TIFF or WebP in any colour format; they are turned as their EXIF says, and transparency goes over white.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  macula classify
  macula classify photo.jpg holiday/ 'more/*.png' --model squeezenet.onnx --labels imagenet.txt --preset caffe
  macula classify photos/ --batch 32 --json > answers.jsonl")]
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
    #[command(flatten)]
    device: DeviceArgs,
    /// One JSON object a line and picture
    #[arg(long)]
    json: bool,
    /// No progress bar
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    preprocess: PreprocessArgs,
}

fn parse_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=65_536) => Ok(count),
        _ => Err("expected a whole number from 1 to 65536".into()),
    }
}

/// A picture to classify.
enum Source {
    Embedded,
    File(PathBuf),
}

impl Source {
    fn name(&self) -> String {
        match self {
            Source::Embedded => "chelsea.png, embedded".into(),
            Source::File(path) => path.display().to_string(),
        }
    }

    fn prepare(&self, preprocess: &Preprocess) -> Result<Vec<f32>, String> {
        let pixels = match self {
            Source::Embedded => images::decode(EMBEDDED_PICTURE),
            Source::File(path) => images::open(path),
        };
        Ok(preprocess.apply(&pixels?))
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    file: &'a str,
    model: &'a str,
    device: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    top: Option<Vec<Class<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct Class<'a> {
    index: usize,
    label: Option<&'a str>,
    probability: f64,
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
    let device = args.device.open()?;
    let device_name = device_name(device.info());
    let start = Instant::now();
    let parameters = model.graph.parameters();
    let session = args.device.compile(&device, model.graph)?;
    classifier.check_plan(&session, &input, batch, size)?;
    let compile_time = start.elapsed();

    let printer = Printer { json: args.json, model: &model.name, device: &device_name, top: args.top };
    if !args.json {
        let bold = Style::new().bold();
        writeln!(out, "{bold}device{bold:#}  {device_name}: {}", device.info().reason)?;
        writeln!(out, "{bold}model{bold:#}   {}, {} parameters", model.name, terminal::count(parameters as u64))?;
    }
    let progress = terminal::progress(sources.len(), "pictures", args.quiet);
    let job = Job { sources: &sources, preprocess: &preprocess, session: &session, input: &input, size, batch };
    let done = job.run(&classifier, &printer, &progress, out);
    progress.finish_and_clear();
    let done = done?;
    if !args.json {
        done.print_times(out, &job, model.load_time, compile_time)?;
    }
    Ok(if done.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the network's output means.
struct Classifier<'a> {
    scores: Scores,
    labels: Option<Vec<String>>,
    label_file: Option<&'a Path>,
    model: &'a str,
}

impl Classifier<'_> {
    fn check_labels(&self, classes: usize) -> Result<(), Failure> {
        match (&self.labels, self.label_file) {
            (Some(labels), Some(file)) => labels::check(labels, file, self.model, classes),
            _ => Ok(()),
        }
    }

    /// Prepares the network for batches of pictures, and fails before anything runs where its output is not understood.
    fn check_plan(&self, session: &Session, input: &ImageInput, batch: usize, [height, width]: [usize; 2]) -> Result<(), Failure> {
        let ty = TensorType::new(input.dtype, [batch, input.channels, height, width]);
        let plan = match session.plan(&[(&input.name, ty)]) {
            Ok(plan) => plan,
            // Shapes that depend on the pictures' values are known after the run, which checks again.
            Err(macula::Error::NeedsElements(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match plan.graph.outputs().first() {
            Some(&output) => self.check_output(&plan.tensor_type(output), batch),
            None => Err(Failure::failed(format!("{} has no output", self.model))),
        }
    }

    /// That an output is one score a class and picture, `[batch, classes]` with axes of 1 anywhere after the first.
    fn check_output(&self, ty: &TensorType, batch: usize) -> Result<(), Failure> {
        let spread = ty.shape.iter().skip(1).filter(|&&extent| extent != 1).count();
        let classes: usize = ty.shape.iter().skip(1).product();
        if ty.shape.rank() < 2 || ty.shape[0] != batch || spread > 1 || classes == 0 || !ty.dtype.is_float() {
            return Err(Failure::failed(format!("{}: its output {ty} is not one score a class; use `macula run`", self.model)));
        }
        self.check_labels(classes)
    }

    /// The probabilities of each picture of a batch.
    fn probabilities(&self, output: &Tensor, batch: usize) -> Result<Vec<Vec<f64>>, Failure> {
        self.check_output(&TensorType::new(output.dtype(), output.shape()), batch)?;
        let classes = output.len() / batch;
        Ok(output.to_f64().chunks_exact(classes).map(|scores| self.scores.probabilities(scores)).collect())
    }
}

/// How answers are shown.
struct Printer<'a> {
    json: bool,
    model: &'a str,
    device: &'a str,
    top: usize,
}

impl Printer<'_> {
    fn answer(
        &self,
        out: &mut dyn Write,
        file: &str,
        probabilities: &[f64],
        labels: Option<&[String]>,
        time: Duration,
    ) -> Result<(), Failure> {
        let label = |index: usize| labels.and_then(|l| l.get(index)).map(String::as_str);
        let classes: Vec<_> = top(probabilities, self.top);
        if self.json {
            let top = classes.into_iter().map(|(index, probability)| Class { index, label: label(index), probability }).collect();
            let ms = Some(time.as_secs_f64() * 1e3);
            return self.object(out, &Answer { file, model: self.model, device: self.device, top: Some(top), ms, error: None });
        }
        let name = |index: usize| label(index).map_or_else(|| format!("class {index}"), |l| shorten(l, 36));
        let width = classes.iter().map(|(index, _)| name(*index).chars().count()).max().unwrap_or(0);
        let (bold, color) = (Style::new().bold(), AnsiColor::Green.on_default());
        writeln!(out, "\n{bold}{file}{bold:#}")?;
        for (place, (index, probability)) in classes.into_iter().enumerate() {
            let strong = if place == 0 { bold } else { Style::new() };
            let bar = terminal::bar(probability, 32);
            let gap = " ".repeat(32usize.saturating_sub(bar.chars().count()));
            let percent = probability * 100.0;
            writeln!(out, "  {strong}{:<width$}{strong:#}  {color}{bar}{color:#}{gap} {percent:5.1} %", name(index))?;
        }
        Ok(())
    }

    fn failure(&self, out: &mut dyn Write, file: &str, error: &str) -> Result<(), Failure> {
        complain(&format!("{file}: {error}"));
        if self.json {
            self.object(out, &Answer { file, model: self.model, device: self.device, top: None, ms: None, error: Some(error) })?;
        }
        Ok(())
    }

    fn object(&self, out: &mut dyn Write, answer: &Answer<'_>) -> Result<(), Failure> {
        let line = serde_json::to_string(answer).map_err(|e| Failure::failed(e.to_string()))?;
        writeln!(out, "{line}")?;
        Ok(())
    }
}

/// At most `length` characters of a label, of its synonyms as many as fit.
fn shorten(label: &str, length: usize) -> String {
    let mut text = label;
    while text.chars().count() > length {
        match text.rsplit_once(", ") {
            Some((shorter, _)) => text = shorter,
            None => return text.chars().take(length - 1).chain(['…']).collect(),
        }
    }
    text.to_owned()
}

/// Pictures through a network.
struct Job<'a> {
    sources: &'a [Source],
    preprocess: &'a Preprocess,
    session: &'a Session,
    input: &'a ImageInput,
    size: [usize; 2],
    batch: usize,
}

/// How a job went.
struct Done {
    failed: usize,
    /// Pictures and time of each run.
    runs: Vec<(usize, Duration)>,
    elapsed: Duration,
    /// What the last run read.
    last: Option<Tensor>,
}

impl Job<'_> {
    /// Decodes on all cores while the network runs on the batch before.
    fn run(
        &self,
        classifier: &Classifier<'_>,
        printer: &Printer<'_>,
        progress: &ProgressBar,
        out: &mut dyn Write,
    ) -> Result<Done, Failure> {
        let mut done = Done { failed: 0, runs: vec![], elapsed: Duration::ZERO, last: None };
        let start = Instant::now();
        std::thread::scope(|scope| {
            let (send, receive) = sync_channel(1);
            scope.spawn(move || {
                for sources in self.sources.chunks(self.batch) {
                    let pictures: Vec<_> = sources.par_iter().map(|source| source.prepare(self.preprocess)).collect();
                    if send.send(pictures).is_err() {
                        break;
                    }
                }
            });
            for (sources, pictures) in self.sources.chunks(self.batch).zip(receive) {
                let mut answers = self.run_batch(&pictures, classifier, &mut done)?.into_iter();
                let time = done.runs.last().map_or(Duration::ZERO, |(count, time)| *time / (*count).max(1) as u32);
                progress.suspend(|| -> Result<(), Failure> {
                    for (source, picture) in sources.iter().zip(&pictures) {
                        let name = source.name();
                        match (picture, picture.is_ok().then(|| answers.next()).flatten()) {
                            (Ok(_), Some(p)) if p.iter().any(|p| p.is_nan()) => {
                                done.failed += 1;
                                printer.failure(out, &name, "the network's output is not a number (NaN); `macula verify` shows where")?;
                            }
                            (Ok(_), Some(p)) => printer.answer(out, &name, &p, classifier.labels.as_deref(), time)?,
                            (Ok(_), None) => {}
                            (Err(why), _) => {
                                done.failed += 1;
                                printer.failure(out, &name, why)?;
                            }
                        }
                    }
                    Ok(())
                })?;
                progress.inc(sources.len() as u64);
            }
            Ok::<(), Failure>(())
        })?;
        done.elapsed = start.elapsed();
        Ok(done)
    }

    fn run_batch(
        &self,
        pictures: &[Result<Vec<f32>, String>],
        classifier: &Classifier<'_>,
        done: &mut Done,
    ) -> Result<Vec<Vec<f64>>, Failure> {
        let mut values: Vec<f32> = pictures.iter().flatten().flatten().copied().collect();
        let count = pictures.iter().flatten().count();
        if count == 0 {
            return Ok(vec![]);
        }
        // A network with a fixed batch gets it in full; what the empty places give is not looked at.
        let batch = self.input.batch.unwrap_or(count);
        values.resize(values.len() / count * batch, 0.0);
        let tensor = self.input.tensor(values, batch, self.size)?;
        let start = Instant::now();
        let outputs = self.session.run(&[(&self.input.name, tensor.view())])?;
        done.runs.push((count, start.elapsed()));
        done.last = Some(tensor);
        let Some((_, output)) = outputs.iter().next() else {
            return Err(Failure::failed(format!("{} has no output", classifier.model)));
        };
        Ok(classifier.probabilities(output, batch)?.into_iter().take(count).collect())
    }

    /// The time of a run once everything is warm, and its pictures: the median of the runs after the first, of which
    /// there are made some where there were none.
    fn steady(&self, done: &Done) -> Result<Option<(usize, Duration)>, Failure> {
        let (Some(&(first, _)), Some(tensor)) = (done.runs.first(), &done.last) else {
            return Ok(None);
        };
        let mut times: Vec<Duration> = done.runs.iter().skip(1).filter(|(count, _)| *count == first).map(|(_, time)| *time).collect();
        if done.runs.len() == 1 {
            let start = Instant::now();
            while times.len() < 10 && start.elapsed() < Duration::from_millis(300) {
                let run = Instant::now();
                self.session.run(&[(&self.input.name, tensor.view())])?;
                times.push(run.elapsed());
            }
        }
        times.sort();
        Ok(times.get(times.len() / 2).map(|&median| (first, median)))
    }
}

impl Done {
    fn print_times(&self, out: &mut dyn Write, job: &Job<'_>, load: Duration, compile: Duration) -> Result<(), Failure> {
        let bold = Style::new().bold();
        write!(out, "\n{bold}time{bold:#}    load {}, compile {}", terminal::time(load), terminal::time(compile))?;
        if let Some((count, first)) = self.runs.first() {
            let of = if *count > 1 { format!(" of {count}") } else { String::new() };
            write!(out, ", first run{of} {}", terminal::time(*first))?;
        }
        if let Some((count, steady)) = job.steady(self)? {
            write!(out, ", steady {} ({} images/s)", terminal::time(steady), terminal::digits(count as f64 / steady.as_secs_f64()))?;
        }
        writeln!(out)?;
        if job.sources.len() > 1 {
            let (count, rate) = (job.sources.len(), job.sources.len() as f64 / self.elapsed.as_secs_f64());
            write!(
                out,
                "        {count} pictures in {}, decoding included ({} images/s)",
                terminal::time(self.elapsed),
                terminal::digits(rate)
            )?;
            writeln!(out, "{}", if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_labels_lose_synonyms_first() {
        assert_eq!(shorten("tabby, tabby cat", 36), "tabby, tabby cat");
        assert_eq!(shorten("great white shark, white shark, man-eater, man-eating shark", 36), "great white shark, white shark");
        assert_eq!(shorten("abcdefgh", 4), "abc…");
    }

    #[test]
    fn outputs_are_one_score_a_class() {
        let classifier = Classifier { scores: Scores::Probabilities, labels: None, label_file: None, model: "m.onnx" };
        let ok = |shape: &[usize]| {
            classifier.probabilities(&Tensor::full(shape, 0.25f32), 2).map(|p| p.iter().map(Vec::len).collect::<Vec<_>>())
        };
        assert_eq!(ok(&[2, 4]).unwrap(), [4, 4]);
        assert_eq!(ok(&[2, 4, 1, 1]).unwrap(), [4, 4]);
        assert_eq!(ok(&[2, 1, 1, 4]).unwrap(), [4, 4]);
        for shape in [&[2, 4, 3][..], &[1, 4], &[4], &[2, 0]] {
            assert!(ok(shape).unwrap_err().to_string().contains("not one score a class"));
        }
    }
}
