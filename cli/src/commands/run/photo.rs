//! Photos as a network's inputs.

use std::path::{Path, PathBuf};

use clap::Args;
use image::RgbImage;
use macula::{Graph, Tensor};

use crate::failure::Failure;
use crate::images;
use crate::inputs::{DimArgs, assign_to};
use crate::model::ImageInput;
use crate::preprocess::{Preprocess, PreprocessArgs, Preset, Size};
use crate::resample::{Filter, resize};

/// Extents that a network leaves open become multiples of this: those that shrink pictures and enlarge them again halve them up to five times.
const OPEN_MULTIPLE: f64 = 32.0;

/// Photos as inputs.
#[derive(Args, Debug)]
pub struct PhotoArgs {
    /// An input as a photo, prepared by the flags below; NAME may be left out where there is one input
    #[arg(long = "image-in", value_name = "NAME=PHOTO")]
    pub photos: Vec<String>,
    /// What fills the fourth channel of a network that takes a photo and a mask, a picture from black 0 to white 1 [default: 0 all over]
    #[arg(long, value_name = "PICTURE", requires = "photos")]
    mask_in: Option<PathBuf>,
}

/// A photo, and how it became an input.
pub struct Photo {
    /// The input's name.
    pub input: String,
    pub pixels: RgbImage,
    pub preprocess: Preprocess,
    /// Height and width of the input.
    pub size: [usize; 2],
}

impl PhotoArgs {
    /// The photos as tensors, in the order of the arguments.
    pub fn read(&self, graph: &Graph, dims: &DimArgs, preprocess: &PreprocessArgs) -> Result<Vec<(Photo, Tensor)>, Failure> {
        let names: Vec<&str> = graph.inputs().iter().map(|&id| graph.value(id).name.as_str()).collect();
        let assigned = assign_to(&names, "--image-in", &self.photos)?;
        assigned.into_iter().map(|(name, file)| self.one(graph, name, &file, dims, preprocess)).collect()
    }

    fn one(&self, graph: &Graph, name: String, file: &Path, dims: &DimArgs, args: &PreprocessArgs) -> Result<(Photo, Tensor), Failure> {
        let pixels = open(file)?;
        let value = graph.inputs().iter().map(|&id| graph.value(id)).find(|value| value.name == name);
        let Some(value) = value else { return Err(Failure::usage(format!("--image-in {}: there is no input `{name}`", file.display()))) };
        let input = ImageInput::with_mask(value)
            .map_err(|why| Failure::failed(format!("{}: input `{name}` is {}: {why}", file.display(), value.declared())))?;
        let own = [pixels.height(), pixels.width()].map(|extent| ((f64::from(extent) / OPEN_MULTIPLE).round() * OPEN_MULTIPLE) as usize);
        let asked = args.size.map(|Size(size)| size);
        let open = |axis: usize| input.size[axis].or(asked.map(|s| s[axis])).unwrap_or(own[axis].max(OPEN_MULTIPLE as usize));
        let size = input.size(asked.or(Some([open(0), open(1)])))?;
        // All that fits is seen, for the output is looked at, unless a margin is asked for.
        let args = PreprocessArgs { resize: args.resize.or(Some(size[0].min(size[1]) as u32)), ..args.clone() };
        let colours = input.channels.min(3);
        let preprocess = Preprocess::new(&args, Preset::Unit, colours, size)?;
        let mut values = preprocess.apply(&pixels);
        if input.channels > colours {
            values.extend(self.mask(size)?);
        } else if let Some(mask) = &self.mask_in {
            return Err(Failure::usage(format!(
                "--mask-in {}: input `{name}` is {}, with no channel for a mask",
                mask.display(),
                value.declared()
            )));
        }
        let batch = input.batch.or(dims.batch).unwrap_or(1);
        let tensor = input.tensor(values.repeat(batch), batch, size)?;
        Ok((Photo { input: name, pixels, preprocess, size }, tensor))
    }

    fn mask(&self, size: [usize; 2]) -> Result<Vec<f32>, Failure> {
        let Some(file) = &self.mask_in else { return Ok(vec![0.0; size[0] * size[1]]) };
        let mask = image::imageops::grayscale(&open(file)?);
        let values: Vec<f32> = mask.as_raw().iter().map(|&v| f32::from(v) / 255.0).collect();
        Ok(resize(&values, [mask.height() as usize, mask.width() as usize], size, Filter::Triangle))
    }
}

fn open(file: &Path) -> Result<RgbImage, Failure> {
    images::open(file).map_err(|why| Failure::failed(format!("{}: {why}", file.display())))
}
