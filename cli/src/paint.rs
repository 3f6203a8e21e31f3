//! Drawing on pictures: colours that are told apart, frames, labels.

use image::{Rgb, RgbImage};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use crate::terminal;

/// A colour of a palette of ten that are told apart, the same for the same number.
///
/// Source: Tableau 10, as d3's `schemeTableau10`, in an order that shows on photos.
pub fn colour(number: usize) -> [u8; 3] {
    const ORDER: [usize; 10] = [4, 1, 0, 2, 5, 6, 3, 7, 8, 9];
    let colour = colorous::TABLEAU10[ORDER[number % 10]];
    [colour.r, colour.g, colour.b]
}

/// A colour of a perceptually uniform map, from black at 0 to light yellow at 1. Source: matplotlib's inferno.
pub fn inferno(share: f32) -> [u8; 3] {
    let colour = colorous::INFERNO.eval_continuous(f64::from(share.clamp(0.0, 1.0)));
    [colour.r, colour.g, colour.b]
}

/// A colour of a perceptually uniform map, from dark blue at 0 to yellow at 1. Source: matplotlib's viridis.
pub fn viridis(share: f32) -> [u8; 3] {
    let colour = colorous::VIRIDIS.eval_continuous(f64::from(share.clamp(0.0, 1.0)));
    [colour.r, colour.g, colour.b]
}

/// A rectangle of whole pixels: `x..x + width`, `y..y + height`; what lies outside the picture is not drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Area {
    pub x: i64,
    pub y: i64,
    pub width: i64,
    pub height: i64,
}

/// Fills an area.
pub fn fill(picture: &mut RgbImage, area: Area, colour: [u8; 3]) {
    let clip = |start: i64, length: i64, extent: u32| start.clamp(0, extent.into()) as u32..(start + length).clamp(0, extent.into()) as u32;
    for y in clip(area.y, area.height, picture.height()) {
        for x in clip(area.x, area.width, picture.width()) {
            picture.put_pixel(x, y, Rgb(colour));
        }
    }
}

/// Draws a frame of `thick` pixels inside an area's border.
pub fn frame(picture: &mut RgbImage, area: Area, thick: i64, colour: [u8; 3]) {
    let (right, bottom) = (area.x + area.width - thick, area.y + area.height - thick);
    for part in [
        Area { height: thick, ..area },
        Area { y: bottom, height: thick, ..area },
        Area { width: thick, ..area },
        Area { x: right, width: thick, ..area },
    ] {
        fill(picture, part, colour);
    }
}

/// A size of letters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Font(RasterHeight);

impl Font {
    /// Letters that can be read on a picture of this size.
    pub fn for_picture(width: u32, height: u32) -> Self {
        Self(match width.min(height) {
            0..500 => RasterHeight::Size16,
            500..1000 => RasterHeight::Size20,
            1000..1800 => RasterHeight::Size24,
            _ => RasterHeight::Size32,
        })
    }

    /// Height of a line.
    pub fn height(self) -> i64 {
        self.0 as i64
    }

    /// Width of a text on one line.
    pub fn width(self, text: &str) -> i64 {
        (get_raster_width(FontWeight::Regular, self.0) * text.chars().count()) as i64
    }
}

/// Writes a line of text with its upper left corner at `x`, `y`; letters that the font lacks are question marks.
pub fn text(picture: &mut RgbImage, [x, y]: [i64; 2], text: &str, font: Font, colour: [u8; 3]) {
    let advance = get_raster_width(FontWeight::Regular, font.0);
    for (place, letter) in text.chars().enumerate() {
        let raster = get_raster(letter, FontWeight::Regular, font.0).or_else(|| get_raster('?', FontWeight::Regular, font.0));
        for (dy, row) in raster.iter().flat_map(|letter| letter.rows()).enumerate() {
            for (dx, &cover) in row.iter().enumerate() {
                let (x, y) = (x + (place * advance + dx) as i64, y + dy as i64);
                if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
                    && let Some(pixel) = picture.get_pixel_mut_checked(x, y)
                {
                    let mix = |under: u8, over: u8| {
                        ((u32::from(under) * (255 - u32::from(cover)) + u32::from(over) * u32::from(cover) + 127) / 255) as u8
                    };
                    pixel.0 = std::array::from_fn(|channel| mix(pixel.0[channel], colour[channel]));
                }
            }
        }
    }
}

