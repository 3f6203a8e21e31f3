//! Outputs as pictures.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use image::{DynamicImage, ImageFormat, Rgba, RgbaImage};
use macula::{Outputs, Tensor};

use super::photo::Photo;
use crate::failure::Failure;
use crate::inputs::assign_to;
use crate::paint::colour;
use crate::pictures;
use crate::resample::{Filter, resize};

/// How much of the photo a painted mask hides.
const OPACITY: f32 = 0.55;

/// How numbers become a picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Kind {
    /// Colours or gray as the photo was prepared, undone: its preset's range and order of channels (without a photo: 0…1)
    Same,
    /// Colours or gray in 0…1
    Unit,
    /// Colours or gray in 0…255
    Bytes,
    /// Colours or gray in −1…1
    Signed,
    /// Colours or gray from the smallest value, black, to the largest, white
    Stretch,
    /// One channel, the brightness of the photo, whose colours are enlarged to it: super-resolution
    Luma,
    /// One channel in 0…1, the photo's opacity: cutting out
    Alpha,
    /// Painted over the photo: one channel is a probability (or a score, where it leaves 0…1), of several the largest is the class,
    /// and class 0 is left unpainted; several outputs with the same FILE are painted in different colours
    Mask,
}

/// Outputs as pictures.
#[derive(Args, Debug)]
pub struct PictureArgs {
    /// Writes an output as a picture; NAME may be left out where there is one output
    #[arg(long = "image-out", value_name = "NAME=FILE")]
    pub pictures: Vec<String>,
    /// How outputs become pictures
    #[arg(long = "as", value_enum, value_name = "KIND", default_value = "same")]
    kind: Kind,
}

/// A picture to make: a file, and the outputs that it shows.
pub struct Wanted {
    pub file: PathBuf,
    pub outputs: Vec<String>,
}

impl PictureArgs {
    /// The pictures to make, each file once; fails before the run where one cannot be made.
    pub fn wanted(&self, names: &[&str], photo: Option<&Photo>) -> Result<Vec<Wanted>, Failure> {
        let mut wanted: Vec<Wanted> = vec![];
        for (name, file) in assign_to(names, "--image-out", &self.pictures)? {
            let format = pictures::check_name(&file)?;
            if self.kind == Kind::Alpha && !matches!(format, ImageFormat::Png | ImageFormat::Tiff | ImageFormat::WebP) {
                return Err(Failure::usage(format!("{}: its format has no transparency; name it .png", file.display())));
            }
            match wanted.iter_mut().find(|w| w.file == file) {
                Some(_) if self.kind != Kind::Mask => {
                    return Err(Failure::usage(format!("{}: given for two outputs, which only --as mask paints together", file.display())));
                }
                Some(known) => known.outputs.push(name),
                None => wanted.push(Wanted { file, outputs: vec![name] }),
            }
        }
        if photo.is_none() && matches!(self.kind, Kind::Luma | Kind::Alpha | Kind::Mask) && !wanted.is_empty() {
            return Err(Failure::usage("--as luma, alpha and mask need the photo that the network sees; give it with --image-in"));
        }
        Ok(wanted)
    }

    /// Makes one of the pictures and writes it; gives its width and height.
    pub fn write(&self, wanted: &Wanted, outputs: &Outputs, photo: Option<&Photo>) -> Result<[u32; 2], Failure> {
        let fail = |why: String| Failure::failed(format!("{}: {why}", wanted.file.display()));
        let planes = |name: &String| {
            let tensor = outputs.get(name).ok_or_else(|| format!("there is no output `{name}`"))?;
            Planes::of(tensor).map_err(|why| format!("output `{name}` is {}{}: {why}", tensor.dtype(), tensor.shape()))
        };
        let all = wanted.outputs.iter().map(planes).collect::<Result<Vec<_>, _>>().map_err(fail)?;
        let picture = self.render(all, photo).map_err(|why| fail(format!("output `{}`: {why}", wanted.outputs.join("`, `"))))?;
        pictures::save(&wanted.file, &picture)?;
        Ok([picture.width(), picture.height()])
    }

