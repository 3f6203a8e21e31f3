//! Where along an axis the largest or the smallest element is.

use rayon::prelude::*;

use super::{CHUNK, floats};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::ArgReduce;
use crate::ops::reduce::along_axis;
use crate::tensor::Tensor;

/// Columns that are handled together where the axis is not the last.
const COLUMNS: usize = 256;

/// The index of the largest or smallest element along one axis of `f32`.
pub(super) fn arg_reduce(op: &ArgReduce, inputs: &[Option<&Tensor>], types: &[TensorType]) -> Result<Option<Vec<Tensor>>, OpError> {
    let Some(x) = floats(inputs, 0) else { return Ok(None) };
    let [_, columns, inner] = along_axis(op.axis, inputs[0].expect("it has elements").shape())?;
    let shape = &types[0].shape;
    let mut y = vec![0i64; shape.elements()];
    if y.is_empty() {
        return Ok(Some(vec![Tensor::of(shape, y)]));
    }
    let tasks = CHUNK.div_ceil(columns * inner);
    y.par_chunks_exact_mut(inner).zip(x.par_chunks_exact(columns * inner)).with_min_len(tasks).for_each(|(y, x)| match op.largest {
        true => planes(x, y, op.select_last_index, |a, b| a > b),
        false => planes(x, y, op.select_last_index, |a, b| a < b),
    });
    Ok(Some(vec![Tensor::of(shape, y)]))
}

/// `y[j] =` the row of `x` whose element `j` is best; `better` orders numbers, a NaN beats them all.
fn planes(x: &[f32], y: &mut [i64], last: bool, better: impl Fn(f32, f32) -> bool + Sync) {
    let width = y.len();
    y.par_chunks_mut(COLUMNS).enumerate().with_min_len(CHUNK.div_ceil(x.len() / width * COLUMNS)).for_each(|(block, y)| {
        let len = y.len();
        let mut rows = x.chunks_exact(width).map(|row| &row[block * COLUMNS..][..len]);
        let mut best = [0f32; COLUMNS];
        let best = &mut best[..len];
        y.fill(0);
        best.copy_from_slice(rows.next().expect("axes with outputs have elements"));
        for (row, at) in rows.zip(1..) {
            for ((best, y), &x) in best.iter_mut().zip(y.iter_mut()).zip(row) {
                let equal = x == *best || (x.is_nan() && best.is_nan());
                if (equal && last) || better(x, *best) && !best.is_nan() || x.is_nan() && !best.is_nan() {
                    (*best, *y) = (x, at);
                }
            }
        }
    });
}
