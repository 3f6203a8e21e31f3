//! Where a node's output is wrong, as a picture: a tile for each channel.

use image::{Rgb, RgbImage};
use macula::{NodeCheck, Tensor};

use crate::commands::look::grid::{Tile, grid};
use crate::paint::{Area, Font, fill, inferno, text};

/// Pixels of a tile's longer side, about; larger maps are made smaller.
const SIDE: usize = 72;
/// So many tiles can be looked at; of more channels, those with the largest errors.
const TILES: usize = 144;
/// Room for the legend's lines.
const LEAST_WIDTH: u32 = 760;
const MARGIN: i64 = 12;
const GROUND: [u8; 3] = [32, 32, 36];
const INK: [u8; 3] = [230, 230, 230];
/// What is no number; no colour of the map is near it.
const NOT_A_NUMBER: [u8; 3] = [0, 200, 255];

/// Absolute errors of the picture of a batch that holds the worst element.
struct Maps {
    /// One for each channel, row by row; infinite where an element is no number.
    errors: Vec<Vec<f64>>,
    size: [usize; 2],
    /// What is shown, in words.
    shown: String,
}

/// The heat map of a check, with its name, its scale and its worst element; or why there is none.
pub fn picture(check: &NodeCheck, got: &Tensor, expected: &Tensor) -> Result<RgbImage, String> {
    let maps = maps(check, got, expected)?;
    let errors = || maps.errors.iter().flatten().copied();
    let most = errors().filter(|e| e.is_finite()).fold(0.0, f64::max);
    let broken = errors().filter(|e| !e.is_finite()).count();
    let colour = |error: f64| {
        if error.is_finite() { inferno(if most > 0.0 { (error / most) as f32 } else { 0.0 }) } else { NOT_A_NUMBER }
    };
    let mut order: Vec<usize> = (0..maps.errors.len()).collect();
    if order.len() > TILES {
        let peak = |at: usize| maps.errors[at].iter().copied().fold(0.0, f64::max);
        order.sort_by(|a, b| peak(*b).total_cmp(&peak(*a)));
        order.truncate(TILES);
        order.sort_unstable();
    }
    let tiles: Vec<Tile> = order
        .iter()
        .map(|&at| {
            let (map, size) = shrunk(&maps.errors[at], maps.size);
            Tile { pixels: map.into_iter().map(|error| Rgb(colour(error))).collect(), size }
        })
        .collect();
    let tiles = grid(&tiles, SIDE);

    let shown = if order.len() < maps.errors.len() {
        format!("{}; the {} of {} channels with the largest errors", maps.shown, order.len(), maps.errors.len())
    } else {
        maps.shown
    };
    let c = &check.comparison;
    let beyond = format!("{} of {} elements beyond tolerance", c.beyond, c.shape.elements());
    let mut lines = vec![format!("{} ({})", check.node, check.op), format!("{}{}: {shown}", check.dtype, c.shape), beyond];
    if let Some(w) = &c.worst {
        lines.push(format!("worst at {:?}: got {:.6}, expected {:.6}", w.at, w.got, w.expected));
    }
    let font = Font::for_picture(0, 0);
    let line = font.height() + 4;
    let widest = lines.iter().map(|line| font.width(line)).max().unwrap_or(0) as u32 + 2 * MARGIN as u32;
    let width = tiles.width().max(LEAST_WIDTH).max(widest.min(2400));
    let top = MARGIN + line * lines.len() as i64 + MARGIN;
    let legend = top + i64::from(tiles.height()) + MARGIN;
    let mut picture = RgbImage::from_pixel(width, (legend + 2 * line + MARGIN) as u32, Rgb(GROUND));
    for (number, content) in lines.iter().enumerate() {
        text(&mut picture, [MARGIN, MARGIN + line * number as i64], content, font, INK);
    }
    let left = (width - tiles.width()) / 2;
    image::imageops::replace(&mut picture, &tiles, i64::from(left), top);

    let length = i64::from(width) - 2 * MARGIN;
    for x in 0..length {
        let share = x as f32 / (length - 1) as f32;
        fill(&mut picture, Area { x: MARGIN + x, y: legend, width: 1, height: line - 4 }, inferno(share));
    }
    text(&mut picture, [MARGIN, legend + line], "0", font, INK);
    let largest = format!("{most:.3e}");
    text(&mut picture, [i64::from(width) - MARGIN - font.width(&largest), legend + line], &largest, font, INK);
    let title = if broken > 0 { format!("absolute error; {broken} not finite") } else { "absolute error".to_owned() };
    let x = (i64::from(width) - font.width(&title)) / 2;
    if broken > 0 {
        let side = font.height() - 4;
        fill(&mut picture, Area { x: x - side - 6, y: legend + line + 2, width: side, height: side }, NOT_A_NUMBER);
    }
    text(&mut picture, [x, legend + line], &title, font, INK);
    Ok(picture)
}

