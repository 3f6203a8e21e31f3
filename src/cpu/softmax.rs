//! Softmax and its logarithm.

use rayon::prelude::*;

use super::activation::exp;
use super::{CHUNK, floats, reduce};
use crate::error::OpError;
use crate::ops::Softmax;
use crate::tensor::Tensor;

/// Columns that are handled together where the axis is not the last.
const COLUMNS: usize = 64;

/// `exp(x) ÷ Σ exp(x)` along one axis, or its logarithm, on `f32`.
pub(super) fn softmax(op: &Softmax, inputs: &[Option<&Tensor>]) -> Result<Option<Vec<Tensor>>, OpError> {
    let Some(x) = floats(inputs, 0) else { return Ok(None) };
    let shape = inputs[0].expect("it has elements").shape();
    let [_, extent, inner] = op.split(shape)?;
    let mut y = x.to_vec();
    if y.is_empty() {
        return Ok(Some(vec![Tensor::of(shape, y)]));
    }
    if inner == 1 {
        y.par_chunks_exact_mut(extent).with_min_len(CHUNK.div_ceil(extent)).for_each(|y| row(y, op.log));
    } else {
        y.par_chunks_exact_mut(extent * inner).with_min_len(CHUNK.div_ceil(extent * inner)).for_each(|y| columns(y, inner, op.log));
    }
    Ok(Some(vec![Tensor::of(shape, y)]))
}

fn row(y: &mut [f32], log: bool) {
    let largest = reduce::maximum(y);
    if log {
        let sum: f64 = y.iter().map(|&y| f64::from(exp(y - largest))).sum();
        let shift = sum.ln() as f32;
        y.iter_mut().for_each(|y| *y = (*y - largest) - shift);
        return;
    }
    y.iter_mut().for_each(|y| *y = exp(*y - largest));
    let factor = (1.0 / reduce::sum(y)) as f32;
    y.iter_mut().for_each(|y| *y *= factor);
}

/// As [`row`], for each column of a matrix with rows of `width`.
fn columns(y: &mut [f32], width: usize, log: bool) {
    for first in (0..width).step_by(COLUMNS) {
        let range = first..width.min(first + COLUMNS);
        let count = range.len();
        let mut largest = [f32::NEG_INFINITY; COLUMNS];
        for y in y.chunks_exact(width) {
            for (largest, &y) in largest.iter_mut().zip(&y[range.clone()]) {
                *largest = super::pool::larger(*largest, y);
            }
        }
        let mut sums = [0f64; COLUMNS];
        for y in y.chunks_exact_mut(width) {
            for ((y, largest), sum) in y[range.clone()].iter_mut().zip(&largest).zip(&mut sums) {
                let e = exp(*y - largest);
                *sum += f64::from(e);
                *y = if log { *y - largest } else { e };
            }
        }
        let finish: Vec<f32> = sums[..count].iter().map(|s| if log { s.ln() } else { 1.0 / s } as f32).collect();
        for y in y.chunks_exact_mut(width) {
            for (y, finish) in y[range.clone()].iter_mut().zip(&finish) {
                *y = if log { *y - finish } else { *y * finish };
            }
        }
    }
}
