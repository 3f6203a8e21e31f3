//! Convolution as matrix products over panels of output positions.

use std::ops::Range;

use rayon::prelude::*;

use super::depthwise::depthwise;
use super::gemm::{Matrix, Tile};
use super::scratch::Scratch;
use super::window::copy_every;
use super::{CHUNK, floats};
use crate::error::OpError;
use crate::ops::Conv;
use crate::ops::conv::Convolution;
use crate::tensor::Tensor;

/// Elements of an im2col panel: with the output tile and the packed weight it stays in a 1 MiB second-level cache.
const PANEL: usize = 1 << 17;

/// Output positions of a panel are at least so many, so that the weight, which every panel reads, is worth packing …
const MIN_POSITIONS: usize = 192;

/// … and at most so many, so that maps give several panels.
const MAX_POSITIONS: usize = 1536;

/// Fewer panels than this are cut by output channels as well.
const MIN_TILES: usize = 16;

/// Output channels of a tile are at least so many, so that the panel, which every tile reads, is worth packing.
const MIN_CHANNELS: usize = 64;

/// `y = b + w ∗ x` on `f32`.
pub(super) fn conv(op: &Conv, inputs: &[Option<&Tensor>]) -> Result<Option<Vec<Tensor>>, OpError> {
    let (Some(x), Some(w)) = (floats(inputs, 0), floats(inputs, 1)) else { return Ok(None) };
    let bias = floats(inputs, 2);
    let shape = |index: usize| inputs[index].expect("it has elements").shape();
    let op = op.place(shape(0), shape(1))?;
    let mut y = vec![0f32; op.output_shape().elements()];
    convolve(&op, x, w, bias, &mut y);
    Ok(Some(vec![Tensor::of(op.output_shape(), y)]))
}

/// Fills `y [N, M, …]`.
pub(super) fn convolve(op: &Convolution, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    if !y.is_empty() && !depthwise(op, x, w, bias, y) {
        products(op, x, w, bias, y);
    }
}

/// For each image and group, `y [M, P] = w [M, K] · columns [K, P]`, K the taps of all input channels, P the output positions.
fn products(op: &Convolution, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let (channels, positions) = (op.out_channels, op.place.output_elements());
    let depth = op.in_channels * op.place.taps();
    let inputs = op.in_channels * op.place.input.iter().product::<usize>();
    let panel = panel_positions(positions, depth);
    let maps = op.batch * op.groups;
    let rows = tile_channels(channels, maps * positions.div_ceil(panel));

    let panels: Vec<_> = y
        .chunks_exact_mut(channels * positions)
        .enumerate()
        .flat_map(|(map, y)| {
            Tile::new(y, channels, positions).grid(channels, panel).into_iter().map(move |([_, at], tile)| (map, at, tile))
        })
        .collect();
    panels.into_par_iter().for_each(|(map, first, mut tile)| {
        let group = map % op.groups;
        let w = Matrix::dense(&w[group * channels * depth..][..channels * depth], [channels, depth]);
        let x = &x[map * inputs..][..inputs];
        if let Some(bias) = bias {
            for (channel, &b) in bias[group * channels..][..channels].iter().enumerate() {
                tile.row(channel).fill(b);
            }
        }
        let [_, cols] = tile.extents();
        if is_pointwise(op) {
            let x = Matrix::dense(x, [depth, positions]).cols(first, cols);
            multiply(&mut tile, w, x, rows, bias.is_some());
            return;
        }
        let step = (PANEL / cols).clamp(1, depth);
        let mut columns = Scratch::take(step * cols);
        for k in (0..depth).step_by(step) {
            let count = step.min(depth - k);
            let columns = &mut columns[..count * cols];
            im2col(op, x, k, first, cols, columns);
            multiply(&mut tile, w.cols(k, count), Matrix::dense(columns, [count, cols]), rows, bias.is_some() || k > 0);
        }
    });
}

/// Whether the columns of the matrix product are the input itself.
fn is_pointwise(op: &Convolution) -> bool {
    let place = &op.place;
    place.taps() == 1 && place.stride == [1; 3] && place.before == [0; 3] && place.after == [0; 3]
}

