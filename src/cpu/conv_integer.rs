//! Convolution of eight-bit integers: by the kernels of `f32` where every sum is an integer that `f32` holds, else in `i32`.

use rayon::prelude::*;

use super::CHUNK;
use super::conv::{Weight, convolve};
use crate::error::OpError;
use crate::ops::conv::{Convolution, Quantized};
use crate::ops::{ConvInteger, QLinearConv};
use crate::tensor::Tensor;

/// Every integer up to this magnitude is an `f32`.
const EXACT: i64 = 1 << 24;

/// The sums in `i32`.
pub(super) fn conv_integer(op: &ConvInteger, inputs: &[Option<&Tensor>]) -> Result<Option<Vec<Tensor>>, OpError> {
    let Some((convolution, sums)) = sums(op, inputs)? else { return Ok(None) };
    let values = match sums {
        Sums::Floats(sums) => map(&sums, |sum| sum as i32),
        Sums::Integers(sums) => sums,
    };
    Ok(Some(vec![Tensor::of(convolution.output_shape(), values)]))
}

/// The sums, scaled and rounded.
pub(super) fn qlinear_conv(op: &QLinearConv, inputs: &[Option<&Tensor>]) -> Result<Option<Vec<Tensor>>, OpError> {
    let scales = |index: usize| inputs[index].and_then(|t| t.data::<f32>());
    let (Some(x_scale), Some(w_scale), Some(y_scale), Some(zero_point)) = (scales(1), scales(4), scales(6), inputs[7]) else {
        return Ok(None);
    };
    let Some((convolution, sums)) = sums(op, inputs)? else { return Ok(None) };
    let bias = inputs.get(8).copied().flatten().and_then(|b| b.data::<i32>());
    let channels = convolution.groups * convolution.out_channels;
    let channel = |map: usize| {
        let m = map % channels;
        let factor = x_scale[0] * w_scale[if w_scale.len() == 1 { 0 } else { m }] / y_scale[0];
        (factor, bias.map_or(0, |b| b[m]))
    };
    let integers = match sums {
        Sums::Floats(sums) => map(&sums, |sum| sum as i32),
        Sums::Integers(sums) => sums,
    };
    let (outputs, shape) = (convolution.place.output_elements(), convolution.output_shape());
    if let Some(&[zero_point]) = zero_point.data::<u8>() {
        let round = |scaled: f32| (scaled + f32::from(zero_point)) as u8;
        return Ok(Some(vec![Tensor::of(shape, requantize(&integers, outputs, channel, round))]));
    }
    let Some(&[zero_point]) = zero_point.data::<i8>() else { return Ok(None) };
    let round = |scaled: f32| (scaled + f32::from(zero_point)) as i8;
    Ok(Some(vec![Tensor::of(shape, requantize(&integers, outputs, channel, round))]))
}

/// `round(round_ties_even((sum + bias) · factor))`, factor and bias those of the output map.
fn requantize<T: Copy + Default + Send + Sync>(
    sums: &[i32],
    outputs: usize,
    channel: impl Fn(usize) -> (f32, i32) + Sync,
    round: impl Fn(f32) -> T + Sync,
) -> Vec<T> {
    let mut y = vec![T::default(); sums.len()];
    let maps = y.par_chunks_mut(outputs).zip(sums.par_chunks(outputs)).enumerate();
    maps.with_min_len(CHUNK.div_ceil(outputs)).for_each(|(map, (y, sums))| {
        let (factor, bias) = channel(map);
        for (y, &sum) in y.iter_mut().zip(sums) {
            *y = round((sum.wrapping_add(bias) as f32 * factor).round_ties_even());
        }
    });
    y
}

fn map<A: Copy + Sync, B: Copy + Default + Send>(from: &[A], f: impl Fn(A) -> B + Sync) -> Vec<B> {
    let mut to = vec![B::default(); from.len()];
    to.par_chunks_mut(CHUNK).zip(from.par_chunks(CHUNK)).for_each(|(to, from)| {
        to.iter_mut().zip(from).for_each(|(to, &from)| *to = f(from));
    });
    to
}

enum Sums {
    /// Integers that are all exact.
    Floats(Vec<f32>),
    Integers(Vec<i32>),
}

