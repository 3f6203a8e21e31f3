//! Normalizations: batch, layer, instance, group, by root mean square, across channels. Statistics are summed in `f64`, in two passes.

use rayon::prelude::*;

use super::{CHUNK, floats, reduce, scratch};
use crate::graph::TensorType;
use crate::ops::{
    BatchNormalization, GroupNormalization, InstanceNormalization, LayerNormalization, LocalResponseNormalization, RmsNormalization,
};
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
    // An infinite mean has no second part.
    let low = if high.is_finite() { (mean - f64::from(high)) as f32 } else { 0.0 };
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
pub(super) fn layer(op: &LayerNormalization, inputs: &[Option<&Tensor>], types: &[TensorType]) -> Option<Vec<Tensor>> {
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
    // Scales that are not one number for each element of a row are rare.
    if x.is_empty() || scale.len() != row || bias.len() != row {
        return None;
    }
    let mut y = scratch::buffer(x.len());
    let mut known = vec![(0f64, 0f64); x.len() / row];
    let runs = y.par_chunks_exact_mut(row).zip(x.par_chunks_exact(row)).zip(&mut known).with_min_len(CHUNK.div_ceil(row));
    runs.for_each(|((y, x), known)| {
        let (mean, inverse) = statistics(x, op.eps);
        *known = (mean, inverse);
        let high = mean as f32;
        let (low, inverse) = ((mean - f64::from(high)) as f32, inverse as f32);
        for (((y, &x), &scale), &bias) in y.iter_mut().zip(x).zip(scale).zip(bias) {
            *y = ((x - high) - low) * inverse * scale + bias;
        }
    });
    let mut tensors = vec![Tensor::of(shape, y)];
    let statistics: [Vec<f32>; 2] = [known.iter().map(|k| k.0 as f32).collect(), known.iter().map(|k| k.1 as f32).collect()];
    tensors.extend(types.iter().skip(1).zip(statistics).map(|(ty, values)| Tensor::of(&ty.shape, values)));
    Some(tensors)
}

/// Over the axes from `op.axis` on, by the root of their mean square, on `f32`.
pub(super) fn rms(op: &RmsNormalization, inputs: &[Option<&Tensor>]) -> Option<Vec<Tensor>> {
    let (x, scale) = (floats(inputs, 0)?, floats(inputs, 1)?);
    let shape = inputs[0]?.shape();
    let row: usize = shape[resolve_axis(op.axis, shape.rank())?..].iter().product();
    if scale.len() != row {
        return None;
    }
    let y = by_runs(x, row, |_, x, y| {
        let mean_square = reduce::sum_by(x, |x| x * x) / row as f64;
        let inverse = (1.0 / (mean_square + f64::from(op.eps)).sqrt()) as f32;
        y.iter_mut().zip(x).zip(scale).for_each(|((y, &x), &scale)| *y = x * inverse * scale);
    });
    Some(vec![Tensor::of(shape, y)])
}

/// Across neighbouring channels on `f32`: for each channel the sum of squares of a row of every neighbour, then the quotient.
pub(super) fn lrn(op: &LocalResponseNormalization, inputs: &[Option<&Tensor>]) -> Option<Vec<Tensor>> {
    let x = floats(inputs, 0)?;
    let shape = inputs[0]?.shape();
    let (channels, map) = (shape[1], shape[2..].iter().product::<usize>());
    let [before, after] = op.neighbours();
    let factor = op.alpha / op.size as f32;
    let mut y = scratch::buffer(x.len());
    if y.is_empty() {
        return Some(vec![Tensor::of(shape, y)]);
    }
    y.par_chunks_exact_mut(map).enumerate().with_min_len(CHUNK.div_ceil(map * (before + 2 + after).min(channels))).for_each(|(at, y)| {
        let (sample, c) = (at - at % channels, at % channels);
        y.fill(0.0);
        for k in c.saturating_sub(before)..=c.saturating_add(after).min(channels - 1) {
            y.iter_mut().zip(&x[(sample + k) * map..]).for_each(|(y, &x)| *y += x * x);
        }
        for (y, &x) in y.iter_mut().zip(&x[at * map..]) {
            let base = op.bias + factor * *y;
            // The exponent that networks have is 3/4, which two roots are faster than.
            *y = if op.beta == 0.75 { x / (base.sqrt() * base.sqrt().sqrt()) } else { x * base.powf(-op.beta) };
        }
    });
    Some(vec![Tensor::of(shape, y)])
}

/// `f(i, x, y)` for every run of `len` elements, in parallel.
fn by_runs(x: &[f32], len: usize, f: impl Fn(usize, &[f32], &mut [f32]) + Sync) -> Vec<f32> {
    let mut y = scratch::buffer(x.len());
    if !y.is_empty() {
        let runs = y.par_chunks_exact_mut(len).zip(x.par_chunks_exact(len)).enumerate().with_min_len(CHUNK.div_ceil(len));
        runs.for_each(|(at, (y, x))| f(at, x, y));
    }
    y
}