/// `[N, C, H, W]` and its kin by their channels; a vector folded into rows.
fn maps(check: &NodeCheck, got: &Tensor, right: &Tensor) -> Result<Maps, String> {
    if let Some(mismatch) = &check.comparison.mismatch {
        return Err(format!("`{}` has no heat map: {mismatch}", check.node));
    }
    let (got, expected) = (got.to_f64(), right.to_f64());
    let error = |(got, expected): (&f64, &f64)| match (got - expected).abs() {
        _ if got == expected || got.is_nan() && expected.is_nan() => 0.0,
        error if error.is_finite() => error,
        _ => f64::INFINITY,
    };
    let errors: Vec<f64> = got.iter().zip(&expected).map(error).collect();
    let dims = right.shape().dims();
    let at = check.comparison.worst.as_ref().map_or(0, |w| w.at.first().copied().unwrap_or(0));
    Ok(match *dims {
        [batch, .., height, width] if dims.len() >= 4 => {
            let of_picture = errors.len() / batch;
            let picture = &errors[at * of_picture..][..of_picture];
            let which = if batch > 1 { format!("picture {at} of {batch}, ") } else { String::new() };
            let shown = format!("{which}a tile of {height}x{width} for each channel");
            Maps { errors: picture.chunks_exact(height * width).map(<[f64]>::to_vec).collect(), size: [height, width], shown }
        }
        [_, height, width] => {
            let errors = errors.chunks_exact(height * width).map(<[f64]>::to_vec).collect();
            Maps { errors, size: [height, width], shown: format!("a tile of {height}x{width} for each index of the first axis") }
        }
        _ => {
            let width = (errors.len() as f64).sqrt().ceil().max(1.0) as usize;
            let mut rows = errors;
            rows.resize(rows.len().next_multiple_of(width), 0.0);
            Maps { size: [rows.len() / width, width], errors: vec![rows], shown: format!("in rows of {width} elements") }
        }
    })
}

/// A map of at most [`SIDE`] pixels a side: of pixels that fall together the largest error shows, so that a single wrong one is seen.
fn shrunk(map: &[f64], [height, width]: [usize; 2]) -> (Vec<f64>, [usize; 2]) {
    let step = height.max(width).div_ceil(SIDE);
    let [rows, columns] = [height.div_ceil(step), width.div_ceil(step)];
    let mut small = vec![0.0f64; rows * columns];
    for (at, error) in map.iter().enumerate() {
        let place = &mut small[at / width / step * columns + at % width / step];
        *place = place.max(*error);
    }
    (small, [rows, columns])
}

#[cfg(test)]
mod tests {
    use super::*;
    use macula::{DType, Device, GraphBuilder, ops};

    /// What `verify` would say of a sine with other elements, those and the right ones.
    fn checked(shape: &[usize], change: impl Fn(usize, f32) -> f32) -> (NodeCheck, Tensor, Tensor) {
        let mut b = GraphBuilder::new("sine");
        let x = b.input("x", DType::F32, shape.iter().copied());
        let y = b.node("wave", ops::Unary::Sin, &[x]).unwrap();
        b.output("y", y);
        let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| i as f32 * 0.37).collect();
        let x = Tensor::new(shape.to_vec(), values.clone()).unwrap();
        let report = Device::cpu().compile(b.finish().unwrap()).unwrap().verify(&[("x", x.view())]).unwrap();
        let mut check = report.nodes[0].clone();
        let got = values.iter().enumerate().map(|(at, v)| change(at, *v)).collect();
        let got = Tensor::new(shape.to_vec(), got).unwrap();
        check.comparison = macula::Comparison::new(&got, &x, check.comparison.tolerance);
        (check, got, x)
    }

    fn pixels(picture: &RgbImage, colour: [u8; 3]) -> usize {
        picture.pixels().filter(|pixel| pixel.0 == colour).count()
    }

    #[test]
    fn the_wrong_element_is_bright_and_the_rest_is_dark() {
        let (check, got, right) = checked(&[2, 3, 8, 9], |at, v| if at == 3 * 72 + 72 + 10 { v + 0.5 } else { v });
        let maps = maps(&check, &got, &right).unwrap();
        assert_eq!((maps.size, maps.errors.len()), ([8, 9], 3));
        assert!(maps.errors[1][10] > 0.49 && maps.errors.iter().flatten().filter(|e| **e > 0.0).count() == 1);
        assert!(maps.shown.contains("picture 1 of 2"));
        let picture = picture(&check, &got, &right).unwrap();
        // A tile's pixel is eight by eight.
        assert!(pixels(&picture, inferno(1.0)) >= 64 && pixels(&picture, inferno(0.0)) > 215 * 64);
        assert_eq!(pixels(&picture, NOT_A_NUMBER), 0);
    }

    #[test]
    fn what_is_no_number_has_a_colour_of_its_own() {
        let (check, got, right) = checked(&[1, 3, 8, 9], |at, v| if at == 5 { f32::NAN } else { v });
        assert!(pixels(&picture(&check, &got, &right).unwrap(), NOT_A_NUMBER) >= 64);
    }

    #[test]
    fn a_single_wrong_pixel_of_a_large_map_is_seen() {
        let mut map = vec![0.0; 500 * 300];
        map[137 * 300 + 211] = 3.0;
        let (small, [rows, columns]) = shrunk(&map, [500, 300]);
        assert_eq!(([rows, columns], small.len()), ([72, 43], 72 * 43));
        assert_eq!(small[137 / 7 * 43 + 211 / 7], 3.0);
        assert_eq!(small.iter().sum::<f64>(), 3.0);
    }

    #[test]
    fn other_shapes_and_many_channels_have_pictures_too() {
        for shape in [&[10][..], &[2, 1000], &[3, 5, 7], &[1, 200, 2, 3], &[1, 2, 3, 4, 5]] {
            let (check, got, right) = checked(shape, |at, v| if at == 3 { v + 1.0 } else { v });
            assert!(pixels(&picture(&check, &got, &right).unwrap(), inferno(1.0)) > 0, "{shape:?}");
        }
    }
}
