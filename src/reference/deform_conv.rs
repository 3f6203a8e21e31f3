//! Deformable convolution.

use super::{input, optional, rounded};
use crate::ops::conv::Convolution;
use crate::tensor::Tensor;

/// `y[n, m, o] = b[m] + Σ_c Σ_k w[m, c, k] · mask[n, g, k, o] · x[n, c, o·stride + k·dilation − padding + offset[n, g, k, :, o]]`
///
/// `g` is the offset group of channel `c`; `x` is interpolated linearly, and zero outside.
pub(crate) fn deform_conv(op: &Convolution, offset_groups: usize, inputs: &[Option<&Tensor>]) -> Tensor {
    let [values, weights, offsets] = [0, 1, 2].map(|index| input(inputs, index).to_f64());
    let (bias, mask) = (optional(inputs, 3).map(Tensor::to_f64), optional(inputs, 4).map(Tensor::to_f64));
    let place = &op.place;
    let (taps, outputs, map) = (place.taps(), place.output_elements(), place.input.iter().product::<usize>());
    let channels = op.groups * op.in_channels;
    let mut y = Vec::with_capacity(op.output_shape().elements());
    for n in 0..op.batch {
        for m in 0..op.groups * op.out_channels {
            for o in 0..outputs {
                let mut sum = bias.as_ref().map_or(0.0, |b| b[m]);
                for c in 0..op.in_channels {
                    let channel = m / op.out_channels * op.in_channels + c;
                    let group = n * offset_groups + channel / (channels / offset_groups);
                    let x = &values[(n * channels + channel) * map..][..map];
                    for k in 0..taps {
                        let mut at = position(op, o, k);
                        for axis in 0..place.rank {
                            at[3 - place.rank + axis] += offsets[((group * taps + k) * place.rank + axis) * outputs + o];
                        }
                        let factor = mask.as_ref().map_or(1.0, |mask| mask[(group * taps + k) * outputs + o]);
                        sum += weights[(m * op.in_channels + c) * taps + k] * factor * interpolate(op, x, at);
                    }
                }
                y.push(sum);
            }
        }
    }
    rounded(input(inputs, 0), op.output_shape(), y)
}

/// Where tap `k` of window `o` lies before it is moved.
pub(crate) fn position(op: &Convolution, o: usize, k: usize) -> [f64; 3] {
    let place = &op.place;
    let split = |flat: usize, [_, height, width]: [usize; 3]| [flat / width / height, flat / width % height, flat % width];
    let (o, k) = (split(o, place.output), split(k, place.kernel));
    [0, 1, 2].map(|axis| (o[axis] * place.stride[axis] + k[axis] * place.dilation[axis]) as f64 - place.before[axis] as f64)
}

/// The map's value between elements; corners outside count nothing, all of them where the position is NaN.
fn interpolate(op: &Convolution, x: &[f64], at: [f64; 3]) -> f64 {
    let extent = op.place.input;
    let mut sum = 0.0;
    for corner in 0..1usize << op.place.rank {
        let bits = [corner >> 2, corner >> 1 & 1, corner & 1];
        let corner = [0, 1, 2].map(|axis| at[axis].floor() + bits[axis] as f64);
        if !(0..3).all(|axis| corner[axis] >= 0.0 && corner[axis] < extent[axis] as f64) {
            continue;
        }
        let share = |axis: usize| if bits[axis] == 1 { at[axis] - at[axis].floor() } else { 1.0 - (at[axis] - at[axis].floor()) };
        let [z, y, x_at] = corner.map(|c| c as usize);
        sum += share(0) * share(1) * share(2) * x[(z * extent[1] + y) * extent[2] + x_at];
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Conv, DeformConv, Operator, Padding};

    fn run(op: DeformConv, inputs: &[Option<&Tensor>]) -> Tensor {
        op.reference(inputs, 1).unwrap().remove(0)
    }

    fn tensor<const N: usize>(shape: [usize; N], values: &[f32]) -> Tensor {
        Tensor::new(shape, values.to_vec()).unwrap()
    }

    /// The example of the ONNX operator's documentation: the first tap moved down by half a row, the last right by a tenth … of 0 … 8.
    #[test]
    fn the_published_example() {
        let x = tensor([1, 1, 3, 3], &[0., 1., 2., 3., 4., 5., 6., 7., 8.]);
        let w = Tensor::full([1, 1, 2, 2], 1f32);
        let mut offset = Tensor::full([1, 8, 2, 2], 0f32);
        // Tap 0 at output 0: half a row down. Tap 3 at output 3: a tenth to the left.
        offset.data_mut::<f32>().unwrap()[0] = 0.5;
        offset.data_mut::<f32>().unwrap()[7 * 4 + 3] = -0.1;
        let y = run(DeformConv::default(), &[Some(&x), Some(&w), Some(&offset)]);
        let expected = tensor([1, 1, 2, 2], &[9.5, 12., 20., 23.9]);
        assert_eq!(y.shape(), expected.shape());
        for (a, b) in y.to_f64().iter().zip(expected.to_f64()) {
            assert!((a - b).abs() < 1e-5, "{y:?}");
        }
    }

    /// Without offsets it is a convolution; the mask weighs each tap.
    #[test]
    fn without_offsets_it_is_a_convolution() {
        let values = |n: usize| (0..n).map(|i| ((i * 7 + i * i * 3) % 23) as f32 - 11.0).collect::<Vec<_>>();
        let (x, w) = (tensor([2, 4, 5, 6], &values(240)), tensor([6, 2, 3, 2], &values(72)));
        let conv = Conv { stride: Some([2, 1].into()), padding: Padding::symmetric([1, 2]), groups: 2, ..Conv::default() };
        let plain = conv.reference(&[Some(&x), Some(&w)], 1).unwrap().remove(0);
        let [_, _, oh, ow] = plain.shape().dims()[..] else { panic!() };
        let offset = Tensor::full([2, 2 * 12, oh, ow], 0f32);
        let op = DeformConv { conv, offset_groups: 2 };
        assert_eq!(run(op, &[Some(&x), Some(&w), Some(&offset)]), plain);
        let half = run(op, &[Some(&x), Some(&w), Some(&offset), None, Some(&Tensor::full([2, 12, oh, ow], 0.5f32))]);
        assert_eq!(half.to_f64(), plain.to_f64().iter().map(|y| y / 2.0).collect::<Vec<_>>());
    }

    /// By hand: positions on the border and beyond it, on one axis.
    #[test]
    fn what_lies_outside_counts_zero() {
        let (x, w) = (tensor([1, 1, 3], &[1., 2., 4.]), tensor([1, 1, 1], &[1.]));
        let at = |offset: [f32; 3]| run(DeformConv::default(), &[Some(&x), Some(&w), Some(&tensor([1, 1, 3], &offset))]).to_f64();
        assert_eq!(at([0.0, 0.5, 0.0]), [1.0, 3.0, 4.0]);
        assert_eq!(at([-0.5, -2.0, 0.5]), [0.5, 0.0, 2.0]);
        assert_eq!(at([f32::NAN, 100.0, 1.0]), [0.0, 0.0, 0.0]);
    }
}
