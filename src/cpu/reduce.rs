//! Reductions over axes. Sums are in `f64`.

use rayon::prelude::*;

use super::activation::exp;
use super::pool::larger;
use super::{CHUNK, floats, movement};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::reduce::reduced_axes;
use crate::ops::{Reduce, ReduceFunction};
use crate::tensor::Tensor;

/// The sum of all elements.
pub(super) fn sum(x: &[f32]) -> f64 {
    sum_by(x, |x| x)
}

/// The sum of `f` of all elements, in eight partial sums.
#[inline(always)]
pub(super) fn sum_by(x: &[f32], f: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0f64; 8];
    let blocks = x.chunks_exact(8);
    let tail: f64 = blocks.remainder().iter().map(|&x| f(x.into())).sum();
    for block in blocks {
        for (sum, &x) in sums.iter_mut().zip(block) {
            *sum += f(x.into());
        }
    }
    sums.iter().sum::<f64>() + tail
}

/// The largest element, NaN if any is.
pub(super) fn maximum(x: &[f32]) -> f32 {
    let mut best = [f32::NEG_INFINITY; 16];
    let blocks = x.chunks_exact(16);
    let tail = blocks.remainder().iter().copied().fold(f32::NEG_INFINITY, larger);
    for block in blocks {
        for (best, &x) in best.iter_mut().zip(block) {
            *best = larger(*best, x);
        }
    }
    best.iter().copied().fold(tail, larger)
}

/// A reduction over axes on `f32`.
pub(super) fn reduce(op: &Reduce, inputs: &[Option<&Tensor>], types: &[TensorType]) -> Result<Option<Vec<Tensor>>, OpError> {
    let Some(x) = floats(inputs, 0) else { return Ok(None) };
    let shape = inputs[0].expect("it has elements").shape();
    let axes = inputs.get(1).copied().flatten().and_then(Tensor::to_i64);
    let reduced = reduced_axes(op, shape.rank(), axes.as_deref())?;
    let (gone, kept): (Vec<usize>, Vec<usize>) = (0..shape.rank()).partition(|&axis| reduced[axis]);
    let extent = |axes: &[usize]| axes.iter().map(|&axis| shape[axis]).product::<usize>();
    let count = extent(&gone);
    if x.is_empty() || gone.is_empty() {
        return Ok(None);
    }
    let neighbours = gone.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    let mut y = vec![0f32; extent(&kept)];
    let inner = shape[gone[gone.len() - 1] + 1..].iter().product::<usize>();
    if neighbours && inner > 1 {
        y.par_chunks_exact_mut(inner).zip(x.par_chunks_exact(count * inner)).for_each(|(y, x)| columns(op.function, x, y));
    } else if neighbours {
        rows(op.function, x, &mut y);
    } else {
        // The reduced axes go last.
        let own = shape.strides();
        let order: Vec<usize> = kept.iter().chain(&gone).copied().collect();
        let extents: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
        let moved = movement::copy_strided(x, 0, &extents, order.iter().map(|&axis| own[axis] as i64).collect());
        rows(op.function, &moved, &mut y);
    }
    Ok(Some(vec![Tensor::of(&types[0].shape, y)]))
}

/// `y[i] =` the reduction of row `i`
fn rows(function: ReduceFunction, x: &[f32], y: &mut [f32]) {
    let count = x.len() / y.len();
    y.par_iter_mut().with_min_len(CHUNK.div_ceil(count)).zip(x.par_chunks_exact(count)).for_each(|(y, x)| *y = row(function, x));
}

fn row(function: ReduceFunction, x: &[f32]) -> f32 {
    let total = match function {
        ReduceFunction::Max => return maximum(x),
        ReduceFunction::Min => return x.iter().copied().fold(f32::INFINITY, smaller),
        ReduceFunction::LogSumExp => {
            let largest = maximum(x);
            if !largest.is_finite() {
                return largest;
            }
            return (f64::from(largest) + x.iter().map(|&x| f64::from(exp(x - largest))).sum::<f64>().ln()) as f32;
        }
        ReduceFunction::Prod => x.iter().map(|&x| f64::from(x)).product(),
        ReduceFunction::L1 => sum_by(x, f64::abs),
        ReduceFunction::L2 | ReduceFunction::SumSquare => sum_by(x, |x| x * x),
        ReduceFunction::Sum | ReduceFunction::Mean | ReduceFunction::LogSum => sum(x),
    };
    finish(function, total, x.len())
}

/// What a reduction of `count` elements makes of their sum.
fn finish(function: ReduceFunction, total: f64, count: usize) -> f32 {
    let result = match function {
        ReduceFunction::Mean => total / count as f64,
        ReduceFunction::L2 => total.sqrt(),
        ReduceFunction::LogSum => total.ln(),
        _ => total,
    };
    result as f32
}

/// The smaller of two, NaN if either is.
#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b || a.is_nan() { a } else { b }
}

/// `y[j] =` the reduction of column `j`, in parallel over blocks of columns
fn columns(function: ReduceFunction, x: &[f32], y: &mut [f32]) {
    const COLUMNS: usize = 256;
    let (width, count) = (y.len(), x.len() / y.len());
    let blocks_per_task = CHUNK.div_ceil(count * COLUMNS);
    y.par_chunks_mut(COLUMNS).enumerate().with_min_len(blocks_per_task).for_each(|(block, y)| {
        let len = y.len();
        let rows = || x.chunks_exact(width).map(|row| &row[block * COLUMNS..][..len]);
        let mut totals = [0f64; COLUMNS];
        let mut add = |f: fn(f64, f64) -> f64| rows().for_each(|row| totals.iter_mut().zip(row).for_each(|(t, &x)| *t = f(*t, x.into())));
        match function {
            ReduceFunction::Max | ReduceFunction::LogSumExp => {
                y.fill(f32::NEG_INFINITY);
                rows().for_each(|row| y.iter_mut().zip(row).for_each(|(y, &x)| *y = larger(*y, x)));
            }
            ReduceFunction::Min => {
                y.fill(f32::INFINITY);
                rows().for_each(|row| y.iter_mut().zip(row).for_each(|(y, &x)| *y = smaller(*y, x)));
            }
            ReduceFunction::Prod => {
                totals.fill(1.0);
                rows().for_each(|row| totals.iter_mut().zip(row).for_each(|(t, &x)| *t *= f64::from(x)));
            }
            ReduceFunction::L1 => add(|t, x| t + x.abs()),
            ReduceFunction::L2 | ReduceFunction::SumSquare => add(|t, x| t + x * x),
            ReduceFunction::Sum | ReduceFunction::Mean | ReduceFunction::LogSum => add(|t, x| t + x),
        }
        match function {
            ReduceFunction::Max | ReduceFunction::Min => {}
            ReduceFunction::LogSumExp => {
                rows().for_each(|row| totals.iter_mut().zip(row).zip(&*y).for_each(|((t, &x), &y)| *t += f64::from(exp(x - y))));
                let finite = y.iter_mut().zip(totals).filter(|(y, _)| y.is_finite());
                finite.for_each(|(y, total)| *y = (f64::from(*y) + total.ln()) as f32);
            }
            _ => y.iter_mut().zip(totals).for_each(|(y, total)| *y = finish(function, total, count)),
        }
    });
}
