//! Convolution.

use super::rounded;
use crate::ops::conv::Convolution;
use crate::tensor::Tensor;

/// `y[n, m, o] = b[m] + Σ_c Σ_k w[m, c, k] · x[n, g·C/groups + c, o·stride + k·dilation − padding]`, `g` the group of `m`.
///
/// `o` and `k` are positions on three spatial axes; taps outside the input count nothing.
pub(crate) fn conv(op: &Convolution, x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Tensor {
    let (values, weights, bias) = (x.to_f64(), w.to_f64(), b.map(Tensor::to_f64));
    let place = &op.place;
    let ([depth, height, width], [kd, kh, kw], [od, oh, ow]) = (place.input, place.kernel, place.output);
    // The input position of tap `k` of window `o`, if it is inside.
    let source = |axis: usize, o: usize, k: usize| {
        let padded = o * place.stride[axis] + k * place.dilation[axis];
        padded.checked_sub(place.before[axis]).filter(|&at| at < place.input[axis])
    };
    let mut y = Vec::with_capacity(op.output_shape().elements());
    for n in 0..op.batch {
        for m in 0..op.groups * op.out_channels {
            let first_channel = (n * op.groups + m / op.out_channels) * op.in_channels;
            for z in 0..od {
                for row in 0..oh {
                    for column in 0..ow {
                        let mut sum = bias.as_ref().map_or(0.0, |b| b[m]);
                        for c in 0..op.in_channels {
                            for dz in 0..kd {
                                let Some(iz) = source(0, z, dz) else { continue };
                                for dy in 0..kh {
                                    let Some(iy) = source(1, row, dy) else { continue };
                                    for dx in 0..kw {
                                        let Some(ix) = source(2, column, dx) else { continue };
                                        let tap = ((m * op.in_channels + c) * kd + dz) * kh * kw + dy * kw + dx;
                                        let at = (((first_channel + c) * depth + iz) * height + iy) * width + ix;
                                        sum += weights[tap] * values[at];
                                    }
                                }
                            }
                        }
                        y.push(sum);
                    }
                }
            }
        }
    }
    rounded(x, op.output_shape(), y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Conv, Operator, Padding};

    fn tensor<const N: usize>(shape: [usize; N], values: &[f32]) -> Tensor {
        Tensor::new(shape, values.to_vec()).unwrap()
    }

    fn counting<const N: usize>(shape: [usize; N]) -> Tensor {
        let count = shape.iter().product::<usize>();
        Tensor::new(shape, (0..count).map(|i| ((i * 7 + i * i * 3) % 23) as f32 - 11.0).collect()).unwrap()
    }

    fn run(op: Conv, inputs: &[&Tensor]) -> Tensor {
        let inputs: Vec<_> = inputs.iter().map(|&t| Some(t)).collect();
        op.reference(&inputs, 1).unwrap().remove(0)
    }

    /// The example with padding and the one without of the ONNX operator's documentation: a 3×3 kernel of ones.
    #[test]
    fn the_published_example() {
        let x = tensor([1, 1, 5, 5], &(0..25).map(|i| i as f32).collect::<Vec<_>>());
        let w = Tensor::full([1, 1, 3, 3], 1f32);
        let same = run(Conv { padding: Padding::symmetric([1, 1]), ..Conv::default() }, &[&x, &w]);
        assert_eq!(same.data::<f32>().unwrap()[..10], [12., 21., 27., 33., 24., 33., 54., 63., 72., 51.]);
        let valid = run(Conv::default(), &[&x, &w]);
        assert_eq!(valid, tensor([1, 1, 3, 3], &[54., 63., 72., 99., 108., 117., 144., 153., 162.]));
    }

    /// By hand: x = [1 2 3 4 5], w = [1 10 100]; cross-correlation, so the kernel is not flipped.
    #[test]
    fn one_dimension_by_hand() {
        let (x, w, b) = (tensor([1, 1, 5], &[1., 2., 3., 4., 5.]), tensor([1, 1, 3], &[1., 10., 100.]), tensor([1], &[0.5]));
        assert_eq!(run(Conv::default(), &[&x, &w, &b]), tensor([1, 1, 3], &[321.5, 432.5, 543.5]));
        let strided = Conv { stride: Some([2].into()), padding: Padding::symmetric([1]), ..Conv::default() };
        assert_eq!(run(strided, &[&x, &w]), tensor([1, 1, 3], &[210., 432., 54.]));
        let dilated = Conv { dilation: Some([2].into()), ..Conv::default() };
        assert_eq!(run(dilated, &[&x, &w]), tensor([1, 1, 1], &[531.]));
        let after = Padding::Explicit { before: [0].into(), after: [2].into() };
        assert_eq!(run(Conv { padding: after, ..Conv::default() }, &[&x, &w]), tensor([1, 1, 5], &[321., 432., 543., 54., 5.]));
    }

    /// By hand: two groups of two input channels and one output channel.
    #[test]
    fn groups_see_their_own_channels() {
        let x = tensor([1, 4, 1, 2], &[1., 2., 10., 20., 3., 4., 30., 40.]);
        let w = tensor([2, 2, 1, 1], &[1., 1., 1., -1.]);
        let y = run(Conv { groups: 2, ..Conv::default() }, &[&x, &w]);
        assert_eq!(y, tensor([1, 2, 1, 2], &[11., 22., -27., -36.]));
    }

    /// By hand: the sum of a 2×2×2 cube.
    #[test]
    fn three_dimensions_by_hand() {
        let x = tensor([1, 1, 2, 2, 3], &[1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12.]);
        let y = run(Conv::default(), &[&x, &Tensor::full([1, 1, 2, 2, 2], 1f32)]);
        assert_eq!(y, tensor([1, 1, 1, 1, 2], &[48., 56.]));
    }

    /// SAME at stride 2 on 5 rows and 6 columns pads 2 rows and 1 column: the odd one goes last (upper) or first (lower).
    #[test]
    fn same_padding_at_stride_two() {
        let x = counting([1, 2, 5, 6]);
        let w = counting([3, 2, 3, 3]);
        let at = |padding| run(Conv { stride: Some([2, 2].into()), padding, ..Conv::default() }, &[&x, &w]);
        let explicit = |before: [usize; 2], after: [usize; 2]| at(Padding::Explicit { before: before.into(), after: after.into() });
        assert_eq!(at(Padding::SameUpper), explicit([1, 0], [1, 1]));
        assert_eq!(at(Padding::SameLower), explicit([1, 1], [1, 0]));
        assert_eq!(at(Padding::SameUpper).shape().dims(), [1, 3, 3, 3]);
    }

    /// A property of every convolution: a shifted input shifts the output.
    #[test]
    fn shifting_the_input_shifts_the_output() {
        let (x, w) = (counting([1, 2, 6, 7]), counting([3, 2, 3, 2]));
        let mut shifted = Tensor::full([1, 2, 6, 7], 0f32);
        let values = shifted.data_mut::<f32>().unwrap();
        for row in 0..12 {
            for column in 1..7 {
                values[row * 7 + column] = x.data::<f32>().unwrap()[row * 7 + column - 1];
            }
        }
        let (y, moved) = (run(Conv::default(), &[&x, &w]), run(Conv::default(), &[&shifted, &w]));
        for row in 0..12 {
            for column in 1..6 {
                assert_eq!(moved.data::<f32>().unwrap()[row * 6 + column], y.data::<f32>().unwrap()[row * 6 + column - 1]);
            }
        }
    }

    /// An impulse through a cross-correlation comes out as the kernel turned by 180°.
    #[test]
    fn an_impulse_gives_the_flipped_kernel() {
        let mut x = Tensor::full([1, 1, 5, 7], 0f32);
        x.data_mut::<f32>().unwrap()[2 * 7 + 3] = 1.0;
        let w = tensor([1, 1, 2, 3], &[1., 2., 3., 4., 5., 6.]);
        let y = run(Conv::default(), &[&x, &w]);
        let y = y.data::<f32>().unwrap();
        assert_eq!([&y[5 + 1..5 + 4], &y[2 * 5 + 1..2 * 5 + 4]], [[6., 5., 4.], [3., 2., 1.]]);
    }
}
