//! What a classifier looks at in a picture: how much each place of it speaks for a class.

mod cam;
mod occlusion;
mod score_cam;

use std::cell::OnceCell;
use std::collections::HashSet;

use clap::ValueEnum;
use image::RgbImage;
use indicatif::ProgressBar;
use macula::ops::Op;
use macula::plan::Plan;
use macula::{Device, Graph, Outputs, Session, Tensor, TensorType, ValueId};

use crate::failure::Failure;
use crate::model::{DeviceArgs, ImageInput, Scores};
use crate::paint::{self, Font};
use crate::preprocess::Preprocess;
use crate::resample::{Filter, resize};
use crate::{pictures, terminal};

/// Pictures that run at once where the network leaves the batch open.
const BATCH: usize = 8;

/// The least of a drawing's shorter side.
const CANVAS: usize = 400;

/// How much of the photo the heat map hides.
const OPACITY: f32 = 0.6;

/// How it is found out what a network looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Method {
    /// Class activation map, where the network ends in global average pooling and one linear layer, or a 1×1 convolution and the pooling
    Cam,
    /// Score-CAM: the maps of the last layer that has a height and width, in groups, each weighted by what it alone shows the network; at most 26 runs
    ScoreCam,
    /// Occlusion: how much less probable the class is where a gray square hides a place; 50 runs for a square picture
    Occlusion,
}

impl Method {
    /// Its name in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Method::Cam => "class activation map",
            Method::ScoreCam => "Score-CAM",
            Method::Occlusion => "occlusion",
        }
    }
}

/// A classifier and a picture.
pub struct Subject<'a> {
    /// The network's name for messages.
    pub model: &'a str,
    pub graph: &'a Graph,
    pub input: &'a ImageInput,
    /// Height and width of the input.
    pub size: [usize; 2],
    pub preprocess: &'a Preprocess,
    pub photo: &'a RgbImage,
    pub device: &'a Device,
    pub options: &'a DeviceArgs,
    /// The network as it is, made ready when it is first asked for.
    pub plain: OnceCell<Session>,
}

/// How much each place of what the network sees speaks for a class: 0 for nothing or against it.
#[derive(Clone, PartialEq, Debug)]
pub struct Heat {
    pub method: Method,
    pub class: usize,
    /// The probabilities of all classes.
    pub probabilities: Vec<f64>,
    values: Vec<f32>,
    size: [usize; 2],
}

