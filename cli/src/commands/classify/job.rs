//! Pictures through a network: decoded on all cores while it runs on those before.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use anstyle::Style;
use image::RgbImage;
use indicatif::ProgressBar;
use macula::{DeviceStatistics, Session, Tensor};
use rayon::prelude::*;

use super::answers::{Classifier, Printer};
use crate::failure::Failure;
use crate::model::{EMBEDDED_PICTURE, ImageInput};
use crate::preprocess::Preprocess;
use crate::times::quantile;
use crate::{images, terminal};

/// Batches on the device at once: one computes while the other is uploaded or read back.
const IN_FLIGHT: usize = 2;

/// A picture to classify.
pub enum Source {
    Embedded,
    File(PathBuf),
}

impl Source {
    /// Its name in messages.
    pub fn name(&self) -> String {
        match self {
            Source::Embedded => "chelsea.png, embedded".into(),
            Source::File(path) => path.display().to_string(),
        }
    }

    /// Its pixels.
    pub fn pixels(&self) -> Result<RgbImage, String> {
        match self {
            Source::Embedded => images::decode(EMBEDDED_PICTURE),
            Source::File(path) => images::open(path),
        }
    }

    fn prepare(&self, preprocess: &Preprocess) -> Result<Vec<f32>, String> {
        Ok(preprocess.apply(&self.pixels()?))
    }
}

/// Pictures through a network.
pub struct Job<'a> {
    pub sources: &'a [Source],
    pub preprocess: &'a Preprocess,
    pub session: &'a Session,
    pub input: &'a ImageInput,
    pub size: [usize; 2],
    pub batch: usize,
}

/// Pictures that run together.
struct Batch<'a> {
    sources: &'a [Source],
    /// Why a picture could not be read.
    pictures: Vec<Result<(), String>>,
    /// The network's input, unless no picture could be read.
    tensor: Option<Tensor>,
}

impl Batch<'_> {
    fn count(&self) -> usize {
        self.pictures.iter().flatten().count()
    }
}

/// How a job went.
pub struct Done {
    pub failed: usize,
    /// Pictures and time of each run: of the first one alone, of the others from the outputs before to theirs.
    runs: Vec<(usize, Duration)>,
    elapsed: Duration,
    /// What the first run read.
    first: Option<Tensor>,
}