    fn render(&self, mut all: Vec<Planes>, photo: Option<&Photo>) -> Result<DynamicImage, String> {
        match (self.kind, photo) {
            (Kind::Mask, Some(photo)) => return Ok(painted(all, photo)),
            (Kind::Alpha, Some(photo)) => return cut_out(&all.remove(0), photo),
            (Kind::Luma, Some(photo)) => return recoloured(all.remove(0), photo),
            _ => {}
        }
        let mut planes = all.remove(0);
        planes.expect(&[1, 3], "colours or gray")?;
        let (scale, shift) = match self.kind {
            Kind::Bytes => (1.0, 0.0),
            Kind::Signed => (127.5, 127.5),
            Kind::Stretch => {
                let [least, most] = planes.range();
                let scale = if most > least { 255.0 / (most - least) } else { 0.0 };
                (scale, -least * scale)
            }
            Kind::Same if photo.is_some() => (1.0, 0.0),
            _ => (255.0, 0.0),
        };
        planes.values.iter_mut().flatten().for_each(|v| *v = *v * scale + shift);
        if let (Kind::Same, Some(photo)) = (self.kind, photo) {
            photo.preprocess.undo(&mut planes.values);
        }
        Ok(pictures::from_planes(&planes.values, planes.size).into())
    }
}

/// An output as planes of equal size.
#[derive(Debug)]
struct Planes {
    values: Vec<Vec<f32>>,
    /// Height and width.
    size: [usize; 2],
}

impl Planes {
    /// `[C, H, W]`, `[H, W]`, or the first of a batch `[N, C, H, W]`.
    fn of(tensor: &Tensor) -> Result<Self, String> {
        let dims = tensor.shape().dims();
        let [channels, height, width] = match *dims {
            [height, width] => [1, height, width],
            [channels, height, width] | [_, channels, height, width] => [channels, height, width],
            _ => return Err("pictures are [N,C,H,W], [C,H,W] or [H,W]; write this one with --output".into()),
        };
        // One line of numbers is a list, not a picture.
        if tensor.is_empty() || (height == 1 && width == 1) || (dims.len() == 2 && (height == 1 || width == 1)) {
            return Err("it has no height and width; write it with --output".into());
        }
        let values: Vec<f32> = tensor.to_f64().iter().take(channels * height * width).map(|v| *v as f32).collect();
        if values.iter().any(|v| v.is_nan()) {
            return Err("it is not a number (NaN) somewhere; `macula verify` shows where".into());
        }
        Ok(Self { values: values.chunks_exact(height * width).map(<[f32]>::to_vec).collect(), size: [height, width] })
    }

    fn expect(&self, counts: &[usize], what: &str) -> Result<(), String> {
        if counts.contains(&self.values.len()) {
            return Ok(());
        }
        let counts: Vec<String> = counts.iter().map(usize::to_string).collect();
        Err(format!("it has {} channels, {what} are {}; --as mask paints classes", self.values.len(), counts.join(" or ")))
    }

    fn range(&self) -> [f32; 2] {
        let fold = |start, pick: fn(f32, f32) -> f32| self.values.iter().flatten().copied().filter(|v| v.is_finite()).fold(start, pick);
        [fold(f32::INFINITY, f32::min), fold(f32::NEG_INFINITY, f32::max)]
    }

    fn resized(&self, size: [usize; 2]) -> Vec<Vec<f32>> {
        self.values.iter().map(|plane| resize(plane, self.size, size, Filter::Triangle)).collect()
    }
}

/// The photo with each output's classes painted over it, in its own resolution.
fn painted(all: Vec<Planes>, photo: &Photo) -> DynamicImage {
    let (seen, size) = photo.preprocess.seen(&photo.pixels, None);
    let plane = size[0] * size[1];
    let mut rgb: Vec<Vec<f32>> = seen.chunks_exact(plane).map(<[f32]>::to_vec).collect();
    let mut first_colour = 0;
    for planes in all {
        let [least, most] = planes.range();
        let scores = least < 0.0 || most > 1.0;
        let classes = planes.resized(size);
        for at in 0..plane {
            let (class, strength) = match &classes[..] {
                [only] if scores => (0, 1.0 / (1.0 + (-only[at]).exp())),
                [only] => (0, only[at]),
                [background, rest @ ..] => {
                    let best = (0..rest.len()).max_by(|a, b| rest[*a][at].total_cmp(&rest[*b][at])).unwrap_or(0);
                    (best, if rest[best][at] > background[at] { 1.0 } else { 0.0 })
                }
                [] => continue,
            };
            let paint = colour(first_colour + class);
            for (channel, paint) in rgb.iter_mut().zip(paint) {
                channel[at] += (f32::from(paint) - channel[at]) * OPACITY * strength;
            }
        }
        first_colour += classes.len().saturating_sub(1).max(1);
    }
    pictures::from_planes(&rgb, size).into()
}

