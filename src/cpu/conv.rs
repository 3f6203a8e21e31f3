//! Convolution as matrix products over panels of output positions.
//!
//! Tasks depend on the number of threads, results do not: each output is summed in the same order, whatever the task.

use std::ops::Range;

use rayon::prelude::*;

use super::depthwise::depthwise;
use super::gemm::Tile;
use super::kernel::{Packed, Product, ROWS, Start, widest};
use super::scratch::{self, Scratch};
use super::window::{Layout, SPARE, copy_every};
use super::{CHUNK, Finish, floats};
use crate::error::OpError;
use crate::ops::Conv;
use crate::ops::conv::Convolution;
use crate::tensor::Tensor;

/// Output positions of a panel: few vectors of the kernel, so that columns, sums and a block of weights stay in the second-level cache.
const PANEL: usize = 192;

/// Rows of columns that are summed at once: 48 columns of them stay in the first-level cache.
const DEPTH: usize = 128;

/// Tasks for each thread, so that none waits long for another.
const TASKS: usize = 2;

/// Multiply-adds that one task should at least do.
const TASK: usize = 1 << 17;

/// Output channels of a task are at least so many, so that the columns, which every task reads, are worth their loads.
const MIN_CHANNELS: usize = 32;

/// `y = b + w ∗ x` on `f32`, and what `finish` makes of it. `packed` is the weight, where it was packed before.
pub(super) fn conv(
    op: &Conv,
    inputs: &[Option<&Tensor>],
    packed: Option<&Packed>,
    finish: Finish<'_>,
) -> Result<Option<Vec<Tensor>>, OpError> {
    let (Some(x), Some(w)) = (floats(inputs, 0), floats(inputs, 1)) else { return Ok(None) };
    let bias = floats(inputs, 2);
    let shape = |index: usize| inputs[index].expect("it has elements").shape();
    let op = op.place(shape(0), shape(1))?;
    let mut y = scratch::buffer(op.output_shape().elements());
    convolve(&op, x, Weight { elements: w, packed }, bias, finish, &mut y);
    Ok(Some(vec![Tensor::of(op.output_shape(), y)]))
}

/// The weight `[M, C / groups, …]` as products read it; `None` where nothing is gained by packing it before.
pub(super) fn pack(weight: &Tensor, groups: usize) -> Option<Packed> {
    let (shape, values) = (weight.shape(), weight.data::<f32>()?);
    let depth: usize = shape.get(1..)?.iter().product();
    (shape[1] > 1 && !values.is_empty()).then(|| Packed::new(values, shape[0] / groups, depth))
}

/// A weight as it is given, and packed where it was packed before.
pub(super) struct Weight<'a> {
    pub elements: &'a [f32],
    pub packed: Option<&'a Packed>,
}

impl<'a> Weight<'a> {
    /// A weight that was not packed before.
    pub(super) fn new(elements: &'a [f32]) -> Self {
        Self { elements, packed: None }
    }
}

/// Fills `y [N, M, …]`.
pub(super) fn convolve(op: &Convolution, x: &[f32], w: Weight<'_>, bias: Option<&[f32]>, finish: Finish<'_>, y: &mut [f32]) {
    if y.is_empty() || depthwise(op, x, w.elements, bias, finish, y) {
        return;
    }
    match w.packed {
        Some(packed) => products(op, x, packed, bias, finish, y),
        None => products(op, x, &Packed::new(w.elements, op.out_channels, op.in_channels * op.place.taps()), bias, finish, y),
    }
}

/// Where the columns of a product come from; each begins at one of `offsets` from the first.
enum Source<'a> {
    /// The input has them.
    Input { offsets: Vec<usize> },
    /// Padded maps, the taps of which are columns but for some positions between rows.
    Padded { layout: &'a Layout, maps: Scratch, offsets: Vec<usize> },
    /// Each task makes its own.
    Own,
}

/// For each image and group, `y [M, P] = w [M, K] · columns [K, P]`, K the taps of all input channels, P the output positions.
fn products(op: &Convolution, x: &[f32], weight: &Packed, bias: Option<&[f32]>, finish: Finish<'_>, y: &mut [f32]) {
    let (channels, positions) = (op.out_channels, op.place.output_elements());
    let (maps, depth) = (op.batch * op.groups, op.in_channels * op.place.taps());
    let layout = Layout::new(&op.place).filter(|layout| worthwhile(layout, positions));
    let source = match &layout {
        _ if is_pointwise(op) => Source::Input { offsets: (0..depth).map(|k| k * positions).collect() },
        Some(layout) => {
            let taps = |channel: usize| layout.taps.iter().map(move |tap| channel * layout.elements() + tap);
            Source::Padded { layout, maps: pad(op, layout, x), offsets: (0..op.in_channels).flat_map(taps).collect() }
        }
        None => Source::Own,
    };
    // Positions are those of the columns, of which a panel has a whole number of vectors.
    let all = match &source {
        Source::Padded { layout, .. } => layout.positions(),
        _ => positions,
    };
    let panel = if all <= PANEL + PANEL / 2 { all } else { PANEL };
    let starts: Vec<usize> = (0..all).step_by(panel).collect();
    let outputs_before = |position: usize| match &source {
        Source::Padded { layout, .. } => layout.outputs_before(position),
        _ => position,
    };
    let output_starts: Vec<usize> = starts.iter().map(|&at| outputs_before(at)).collect();
    let panels = maps * starts.len();
    let work = channels * panel * depth;
    let most = (channels / MIN_CHANNELS).min(work / TASK).max(1);
    let parts = (TASKS * rayon::current_num_threads()).div_ceil(panels).clamp(1, most);
    let rows = channels.div_ceil(parts).next_multiple_of(ROWS);
    let tiles: Vec<_> = y
        .chunks_exact_mut(channels * positions)
        .enumerate()
        .flat_map(|(map, y)| {
            let tiles = Tile::new(y, channels, positions).cut(rows, &output_starts);
            tiles.into_iter().zip(starts.iter().cycle()).map(move |((at, tile), &start)| (map, at, start..(start + panel).min(all), tile))
        })
        .collect();
    let together = TASK.div_ceil((work / parts).max(1));
    tiles.into_par_iter().with_min_len(together).for_each(|(map, [first_row, first], range, mut tile)| {
        let task = Task { op, x, weight, bias, map, first_row, range };
        task.run(&source, &mut tile);
        let [rows, _] = tile.extents();
        let index = |row: usize| (map * channels + first_row + row) * positions + first;
        match tile.dense() {
            Some(y) => finish(y, index(0)),
            None => (0..rows).for_each(|row| finish(tile.row(row), index(row))),
        }
    });
}