impl Job<'_> {
    /// Decodes on all cores while the network runs on the batches before.
    pub fn run(
        &self,
        classifier: &Classifier<'_>,
        printer: &Printer<'_>,
        progress: &ProgressBar,
        out: &mut dyn Write,
    ) -> Result<Done, Failure> {
        let mut done = Done { failed: 0, runs: vec![], elapsed: Duration::ZERO, first: None };
        let start = Instant::now();
        std::thread::scope(|scope| {
            let (send, batches) = sync_channel(1);
            scope.spawn(move || {
                for sources in self.sources.chunks(self.batch) {
                    if send.send(self.prepare(sources)).is_err() {
                        break;
                    }
                }
            });
            // Taken by the session, not answered yet; failures among them stop the runs.
            let taken: RefCell<VecDeque<Result<Batch<'_>, Failure>>> = RefCell::default();
            let mut waiting = batches.into_iter();
            let inputs = std::iter::from_fn(|| {
                loop {
                    let batch = waiting.next()?;
                    let tensor = batch.as_ref().ok().and_then(|batch| batch.tensor.clone());
                    taken.borrow_mut().push_back(batch);
                    if let Some(tensor) = tensor {
                        return Some([(self.input.name.as_str(), tensor)]);
                    }
                }
            });
            let mut inputs = inputs.fuse();
            let mut since = Instant::now();
            // The first run is on its own: it is the one that is timed from its start to its end.
            let first = inputs.next().map(|[(name, tensor)]| {
                since = Instant::now();
                let outputs = self.session.run(&[(name, tensor.view())]);
                done.first = Some(tensor);
                outputs
            });
            for outputs in first.into_iter().chain(self.session.run_all(inputs, IN_FLIGHT)) {
                let outputs = outputs?;
                let elapsed = since.elapsed();
                since = Instant::now();
                let output = outputs.into_tensors().into_iter().next();
                let output = output.ok_or_else(|| Failure::failed(format!("{} has no output", classifier.model)))?;
                loop {
                    let Some(batch) = taken.borrow_mut().pop_front().transpose()? else { break };
                    let answers = match &batch.tensor {
                        Some(tensor) => {
                            done.runs.push((batch.count(), elapsed));
                            classifier.probabilities(&output, tensor.shape()[0])?
                        }
                        None => vec![],
                    };
                    terminal::without_bars(|| self.print(&batch, answers, classifier, printer, &mut done, out))?;
                    progress.inc(batch.sources.len() as u64);
                    if batch.tensor.is_some() {
                        break;
                    }
                }
            }
            for batch in taken.take() {
                let batch = batch?;
                terminal::without_bars(|| self.print(&batch, vec![], classifier, printer, &mut done, out))?;
                progress.inc(batch.sources.len() as u64);
            }
            Ok::<(), Failure>(())
        })?;
        done.elapsed = start.elapsed();
        Ok(done)
    }

    fn prepare<'s>(&self, sources: &'s [Source]) -> Result<Batch<'s>, Failure> {
        let decoded: Vec<Result<Vec<f32>, String>> = sources.par_iter().map(|source| source.prepare(self.preprocess)).collect();
        let mut values: Vec<f32> = decoded.iter().flatten().flatten().copied().collect();
        let pictures: Vec<_> = decoded.into_iter().map(|picture| picture.map(drop)).collect();
        let count = pictures.iter().flatten().count();
        if count == 0 {
            return Ok(Batch { sources, pictures, tensor: None });
        }
        // A network with a fixed batch gets it in full; what the empty places give is not looked at.
        let batch = self.input.batch.unwrap_or(count);
        values.resize(values.len() / count * batch, 0.0);
        Ok(Batch { sources, pictures, tensor: Some(self.input.tensor(values, batch, self.size)?) })
    }

    fn print(
        &self,
        batch: &Batch<'_>,
        answers: Vec<Vec<f64>>,
        classifier: &Classifier<'_>,
        printer: &Printer<'_>,
        done: &mut Done,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        let time = done.runs.last().map_or(Duration::ZERO, |(count, time)| *time / (*count).max(1) as u32);
        let mut answers = answers.into_iter();
        for (source, picture) in batch.sources.iter().zip(&batch.pictures) {
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
    }

    /// The time of a run once everything is warm, and its pictures: the median of the runs after the first, of which
    /// there are made some where there were none.
    fn steady(&self, done: &Done) -> Result<Option<(usize, Duration)>, Failure> {
        let (Some(&(first, _)), Some(tensor)) = (done.runs.first(), &done.first) else {
            return Ok(None);
        };
        let mut times: Vec<Duration> = done.runs.iter().skip(1).filter(|(count, _)| *count == first).map(|(_, time)| *time).collect();
        if times.is_empty() {
            let start = Instant::now();
            while times.is_empty() || (times.len() < 10 && start.elapsed() < Duration::from_millis(300)) {
                let run = Instant::now();
                self.session.run(&[(&self.input.name, tensor.view())])?;
                times.push(run.elapsed());
            }
        }
        times.sort();
        Ok((!times.is_empty()).then(|| (first, quantile(&times, 0.5))))
    }
}

impl Done {
    pub fn print_times(
        &self,
        out: &mut dyn Write,
        job: &Job<'_>,
        load: Duration,
        compile: Duration,
        made: DeviceStatistics,
    ) -> Result<(), Failure> {
        let bold = Style::new().bold();
        write!(out, "\n{bold}time{bold:#}    load {}, compile {}", terminal::time(load), terminal::time(compile))?;
        if made.pipelines > 0 {
            let cached = if made.cached_pipelines > 0 { format!(", {} cached", made.cached_pipelines) } else { String::new() };
            write!(out, " ({} pipelines{cached})", made.pipelines)?;
        }
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
