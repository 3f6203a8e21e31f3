//! Pooling: maximum and average over windows or whole maps.

use rayon::prelude::*;

use super::window::PaddedMap;
use super::{CHUNK, floats, reduce};
use crate::error::OpError;
use crate::ops::{AveragePool, GlobalPool, MaxPool, Placement, PoolKind};
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
    Ok(pool(&place, shape, x, f32::NEG_INFINITY, |map, row, y| {
        y.fill(f32::NEG_INFINITY);
        for_each_tap(map, &place, row, y, larger);
    }))
}

/// The mean of each window on `f32`.
pub(super) fn average_pool(op: &AveragePool, inputs: &[Option<&Tensor>]) -> Result<Option<Vec<Tensor>>, OpError> {
    let Some(x) = floats(inputs, 0) else { return Ok(None) };
    let shape = inputs[0].expect("it has elements").shape();
    let place = op.window.place(shape)?;
    let [rows, columns] = [1, 2].map(|axis| counts(&place, axis, op.count_include_pad));
    Ok(pool(&place, shape, x, 0.0, |map, row, y| {
        y.fill(0.0);
        for_each_tap(map, &place, row, y, |a, b| a + b);
        for (y, &columns) in y.iter_mut().zip(&columns) {
            *y /= (rows[row] * columns).max(1) as f32;
        }
    }))
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

/// Every map of `x` through `row`, which fills one output row from a map padded with `fill`; `None` where [`PaddedMap`] does not suit.
fn pool(place: &Placement, shape: &Shape, x: &[f32], fill: f32, row: impl Fn(&PaddedMap, usize, &mut [f32]) + Sync) -> Option<Vec<Tensor>> {
    PaddedMap::new(place)?;
    let output: Shape = shape[..2].iter().chain(place.output_dims()).copied().collect();
    let (inputs, outputs) = (place.input.iter().product::<usize>(), place.output_elements());
    let mut y = vec![0f32; output.elements()];
    y.par_chunks_exact_mut(outputs).zip(x.par_chunks_exact(inputs)).with_min_len(CHUNK.div_ceil(outputs * place.taps())).for_each_init(
        || PaddedMap::new(place).expect("checked above"),
        |map, (y, x)| {
            map.load(x, fill);
            for (at, y) in y.chunks_exact_mut(place.output[2]).enumerate() {
                row(map, at, y);
            }
        },
    );
    Some(vec![Tensor::of(output, y)])
}

/// `y = f(y, x)` for every tap of an output row.
fn for_each_tap(map: &PaddedMap, place: &Placement, row: usize, y: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    let [_, kh, kw] = place.kernel;
    for ky in 0..kh {
        for kx in 0..kw {
            for (y, &x) in y.iter_mut().zip(map.tap(row, ky, kx)) {
                *y = f(*y, x);
            }
        }
    }
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