/// The photo in its own resolution, as opaque as the output says.
fn cut_out(planes: &Planes, photo: &Photo) -> Result<DynamicImage, String> {
    planes.expect(&[1], "opacities")?;
    let (seen, size) = photo.preprocess.seen(&photo.pixels, None);
    let (alpha, plane) = (planes.resized(size).remove(0), size[0] * size[1]);
    let byte = |v: f32| v.round().clamp(0.0, 255.0) as u8;
    let picture = RgbaImage::from_fn(size[1] as u32, size[0] as u32, |x, y| {
        let at = y as usize * size[1] + x as usize;
        Rgba([byte(seen[at]), byte(seen[plane + at]), byte(seen[2 * plane + at]), byte(alpha[at] * 255.0)])
    });
    Ok(picture.into())
}

/// The output as brightness, with the colours of what the network saw, enlarged bicubically. Source: JFIF 1.02, ITU-R BT.601.
fn recoloured(planes: Planes, photo: &Photo) -> Result<DynamicImage, String> {
    planes.expect(&[1], "brightnesses")?;
    let mut luma = planes.values;
    photo.preprocess.undo(&mut luma);
    let (seen, size) = photo.preprocess.seen(&photo.pixels, Some(photo.size));
    let (red, rest) = seen.split_at(size[0] * size[1]);
    let (green, blue) = rest.split_at(size[0] * size[1]);
    let y = |at: usize| 0.299 * red[at] + 0.587 * green[at] + 0.114 * blue[at];
    let difference = |channel: &[f32]| -> Vec<f32> {
        let small: Vec<f32> = channel.iter().enumerate().map(|(at, v)| v - y(at)).collect();
        resize(&small, size, planes.size, Filter::Cubic)
    };
    // R − Y and B − Y are Cr and Cb but for their scale, which the way back would take out again.
    let (red, blue) = (difference(red), difference(blue));
    let green = |at: usize| -(0.299 * red[at] + 0.114 * blue[at]) / 0.587;
    let all = [
        luma[0].iter().zip(&red).map(|(y, d)| y + d).collect(),
        luma[0].iter().enumerate().map(|(at, y)| y + green(at)).collect(),
        luma[0].iter().zip(&blue).map(|(y, d)| y + d).collect(),
    ];
    Ok(pictures::from_planes(&all, planes.size).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::{Crop, Preprocess, PreprocessArgs, Preset};
    use image::{Rgb, RgbImage};

    fn photo(pixels: RgbImage, channels: usize) -> Photo {
        let size = [pixels.height() as usize, pixels.width() as usize];
        let args = PreprocessArgs { crop: Some(Crop::None), ..PreprocessArgs::default() };
        Photo { input: "x".into(), preprocess: Preprocess::new(&args, Preset::Unit, channels, size).unwrap(), pixels, size }
    }

    fn args(kind: Kind) -> PictureArgs {
        PictureArgs { pictures: vec![], kind }
    }

    fn planes(shape: &[usize], values: &[f32]) -> Planes {
        Planes::of(&Tensor::new(shape, values.to_vec()).unwrap()).unwrap()
    }

    fn pixels(picture: DynamicImage) -> Vec<[u8; 3]> {
        picture.into_rgb8().pixels().map(|p| p.0).collect()
    }

    #[test]
    fn ranges_become_bytes() {
        let render = |kind, values: &[f32]| pixels(args(kind).render(vec![planes(&[1, 1, 1, 3], values)], None).unwrap());
        assert_eq!(render(Kind::Unit, &[0.0, 0.2, 2.0]), [[0; 3], [51; 3], [255; 3]]);
        assert_eq!(render(Kind::Bytes, &[0.0, 0.6, 200.0]), [[0; 3], [1; 3], [200; 3]]);
        assert_eq!(render(Kind::Signed, &[-1.0, 0.2, 1.0]), [[0; 3], [153; 3], [255; 3]]);
        assert_eq!(render(Kind::Stretch, &[-5.0, -3.0, 5.0]), [[0; 3], [51; 3], [255; 3]]);
        assert_eq!(render(Kind::Stretch, &[4.0, 4.0, 4.0]), [[0; 3]; 3]);
    }

    #[test]
    fn an_output_like_the_input_is_the_photo() {
        let photo = photo(RgbImage::from_pixel(2, 1, Rgb([10, 20, 30])), 3);
        let values: Vec<f32> = [10., 10., 20., 20., 30., 30.].map(|v: f32| v / 255.0).to_vec();
        let picture = args(Kind::Same).render(vec![planes(&[1, 3, 1, 2], &values)], Some(&photo)).unwrap();
        assert_eq!(pixels(picture), [[10, 20, 30]; 2]);
    }

    #[test]
    fn brightness_keeps_the_colours() {
        let photo = photo(RgbImage::from_pixel(3, 2, Rgb([200, 100, 50])), 1);
        let y = (0.299 * 200.0 + 0.587 * 100.0 + 0.114 * 50.0) / 255.0;
        let picture = args(Kind::Luma).render(vec![planes(&[1, 1, 4, 6], &[y; 24])], Some(&photo)).unwrap();
        assert_eq!((picture.width(), picture.height()), (6, 4));
        assert_eq!(pixels(picture), [[200, 100, 50]; 24]);
        // Brighter by 20, hence every channel.
        let picture = args(Kind::Luma).render(vec![planes(&[1, 1, 2, 3], &[y + 20.0 / 255.0; 6])], Some(&photo)).unwrap();
        assert_eq!(pixels(picture), [[220, 120, 70]; 6]);
    }

    #[test]
    fn opacity_is_the_output() {
        let photo = photo(RgbImage::from_pixel(2, 1, Rgb([9, 8, 7])), 3);
        let picture = args(Kind::Alpha).render(vec![planes(&[1, 1, 1, 2], &[0.0, 0.6])], Some(&photo)).unwrap();
        assert_eq!(picture.into_rgba8().into_raw(), [9, 8, 7, 0, 9, 8, 7, 153]);
    }

    #[test]
    fn masks_are_painted_in_colours_of_their_own() {
        let photo = photo(RgbImage::from_pixel(3, 1, Rgb([0; 3])), 3);
        // Scores of background and one class; then a probability, which half paints.
        let scores = planes(&[1, 2, 1, 3], &[1., 0., 0., 0., 5., -1.]);
        let probability = planes(&[1, 1, 1, 3], &[0.0, 0.0, 0.5]);
        let got = pixels(args(Kind::Mask).render(vec![scores, probability], Some(&photo)).unwrap());
        let part = |class: usize, part: f32| colour(class).map(|c| (f32::from(c) * OPACITY * part).round() as u8);
        assert_eq!(got, [[0; 3], part(0, 1.0), part(1, 0.5)]);
    }

    #[test]
    fn what_is_no_picture_is_told() {
        let error = |shape: &[usize]| {
            let tensor = Tensor::full(shape, 0.5f32);
            match Planes::of(&tensor) {
                Ok(planes) => args(Kind::Unit).render(vec![planes], None).unwrap_err(),
                Err(why) => why,
            }
        };
        assert!(error(&[10]).contains("--output"));
        assert!(error(&[1, 10]).contains("no height and width"));
        assert!(error(&[1, 10, 1, 1]).contains("no height and width"));
        assert!(error(&[1, 7, 3, 2]).contains("7 channels"));
        assert!(Planes::of(&Tensor::full([2, 2], f32::NAN)).unwrap_err().contains("NaN"));
        assert_eq!(planes(&[2, 1, 1, 2], &[1., 2., 3., 4.]).values, [[1., 2.]]);
    }

    #[test]
    fn files_are_taken_together_by_masks_only() {
        let both = |kind| PictureArgs { pictures: vec!["a=o.png".into(), "b=o.png".into()], kind };
        let photo = photo(RgbImage::new(2, 2), 3);
        assert_eq!(both(Kind::Mask).wanted(&["a", "b"], Some(&photo)).unwrap()[0].outputs, ["a", "b"]);
        let error = |kind, photo| both(kind).wanted(&["a", "b"], photo).err().unwrap().to_string();
        assert!(error(Kind::Unit, Some(&photo)).contains("o.png"));
        assert!(error(Kind::Mask, None).contains("--image-in"));
    }
}