impl Subject<'_> {
    /// The heat map of `class`, by default the most probable one; by `method`, by default the first that the network allows: its class
    /// activation map; Score-CAM where maps with height and width reach into its second half; occlusion.
    pub fn heat(&self, method: Option<Method>, class: Option<usize>) -> Result<Heat, Failure> {
        let prepared = self.preprocess.apply(self.photo);
        let head = cam::head(self.graph);
        let method = match (method, &head) {
            (Some(Method::Cam), None) => {
                return Err(Failure::failed(format!(
                    "{}: no class activation map, for it does not end in global average pooling and one linear layer; use score-cam or occlusion",
                    self.model
                )));
            }
            (Some(method), _) => method,
            (None, Some(_)) => Method::Cam,
            (None, None) => {
                let plan = self.plan(self.plain()?)?;
                if score_cam::reaches_far(&plan) { Method::ScoreCam } else { Method::Occlusion }
            }
        };
        match (method, head) {
            (Method::Cam, Some(head)) => cam::heat(self, &head, &prepared, class),
            (Method::Occlusion, _) => occlusion::heat(self, &prepared, class),
            _ => score_cam::heat(self, &prepared, class),
        }
    }

    /// What the network sees of the photo, to draw on: planes in 0–255, RGB, in the photo's resolution or a multiple of it that text fits on.
    pub fn canvas(&self) -> (Vec<Vec<f32>>, [usize; 2]) {
        let (seen, own) = self.preprocess.seen(self.photo, None);
        let zoom = CANVAS.div_ceil(own[0].min(own[1])).min(16);
        let (seen, size) = if zoom > 1 { self.preprocess.seen(self.photo, Some(own.map(|n| n * zoom))) } else { (seen, own) };
        (seen.chunks_exact(size[0] * size[1]).map(<[f32]>::to_vec).collect(), size)
    }

    /// The network as it is.
    pub fn plain(&self) -> Result<&Session, Failure> {
        if let Some(session) = self.plain.get() {
            return Ok(session);
        }
        let session = self.session(&[])?;
        Ok(self.plain.get_or_init(|| session))
    }

    /// The network with more of its values as outputs.
    pub fn session(&self, values: &[&str]) -> Result<Session, Failure> {
        let mut graph = self.graph.clone();
        for name in values {
            graph.add_output(name)?;
        }
        self.options.compile_to_run(self.device, graph)
    }

    /// The plan for one batch.
    pub fn plan(&self, session: &Session) -> Result<std::sync::Arc<Plan>, Failure> {
        let [height, width] = self.size;
        let ty = TensorType::new(self.input.dtype, [self.input.batch.unwrap_or(1), self.input.channels, height, width]);
        Ok(session.plan(&[(&self.input.name, ty)])?)
    }

    /// Runs one prepared picture, in every place of the batch.
    pub fn outputs(&self, session: &Session, prepared: &[f32]) -> Result<Outputs, Failure> {
        let batch = self.input.batch.unwrap_or(1);
        let tensor = self.input.tensor(prepared.repeat(batch), batch, self.size)?;
        Ok(session.run(&[(&self.input.name, tensor.view())])?)
    }

    /// Runs one prepared picture and gives its probabilities and every further output.
    fn run(&self, session: &Session, prepared: &[f32]) -> Result<(Vec<f64>, Vec<Tensor>), Failure> {
        let outputs = self.outputs(session, prepared)?.into_tensors();
        let mut all = self.probabilities(&outputs, self.input.batch.unwrap_or(1))?;
        Ok((all.swap_remove(0), outputs.into_iter().skip(1).collect()))
    }

    /// The probability of `class` in each of many prepared pictures, which `picture` makes one by one.
    fn many(&self, count: usize, class: usize, picture: &dyn Fn(usize) -> Vec<f32>) -> Result<Vec<f64>, Failure> {
        let session = self.plain()?;
        let batch = self.input.batch.unwrap_or(BATCH);
        let progress: ProgressBar = terminal::progress(count, "runs of what it looks at");
        // A first run may be long.
        progress.tick();
        let mut got = Vec::with_capacity(count);
        for start in (0..count).step_by(batch) {
            let here = batch.min(count - start);
            let mut values: Vec<f32> = (start..start + here).flat_map(picture).collect();
            let run = self.input.batch.unwrap_or(here);
            values.resize(values.len() / here * run, 0.0);
            let tensor = self.input.tensor(values, run, self.size)?;
            let outputs = session.run(&[(&self.input.name, tensor.view())])?.into_tensors();
            got.extend(self.probabilities(&outputs, run)?.iter().take(here).map(|p| p[class]));
            progress.inc(here as u64);
        }
        progress.finish_and_clear();
        Ok(got)
    }

    fn probabilities(&self, outputs: &[Tensor], batch: usize) -> Result<Vec<Vec<f64>>, Failure> {
        let output = outputs.first().ok_or_else(|| Failure::failed(format!("{} has no output", self.model)))?;
        let spread = output.shape().iter().skip(1).filter(|&&extent| extent != 1).count();
        let classes = output.len() / batch;
        if output.shape().first() != Some(&batch) || spread > 1 || classes < 2 || !output.dtype().is_float() {
            let ty = TensorType::new(output.dtype(), output.shape());
            return Err(Failure::failed(format!("{}: its output {ty} is not one score a class: there is no class to explain", self.model)));
        }
        let values = output.to_f64();
        if values.iter().any(|v| v.is_nan()) {
            return Err(Failure::failed(format!("{}: its output is not a number (NaN); `macula verify` shows where", self.model)));
        }
        let scores = Scores::of(self.graph);
        Ok(values.chunks_exact(classes).map(|one| scores.probabilities(one)).collect())
    }

    /// The class to explain: the one asked for, or the most probable.
    fn class(&self, asked: Option<usize>, probabilities: &[f64]) -> Result<usize, Failure> {
        match asked {
            Some(class) if class < probabilities.len() => Ok(class),
            Some(class) => Err(Failure::usage(format!("there is no class {class}: {} has {}, from 0 on", self.model, probabilities.len()))),
            None => Ok(crate::model::top(probabilities, 1)[0].0),
        }
    }

    /// The mean of each channel of a prepared picture: what stands for nothing to see.
    fn means(&self, prepared: &[f32]) -> Vec<f32> {
        let plane = self.size[0] * self.size[1];
        prepared.chunks_exact(plane).map(|values| values.iter().sum::<f32>() / plane as f32).collect()
    }
}

