//! Convolution of eight-bit integers.

use super::{input, optional};
use crate::ops::conv::{Convolution, ZeroPoints};
use crate::tensor::{DType, Tensor};

/// `tensor − zero_point`, the zero point one number or one for each slice of the first axis.
fn shifted(tensor: &Tensor, zero_point: Option<&Tensor>) -> Tensor {
    let mut values = tensor.to_f64();
    let zero_points = zero_point.map_or(vec![0.0], Tensor::to_f64);
    let per_zero_point = (values.len() / zero_points.len()).max(1);
    for (values, zero_point) in values.chunks_mut(per_zero_point).zip(&zero_points) {
        values.iter_mut().for_each(|v| *v -= zero_point);
    }
    Tensor::from_f64(DType::F64, tensor.shape(), values).expect("the same shape")
}

/// `Σ (w − w_zero_point) · (x − x_zero_point)`, exact: sums of 16-bit products stay integers in `f64`.
fn sums(op: &Convolution, inputs: &[Option<&Tensor>], w: usize, zero_points: ZeroPoints) -> Vec<f64> {
    let x = shifted(input(inputs, 0), optional(inputs, zero_points.x));
    let w = shifted(input(inputs, w), optional(inputs, zero_points.w));
    super::conv::conv(op, &x, &w, None).to_f64()
}

/// The sums as `i32`; the weight is input `w`.
pub(crate) fn conv_integer(op: &Convolution, inputs: &[Option<&Tensor>], w: usize, zero_points: ZeroPoints) -> Tensor {
    Tensor::from_f64(DType::I32, op.output_shape(), sums(op, inputs, w, zero_points)).expect("one sum for each output")
}

/// `saturate(round((Σ + b[m]) · x_scale · w_scale[m] / y_scale) + y_zero_point)`, scaled in `f32` as the format has it, ties to even.
pub(crate) fn qlinear_conv(op: &Convolution, inputs: &[Option<&Tensor>]) -> Tensor {
    let scales = |index: usize| input(inputs, index).data::<f32>().expect("the shape rule requires f32");
    let (x_scale, w_scale, y_scale) = (scales(1)[0], scales(4), scales(6)[0]);
    let zero_point = input(inputs, 7).to_f64()[0];
    let bias = optional(inputs, 8).map(Tensor::to_f64);
    let mut values = sums(op, inputs, 3, ZeroPoints { x: 2, w: 5 });
    let (channels, outputs) = (op.groups * op.out_channels, op.place.output_elements());
    for (map, values) in values.chunks_mut(outputs).enumerate() {
        let m = map % channels;
        let factor = x_scale * w_scale[if w_scale.len() == 1 { 0 } else { m }] / y_scale;
        for value in values {
            let sum = *value + bias.as_ref().map_or(0.0, |b| b[m]);
            *value = f64::from((sum as f32 * factor).round_ties_even()) + zero_point;
        }
    }
    Tensor::from_f64(input(inputs, 7).dtype(), op.output_shape(), values).expect("one value for each output")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Conv, ConvInteger, Operator, Padding, QLinearConv};

    fn run(op: &dyn Operator, inputs: &[&Tensor]) -> Tensor {
        let inputs: Vec<_> = inputs.iter().map(|&t| Some(t)).collect();
        op.reference(&inputs, 1).unwrap().remove(0)
    }

    /// The example of the ONNX operator's documentation: 2 … 10 less 1, a 2×2 kernel of ones, with padding and without.
    #[test]
    fn the_published_example() {
        let x = Tensor::new([1, 1, 3, 3], (2..11).collect::<Vec<u8>>()).unwrap();
        let (w, zero) = (Tensor::full([1, 1, 2, 2], 1u8), Tensor::scalar(1u8));
        let valid = run(&ConvInteger::default(), &[&x, &w, &zero]);
        assert_eq!(valid, Tensor::new([1, 1, 2, 2], vec![12, 16, 24, 28]).unwrap());
        let conv = Conv { padding: Padding::symmetric([1, 1]), ..Conv::default() };
        let padded = run(&ConvInteger { conv }, &[&x, &w, &zero]);
        assert_eq!(padded.data::<i32>().unwrap(), [1, 3, 5, 3, 5, 12, 16, 9, 11, 24, 28, 15, 7, 15, 17, 9]);
    }

    /// By hand: two channels of weights, each with its zero point.
    #[test]
    fn weights_have_zero_points_by_channel() {
        let x = Tensor::new([1, 1, 2], vec![200u8, 0]).unwrap();
        let w = Tensor::new([2, 1, 1], vec![-128i8, 127]).unwrap();
        let y = run(&ConvInteger::default(), &[&x, &w, &Tensor::scalar(100u8), &Tensor::vector(vec![127i8, -1])]);
        assert_eq!(y, Tensor::new([1, 2, 2], vec![-25500, 25500, 12800, -12800]).unwrap());
    }

    /// By hand: halves go to the even neighbour before the zero point is added, and results saturate.
    #[test]
    fn halves_go_to_even_and_results_saturate() {
        let x = Tensor::new([1, 1, 6], vec![1i8, 3, 5, -1, 127, -128]).unwrap();
        let one = |v: f32| Tensor::scalar(v);
        let (w, zero) = (Tensor::full([1, 1, 1], 1i8), Tensor::scalar(0i8));
        let y = run(
            &QLinearConv::default(),
            &[&x, &one(0.5), &zero, &w, &one(1.0), &zero, &one(1.0), &Tensor::scalar(3u8), &Tensor::vector(vec![0i32])],
        );
        assert_eq!(y, Tensor::new([1, 1, 6], vec![3u8, 5, 5, 3, 67, 0]).unwrap());
        let y = run(&QLinearConv::default(), &[&x, &one(2.0), &zero, &w, &Tensor::vector(vec![1f32]), &zero, &one(1.0), &zero]);
        assert_eq!(y, Tensor::new([1, 1, 6], vec![2i8, 6, 10, -2, 127, -128]).unwrap());
    }
}
