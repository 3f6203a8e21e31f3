//! Normalizations: batch, layer, instance, group. Statistics are summed in `f64`, in two passes.

use rayon::prelude::*;

use super::{CHUNK, floats, reduce};
use crate::ops::{BatchNormalization, GroupNormalization, InstanceNormalization, LayerNormalization};
use crate::shape::resolve_axis;
use crate::tensor::Tensor;

/// Mean, and the inverse of the standard deviation with `eps` added to the variance.
fn statistics(x: &[f32], eps: f32) -> (f64, f64) {
    let count = x.len() as f64;
    let mean = reduce::sum(x) / count;
    let variance = reduce::sum_by(x, |x| (x - mean) * (x - mean)) / count;
    (mean, 1.0 / (variance + f64::from(eps)).sqrt())
}

/// `(x − mean) · factor + bias`; the mean in two parts, because a rounded one would show where it is large.
#[inline(always)]
fn normalize(x: &[f32], y: &mut [f32], mean: f64, factor: f32, bias: f32) {
    let high = mean as f32;
    let low = (mean - f64::from(high)) as f32;
    for (y, &x) in y.iter_mut().zip(x) {
        *y = ((x - high) - low) * factor + bias;
    }
}

/// `scale · (x − mean) ÷ √(var + eps) + bias` per channel on `f32`, outside training.
pub(super) fn batch(op: &BatchNormalization, inputs: &[Option<&Tensor>], outputs: usize) -> Option<Vec<Tensor>> {
    let x = floats(inputs, 0)?;
    let shape = inputs[0]?.shape();
    let [scale, bias, mean, var] = [floats(inputs, 1)?, floats(inputs, 2)?, floats(inputs, 3)?, floats(inputs, 4)?];
    if op.training || outputs != 1 || shape.rank() < 2 {
        return None;
    }
    let map: usize = shape[2..].iter().product();
    let y = by_runs(x, map, |at, x, y| {
        let c = at % shape[1];
        let factor = f64::from(scale[c]) / (f64::from(var[c]) + f64::from(op.eps)).sqrt();
        normalize(x, y, mean[c].into(), factor as f32, bias[c]);
    });
    Some(vec![Tensor::of(shape, y)])
}

/// Each map by its own statistics on `f32`.
pub(super) fn instance(op: &InstanceNormalization, inputs: &[Option<&Tensor>]) -> Option<Vec<Tensor>> {
    let channels = *inputs[0]?.shape().get(1)?;
    grouped(inputs, channels, op.eps)
}

/// Each group of channels by its own statistics on `f32`.
pub(super) fn group(op: &GroupNormalization, inputs: &[Option<&Tensor>]) -> Option<Vec<Tensor>> {
    grouped(inputs, op.groups, op.eps)
}

fn grouped(inputs: &[Option<&Tensor>], groups: usize, eps: f32) -> Option<Vec<Tensor>> {
    let [x, scale, bias] = [floats(inputs, 0)?, floats(inputs, 1)?, floats(inputs, 2)?];
    let shape = inputs[0]?.shape();
    if x.is_empty() {
        return Some(vec![Tensor::of(shape, vec![0f32; 0])]);
    }
    let (channels, map) = (shape[1] / groups, shape[2..].iter().product::<usize>());
    let channels_per_scale = shape[1] / scale.len();
    let y = by_runs(x, channels * map, |at, x, y| {
        let (mean, inverse) = statistics(x, eps);
        let first = at % groups * channels;
        for (c, (x, y)) in (first..).zip(x.chunks_exact(map).zip(y.chunks_exact_mut(map))) {
            let s = c / channels_per_scale;
            normalize(x, y, mean, (f64::from(scale[s]) * inverse) as f32, bias[s]);
        }
    });
    Some(vec![Tensor::of(shape, y)])
}

/// Over the axes from `op.axis` on, by their own statistics, on `f32`.
pub(super) fn layer(op: &LayerNormalization, inputs: &[Option<&Tensor>], outputs: usize) -> Option<Vec<Tensor>> {
    let (x, scale) = (floats(inputs, 0)?, floats(inputs, 1)?);
    let shape = inputs[0]?.shape();
    let axis = resolve_axis(op.axis, shape.rank())?;
    let row: usize = shape[axis..].iter().product();
    let zeros;
    let bias = match inputs.get(2).copied().flatten() {
        Some(bias) => bias.data::<f32>()?,
        None => {
            zeros = vec![0f32; row];
            &zeros
        }
    };
    // Scales that are not one number for each element of a row, and statistics as outputs, are rare.
    if outputs != 1 || scale.len() != row || bias.len() != row {
        return None;
    }
    let y = by_runs(x, row, |_, x, y| {
        let (mean, inverse) = statistics(x, op.eps);
        let high = mean as f32;
        let (low, inverse) = ((mean - f64::from(high)) as f32, inverse as f32);
        for (((y, &x), &scale), &bias) in y.iter_mut().zip(x).zip(scale).zip(bias) {
            *y = ((x - high) - low) * inverse * scale + bias;
        }
    });
    Some(vec![Tensor::of(shape, y)])
}

/// `f(i, x, y)` for every run of `len` elements, in parallel.
fn by_runs(x: &[f32], len: usize, f: impl Fn(usize, &[f32], &mut [f32]) + Sync) -> Vec<f32> {
    let mut y = vec![0f32; x.len()];
    if !y.is_empty() {
        let runs = y.par_chunks_exact_mut(len).zip(x.par_chunks_exact(len)).enumerate().with_min_len(CHUNK.div_ceil(len));
        runs.for_each(|(at, (y, x))| f(at, x, y));
    }
    y
}