/// The values that have maps of the picture, each with the number of its node: `[N, C, H, W]` of a height and width that a convolution or
/// pooling gives, which tells them from matrices of attention and from channels that come last.
pub fn maps(plan: &Plan) -> Vec<(usize, ValueId)> {
    let nodes =
        || plan.graph.nodes().iter().enumerate().flat_map(|(at, node)| node.outputs.iter().flatten().map(move |id| (at, node, *id)));
    let extents = |id: ValueId| match *plan.tensor_type(id).shape.dims() {
        [_, channels, height, width] if channels > 1 && height * width > 1 => Some([height, width]),
        _ => None,
    };
    let sizes: HashSet<[usize; 2]> = nodes().filter(|(_, node, _)| slides(&node.op)).filter_map(|(_, _, id)| extents(id)).collect();
    nodes().filter(|(_, _, id)| extents(*id).is_some_and(|size| sizes.contains(&size))).map(|(at, _, id)| (at, id)).collect()
}

/// Whether an operator slides windows over pictures.
fn slides(op: &Op) -> bool {
    match op {
        Op::Fused(fused) => fused.base.as_ref().is_some_and(|base| slides(base)),
        Op::AveragePool(_) | Op::Conv(_) | Op::ConvInteger(_) | Op::ConvTranspose(_) | Op::MaxPool(_) | Op::QLinearConv(_) => true,
        _ => false,
    }
}

impl Heat {
    /// A heat map; what speaks against the class counts as nothing.
    fn new(method: Method, class: usize, probabilities: Vec<f64>, mut values: Vec<f32>, size: [usize; 2]) -> Self {
        values.iter_mut().for_each(|v| *v = v.max(0.0));
        Self { method, class, probabilities, values, size }
    }

    /// The class and its probability in a line.
    pub fn line(&self, name: &str) -> String {
        format!("{name} {:.1} %", self.probabilities[self.class] * 100.0)
    }

    /// The heat over what the network sees of the photo, from the darkest colour for nothing to the brightest
    /// for the most; with a line of text.
    pub fn over(&self, subject: &Subject<'_>, line: &str) -> RgbImage {
        let (mut rgb, size) = subject.canvas();
        let heat = resize(&self.values, self.size, size, Filter::Cubic);
        let most = self.values.iter().copied().fold(0.0, f32::max);
        for (at, heat) in heat.iter().enumerate() {
            let share = if most > 0.0 { (heat / most).clamp(0.0, 1.0) } else { 0.0 };
            for (channel, paint) in rgb.iter_mut().zip(paint::inferno(share)) {
                channel[at] += (f32::from(paint) - channel[at]) * OPACITY;
            }
        }
        let mut picture = pictures::from_planes(&rgb, size);
        let font = Font::for_picture(picture.width(), picture.height());
        paint::label(&mut picture, [0, 0], line, font, [0; 3]);
        picture
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use macula::{DType, GraphBuilder, ops};

    #[test]
    fn channels_that_come_last_are_no_maps() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, [1, 3, 9, 8]);
        let w = b.constant("w", Tensor::full([4, 3, 2, 2], 1f32));
        let conv = b.node("conv", ops::Conv::default(), &[x, w]).unwrap();
        let bent = b.node("bent", ops::Unary::Exp, &[conv]).unwrap();
        let turned = b.node("turned", ops::Transpose { permutation: vec![0, 2, 3, 1] }, &[bent]).unwrap();
        b.output("y", turned);
        b.output("z", bent);
        let session = Device::cpu().compile(b.finish().unwrap()).unwrap();
        let plan = session.plan(&[("x", TensorType::new(DType::F32, [1, 3, 9, 8]))]).unwrap();
        let names: Vec<&str> = maps(&plan).into_iter().map(|(_, id)| plan.graph.value(id).name.as_str()).collect();
        assert!(names.last() == Some(&"z") && !names.contains(&"y"), "{names:?}");
    }
}
