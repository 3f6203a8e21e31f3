//! UltraFace: scores and corners for each prior box, which the network has applied already.
//!
//! Source: Linzaer, "Ultra-Light-Fast-Generic-Face-Detector-1MB", `run_video_face_detect_onnx.py`.

use image::RgbImage;
use macula::Tensor;

use super::boxes::{Detection, Rect};
use crate::resample::{Filter, Window, resample};

/// Pixels of the picture to a cell of each grid, and how many prior boxes lie on each of its cells.
const PRIORS: [(usize, usize); 4] = [(8, 3), (16, 2), (32, 2), (64, 3)];

/// The rows of the outputs for an input of this size.
pub fn priors([height, width]: [usize; 2]) -> usize {
    PRIORS.iter().map(|(stride, boxes)| height.div_ceil(*stride) * width.div_ceil(*stride) * boxes).sum()
}

/// The whole photo, stretched: `[3, height, width]`, RGB, (x − 127) ÷ 128.
pub fn prepare(photo: &RgbImage, size: [usize; 2]) -> Vec<f32> {
    let whole = Window { x: 0.0, y: 0.0, width: photo.width().into(), height: photo.height().into() };
    let mut values = resample(photo, whole, size, Filter::Triangle);
    values.iter_mut().for_each(|v| *v = (*v - 127.0) / 128.0);
    values
}

/// What the outputs `[1, priors, 2]`, background and face, and `[1, priors, 4]`, corners in 0…1, find with at least `threshold`.
pub fn decode(scores: &Tensor, corners: &Tensor, photo: &RgbImage, threshold: f64) -> Vec<Detection> {
    let (width, height) = (f64::from(photo.width()), f64::from(photo.height()));
    let (scores, corners) = (scores.to_f64(), corners.to_f64());
    let rows = scores.chunks_exact(2).zip(corners.chunks_exact(4));
    let sure = rows.filter(|(score, _)| score[1] >= threshold);
    let found = sure.map(|(score, corner)| {
        let rect = Rect { left: corner[0] * width, top: corner[1] * height, right: corner[2] * width, bottom: corner[3] * height };
        Detection { rect: rect.clipped(width, height), class: 0, score: score[1] }
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priors_are_counted() {
        assert_eq!(priors([240, 320]), 4420);
        assert_eq!(priors([480, 640]), 17_640);
    }

    #[test]
    fn corners_are_parts_of_the_photo() {
        let photo = RgbImage::from_pixel(200, 100, image::Rgb([255, 127, 0]));
        let values = prepare(&photo, [3, 2]);
        for (value, expected) in [values[0], values[6], values[12]].into_iter().zip([1.0, 0.0, -127.0 / 128.0]) {
            assert!((value - expected).abs() < 1e-5, "{values:?}");
        }
        let scores = Tensor::new([1, 3, 2], vec![0.9f32, 0.1, 0.25, 0.75, 0.5, 0.5]).unwrap();
        let corners = Tensor::new([1, 3, 4], vec![0f32, 0., 1., 1., 0.25, 0.5, 0.75, 1.25, -0.5, 0., 0.5, 0.5]).unwrap();
        let found = decode(&scores, &corners, &photo, 0.5);
        let rect = |left, top, right, bottom| Rect { left, top, right, bottom };
        assert_eq!(found[0], Detection { rect: rect(50.0, 50.0, 150.0, 100.0), class: 0, score: 0.75 });
        assert_eq!(found[1], Detection { rect: rect(0.0, 0.0, 100.0, 50.0), class: 0, score: 0.5 });
        assert_eq!(found.len(), 2);
    }
}
