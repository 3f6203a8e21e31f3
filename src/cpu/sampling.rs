//! `GridSample` of `f32` maps with two axes.

use rayon::prelude::*;

use crate::error::OpError;
use crate::ops::{GridSample, Interpolation};
use crate::reference::sampling::taps;
use crate::tensor::Tensor;

/// Indices and weights of one position: `count` rows by `count` columns.
struct Position {
    rows: [(Option<usize>, f32); 4],
    columns: [(Option<usize>, f32); 4],
}

/// The output, where the maps have two axes; `None` for others.
pub(super) fn grid_sample(op: &GridSample, inputs: &[Option<&Tensor>]) -> Result<Option<Vec<Tensor>>, OpError> {
    let (Some(x), Some(grid)) = (inputs.first().copied().flatten(), inputs.get(1).copied().flatten()) else { return Ok(None) };
    let (Some(values), Some(at)) = (x.data::<f32>(), grid.data::<f32>()) else { return Ok(None) };
    let sampled = op.sampled(x.shape(), grid.shape())?;
    let &[height, width] = sampled.input.dims() else { return Ok(None) };
    let (plane, positions) = (height * width, sampled.output.elements());
    let mut y = vec![0f32; sampled.batch * sampled.channels * positions];
    if y.is_empty() {
        return Ok(None);
    }
    let count = match op.mode {
        Interpolation::Nearest => 1,
        Interpolation::Linear => 2,
        Interpolation::Cubic => 4,
    };
    let four = |normalized: f32, extent: usize| {
        let mut four = [(None, 0f32); 4];
        taps(op, normalized.into(), extent).iter().zip(&mut four).for_each(|(&(index, weight), to)| *to = (index, weight as f32));
        four
    };
    for (batch, y) in y.chunks_exact_mut(sampled.channels * positions).enumerate() {
        // The positions are those of every channel.
        let at = &at[batch * 2 * positions..][..2 * positions];
        let table: Vec<Position> =
            at.par_chunks_exact(2).map(|at| Position { rows: four(at[1], height), columns: four(at[0], width) }).collect();
        let maps = &values[batch * sampled.channels * plane..][..sampled.channels * plane];
        y.par_chunks_exact_mut(positions).zip(maps.par_chunks_exact(plane)).for_each(|(y, map)| {
            for (y, at) in y.iter_mut().zip(&table) {
                let mut sum = 0.0;
                for &(row, weight) in &at.rows[..count] {
                    let Some(row) = row else { continue };
                    let line = &map[row * width..][..width];
                    let part: f32 = at.columns[..count].iter().filter_map(|&(column, weight)| Some(weight * line[column?])).sum();
                    sum += weight * part;
                }
                *y = sum;
            }
        });
    }
    Ok(Some(vec![Tensor::of([&[sampled.batch, sampled.channels], sampled.output.dims()].concat(), y)]))
}
