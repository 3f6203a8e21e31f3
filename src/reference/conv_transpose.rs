//! Transposed convolution.

use super::rounded;
use crate::ops::conv::Convolution;
use crate::tensor::Tensor;

/// `y[n, m, i·stride + k·dilation − padding] += w[c, m, k] · x[n, c, i]` from `b[m]`, over the channels `c` of the group of `m`.
///
/// `i` and `k` are positions on three spatial axes; what falls outside the output is cut off.
pub(crate) fn conv_transpose(op: &Convolution, x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Tensor {
    let (values, weights, bias) = (x.to_f64(), w.to_f64(), b.map(Tensor::to_f64));
    let place = &op.place;
    let ([depth, height, width], [kd, kh, kw], [od, oh, ow]) = (place.input, place.kernel, place.output);
    // The output position of tap `k` of input `i`, if it is inside.
    let target = |axis: usize, i: usize, k: usize| {
        let padded = i * place.stride[axis] + k * place.dilation[axis];
        padded.checked_sub(place.before[axis]).filter(|&at| at < place.output[axis])
    };
    let outputs = od * oh * ow;
    let mut y = vec![0.0; op.output_shape().elements()];
    for n in 0..op.batch {
        for m in 0..op.groups * op.out_channels {
            let group = m / op.out_channels;
            let y = &mut y[(n * op.groups * op.out_channels + m) * outputs..][..outputs];
            y.fill(bias.as_ref().map_or(0.0, |b| b[m]));
            for c in group * op.in_channels..(group + 1) * op.in_channels {
                let x = &values[(n * op.groups * op.in_channels + c) * depth * height * width..];
                let w = &weights[(c * op.out_channels + m % op.out_channels) * kd * kh * kw..];
                for dz in 0..kd {
                    for dy in 0..kh {
                        for dx in 0..kw {
                            for iz in 0..depth {
                                let Some(z) = target(0, iz, dz) else { continue };
                                for iy in 0..height {
                                    let Some(row) = target(1, iy, dy) else { continue };
                                    for ix in 0..width {
                                        let Some(column) = target(2, ix, dx) else { continue };
                                        y[(z * oh + row) * ow + column] += w[(dz * kh + dy) * kw + dx] * x[(iz * height + iy) * width + ix];
                                    }
                                }
                            }
                        }
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
    use crate::ops::{Conv, ConvTranspose, Operator, Padding};

    fn tensor<const N: usize>(shape: [usize; N], values: &[f32]) -> Tensor {
        Tensor::new(shape, values.to_vec()).unwrap()
    }

    fn counting<const N: usize>(shape: [usize; N]) -> Tensor {
        let count = shape.iter().product::<usize>();
        Tensor::new(shape, (0..count).map(|i| ((i * 7 + i * i * 3) % 23) as f32 - 11.0).collect()).unwrap()
    }

    fn run(op: ConvTranspose, inputs: &[&Tensor]) -> Tensor {
        let inputs: Vec<_> = inputs.iter().map(|&t| Some(t)).collect();
        op.reference(&inputs, 1).unwrap().remove(0)
    }

    /// x = [1 10 100], w = [1 2 3]: what a tap adds to each output is read off the digits.
    fn line(op: ConvTranspose) -> Vec<f32> {
        let y = run(op, &[&tensor([1, 1, 3], &[1., 10., 100.]), &tensor([1, 1, 3], &[1., 2., 3.])]);
        y.data::<f32>().unwrap().to_vec()
    }

    /// By hand: inputs lie two outputs apart, each adds 1, 2, 3 times itself.
    #[test]
    fn one_dimension_by_hand() {
        let two = ConvTranspose { stride: Some([2].into()), ..ConvTranspose::default() };
        assert_eq!(line(ConvTranspose::default()), [1., 12., 123., 230., 300.]);
        assert_eq!(line(two), [1., 2., 13., 20., 130., 200., 300.]);
        assert_eq!(line(ConvTranspose { output_padding: Some([1].into()), ..two }), [1., 2., 13., 20., 130., 200., 300., 0.]);
        assert_eq!(line(ConvTranspose { dilation: Some([2].into()), ..two }), [1., 0., 12., 0., 123., 0., 230., 0., 300.]);
        let cut = Padding::Explicit { before: [1].into(), after: [2].into() };
        assert_eq!(line(ConvTranspose { padding: cut, ..two }), [2., 13., 20., 130.]);
    }

    /// By hand, and as ONNX Runtime has it: the padding follows from the output's extent, its odd element goes last or first.
    #[test]
    fn extents_give_the_padding() {
        let two = ConvTranspose { stride: Some([2].into()), ..ConvTranspose::default() };
        assert_eq!(line(ConvTranspose { padding: Padding::SameUpper, ..two }), [1., 2., 13., 20., 130., 200.]);
        assert_eq!(line(ConvTranspose { padding: Padding::SameLower, ..two }), [2., 13., 20., 130., 200., 300.]);
        let sized = |size: usize, padding| line(ConvTranspose { output_size: Some([size].into()), padding, ..two });
        assert_eq!(sized(4, Padding::Valid), [13., 20., 130., 200.]);
        assert_eq!(sized(4, Padding::SameUpper), [2., 13., 20., 130.]);
        assert_eq!(sized(4, Padding::SameLower), [13., 20., 130., 200.]);
        assert_eq!(sized(8, Padding::Valid), [1., 2., 13., 20., 130., 200., 300., 0.]);
        assert_eq!(sized(6, Padding::symmetric([1])), [2., 13., 20., 130., 200., 300.]);
        let padded = ConvTranspose { output_padding: Some([1].into()), output_size: Some([7].into()), ..two };
        assert_eq!(line(padded), [2., 13., 20., 130., 200., 300., 0.]);
    }

    /// The example of the ONNX operator's documentation: nine inputs, a 3×3 kernel of ones.
    #[test]
    fn the_published_example() {
        let x = tensor([1, 1, 3, 3], &[0., 1., 2., 3., 4., 5., 6., 7., 8.]);
        let y = run(ConvTranspose::default(), &[&x, &Tensor::full([1, 2, 3, 3], 1f32)]);
        assert_eq!(y.shape().dims(), [1, 2, 5, 5]);
        let first = [0., 1., 3., 3., 2., 3., 8., 15., 12., 7., 9., 21., 36., 27., 15., 9., 20., 33., 24., 13., 6., 13., 21., 15., 8.];
        assert_eq!(y.data::<f32>().unwrap(), [first, first].concat());
    }

    /// By hand: two groups of one channel, the second with two outputs' weights of its own.
    #[test]
    fn groups_see_their_own_channels() {
        let (x, w) = (tensor([1, 2, 1, 2], &[1., 2., 10., 20.]), tensor([2, 2, 1, 1], &[1., 2., 3., 4.]));
        let y = run(ConvTranspose { groups: 2, ..ConvTranspose::default() }, &[&x, &w, &tensor([4], &[0., 0., 0., 0.5])]);
        assert_eq!(y, tensor([1, 4, 1, 2], &[1., 2., 2., 4., 30., 60., 40.5, 80.5]));
    }

    /// The definition: ⟨conv(x), y⟩ = ⟨x, conv_transpose(y)⟩ with the same weight.
    #[test]
    fn it_is_the_adjoint_of_convolution() {
        let dot = |a: &Tensor, b: &Tensor| a.to_f64().iter().zip(b.to_f64()).map(|(a, b)| a * b).sum::<f64>();
        let padding = Padding::Explicit { before: [1, 0].into(), after: [0, 2].into() };
        let (stride, dilation) = (Some([2, 3].into()), Some([1, 2].into()));
        let (x, w, y) = (counting([2, 6, 7, 9]), counting([4, 3, 2, 3]), counting([2, 4, 4, 3]));
        let forward = Conv { stride, dilation, padding, groups: 2 }.reference(&[Some(&x), Some(&w)], 1).unwrap().remove(0);
        let back = ConvTranspose { stride, dilation, padding, groups: 2, ..ConvTranspose::default() };
        assert_eq!(forward.shape(), y.shape());
        let back = run(back, &[&y, &w]);
        assert_eq!(back.shape(), x.shape());
        assert_eq!(dot(&forward, &y), dot(&x, &back));
    }
}
