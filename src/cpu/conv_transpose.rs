//! Transposed convolution: bands of input positions through matrix products, added into the output tap by tap.

use std::ops::Range;

use rayon::prelude::*;

use super::floats;
use super::gemm::{Matrix, Tile};
use super::scratch::Scratch;
use crate::error::OpError;
use crate::ops::ConvTranspose;
use crate::ops::conv::Convolution;
use crate::tensor::Tensor;

/// Elements of a band of columns: as large as a last-level cache holds beside the output.
const BAND: usize = 1 << 20;

/// Input positions that one task multiplies.
const POSITIONS: usize = 512;

/// `y = b + wᵀ ∗ x` on `f32`.
pub(super) fn conv_transpose(op: &ConvTranspose, inputs: &[Option<&Tensor>]) -> Result<Option<Vec<Tensor>>, OpError> {
    let (Some(x), Some(w)) = (floats(inputs, 0), floats(inputs, 1)) else { return Ok(None) };
    let bias = floats(inputs, 2);
    let shape = |index: usize| inputs[index].expect("it has elements").shape();
    let op = op.place(shape(0), shape(1))?;
    let mut y = vec![0f32; op.output_shape().elements()];
    if y.is_empty() {
        return Ok(Some(vec![Tensor::of(op.output_shape(), y)]));
    }
    let outputs = op.place.output_elements();
    let inputs_of_group = op.in_channels * op.place.input.iter().product::<usize>();
    for (map, y) in y.chunks_exact_mut(op.out_channels * outputs).enumerate() {
        let group = map % op.groups;
        for (m, y) in y.chunks_exact_mut(outputs).enumerate() {
            y.fill(bias.map_or(0.0, |b| b[group * op.out_channels + m]));
        }
        let weights = op.in_channels * op.out_channels * op.place.taps();
        transpose_map(&op, &x[map * inputs_of_group..][..inputs_of_group], &w[group * weights..][..weights], y);
    }
    Ok(Some(vec![Tensor::of(op.output_shape(), y)]))
}

/// One image's group: `columns [M · taps, P] = wᵀ [M · taps, C] · x [C, P]` for a band of positions at a time, then each channel adds
/// its own rows, so that no two tasks write the same output.
fn transpose_map(op: &Convolution, x: &[f32], w: &[f32], y: &mut [f32]) {
    let (taps, positions) = (op.place.taps(), op.place.input.iter().product::<usize>());
    let (rows, channels) = (op.out_channels * taps, op.in_channels);
    if channels == 0 || positions == 0 {
        return;
    }
    let w = Matrix::dense(w, [channels, rows]).transposed();
    let x = Matrix::dense(x, [channels, positions]);
    let band = (BAND / rows).max(POSITIONS).min(positions);
    let mut columns = Scratch::take(rows * band);
    for first in (0..positions).step_by(band) {
        let count = band.min(positions - first);
        let columns = &mut columns[..rows * count];
        Tile::new(columns, rows, count).grid(rows, POSITIONS).into_par_iter().for_each(|([_, at], mut tile)| {
            let [_, cols] = tile.extents();
            tile.multiply(w, x.cols(first + at, cols), 1.0, false);
        });
        let outputs = op.place.output_elements();
        y.par_chunks_exact_mut(outputs).zip(columns.par_chunks_exact(taps * count)).for_each(|(y, columns)| {
            for (tap, column) in columns.chunks_exact(count).enumerate() {
                add_tap(op, tap, first, column, y);
            }
        });
    }
}

/// Adds what tap `tap` of the inputs `first …` contributes to one output map.
fn add_tap(op: &Convolution, tap: usize, first: usize, column: &[f32], y: &mut [f32]) {
    let place = &op.place;
    let ([_, kh, kw], [_, height, width], [_, oh, ow]) = (place.kernel, place.input, place.output);
    let k = [tap / (kh * kw), tap / kw % kh, tap % kw];
    let target = |axis: usize, i: usize| {
        (i * place.stride[axis] + k[axis] * place.dilation[axis]).checked_sub(place.before[axis]).filter(|&o| o < place.output[axis])
    };
    let (inside, stride) = (inside(op, 2, k[2]), place.stride[2]);
    let end = first + column.len();
    let mut at = first;
    while at < end {
        let (z, row, x0) = (at / (height * width), at / width % height, at % width);
        let x1 = width.min(x0 + end - at);
        let run = &column[at - first..][..x1 - x0];
        at += x1 - x0;
        let (lo, hi) = (inside.start.clamp(x0, x1), inside.end.clamp(x0, x1));
        let (Some(oz), Some(oy)) = (target(0, z), target(1, row)) else { continue };
        let Some(ox) = target(2, lo).filter(|_| lo < hi) else { continue };
        let y = &mut y[(oz * oh + oy) * ow..][..ow][ox..];
        let run = &run[lo - x0..hi - x0];
        if stride == 1 {
            y.iter_mut().zip(run).for_each(|(y, v)| *y += v);
        } else {
            y.iter_mut().step_by(stride).zip(run).for_each(|(y, v)| *y += v);
        }
    }
}

/// The input positions of an axis whose tap `k` falls on the output.
fn inside(op: &Convolution, axis: usize, k: usize) -> Range<usize> {
    let place = &op.place;
    let (tap, stride) = (k * place.dilation[axis], place.stride[axis]);
    let start = place.before[axis].saturating_sub(tap).div_ceil(stride).min(place.input[axis]);
    let end = (place.before[axis] + place.output[axis]).saturating_sub(tap).div_ceil(stride).clamp(start, place.input[axis]);
    start..end
}
