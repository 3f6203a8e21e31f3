//! Real numbers as small integers.

use super::rounded;
use crate::ops::quantize::{Granularity, range};
use crate::tensor::{DType, Tensor};

/// A number as a value of another type.
fn as_dtype(dtype: DType, values: Vec<f64>) -> Vec<f64> {
    let len = values.len();
    Tensor::from_f64(dtype, [len], values).map(|t| t.to_f64()).unwrap_or_default()
}

/// `y[i] = saturate(round(x[i] ÷ scale[j]) + zero_point[j])`, divided in `precision`; NaN gives the zero point.
pub(crate) fn quantize(
    x: &Tensor,
    (scale, zero_point): (&Tensor, Option<&Tensor>),
    granularity: Granularity,
    precision: DType,
    output: DType,
) -> Tensor {
    let (values, scales) = (as_dtype(precision, x.to_f64()), as_dtype(precision, scale.to_f64()));
    let zeros = zero_point.map_or(vec![0.0; scales.len()], Tensor::to_f64);
    let at = |i| granularity.scale_of(i);
    // A quotient in f64 rounded to a type of half its width is the quotient in that type.
    let quotients = as_dtype(precision, values.iter().enumerate().map(|(i, x)| x / scales[at(i)]).collect());
    let (low, high) = range(output);
    let round = |q: f64| if q.is_nan() { 0.0 } else { q.round_ties_even() };
    let integers = quotients.into_iter().enumerate().map(|(i, q)| (round(q) + zeros[at(i)]).clamp(low, high)).collect();
    Tensor::from_f64(output, x.shape(), integers).expect("one value an element")
}

/// `y[i] = (x[i] − zero_point[j]) · scale[j]`
pub(crate) fn dequantize(x: &Tensor, (scale, zero_point): (&Tensor, Option<&Tensor>), granularity: Granularity, output: DType) -> Tensor {
    let scales = scale.to_f64();
    let zeros = zero_point.map_or(vec![0.0; scales.len()], Tensor::to_f64);
    let real = |(i, q): (usize, f64)| {
        let at = granularity.scale_of(i);
        (q - zeros[at]) * scales[at]
    };
    Tensor::from_f64(output, x.shape(), x.to_f64().into_iter().enumerate().map(real).collect()).expect("one value an element")
}

/// `u8`, the scale and the zero point that the range of `x`, 0 included, asks for; every step in `f32`, since ties depend on it.
pub(crate) fn dynamic(x: &Tensor) -> Vec<Tensor> {
    let values = x.to_f64();
    let largest = |start: f64, sign: f64| values.iter().fold(start, |m, &v| if sign * v > m || v.is_nan() { sign * v } else { m });
    let (above, below) = (largest(0.0, 1.0) as f32, largest(0.0, -1.0) as f32);
    let scale = (above + below) / 255.0;
    let zero_point = (below / scale).clamp(0.0, 255.0).round_ties_even() as u8;
    let (scale, zero_point) = (Tensor::scalar(scale), Tensor::scalar(zero_point));
    let whole = Granularity { inner: values.len().max(1), extent: 1, block: 1, strides: [0; 3] };
    let y = quantize(x, (&scale, Some(&zero_point)), whole, DType::F32, DType::U8);
    vec![y, rounded(&scale, [], scale.to_f64()), zero_point]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Shape;

    fn whole(elements: usize) -> Granularity {
        Granularity::new(&Shape::from([elements]), &Shape::scalar(), 1, 0).unwrap()
    }

    #[test]
    fn quotients_round_to_even_and_saturate() {
        let x = Tensor::vector(vec![0f32, 2.0, 3.0, 1000.0, -254.0, -1000.0, 1.0, f32::NAN]);
        let scale = Tensor::scalar(2f32);
        let u8s = quantize(&x, (&scale, Some(&Tensor::scalar(128u8))), whole(8), DType::F32, DType::U8);
        assert_eq!(u8s, Tensor::vector(vec![128u8, 129, 130, 255, 1, 0, 128, 128]));
        let i8s = quantize(&x, (&scale, None), whole(8), DType::F32, DType::I8);
        assert_eq!(i8s, Tensor::vector(vec![0i8, 1, 2, 127, -127, -128, 0, 0]));
    }

    #[test]
    fn integers_become_numbers_again() {
        let x = Tensor::vector(vec![0u8, 3, 128, 255]);
        let y = dequantize(&x, (&Tensor::scalar(2f32), Some(&Tensor::scalar(128u8))), whole(4), DType::F32);
        assert_eq!(y, Tensor::vector(vec![-256f32, -250.0, 0.0, 254.0]));
    }

    #[test]
    fn scales_go_along_an_axis_and_in_blocks() {
        let x = Tensor::new([2, 3], vec![1i8, 2, 3, 4, 5, 6]).unwrap();
        let columns = Tensor::vector(vec![1f32, 10.0, 100.0]);
        let along = Granularity::new(x.shape(), columns.shape(), -1, 0).unwrap();
        assert_eq!(dequantize(&x, (&columns, None), along, DType::F32).data::<f32>().unwrap(), [1.0, 20.0, 300.0, 4.0, 50.0, 600.0]);
        let blocks = Tensor::new([2, 2], vec![1f32, 10.0, 100.0, 1000.0]).unwrap();
        let blocked = Granularity::new(x.shape(), blocks.shape(), 1, 2).unwrap();
        assert_eq!(dequantize(&x, (&blocks, None), blocked, DType::F32).data::<f32>().unwrap(), [1.0, 2.0, 30.0, 400.0, 500.0, 6000.0]);
        let rows = Tensor::new([1, 3], vec![1f32, 10.0, 100.0]).unwrap();
        let tall = Granularity::new(x.shape(), rows.shape(), 0, 2).unwrap();
        assert_eq!(dequantize(&x, (&rows, None), tall, DType::F32).data::<f32>().unwrap(), [1.0, 20.0, 300.0, 4.0, 50.0, 600.0]);
    }

    #[test]
    fn the_range_gives_scale_and_zero_point() {
        // The specification's example.
        let x = Tensor::vector(vec![0f32, 2.0, -3.0, -2.5, 1.34, 0.5]);
        let y = dynamic(&x);
        assert_eq!(y[0], Tensor::vector(vec![153u8, 255, 0, 26, 221, 179]));
        assert_eq!((&y[1], &y[2]), (&Tensor::scalar(5f32 / 255.0), &Tensor::scalar(153u8)));
        let zeros = dynamic(&Tensor::vector(vec![0f32; 3]));
        assert_eq!((&zeros[0], &zeros[2]), (&Tensor::vector(vec![0u8; 3]), &Tensor::scalar(0u8)));
    }
}
