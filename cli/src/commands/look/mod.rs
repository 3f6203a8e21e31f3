//! `macula look`: what a network sees in a photo, as pictures.

mod field;
mod filters;
pub(super) mod grid;
mod maps;
mod page;

use std::cell::OnceCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::Style;
use clap::Args;
use image::RgbImage;
use macula::Graph;
use macula::plan::Plan;

use crate::explain::{self, Heat, Method, Subject};
use crate::failure::{Failure, warn};
use crate::model::{DeviceArgs, Model, device_name, top};
use crate::preprocess::{Preprocess, PreprocessArgs, Preset};
use crate::{files, images, labels, pictures};
use page::Page;

/// Show what a network sees in a photo: filters, feature maps, receptive fields, and what it looks at
///
/// Writes pictures and an index.html that holds them all and needs no network.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  macula look squeezenet.onnx photo.jpg --preset caffe --labels imagenet.txt --out seen/
  macula look resnet18.onnx photo.jpg --layer /layer1/layer1.0/Relu --unit 10,20 --out seen/
  macula look net.onnx photo.jpg --method occlusion --class 281 --out seen/")]
pub struct LookArgs {
    /// The network, an ONNX file
    model: PathBuf,
    /// The photo
    photo: PathBuf,
    /// Where to write the pictures and index.html
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// A layer whose maps are shown, by its name in the file; may be repeated [default: four from the first to the last]
    #[arg(long = "layer", value_name = "NAME")]
    layers: Vec<String>,
    /// How many maps of a layer are shown
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    maps: u16,
    /// Row and column of the unit whose receptive field is drawn [default: the middle one of each layer]
    #[arg(long, value_name = "ROW,COLUMN", value_parser = parse_unit)]
    unit: Option<[usize; 2]>,
    /// How to find out what the network looks at; cam is one run, the others many of the whole network [default: cam where it can be, else score-cam, else occlusion]
    #[arg(long, value_enum)]
    method: Option<Method>,
    /// The number of the class that is asked for [default: the most probable]
    #[arg(long, value_name = "N")]
    class: Option<usize>,
    /// The classes' names, one a line, WordNet ids before them allowed
    #[arg(short, long, value_name = "FILE")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    preprocess: PreprocessArgs,
}

fn parse_unit(text: &str) -> Result<[usize; 2], String> {
    let unit = text.split_once(',').and_then(|(row, column)| Some([row.trim().parse().ok()?, column.trim().parse().ok()?]));
    unit.ok_or_else(|| "expected ROW,COLUMN, as 3,5".into())
}

/// Runs the command.
pub fn look(args: &LookArgs, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let photo = images::open(&args.photo).map_err(|why| Failure::failed(format!("{}: {why}", args.photo.display())))?;
    let model = Model::load(Some(&args.model))?;
    let input = model.image_input()?;
    let size = input.size(args.preprocess.size.map(|s| s.0))?;
    let preprocess = Preprocess::new(&args.preprocess, Preset::Imagenet, input.channels, size)?;
    let labels = args.labels.as_deref().map(|file| labels::load(file).map(|labels| (file, labels))).transpose()?;
    let device = args.device.open()?;
    let subject = Subject {
        model: &model.name,
        graph: &model.graph,
        input: &input,
        size,
        preprocess: &preprocess,
        photo: &photo,
        device: &device,
        options: &args.device,
        plain: OnceCell::new(),
    };
    let layers = match &args.layers[..] {
        [] => {
            let plan = subject.plan(subject.plain()?)?;
            default_layers(&plan, &model.graph)
        }
        names => names.iter().map(|name| layer(&model, name)).collect::<Result<_, _>>()?,
    };
    let session = subject.session(&layers.iter().map(String::as_str).collect::<Vec<_>>())?;
    let outputs = subject.outputs(&session, &preprocess.apply(&photo))?;
    let heat = match subject.heat(args.method, args.class) {
        Ok(heat) => Some(heat),
        Err(failure @ Failure::Failed(_)) if args.method.is_none() && args.class.is_none() => {
            warn(&format!("{failure}; index.html is without it"));
            None
        }
        Err(failure) => return Err(failure),
    };
    if let (Some((file, labels)), Some(heat)) = (&labels, &heat) {
        labels::check(labels, file, &model.name, heat.probabilities.len())?;
    }
    let name = |class: usize| labels.as_ref().and_then(|(_, l)| l.get(class)).cloned().unwrap_or_else(|| format!("class {class}"));

    files::make_directory(&args.out)?;
    let title = format!("{} looks at {}", model.name, args.photo.file_name().unwrap_or_default().to_string_lossy());
    let line = format!("{}×{} pixels on {}; made by macula look", size[0], size[1], device_name(device.info()));
    let mut report = Report { page: Page::new(&title, &line), directory: &args.out, out };
    if let Some(heat) = &heat {
        report.heat(&subject, heat, &name)?;
    }
    let plan = subject.plan(&session)?;
    let fields = field::fields(&plan, &input.name, &layers, args.unit)?;
    if !fields.is_empty() {
        report.page.section("Receptive fields", "What one unit of each layer sees, as far as it lies in the picture.");
        let texts: Vec<String> = fields.iter().map(field::Field::text).collect();
        report.picture("fields", &field::draw(&subject, &fields), &texts.join("; "), false)?;
    }
    report.page.section("Filters", "The weights of the first convolution as colours, gray for 0, each filter by its own largest.");
    match filters::filters(&model.graph, preprocess.is_bgr()) {
        Ok((picture, text)) => report.picture("filters", &picture, &text, true)?,
        Err(why) => report.page.note(&format!("None: {why}.")),
    }
    for layer in &layers {
        report.page.section(&format!("Maps of {layer}"), "From each map's smallest value, dark, to its largest, bright.");
        let tensor = outputs.get(layer).ok_or_else(|| Failure::failed(format!("layer `{layer}` has no output")))?;
        match maps::maps(tensor, args.maps.into()) {
            Ok((picture, text)) => report.picture(&format!("maps-{}", files::stem(layer)), &picture, &text, true)?,
            Err(why) if args.layers.is_empty() => report.page.note(&format!("None: {why}.")),
            Err(why) => return Err(Failure::failed(format!("{}: layer `{layer}`: {why}", model.name))),
        }
    }
    report.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// The page as it is made, and where its pictures go.
struct Report<'a> {
    page: Page,
    directory: &'a Path,
    out: &'a mut dyn Write,
}

