//! Small pictures side by side.

use image::{Rgb, RgbImage};

/// Pixels between pictures.
const GAP: usize = 2;

/// What lies between pictures.
const GROUND: Rgb<u8> = Rgb([32, 32, 36]);

/// A small picture, row by row.
pub struct Tile {
    pub pixels: Vec<Rgb<u8>>,
    /// Height and width.
    pub size: [usize; 2],
}

/// Tiles of equal size in about a square, each pixel enlarged so that a tile's longer side has about `side` pixels.
pub fn grid(tiles: &[Tile], side: usize) -> RgbImage {
    let [height, width] = tiles.first().map_or([1, 1], |tile| tile.size);
    let zoom = (side / height.max(width)).max(1);
    let (height, width) = (height * zoom + GAP, width * zoom + GAP);
    let columns = ((tiles.len() * height) as f64 / width as f64).sqrt().ceil().clamp(1.0, tiles.len().max(1) as f64) as usize;
    let rows = tiles.len().div_ceil(columns);
    let mut picture = RgbImage::from_pixel((columns * width + GAP) as u32, (rows * height + GAP) as u32, GROUND);
    for (number, tile) in tiles.iter().enumerate() {
        let (left, top) = (number % columns * width + GAP, number / columns * height + GAP);
        for y in 0..tile.size[0] * zoom {
            for x in 0..tile.size[1] * zoom {
                picture.put_pixel((left + x) as u32, (top + y) as u32, tile.pixels[y / zoom * tile.size[1] + x / zoom]);
            }
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_lie_in_reading_order() {
        let tiles: Vec<Tile> = (0..5).map(|n| Tile { pixels: vec![Rgb([n * 10 + 1, 0, 0]); 6], size: [2, 3] }).collect();
        let picture = grid(&tiles, 7);
        // Enlarged twice: 4 × 6 and a gap of 2; 2 columns of 3 rows.
        assert_eq!(picture.dimensions(), (2 * 8 + 2, 3 * 6 + 2));
        let at = |row: u32, column: u32| picture.get_pixel(column * 8 + 3, row * 6 + 3).0[0];
        assert_eq!([at(0, 0), at(0, 1), at(1, 0), at(2, 0)], [1, 11, 21, 41]);
        assert_eq!(*picture.get_pixel(0, 0), GROUND);
        assert_eq!(*picture.get_pixel(11, 15), GROUND, "no sixth tile");
        assert_eq!(grid(&[], 7).height(), 2);
    }
}
