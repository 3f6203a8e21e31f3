//! From pixels to what a network was trained on: which part, which size, which order, which numbers.

use clap::{Args, ValueEnum};
use image::RgbImage;

use crate::failure::Failure;
use crate::resample::{Filter, Window, resample};

/// Pixel values per channel, or one for all.
type PerChannel = Vec<f32>;

/// A recipe by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Preset {
    /// RGB ÷ 255, minus mean (0.485, 0.456, 0.406), ÷ std (0.229, 0.224, 0.225): torchvision, timm, most ONNX models
    Imagenet,
    /// BGR in 0–255 minus (104, 117, 123): SqueezeNet and other models from Caffe
    Caffe,
    /// RGB in 0…1
    Unit,
    /// RGB in 0…255, as pixels are: style transfer
    Bytes,
    /// RGB in −1…1: models from TensorFlow
    Tf,
    /// The whole centre square, RGB with CIFAR-10's mean and std: the embedded network
    Cifar10,
}

/// The order of a tensor's channels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ChannelOrder {
    /// Red, green, blue
    Rgb,
    /// Blue, green, red
    Bgr,
}

/// Which part of the picture the network sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Crop {
    /// The largest centred rectangle of the input's proportions, less the margin that `--resize` leaves
    Center,
    /// Everything, stretched to the input's proportions
    None,
}

/// Flags that pictures are prepared by.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Preparing pictures")]
pub struct PreprocessArgs {
    /// How the network was trained; the flags below change parts of it [default: imagenet, for the embedded network cifar10]
    #[arg(long, value_enum)]
    pub preset: Option<Preset>,
    /// Input size, where the model leaves it open: 224, or HEIGHTxWIDTH
    #[arg(long, value_parser = parse_size)]
    pub size: Option<Size>,
    /// Shorter side before the centre is cut out, at least the input's [default: the input's × 256/224]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..))]
    pub resize: Option<u32>,
    /// Which part of the picture the network sees [default: center]
    #[arg(long, value_enum)]
    pub crop: Option<Crop>,
    /// Order of the channels
    #[arg(long, value_enum)]
    pub channel_order: Option<ChannelOrder>,
    /// What pixels in 0–255 are multiplied by first: a number or a fraction, as 1/255
    #[arg(long, value_parser = parse_number)]
    pub scale: Option<f32>,
    /// What is subtracted then, in the order of the channels: A,B,C or one for all
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', value_parser = parse_number, allow_hyphen_values = true)]
    pub mean: Option<Vec<f32>>,
    /// What the result is divided by, in the order of the channels: A,B,C or one for all
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', value_parser = parse_number)]
    pub std: Option<Vec<f32>>,
}

/// `[height, width]` of a network's input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size(pub [usize; 2]);

/// A size as the flags take it.
pub fn parse_size(text: &str) -> Result<Size, String> {
    let (height, width) = text.split_once('x').unwrap_or((text, text));
    match (height.parse::<usize>(), width.parse::<usize>()) {
        (Ok(height @ 1..=16_384), Ok(width @ 1..=16_384)) => Ok(Size([height, width])),
        _ => Err("expected one number or HEIGHTxWIDTH, each from 1 to 16384".into()),
    }
}

fn parse_number(text: &str) -> Result<f32, String> {
    let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
    match (numerator.trim().parse::<f32>(), denominator.trim().parse::<f32>()) {
        (Ok(n), Ok(d)) if (n / d).is_finite() => Ok(n / d),
        _ => Err("expected a number, or a fraction as 1/255".into()),
    }
}

/// How pictures become a network's input, everything decided.
#[derive(Clone, PartialEq, Debug)]
pub struct Preprocess {
    size: [usize; 2],
    channels: usize,
    crop: Crop,
    /// How many times the window that the network sees fits into the largest possible one.
    zoom: f64,
    filter: Filter,
    order: ChannelOrder,
    scale: f32,
    mean: PerChannel,
    std: PerChannel,
}

