//! Feature maps of a layer as small pictures, each scaled by itself.

use image::{Rgb, RgbImage};
use macula::Tensor;

use super::grid::{Tile, grid};
use crate::paint::viridis;
use crate::resample::{Filter, resize};

/// Pixels of a map's longer side, about; larger maps are made smaller.
const SIDE: usize = 72;

/// The first `count` maps of the first picture of `[N, C, H, W]`, and what they are in a few words; or why there are none.
pub fn maps(layer: &Tensor, count: usize) -> Result<(RgbImage, String), String> {
    let [_, channels, height, width] = *layer.shape().dims() else {
        return Err(format!("{}{} are no maps [N,C,H,W]", layer.dtype(), layer.shape()));
    };
    if layer.is_empty() {
        return Err("it is empty".into());
    }
    let values: Vec<f32> = layer.to_f64().iter().take(channels * height * width).map(|v| *v as f32).collect();
    let larger = height.max(width) as f64 / SIDE as f64;
    let size = if larger > 1.0 { [height, width].map(|n| ((n as f64 / larger).round() as usize).max(1)) } else { [height, width] };
    let tiles = values.chunks_exact(height * width).take(count).map(|map| {
        let map = if larger > 1.0 { resize(map, [height, width], size, Filter::Area) } else { map.to_vec() };
        Tile { pixels: scaled(&map), size }
    });
    let tiles: Vec<Tile> = tiles.collect();
    let of = if count < channels { format!("the first {count} of {channels}") } else { format!("all {channels}") };
    Ok((grid(&tiles, SIDE), format!("{of} maps of {height}×{width}")))
}

/// From a map's smallest finite value, dark, to its largest, bright; what is not a number is red.
fn scaled(map: &[f32]) -> Vec<Rgb<u8>> {
    let finite = || map.iter().copied().filter(|v| v.is_finite());
    let (least, most) = (finite().fold(f32::INFINITY, f32::min), finite().fold(f32::NEG_INFINITY, f32::max));
    let share = |v: f32| if most > least { (v - least) / (most - least) } else { 0.0 };
    map.iter().map(|v| Rgb(if v.is_nan() { [255, 0, 0] } else { viridis(share(*v)) })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_map_has_its_own_scale() {
        let same = scaled(&[5.0, 5.0]);
        assert_eq!(same, [Rgb(viridis(0.0)); 2]);
        assert_eq!(scaled(&[-1.0, 1.0, 0.0]), scaled(&[-1000.0, 1000.0, 0.0]));
        assert_eq!(scaled(&[0.0, f32::NAN, 1.0]), [Rgb(viridis(0.0)), Rgb([255, 0, 0]), Rgb(viridis(1.0))]);
        assert_eq!(scaled(&[0.0, f32::INFINITY, 1.0])[1], Rgb(viridis(1.0)));
    }

    #[test]
    fn maps_are_counted_and_other_shapes_refused() {
        let (picture, text) = maps(&Tensor::full([2, 5, 8, 9], 0.5f32), 3).unwrap();
        assert_eq!(text, "the first 3 of 5 maps of 8×9");
        assert!(picture.width() > 70);
        let (picture, text) = maps(&Tensor::full([1, 2, 700, 900], 0.5f32), 64).unwrap();
        assert_eq!((text.as_str(), picture.width() < 200), ("all 2 maps of 700×900", true));
        assert!(maps(&Tensor::full([1, 10], 0.5f32), 3).unwrap_err().contains("no maps"));
    }
}
