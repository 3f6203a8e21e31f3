//! Resampling a window of a picture to the network's size, with the antialiasing that shrinking needs.

use std::ops::Range;

use image::RgbImage;

/// The weight of source pixels around a destination pixel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filter {
    /// The area that a source pixel shares with the destination pixel.
    Area,
    /// Bilinear; its support grows with the reduction, as Pillow's does.
    Triangle,
    /// Bicubic with a = −½; its support grows likewise. Source: R. Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981.
    Cubic,
}

/// A rectangle in the picture's continuous coordinates: pixel `i` covers `i..i + 1`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Window {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// The source pixels of one destination pixel, from the first on, with weights that sum to 1.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// For each of `size` destination pixels along one axis, the pixels of `start..start + length` in a picture of `extent`.
fn taps(start: f64, length: f64, size: usize, extent: usize, filter: Filter) -> Vec<Taps> {
    let scale = length / size as f64;
    let weight = |pixel: usize, center: f64| match filter {
        Filter::Area => {
            let (low, high) = (center - scale / 2.0, center + scale / 2.0);
            (high.min(pixel as f64 + 1.0) - low.max(pixel as f64)).max(0.0)
        }
        Filter::Triangle => (1.0 - ((pixel as f64 + 0.5 - center) / scale.max(1.0)).abs()).max(0.0),
        Filter::Cubic => match ((pixel as f64 + 0.5 - center) / scale.max(1.0)).abs() {
            d if d < 1.0 => (1.5 * d - 2.5) * d * d + 1.0,
            d if d < 2.0 => ((-0.5 * d + 2.5) * d - 4.0) * d + 2.0,
            _ => 0.0,
        },
    };
    let support = match filter {
        Filter::Area => scale / 2.0,
        Filter::Triangle => scale.max(1.0),
        Filter::Cubic => 2.0 * scale.max(1.0),
    };
    let one = |index: usize| {
        let center = start + (index as f64 + 0.5) * scale;
        let first = ((center - support).floor().max(0.0) as usize).min(extent - 1);
        let end = ((center + support).ceil().max(0.0) as usize).clamp(first + 1, extent);
        let weights: Vec<f64> = (first..end).map(|pixel| weight(pixel, center)).collect();
        let sum: f64 = weights.iter().sum();
        // A window at the very edge may touch no pixel by a rounding error: the nearest one stands for it.
        let weights = if sum > 0.0 { weights.iter().map(|w| (w / sum) as f32).collect() } else { vec![1.0] };
        Taps { first, weights }
    };
    (0..size).map(one).collect()
}

/// The window as `[3, height, width]` in 0–255, RGB.
pub fn resample(picture: &RgbImage, window: Window, [height, width]: [usize; 2], filter: Filter) -> Vec<f32> {
    let (source_width, source_height) = (picture.width() as usize, picture.height() as usize);
    let columns = taps(window.x, window.width, width, source_width, filter);
    let rows = taps(window.y, window.height, height, source_height, filter);
    let needed: Range<usize> = match (rows.first(), rows.last()) {
        (Some(first), Some(last)) => first.first..last.first + last.weights.len(),
        _ => 0..0,
    };

    // First along the rows, `[needed rows, width, 3]`, then down the columns.
    let (pixels, _) = picture.as_raw().as_chunks::<3>();
    let mut narrow: Vec<[f32; 3]> = Vec::with_capacity(needed.len() * width);
    for line in pixels.chunks_exact(source_width).take(needed.end).skip(needed.start) {
        narrow.extend(columns.iter().map(|tap| {
            let mut sum = [0f32; 3];
            for (pixel, weight) in line[tap.first..].iter().zip(&tap.weights) {
                sum = std::array::from_fn(|channel| sum[channel] + weight * f32::from(pixel[channel]));
            }
            sum
        }));
    }
    let mut planes = vec![0f32; 3 * height * width];
    let mut row = vec![[0f32; 3]; width];
    for (y, tap) in rows.iter().enumerate() {
        row.fill([0.0; 3]);
        let lines = narrow[(tap.first - needed.start) * width..].chunks_exact(width);
        for (line, weight) in lines.zip(&tap.weights) {
            for (sum, pixel) in row.as_flattened_mut().iter_mut().zip(line.as_flattened()) {
                *sum += weight * pixel;
            }
        }
        for (x, pixel) in row.iter().enumerate() {
            for (channel, value) in pixel.iter().enumerate() {
                planes[(channel * height + y) * width + x] = *value;
            }
        }
    }
    planes
}