/// Output positions of one panel, all panels about equal.
fn panel_positions(positions: usize, depth: usize) -> usize {
    let most = (PANEL / depth.max(1)).clamp(MIN_POSITIONS, MAX_POSITIONS);
    let count = positions.div_ceil(most);
    // Whole registers of sixteen, except at the end.
    positions.div_ceil(count).next_multiple_of(16)
}

/// Output channels of one tile, so that there are enough tiles for many cores.
fn tile_channels(channels: usize, panels: usize) -> usize {
    let count = MIN_TILES.div_ceil(panels.max(1)).min(channels / MIN_CHANNELS).max(1);
    channels.div_ceil(count).next_multiple_of(4)
}

/// `tile (+)= w · columns`, in parts of `rows` output channels.
fn multiply(tile: &mut Tile<'_>, w: Matrix<'_>, columns: Matrix<'_>, rows: usize, accumulate: bool) {
    let [channels, positions] = tile.extents();
    if rows >= channels {
        tile.multiply(w, columns, 1.0, accumulate);
        return;
    }
    tile.reborrow().grid(rows, positions).into_par_iter().for_each(|([first, _], mut tile)| {
        let [count, _] = tile.extents();
        tile.multiply(w.rows(first, count), columns, 1.0, accumulate);
    });
}

/// Rows `first_row …` of the matrix whose row is a tap of an input channel and whose column is an output position, columns
/// `first …`, zero where a tap falls on the padding.
fn im2col(op: &Convolution, x: &[f32], first_row: usize, first: usize, cols: usize, columns: &mut [f32]) {
    let [_, kh, kw] = op.place.kernel;
    let (taps, map) = (op.place.taps(), op.place.input.iter().product::<usize>());
    let fill = |(row, columns): (usize, &mut [f32])| {
        let (channel, tap) = ((first_row + row) / taps, (first_row + row) % taps);
        let x = &x[channel * map..][..map];
        im2col_row(op, x, [tap / (kh * kw), tap / kw % kh, tap % kw], first, columns);
    };
    columns.par_chunks_exact_mut(cols).enumerate().with_min_len(CHUNK.div_ceil(cols)).for_each(fill);
}

/// What tap `k` of one input map reads at output positions `first …`.
fn im2col_row(op: &Convolution, x: &[f32], k: [usize; 3], first: usize, columns: &mut [f32]) {
    let place = &op.place;
    let ([_, height, width], [_, oh, ow]) = (place.input, place.output);
    let stride = place.stride[2];
    let inside = inside(op, 2, k[2]);
    // Input column of output column `inside.start`.
    let origin = inside.start * stride + k[2] * place.dilation[2] - if inside.is_empty() { 0 } else { place.before[2] };
    let source = |axis: usize, o: usize| {
        (o * place.stride[axis] + k[axis] * place.dilation[axis]).checked_sub(place.before[axis]).filter(|&i| i < place.input[axis])
    };
    let (mut at, end) = (first, first + columns.len());
    let mut columns = columns;
    while at < end {
        let (z, y, x0) = (at / (oh * ow), at / ow % oh, at % ow);
        let x1 = ow.min(x0 + end - at);
        let (run, rest) = columns.split_at_mut(x1 - x0);
        columns = rest;
        at += x1 - x0;
        let (Some(iz), Some(iy)) = (source(0, z), source(1, y)) else {
            run.fill(0.0);
            continue;
        };
        let row = &x[(iz * height + iy) * width..][..width];
        let (lo, hi) = (inside.start.clamp(x0, x1), inside.end.clamp(x0, x1));
        if lo >= hi {
            run.fill(0.0);
            continue;
        }
        run[..lo - x0].fill(0.0);
        run[hi - x0..].fill(0.0);
        let from = &row[origin + (lo - inside.start) * stride..];
        copy_every(&mut run[lo - x0..hi - x0], from, stride);
    }
}

/// The output positions of an axis at which tap `k` falls on the input.
fn inside(op: &Convolution, axis: usize, k: usize) -> Range<usize> {
    let place = &op.place;
    let (tap, stride) = (k * place.dilation[axis], place.stride[axis]);
    let start = place.before[axis].saturating_sub(tap).div_ceil(stride).min(place.output[axis]);
    let end = (place.before[axis] + place.input[axis]).saturating_sub(tap).div_ceil(stride).clamp(start, place.output[axis]);
    start..end
}