/// `Σ (w − w_zero_point) · (x − x_zero_point)` of every output.
fn sums<Q: Quantized>(op: &Q, inputs: &[Option<&Tensor>]) -> Result<Option<(Convolution, Sums)>, OpError> {
    let input = |index: usize| inputs.get(index).copied().flatten();
    let (Some(x), Some(w)) = (input(0), input(Q::W)) else { return Ok(None) };
    let convolution = op.conv().place(x.shape(), w.shape())?;
    let per_channel = convolution.in_channels * convolution.place.taps();
    let (Some(x), Some(w)) = (shifted(x, input(Q::ZERO_POINTS.x)), shifted(w, input(Q::ZERO_POINTS.w))) else { return Ok(None) };
    let largest = x.iter().map(|v| i64::from(v.unsigned_abs())).max().unwrap_or(0);
    let weights = |row: &[i16]| row.iter().map(|v| i64::from(v.unsigned_abs())).sum::<i64>();
    let heaviest = w.chunks(per_channel.max(1)).map(weights).max().unwrap_or(0);
    let sums = if largest * heaviest < EXACT {
        let mut y = vec![0f32; convolution.output_shape().elements()];
        convolve(&convolution, &map(&x, f32::from), Weight::new(&map(&w, f32::from)), None, &|_, _| (), &mut y);
        Sums::Floats(y)
    } else {
        Sums::Integers(direct(&convolution, &x, &w))
    };
    Ok(Some((convolution, sums)))
}

/// `tensor − zero_point`, the zero point one number or one for each slice of the first axis.
fn shifted(tensor: &Tensor, zero_point: Option<&Tensor>) -> Option<Vec<i16>> {
    let widen = |tensor: &Tensor| match (tensor.data::<u8>(), tensor.data::<i8>()) {
        (Some(bytes), _) => Some(map(bytes, i16::from)),
        (_, Some(bytes)) => Some(map(bytes, i16::from)),
        _ => None,
    };
    let mut values = widen(tensor)?;
    let zero_points = zero_point.map_or(Some(vec![0]), widen)?;
    let per_zero_point = (values.len() / zero_points.len().max(1)).max(1);
    values
        .par_chunks_mut(per_zero_point)
        .zip(&zero_points)
        .for_each(|(values, zero_point)| values.iter_mut().for_each(|v| *v -= zero_point));
    Some(values)
}

/// The sums in `i32`, an output map a task, a tap of an input map at a time.
fn direct(op: &Convolution, x: &[i16], w: &[i16]) -> Vec<i32> {
    let place = &op.place;
    let ([_, kh, kw], [_, height, width], [_, oh, ow]) = (place.kernel, place.input, place.output);
    let (taps, map, outputs) = (place.taps(), place.input.iter().product::<usize>(), place.output_elements());
    let source = |axis: usize, o: usize, k: usize| {
        (o * place.stride[axis] + k * place.dilation[axis]).checked_sub(place.before[axis]).filter(|&i| i < place.input[axis])
    };
    let mut y = vec![0i32; op.output_shape().elements()];
    if y.is_empty() {
        return y;
    }
    y.par_chunks_mut(outputs).enumerate().for_each(|(at, y)| {
        let m = at % (op.groups * op.out_channels);
        let x = &x[at / op.out_channels * op.in_channels * map..][..op.in_channels * map];
        for (c, x) in x.chunks_exact(map).enumerate() {
            for tap in 0..taps {
                let weight = i32::from(w[(m * op.in_channels + c) * taps + tap]);
                let k = [tap / (kh * kw), tap / kw % kh, tap % kw];
                for (row, y) in y.chunks_exact_mut(ow).enumerate() {
                    let (Some(iz), Some(iy)) = (source(0, row / oh, k[0]), source(1, row % oh, k[1])) else { continue };
                    let x = &x[(iz * height + iy) * width..][..width];
                    for (column, y) in y.iter_mut().enumerate() {
                        if let Some(ix) = source(2, column, k[2]) {
                            *y = y.wrapping_add(weight * i32::from(x[ix]));
                        }
                    }
                }
            }
        }
    });
    y
}