/// A plane of numbers `[height, width]` at another size.
pub fn resize(plane: &[f32], [height, width]: [usize; 2], to: [usize; 2], filter: Filter) -> Vec<f32> {
    let columns = taps(0.0, width as f64, to[1], width, filter);
    let rows = taps(0.0, height as f64, to[0], height, filter);
    let along = |line: &[f32], tap: &Taps| line[tap.first..].iter().zip(&tap.weights).map(|(v, w)| v * w).sum::<f32>();
    let narrow: Vec<f32> = plane.chunks_exact(width).flat_map(|line| columns.iter().map(move |tap| along(line, tap))).collect();
    let mut out = vec![0f32; to[0] * to[1]];
    for (line, tap) in out.chunks_exact_mut(to[1]).zip(&rows) {
        for (source, weight) in narrow[tap.first * to[1]..].chunks_exact(to[1]).zip(&tap.weights) {
            line.iter_mut().zip(source).for_each(|(sum, v)| *sum += weight * v);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture whose red is `values`, green 10 more, blue 20 more.
    fn picture(width: u32, height: u32, values: &[u8]) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let v = values[(y * width + x) as usize];
            image::Rgb([v, v + 10, v + 20])
        })
    }

    fn whole(p: &RgbImage) -> Window {
        Window { x: 0.0, y: 0.0, width: p.width().into(), height: p.height().into() }
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let p = picture(3, 2, &[1, 2, 3, 4, 5, 6]);
        for filter in [Filter::Area, Filter::Triangle] {
            let out = resample(&p, whole(&p), [2, 3], filter);
            assert_eq!(out[..6], [1., 2., 3., 4., 5., 6.]);
            assert_eq!(out[12..], [21., 22., 23., 24., 25., 26.]);
        }
    }

    #[test]
    fn area_averages_what_it_covers() {
        let p = picture(4, 2, &[0, 2, 4, 6, 10, 12, 14, 16]);
        assert_eq!(resample(&p, whole(&p), [1, 2], Filter::Area)[..2], [6., 10.]);
        // Three pixels to two: each takes one whole pixel and half of the middle one: (0 + 30·½) ÷ 1½ and (30·½ + 60) ÷ 1½.
        let p = picture(3, 1, &[0, 30, 60]);
        let out = resample(&p, whole(&p), [1, 2], Filter::Area);
        assert!((out[0] - 10.0).abs() < 1e-4 && (out[1] - 50.0).abs() < 1e-4, "{out:?}");
    }

    #[test]
    fn the_triangle_widens_with_the_reduction() {
        // Halving: pixel centers lie ½ and 1½ from the destination's center, in units of 2: weights ¾, ¾, ¼ of 1¾.
        let p = picture(4, 1, &[0, 70, 140, 210]);
        let out = resample(&p, whole(&p), [1, 2], Filter::Triangle);
        let expected = [(0.75 * 70.0 + 0.25 * 140.0) / 1.75, (0.25 * 70.0 + 0.75 * 140.0 + 0.75 * 210.0) / 1.75];
        assert!((out[0] - expected[0]).abs() < 1e-4 && (out[1] - expected[1]).abs() < 1e-4, "{out:?}");
        // Doubling is linear between centers: 0, ¼, ¾, 1 of the way.
        let p = picture(2, 1, &[0, 100]);
        assert_eq!(resample(&p, whole(&p), [1, 4], Filter::Triangle)[..4], [0., 25., 75., 100.]);
    }

    #[test]
    fn windows_cut_rows_and_columns_apart() {
        let p = picture(5, 3, &[0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24]);
        let window = Window { x: 3.0, y: 1.0, width: 2.0, height: 1.0 };
        assert_eq!(resample(&p, window, [1, 2], Filter::Area)[..2], [13., 14.]);
        assert_eq!(resample(&p, Window { x: 0.0, y: 2.0, width: 1.0, height: 1.0 }, [1, 1], Filter::Area), [20., 30., 40.]);
    }

    #[test]
    fn long_lines_of_pixels_are_averaged_along_their_length() {
        let values: Vec<u8> = (0..10_000).map(|at| (at / 2500 * 60) as u8).collect();
        for (width, height) in [(1, 10_000), (10_000, 1)] {
            let p = picture(width, height, &values);
            let out = resample(&p, whole(&p), [4, 4], Filter::Area);
            for (at, value) in out[..16].iter().enumerate() {
                let part = if height > width { at / 4 } else { at % 4 };
                assert!((value - part as f32 * 60.0).abs() < 0.01, "{width}×{height}: {out:?}");
            }
        }
    }

    #[test]
    fn planes_are_resized_along_both_axes() {
        let plane = [0., 10., 20., 100., 110., 120.];
        assert_eq!(resize(&plane, [2, 3], [2, 3], Filter::Triangle), plane);
        assert_eq!(resize(&plane, [2, 3], [1, 3], Filter::Area), [50., 60., 70.]);
        assert_eq!(resize(&plane, [2, 3], [4, 1], Filter::Triangle).len(), 4);
        // A cubic passes through its points, and a straight line stays one away from the ends.
        assert_eq!(resize(&plane, [2, 3], [2, 3], Filter::Cubic), plane);
        let line: Vec<f32> = (0..8).map(|x| x as f32).collect();
        let out = resize(&line, [1, 8], [1, 24], Filter::Cubic);
        for (at, v) in out.iter().enumerate().skip(9).take(6) {
            assert!((v - ((at as f32 + 0.5) / 3.0 - 0.5)).abs() < 1e-5, "{out:?}");
        }
        // A quarter and three quarters of a pixel from a single 1.
        let out = resize(&[0., 0., 0., 1., 0., 0.], [1, 6], [1, 12], Filter::Cubic);
        assert!((out[6] - 0.8671875).abs() < 1e-6 && (out[5] - 0.2265625).abs() < 1e-6, "{out:?}");
    }
}
