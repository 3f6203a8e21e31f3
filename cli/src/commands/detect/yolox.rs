//! YOLOX: one row a cell of three grids, boxes relative to their cells.
//!
//! Source: Z. Ge et al., "YOLOX: Exceeding YOLO Series in 2021", and its published code: `demo_postprocess`, `preproc`.

use image::RgbImage;
use macula::Tensor;

use super::boxes::{Detection, Rect};
use crate::resample::{Filter, Window, resample};

/// Pixels of the picture to a cell of each grid.
const STRIDES: [usize; 3] = [8, 16, 32];

/// What the picture's surroundings are filled with.
const GRAY: f32 = 114.0;

/// The rows of the output for an input of this size.
pub fn cells([height, width]: [usize; 2]) -> usize {
    STRIDES.iter().map(|stride| (height / stride) * (width / stride)).sum()
}

/// Pixels of the network's input to one of the photo, which fills one side of it whole.
fn zoom(photo: &RgbImage, [height, width]: [usize; 2]) -> f64 {
    (height as f64 / f64::from(photo.height())).min(width as f64 / f64::from(photo.width()))
}

/// The photo in the input's upper left corner, gray beside it: `[3, height, width]`, BGR in 0–255.
pub fn prepare(photo: &RgbImage, [height, width]: [usize; 2]) -> Vec<f32> {
    let zoom = zoom(photo, [height, width]);
    let (inner_height, inner_width) =
        ((f64::from(photo.height()) * zoom).round() as usize, (f64::from(photo.width()) * zoom).round() as usize);
    let (inner_height, inner_width) = (inner_height.clamp(1, height), inner_width.clamp(1, width));
    let whole = Window { x: 0.0, y: 0.0, width: photo.width().into(), height: photo.height().into() };
    let small = resample(photo, whole, [inner_height, inner_width], Filter::Triangle);
    let mut values = vec![GRAY; 3 * height * width];
    for (channel, plane) in small.chunks_exact(inner_height * inner_width).enumerate() {
        for (y, line) in plane.chunks_exact(inner_width).enumerate() {
            let at = ((2 - channel) * height + y) * width;
            values[at..at + inner_width].copy_from_slice(line);
        }
    }
    values
}

/// What the output `[1, cells, 5 + classes]` finds with at least `threshold`, in the photo's coordinates. A row is the box's centre and the
/// logarithms of its sides in cells, the probability that there is anything, and that of each class.
pub fn decode(output: &Tensor, photo: &RgbImage, size: [usize; 2], threshold: f64) -> Vec<Detection> {
    let (columns, values) = (output.shape()[2], output.to_f64());
    let cells = STRIDES.iter().flat_map(|&stride| {
        let (rows, columns) = (size[0] / stride, size[1] / stride);
        (0..rows).flat_map(move |y| (0..columns).map(move |x| (stride as f64, x as f64, y as f64)))
    });
    let zoom = zoom(photo, size);
    let mut found = vec![];
    for (row, (stride, cell_x, cell_y)) in values.chunks_exact(columns).zip(cells) {
        let best = (5..columns).max_by(|a, b| row[*a].total_cmp(&row[*b]).then(b.cmp(a)));
        let Some(best) = best else { continue };
        let score = row[4] * row[best];
        if score < threshold {
            continue;
        }
        let (x, y) = ((row[0] + cell_x) * stride / zoom, (row[1] + cell_y) * stride / zoom);
        let (half_width, half_height) = (row[2].exp() * stride / zoom / 2.0, row[3].exp() * stride / zoom / 2.0);
        let rect = Rect { left: x - half_width, top: y - half_height, right: x + half_width, bottom: y + half_height };
        found.push(Detection { rect: rect.clipped(photo.width().into(), photo.height().into()), class: best - 5, score });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_are_counted() {
        assert_eq!(cells([416, 416]), 3549);
        assert_eq!(cells([64, 96]), 8 * 12 + 4 * 6 + 2 * 3);
    }

    #[test]
    fn the_photo_lies_in_the_corner_in_blue_green_red() {
        let photo = RgbImage::from_pixel(64, 32, image::Rgb([10, 20, 30]));
        let values = prepare(&photo, [64, 96]);
        let at = |channel: usize, y: usize, x: usize| values[(channel * 64 + y) * 96 + x];
        // Enlarged by 1.5: 96 wide, 48 high.
        assert_eq!([at(0, 0, 0), at(1, 47, 95), at(2, 47, 0)], [30.0, 20.0, 10.0]);
        assert_eq!([at(0, 48, 0), at(1, 63, 95), at(2, 48, 50)], [GRAY; 3]);
    }

    #[test]
    fn rows_are_boxes_around_their_cells() {
        // A photo twice the input's size; two classes. In the second grid, 4 × 6 cells of 16, the cell of row 2 and column 3.
        let (photo, size) = (RgbImage::new(192, 128), [64, 96]);
        let mut values = vec![0f32; cells(size) * 7];
        let row = 8 * 12 + 2 * 6 + 3;
        values[row * 7..][..7].copy_from_slice(&[0.5, 0.25, 2f32.ln(), 0.0, 0.8, 0.25, 0.75]);
        let output = Tensor::new([1, cells(size), 7], values).unwrap();
        let found = decode(&output, &photo, size, 0.3);
        // Centre (3.5, 2.25) · 16 · 2, sides 2 · 16 · 2 and 1 · 16 · 2.
        let expected = Rect { left: 112.0 - 32.0, top: 72.0 - 16.0, right: 112.0 + 32.0, bottom: 72.0 + 16.0 };
        assert_eq!(found.len(), 1);
        let Rect { left, top, right, bottom } = found[0].rect;
        for (got, expected) in [(left, expected.left), (top, expected.top), (right, expected.right), (bottom, expected.bottom)] {
            assert!((got - expected).abs() < 1e-4, "{found:?}");
        }
        assert_eq!(found[0].class, 1);
        assert!((found[0].score - 0.6).abs() < 1e-6);
        assert_eq!(decode(&output, &photo, size, 0.61), []);
    }
}
