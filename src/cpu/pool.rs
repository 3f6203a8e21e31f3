//! Pooling: maximum, average and norm over windows or whole maps.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::kernel::widest;
use super::scratch;
use super::window::{PaddedMap, Parts};
use super::{CHUNK, floats, reduce};
use crate::error::OpError;
use crate::ops::{AveragePool, GlobalPool, LpPool, MaxPool, Placement, PoolKind};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// The largest element of each window on `f32`, without indices.
pub(super) fn max_pool(op: &MaxPool, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Option<Vec<Tensor>>, OpError> {
    let Some(x) = floats(inputs, 0).filter(|_| outputs == 1) else { return Ok(None) };
    let shape = inputs[0].expect("it has elements").shape();
    let place = op.window.place(shape)?;
    // Windows of nothing but padding have a value of their own, which the reference knows.
    if (0..3).any(|axis| counts(&place, axis, false).contains(&0)) {
        return Ok(None);
    }
    if !PaddedMap::suits(&place) {
        return Ok(Some(vec![volumes(&place, shape, x, f32::NEG_INFINITY, larger, |_, _| {})]));
    }
    Ok(Some(vec![pool(&place, shape, x, f32::NEG_INFINITY, larger, |_, _| {})]))
}

/// The mean of each window on `f32`.
pub(super) fn average_pool(op: &AveragePool, inputs: &[Option<&Tensor>]) -> Result<Option<Vec<Tensor>>, OpError> {
    let Some(x) = floats(inputs, 0) else { return Ok(None) };
    let shape = inputs[0].expect("it has elements").shape();
    let place = op.window.place(shape)?;
    let [depths, rows, columns] = [0, 1, 2].map(|axis| counts(&place, axis, op.count_include_pad));
    if !PaddedMap::suits(&place) {
        let divide = |[d, h]: [usize; 2], y: &mut [f32]| {
            y.iter_mut().zip(&columns).for_each(|(y, &columns)| *y /= (depths[d] * rows[h] * columns).max(1) as f32);
        };
        return Ok(Some(vec![volumes(&place, shape, x, 0.0, |a, b| a + b, divide)]));
    }
    let divide = |row: usize, y: &mut [f32]| y.iter_mut().zip(&columns).for_each(|(y, &columns)| *y /= (rows[row] * columns).max(1) as f32);
    Ok(Some(vec![pool(&place, shape, x, 0.0, |a, b| a + b, divide)]))
}

/// The p-norm of each window on `f32`.
pub(super) fn lp_pool(op: &LpPool, inputs: &[Option<&Tensor>]) -> Result<Option<Vec<Tensor>>, OpError> {
    let Some(x) = floats(inputs, 0) else { return Ok(None) };
    let shape = inputs[0].expect("it has elements").shape();
    let place = op.window.place(shape)?;
    let tensor = match op.p {
        1 => volumes(&place, shape, x, 0.0, |sum, x| sum + x.abs(), |_, _| {}),
        2 => volumes(&place, shape, x, 0.0, |sum, x| sum + x * x, |_, y| y.iter_mut().for_each(|y| *y = y.sqrt())),
        p => {
            let (power, root) = (p as f32, 1.0 / p as f32);
            volumes(&place, shape, x, 0.0, |sum, x| sum + x.abs().powf(power), |_, y| y.iter_mut().for_each(|y| *y = y.powf(root)))
        }
    };
    Ok(Some(vec![tensor]))
}

/// One number per map on `f32`.
pub(super) fn global_pool(op: &GlobalPool, inputs: &[Option<&Tensor>]) -> Option<Vec<Tensor>> {
    let x = floats(inputs, 0)?;
    let shape = inputs[0]?.shape();
    let map: usize = shape[2..].iter().product();
    let output: Shape = shape.iter().enumerate().map(|(axis, &extent)| if axis < 2 { extent } else { 1 }).collect();
    if x.is_empty() {
        return None;
    }
    let mut y = vec![0f32; output.elements()];
    y.par_iter_mut().with_min_len(CHUNK.div_ceil(map)).zip(x.par_chunks_exact(map)).for_each(|(y, x)| {
        *y = match op.kind {
            PoolKind::Average => (reduce::sum(x) / map as f64) as f32,
            PoolKind::Max => reduce::maximum(x),
        };
    });
    Some(vec![Tensor::of(output, y)])
}

/// Every map of `x` by windows that suit [`PaddedMap`]: `y = f(y, x)` from `start` for all taps, the padding's too, then `finish`
/// with each row of outputs.
fn pool(
    place: &Placement,
    shape: &Shape,
    x: &[f32],
    start: f32,
    f: impl Fn(f32, f32) -> f32 + Copy + Send + Sync,
    finish: impl Fn(usize, &mut [f32]) + Sync,
) -> Tensor {
    let output: Shape = shape[..2].iter().chain(place.output_dims()).copied().collect();
    let (inputs, outputs) = (place.input.iter().product::<usize>(), place.output_elements());
    let mut y = scratch::buffer(output.elements());
    y.par_chunks_exact_mut(outputs).zip(x.par_chunks_exact(inputs)).with_min_len(CHUNK.div_ceil(outputs * place.taps())).for_each_init(
        || PaddedMap::new(place),
        |map, (y, x)| {
            map.load(x, start);
            widest(Windows { parts: map.parts(), start, f });
            map.store(y);
            y.chunks_exact_mut(place.output[2]).enumerate().for_each(|(row, y)| finish(row, y));
        },
    );
    Tensor::of(output, y)
}

/// One output map from one input map.
struct Windows<'a, F> {
    parts: Parts<'a>,
    start: f32,
    f: F,
}