impl Report<'_> {
    /// Puts a picture on the page and into a file.
    fn picture(&mut self, stem: &str, picture: &RgbImage, what: &str, pixels: bool) -> Result<(), Failure> {
        self.page.note(what);
        self.page.picture(picture, what, pixels)?;
        let file = self.directory.join(format!("{stem}.png"));
        pictures::save(&file, &picture.clone().into())?;
        self.tell(&file, what)
    }

    fn heat(&mut self, subject: &Subject<'_>, heat: &Heat, name: &dyn Fn(usize) -> String) -> Result<(), Failure> {
        let line = heat.line(&name(heat.class));
        self.page.section("What it looks at", "The brighter, the more a place speaks for the class.");
        let rows: Vec<_> = top(&heat.probabilities, 5).into_iter().map(|(class, share)| (name(class), share)).collect();
        self.page.table(&rows);
        self.picture("heat", &heat.over(subject, &line), &format!("{line}, {}", heat.method.name()), false)
    }

    fn tell(&mut self, file: &Path, what: &str) -> Result<(), Failure> {
        let bold = Style::new().bold();
        Ok(writeln!(self.out, "{bold}{}{bold:#}  {what}", file.display())?)
    }

    fn finish(mut self) -> Result<(), Failure> {
        let file = self.directory.join("index.html");
        files::write(&file, std::mem::replace(&mut self.page, Page::new("", "")).finish().as_bytes())?;
        self.tell(&file, "all of them on one page")
    }
}

/// Four layers with a height and width that the file has too, from the first to the last.
fn default_layers(plan: &Plan, graph: &Graph) -> Vec<String> {
    let in_file = |name: &str| graph.nodes().iter().flat_map(|node| &node.outputs).flatten().any(|id| graph.value(*id).name == name);
    let names: Vec<String> =
        explain::maps(plan).into_iter().map(|(_, id)| plan.graph.value(id).name.clone()).filter(|name| in_file(name)).collect();
    let mut chosen: Vec<String> = vec![];
    for third in 0..4 {
        if let Some(name) = names.get(names.len().saturating_sub(1) * third / 3)
            && !chosen.contains(name)
        {
            chosen.push(name.clone());
        }
    }
    chosen
}

/// The value that a node of this name computes first, or the value of this name.
fn layer(model: &Model, name: &str) -> Result<String, Failure> {
    let graph = &model.graph;
    let computed = |id: &&macula::ValueId| graph.value(**id).name == name;
    let value = graph.nodes().iter().flat_map(|node| &node.outputs).flatten().find(computed);
    let of_node = || graph.nodes().iter().find(|node| node.name == name)?.outputs.first()?.as_ref();
    match value.or_else(of_node) {
        Some(id) => Ok(graph.value(*id).name.clone()),
        None => Err(Failure::usage(format!("--layer {name}: {} has no layer of this name; `macula inspect` lists them", model.name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_rows_and_columns() {
        assert_eq!(parse_unit("3, 5"), Ok([3, 5]));
        assert!(parse_unit("3").is_err() && parse_unit("3,-1").is_err());
    }
}