impl Preprocess {
    /// What the flags say for a network that takes `channels` (1 or 3) of `size`.
    pub fn new(args: &PreprocessArgs, default: Preset, channels: usize, size: [usize; 2]) -> Result<Self, Failure> {
        use ChannelOrder::{Bgr, Rgb};
        let preset = args.preset.unwrap_or(default);
        let (order, scale, mean, std) = match preset {
            Preset::Imagenet => (Rgb, 1.0 / 255.0, vec![0.485, 0.456, 0.406], vec![0.229, 0.224, 0.225]),
            Preset::Caffe => (Bgr, 1.0, vec![104.0, 117.0, 123.0], vec![1.0]),
            Preset::Unit => (Rgb, 1.0 / 255.0, vec![0.0], vec![1.0]),
            Preset::Bytes => (Rgb, 1.0, vec![0.0], vec![1.0]),
            Preset::Tf => (Rgb, 1.0 / 127.5, vec![1.0], vec![1.0]),
            Preset::Cifar10 => (Rgb, 1.0 / 255.0, vec![0.4914, 0.4822, 0.4465], vec![0.2470, 0.2435, 0.2616]),
        };
        let shorter = size[0].min(size[1]) as f64;
        let (zoom, filter) = match preset {
            Preset::Cifar10 => (1.0, Filter::Area),
            _ => (256.0 / 224.0, Filter::Triangle),
        };
        let zoom = args.resize.map_or(zoom, |resize| f64::from(resize) / shorter);
        if zoom < 1.0 {
            return Err(Failure::usage(format!("--resize {} is smaller than the input, {}×{}", zoom * shorter, size[0], size[1])));
        }
        let mean = args.mean.clone().unwrap_or(mean);
        let std = args.std.clone().unwrap_or(std);
        for (flag, given, values) in [("--mean", args.mean.is_some(), &mean), ("--std", args.std.is_some(), &std)] {
            if values.len() != 1 && values.len() != channels {
                let whose = if given { flag.to_owned() } else { format!("the preset's {flag}") };
                let input = if channels == 1 { "1 channel; give --mean and --std one value, or --preset unit" } else { "3 channels" };
                return Err(Failure::usage(format!("{whose} has {} values, the input has {input}", values.len())));
            }
        }
        if std.contains(&0.0) {
            return Err(Failure::usage("--std must not be 0"));
        }
        Ok(Self {
            size,
            channels,
            crop: args.crop.unwrap_or(Crop::Center),
            zoom,
            filter,
            order: args.channel_order.unwrap_or(order),
            scale: args.scale.unwrap_or(scale),
            mean,
            std,
        })
    }

    /// Whether the first channel is blue.
    pub fn is_bgr(&self) -> bool {
        self.channels > 1 && self.order == ChannelOrder::Bgr
    }

    /// The part of a picture that the network sees.
    pub fn window(&self, width: u32, height: u32) -> Window {
        let (width, height) = (f64::from(width), f64::from(height));
        if self.crop == Crop::None {
            return Window { x: 0.0, y: 0.0, width, height };
        }
        let [input_height, input_width] = self.size.map(|n| n as f64);
        // Source pixels per input pixel, the same along both axes.
        let step = (width / input_width).min(height / input_height) / self.zoom;
        let (w, h) = (input_width * step, input_height * step);
        Window { x: (width - w) / 2.0, y: (height - h) / 2.0, width: w, height: h }
    }

    /// The picture as `[channels, height, width]`.
    pub fn apply(&self, picture: &RgbImage) -> Vec<f32> {
        let mut values = resample(picture, self.window(picture.width(), picture.height()), self.size, self.filter);
        let plane = self.size[0] * self.size[1];
        if self.channels == 1 {
            // Luma of ITU-R BT.601, as Pillow converts.
            for i in 0..plane {
                values[i] = 0.299 * values[i] + 0.587 * values[plane + i] + 0.114 * values[2 * plane + i];
            }
            values.truncate(plane);
        } else if self.order == ChannelOrder::Bgr {
            let (red, rest) = values.split_at_mut(plane);
            red.swap_with_slice(&mut rest[plane..]);
        }
        for (channel, values) in values.chunks_exact_mut(plane).enumerate() {
            let (mean, std) = (of(&self.mean, channel), of(&self.std, channel));
            values.iter_mut().for_each(|v| *v = (*v * self.scale - mean) / std);
        }
        values
    }

    /// The part of a picture that the network sees, in the picture's own resolution or at `size`: planes in 0–255, RGB, and their size.
    pub fn seen(&self, picture: &RgbImage, size: Option<[usize; 2]>) -> (Vec<f32>, [usize; 2]) {
        let window = self.window(picture.width(), picture.height());
        let size = size.unwrap_or([window.height, window.width].map(|extent| (extent.round() as usize).max(1)));
        (resample(picture, window, size, Filter::Triangle), size)
    }

    /// What `apply` did to the numbers and the order of channels, undone: planes in 0–255, RGB. Of one plane, the first channel's numbers.
    pub fn undo(&self, planes: &mut [Vec<f32>]) {
        for (channel, values) in planes.iter_mut().enumerate() {
            let (mean, std) = (of(&self.mean, channel), of(&self.std, channel));
            values.iter_mut().for_each(|v| *v = (*v * std + mean) / self.scale);
        }
        if self.order == ChannelOrder::Bgr && planes.len() == 3 {
            planes.swap(0, 2);
        }
    }
}

