//! The filters of the first convolution as colours: what it looks for in the picture itself.

use image::{Rgb, RgbImage};
use macula::Graph;
use macula::ops::Op;

use super::grid::{Tile, grid};

/// Pixels that a filter is enlarged to, about.
const SIDE: usize = 44;

/// Filters as tiles, and what they are in a few words; or why there are none. `bgr`: whether the first input channel is blue.
///
/// Weights from the most negative, black, over 0, mid-gray, to the most positive, white; each filter by its own largest magnitude.
pub fn filters(graph: &Graph, bgr: bool) -> Result<(RgbImage, String), String> {
    let first = graph.nodes().iter().find(|node| matches!(node.op, Op::Conv(_) | Op::QLinearConv(_) | Op::ConvInteger(_)));
    let node = first.ok_or("the network has no convolution")?;
    let weight = match (&node.op, node.inputs.get(1).copied().flatten()) {
        (Op::Conv(_), Some(id)) => graph.value(id).constant.as_ref(),
        _ => return Err(format!("the first convolution, `{}`, is one of integers", node.name)),
    };
    let weight = weight.ok_or_else(|| format!("the weight of the first convolution, `{}`, is computed", node.name))?;
    let [count, channels, height, width] = *weight.shape().dims() else {
        return Err(format!("the first convolution, `{}`, is not one of pictures", node.name));
    };
    if !matches!(channels, 1 | 3) {
        return Err(format!("the first convolution, `{}`, reads {channels} channels, which are no colours", node.name));
    }
    let values = weight.to_f64();
    let plane = height * width;
    let tiles = values.chunks_exact(channels * plane).map(|filter| {
        let most = filter.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
        let byte = |v: f64| if most > 0.0 { (127.5 + 127.5 * v / most).round() as u8 } else { 127 };
        let pixels = (0..plane).map(|at| {
            Rgb(std::array::from_fn(|colour| {
                let channel = if bgr { 2 - colour } else { colour };
                byte(filter[channel.min(channels - 1) * plane + at])
            }))
        });
        Tile { pixels: pixels.collect(), size: [height, width] }
    });
    let tiles: Vec<Tile> = tiles.collect();
    Ok((grid(&tiles, SIDE), format!("{count} filters of {height}×{width} on {channels} channels, layer {}", node.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use macula::{DType, GraphBuilder, Tensor, ops};

    fn network(shape: [usize; 4], values: Vec<f32>) -> Graph {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, [1, shape[1], 8, 9]);
        let w = b.constant("w", Tensor::new(shape, values).unwrap());
        let y = b.node("first", ops::Conv::default(), &[x, w]).unwrap();
        b.output("y", y);
        b.finish().unwrap()
    }

    #[test]
    fn weights_become_colours_around_gray() {
        let graph = network([1, 3, 1, 2], vec![0., 2., -2., 1., 0., 0.]);
        let (picture, text) = filters(&graph, false).unwrap();
        assert!(text.contains("1 filters of 1×2 on 3 channels, layer first"), "{text}");
        let at = |x: u32| picture.get_pixel(x * (picture.width() - 1), picture.height() / 2).0;
        let inside = |x: u32| picture.get_pixel(2 + x * (picture.width() - 5), picture.height() / 2).0;
        assert_eq!(at(0), at(1), "a border");
        assert_eq!((inside(0), inside(1)), ([128, 0, 128], [255, 191, 128]));
        let (picture, _) = filters(&graph, true).unwrap();
        assert_eq!(picture.get_pixel(picture.width() - 3, picture.height() / 2).0, [128, 191, 255]);
    }

    #[test]
    fn what_has_no_colours_says_so() {
        assert!(filters(&network([1, 2, 1, 1], vec![0.0; 2]), false).unwrap_err().contains("2 channels"));
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, [1, 3]);
        let y = b.node("y", ops::Unary::Relu, &[x]).unwrap();
        b.output("y", y);
        assert!(filters(&b.finish().unwrap(), false).unwrap_err().contains("no convolution"));
    }
}