/// Whether so few of the padded positions are no outputs that multiplying them costs less than copying every tap.
fn worthwhile(layout: &Layout, positions: usize) -> bool {
    layout.positions().div_ceil(16) * 4 <= positions.div_ceil(16) * 5
}

/// All input maps as `layout` has them.
fn pad(op: &Convolution, layout: &Layout, x: &[f32]) -> Scratch {
    let (from, to) = (op.place.input.iter().product::<usize>(), layout.elements());
    let maps = op.batch * op.groups * op.in_channels;
    let mut padded = Scratch::take(maps * to + SPARE);
    padded[..maps * to].par_chunks_exact_mut(to).enumerate().with_min_len(CHUNK.div_ceil(to)).for_each(|(map, to)| {
        to.fill(0.0);
        layout.load(&x[map * from..][..from], to);
    });
    padded
}

/// Some output channels of a map at a range of positions.
struct Task<'a> {
    op: &'a Convolution,
    x: &'a [f32],
    weight: &'a Packed,
    bias: Option<&'a [f32]>,
    map: usize,
    first_row: usize,
    range: Range<usize>,
}

impl Task<'_> {
    fn run(self, source: &Source<'_>, tile: &mut Tile<'_>) {
        let (op, place) = (self.op, &self.op.place);
        let [rows, cols] = tile.extents();
        let depth = op.in_channels * place.taps();
        let inputs = op.in_channels * place.input.iter().product::<usize>();
        let x = &self.x[self.map * inputs..];
        match source {
            Source::Input { offsets } => {
                for depth in blocks(depth) {
                    self.multiply(&x[self.range.start..], &offsets[depth.clone()], depth, tile);
                }
            }
            Source::Own => {
                let pitch = cols.next_multiple_of(16);
                let offsets: Vec<usize> = (0..DEPTH).map(|k| k * pitch).collect();
                let mut columns = Scratch::take(pitch * DEPTH.min(depth));
                for depth in blocks(depth) {
                    for (k, columns) in depth.clone().zip(columns.chunks_exact_mut(pitch)) {
                        column(op, x, k, self.range.start, &mut columns[..cols]);
                    }
                    self.multiply(&columns, &offsets[..depth.len()], depth, tile);
                }
            }
            Source::Padded { layout, maps, offsets } => {
                let padded = &maps[self.map * op.in_channels * layout.elements() + self.range.start..];
                // Whole vectors, of which some elements are between rows.
                let width = self.range.len().next_multiple_of(16);
                let mut sums = Scratch::take(rows * width);
                for depth in blocks(depth) {
                    self.multiply(padded, &offsets[depth.clone()], depth, &mut Tile::new(&mut sums, rows, width));
                }
                for (row, sums) in sums.chunks_exact(width).enumerate() {
                    layout.store(self.range.clone(), sums, tile.row(row));
                }
            }
        }
    }

    /// Adds the products of a part of the depth; the first part starts from the bias.
    fn multiply(&self, columns: &[f32], offsets: &[usize], depth: Range<usize>, tile: &mut Tile<'_>) {
        let [rows, _] = tile.extents();
        let group = self.map % self.op.groups;
        let start = match self.bias {
            _ if depth.start > 0 => Start::Tile,
            Some(bias) => Start::Bias(&bias[group * self.op.out_channels + self.first_row..][..rows]),
            None => Start::Zero,
        };
        widest(Product { weight: self.weight, group, first_row: self.first_row, depth, columns, offsets, start, tile });
    }
}

/// The depth in equal parts, one even where there is none.
fn blocks(depth: usize) -> impl Iterator<Item = Range<usize>> {
    let count = depth.div_ceil(DEPTH).max(1);
    let step = depth.div_ceil(count);
    (0..count).map(move |at| (at * step).min(depth)..((at + 1) * step).min(depth))
}

/// Whether the columns of the matrix product are the input itself.
fn is_pointwise(op: &Convolution) -> bool {
    let place = &op.place;
    place.taps() == 1 && place.stride == [1; 3] && place.before == [0; 3] && place.after == [0; 3]
}

/// Row `k` of the matrix whose row is a tap of an input channel and whose column is an output position, zero where the tap falls on
/// the padding; columns `first …`.
fn column(op: &Convolution, x: &[f32], k: usize, first: usize, columns: &mut [f32]) {
    let [_, kh, kw] = op.place.kernel;
    let (taps, map) = (op.place.taps(), op.place.input.iter().product::<usize>());
    let (channel, tap) = (k / taps, k % taps);
    im2col_row(op, &x[channel * map..][..map], [tap / (kh * kw), tap / kw % kh, tap % kw], first, columns);
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