fn of(values: &PerChannel, channel: usize) -> f32 {
    values[channel.min(values.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preprocess(args: PreprocessArgs, channels: usize, size: [usize; 2]) -> Preprocess {
        Preprocess::new(&args, Preset::Imagenet, channels, size).unwrap()
    }

    fn preset(preset: Preset) -> PreprocessArgs {
        PreprocessArgs { preset: Some(preset), ..PreprocessArgs::default() }
    }

    /// One pixel of (10, 20, 30) under a preset.
    fn pixel(args: PreprocessArgs, channels: usize) -> Vec<f32> {
        preprocess(args, channels, [1, 1]).apply(&RgbImage::from_pixel(1, 1, image::Rgb([10, 20, 30])))
    }

    fn close(got: &[f32], expected: &[f32]) {
        let same = got.len() == expected.len() && got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(same, "got {got:?}, expected {expected:?}");
    }

    #[test]
    fn presets_give_the_published_numbers() {
        close(&pixel(preset(Preset::Unit), 3), &[0.039216, 0.078431, 0.117647]);
        close(&pixel(preset(Preset::Tf), 3), &[-0.921569, -0.843137, -0.764706]);
        close(&pixel(preset(Preset::Caffe), 3), &[30.0 - 104.0, 20.0 - 117.0, 10.0 - 123.0]);
        close(&pixel(preset(Preset::Imagenet), 3), &[-1.946656, -1.685574, -1.281569]);
        close(&pixel(preset(Preset::Cifar10), 3), &[-1.830706, -1.658188, -1.257081]);
    }

    #[test]
    fn what_was_done_is_undone() {
        for name in [Preset::Imagenet, Preset::Caffe, Preset::Unit, Preset::Bytes, Preset::Tf, Preset::Cifar10] {
            let p = preprocess(preset(name), 3, [1, 1]);
            let values = p.apply(&RgbImage::from_pixel(1, 1, image::Rgb([10, 20, 30])));
            let mut planes: Vec<Vec<f32>> = values.chunks(1).map(<[f32]>::to_vec).collect();
            p.undo(&mut planes);
            close(&planes.concat(), &[10.0, 20.0, 30.0]);
        }
    }

    #[test]
    fn flags_change_parts_of_a_preset() {
        let args = PreprocessArgs {
            channel_order: Some(ChannelOrder::Bgr),
            scale: Some(2.0),
            mean: Some(vec![1., 2., 3.]),
            ..preset(Preset::Unit)
        };
        close(&pixel(args, 3), &[59.0, 38.0, 17.0]);
        let args = PreprocessArgs { std: Some(vec![0.5]), ..preset(Preset::Unit) };
        close(&pixel(args, 1), &[(0.299 * 10.0 + 0.587 * 20.0 + 0.114 * 30.0) / 255.0 * 2.0]);
    }

    #[test]
    fn the_window_is_the_centre_less_the_margin() {
        // Shorter side 300 stands for 256, so 224 are 262.5 of it.
        let p = preprocess(preset(Preset::Imagenet), 3, [224, 224]);
        assert_eq!(p.window(451, 300), Window { x: 94.25, y: 18.75, width: 262.5, height: 262.5 });
        assert_eq!(p.window(300, 451), Window { x: 18.75, y: 94.25, width: 262.5, height: 262.5 });
        let p = preprocess(preset(Preset::Cifar10), 3, [32, 32]);
        assert_eq!(p.window(451, 300), Window { x: 75.5, y: 0.0, width: 300.0, height: 300.0 });
        // Other proportions: the largest 1:2 rectangle of 451×300 is 451×225.5.
        let p = preprocess(PreprocessArgs { resize: Some(10), ..preset(Preset::Unit) }, 3, [10, 20]);
        assert_eq!(p.window(451, 300), Window { x: 0.0, y: 37.25, width: 451.0, height: 225.5 });
        let p = preprocess(PreprocessArgs { crop: Some(Crop::None), ..preset(Preset::Unit) }, 3, [10, 20]);
        assert_eq!(p.window(451, 300), Window { x: 0.0, y: 0.0, width: 451.0, height: 300.0 });
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let error = |args, channels| Preprocess::new(&args, Preset::Imagenet, channels, [8, 9]).unwrap_err().to_string();
        assert!(error(PreprocessArgs { resize: Some(7), ..preset(Preset::Unit) }, 3).contains("--resize 7 is smaller than the input"));
        assert!(error(PreprocessArgs { mean: Some(vec![1.0, 2.0]), ..preset(Preset::Unit) }, 3).contains("--mean has 2 values"));
        assert!(error(preset(Preset::Caffe), 1).contains("the preset's --mean has 3 values, the input has 1 channel; give --mean"));
        assert!(error(PreprocessArgs { std: Some(vec![0.0]), ..preset(Preset::Unit) }, 3).contains("--std must not be 0"));
    }

    #[test]
    fn numbers_and_sizes_are_parsed() {
        assert_eq!(parse_number("1/4"), Ok(0.25));
        assert_eq!(parse_number("-1.5"), Ok(-1.5));
        assert!(parse_number("1/0").is_err() && parse_number("x").is_err() && parse_number("nan").is_err());
        assert_eq!(parse_size("240x320"), Ok(Size([240, 320])));
        assert_eq!(parse_size("32"), Ok(Size([32, 32])));
        assert!(parse_size("0").is_err() && parse_size("3x").is_err() && parse_size("99999999").is_err());
    }
}