impl<F: Fn(f32, f32) -> f32> WithSimd for Windows<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        /// Results that are kept in registers while all taps go by.
        const RESULTS: usize = 32;
        let Parts { taps, data, results } = self.parts;
        for (block, to) in results.chunks_exact_mut(RESULTS).enumerate() {
            let data = &data[block * RESULTS..];
            let mut results = [self.start; RESULTS];
            for &tap in taps {
                let x: &[f32; RESULTS] = data[tap..][..RESULTS].try_into().expect("as many as asked for");
                for i in 0..RESULTS {
                    results[i] = (self.f)(results[i], x[i]);
                }
            }
            to.copy_from_slice(&results);
        }
    }
}

/// Every map of `x` by any window: `y = f(y, x)` from `start` for the taps on the input, then `finish` with each row of outputs
/// and its place `[d, h]`.
fn volumes(
    place: &Placement,
    shape: &Shape,
    x: &[f32],
    start: f32,
    f: impl Fn(f32, f32) -> f32 + Sync,
    finish: impl Fn([usize; 2], &mut [f32]) + Sync,
) -> Tensor {
    let output: Shape = shape[..2].iter().chain(place.output_dims()).copied().collect();
    let [_, height, width] = place.input;
    let [depths, rows, columns] = place.output;
    // Where a tap falls on an axis, if it falls on the input.
    let at = |axis: usize, o: usize, k: usize| {
        let position = (o * place.stride[axis] + k * place.dilation[axis]).checked_sub(place.before[axis])?;
        (position < place.input[axis]).then_some(position)
    };
    // For each tap of the innermost axis the outputs that it falls on the input for.
    let inside: Vec<_> = (0..place.kernel[2])
        .map(|k| {
            let first = (0..columns).find(|&o| at(2, o, k).is_some()).unwrap_or(columns);
            first..(first..columns).find(|&o| at(2, o, k).is_none()).unwrap_or(columns)
        })
        .collect();
    let mut y = vec![start; output.elements()];
    if y.is_empty() {
        return Tensor::of(output, y);
    }
    y.par_chunks_exact_mut(columns).enumerate().with_min_len(CHUNK.div_ceil(columns * place.taps())).for_each(|(row, y)| {
        let (map, d, h) = (row / (depths * rows), row / rows % depths, row % rows);
        for z in (0..place.kernel[0]).filter_map(|k| at(0, d, k)) {
            for line in (0..place.kernel[1]).filter_map(|k| at(1, h, k)) {
                let x = &x[((map * place.input[0] + z) * height + line) * width..][..width];
                for (k, inside) in inside.iter().enumerate().filter(|(_, inside)| !inside.is_empty()) {
                    let first = inside.start * place.stride[2] + k * place.dilation[2] - place.before[2];
                    let taps = x[first..].iter().step_by(place.stride[2]);
                    y[inside.clone()].iter_mut().zip(taps).for_each(|(y, &x)| *y = f(*y, x));
                }
            }
        }
        finish([d, h], y);
    });
    Tensor::of(output, y)
}

/// The larger of two, NaN if either is.
#[inline(always)]
pub(super) fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

/// For each output position of an axis, how many taps fall on the input, or on it and its padding.
fn counts(place: &Placement, axis: usize, padding: bool) -> Vec<usize> {
    let start = if padding { 0 } else { place.before[axis] };
    let end = place.before[axis] + place.input[axis] + if padding { place.after[axis] } else { 0 };
    let inside = |o: usize, k: usize| (start..end).contains(&(o * place.stride[axis] + k * place.dilation[axis]));
    (0..place.output[axis]).map(|o| (0..place.kernel[axis]).filter(|&k| inside(o, k)).count()).collect()
}