/// Writes a line of text on a filled ground, at `x`, `y` or where it lies within the picture, shortened in the middle where it is too long.
pub fn label(picture: &mut RgbImage, [x, y]: [i64; 2], line: &str, font: Font, ground: [u8; 3]) {
    let fit = ((i64::from(picture.width()) - 6) / font.width("n")).max(0) as usize;
    let line = &match line.chars().count() {
        count if count <= fit => line.to_owned(),
        // The font has no ellipsis.
        _ => terminal::shortened(line, fit.saturating_sub(2)).replace('…', "..."),
    };
    let (width, height) = (font.width(line) + 6, font.height() + 2);
    let x = x.min(i64::from(picture.width()) - width).max(0);
    let y = y.min(i64::from(picture.height()) - height).max(0);
    fill(picture, Area { x, y, width, height }, ground);
    text(picture, [x + 3, y + 1], line, font, ink(ground));
}

/// Black or white, whichever is read on a ground.
fn ink([r, g, b]: [u8; 3]) -> [u8; 3] {
    let luma = 0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b);
    if luma > 130.0 { [0; 3] } else { [255; 3] }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INK: [u8; 3] = [200, 100, 50];

    fn painted(picture: &RgbImage) -> Vec<[u32; 2]> {
        picture.enumerate_pixels().filter(|(_, _, p)| p.0 == INK).map(|(x, y, _)| [x, y]).collect()
    }

    #[test]
    fn areas_are_clipped() {
        let mut picture = RgbImage::new(4, 3);
        fill(&mut picture, Area { x: -2, y: 1, width: 3, height: 9 }, INK);
        assert_eq!(painted(&picture), [[0, 1], [0, 2]]);
        fill(&mut picture, Area { x: 9, y: 9, width: 3, height: 3 }, INK);
        fill(&mut picture, Area { x: 2, y: 0, width: -5, height: 2 }, INK);
        assert_eq!(painted(&picture).len(), 2);
    }

    #[test]
    fn frames_leave_the_inside() {
        let mut picture = RgbImage::new(6, 5);
        frame(&mut picture, Area { x: 1, y: 0, width: 4, height: 4 }, 1, INK);
        let inside: Vec<_> =
            (1..5).flat_map(|x| (0..4).map(move |y| [x, y])).filter(|[x, y]| !painted(&picture).contains(&[*x, *y])).collect();
        assert_eq!(inside, [[2, 1], [2, 2], [3, 1], [3, 2]]);
        assert_eq!(painted(&picture).len(), 12);
    }

    #[test]
    fn text_stays_within_its_box_and_the_picture() {
        let font = Font::for_picture(100, 100);
        let mut picture = RgbImage::new(60, 30);
        text(&mut picture, [5, 4], "Aé€", font, [255; 3]);
        let lit =
            |x: std::ops::Range<u32>| x.flat_map(|x| (0..30).map(move |y| (x, y))).filter(|&(x, y)| picture.get_pixel(x, y)[0] > 0).count();
        let width = font.width("A") as u32;
        assert!(lit(5..5 + width) > 10 && lit(5 + width..5 + 2 * width) > 10 && lit(5 + 2 * width..5 + 3 * width) > 10);
        assert_eq!(lit(0..5) + lit(5 + 3 * width..60), 0);
        text(&mut picture, [-20, -9], "outside", font, [255; 3]);
        label(&mut picture, [50, 29], "a label that is too long", font, INK);
    }

    #[test]
    fn labels_that_are_too_long_keep_their_ends() {
        let font = Font::for_picture(100, 100);
        let labelled = |line: &str| {
            let mut picture = RgbImage::new(100, 30);
            label(&mut picture, [0, 0], line, font, INK);
            picture
        };
        assert_ne!(labelled("/features/features.0/Conv"), labelled("/features/features.0/Relu"));
        assert_ne!(labelled("/features/features.0/Conv"), labelled("/elements/features.0/Conv"));
        assert_eq!(labelled("/features/features.0/Conv"), labelled("/features/sections.0/Conv"), "the middle is left out");
        assert_eq!(painted(&labelled("n")).iter().filter(|[_, y]| *y == 0).count() as i64, font.width("n") + 6);
    }
}
