//! Maps read at positions between their elements, and boxes.

use super::rounded;
use crate::ops::sampling::{Columns, MAX_SAMPLES, Sampled};
use crate::ops::{GridPadding, GridSample, Interpolation, RoiAlign, RoiPool};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// `y[n, c, o] = Σ_taps weight · x[n, c, index]` around the position `grid[n, o]`, the innermost axis first
pub(crate) fn grid_sample(op: &GridSample, sampled: &Sampled, x: &Tensor, grid: &Tensor) -> Tensor {
    let (values, grid) = (x.to_f64(), grid.to_f64());
    let (axes, inputs, outputs) = (sampled.input.rank(), sampled.input.elements(), sampled.output.elements());
    let strides = sampled.input.strides();
    let mut y = Vec::with_capacity(sampled.batch * sampled.channels * outputs);
    for map in 0..sampled.batch * sampled.channels {
        let map_values = &values[map * inputs..][..inputs];
        for o in 0..outputs {
            let position = &grid[(map / sampled.channels * outputs + o) * axes..][..axes];
            let taps: Vec<_> = position.iter().rev().zip(sampled.input.iter()).map(|(&at, &extent)| taps(op, at, extent)).collect();
            y.push(weighted(map_values, &taps, &strides));
        }
    }
    rounded(x, [&[sampled.batch, sampled.channels], sampled.output.dims()].concat(), y)
}

/// The weighted sum over the taps of the first axis of the same of the others; taps outside are 0.
fn weighted(x: &[f64], taps: &[Vec<(Option<usize>, f64)>], strides: &[usize]) -> f64 {
    match (taps, strides) {
        ([axis, taps @ ..], [stride, strides @ ..]) => {
            let tap = |&(index, weight): &(Option<usize>, f64)| Some(weight * weighted(&x[index? * stride..], taps, strides));
            axis.iter().filter_map(tap).sum()
        }
        _ => x[0],
    }
}

/// The elements around a position between −1 and 1, `None` for those outside, with their weights.
pub(crate) fn taps(op: &GridSample, normalized: f64, extent: usize) -> Vec<(Option<usize>, f64)> {
    let size = extent as f64;
    let (low, high) = if op.align_corners { (0.0, size - 1.0) } else { (-0.5, size - 0.5) };
    let mut at = if op.align_corners { (normalized + 1.0) / 2.0 * (size - 1.0) } else { ((normalized + 1.0) * size - 1.0) / 2.0 };
    if op.mode == Interpolation::Nearest {
        at = at.round_ties_even();
    }
    at = match op.padding {
        GridPadding::Zeros => at,
        GridPadding::Border => at.clamp(0.0, size - 1.0),
        GridPadding::Reflection => reflected(at, low, high),
    };
    // What is no number, or too large for one, lies before the input.
    if at.is_nan() || at.abs() >= (1 << 30) as f64 {
        at = -8.0;
    }
    let index = |at: f64| match op.padding {
        _ if (0.0..size).contains(&at) => Some(at as usize),
        GridPadding::Zeros => None,
        GridPadding::Border => Some(at.clamp(0.0, size - 1.0) as usize),
        GridPadding::Reflection => Some(reflected(at, low, high).clamp(0.0, size - 1.0) as usize),
    };
    let (first, t) = (at.floor(), at - at.floor());
    match op.mode {
        Interpolation::Nearest => vec![(index(at.trunc()), 1.0)],
        Interpolation::Linear => vec![(index(first), 1.0 - t), (index(first + 1.0), t)],
        Interpolation::Cubic => (-1..=2).map(f64::from).map(|k| (index(first + k), cubic(k - t))).collect(),
    }
}

/// `at` mirrored at both ends until it is between them.
fn reflected(at: f64, low: f64, high: f64) -> f64 {
    let range = high - low;
    if (low..=high).contains(&at) || range <= 0.0 {
        return if range <= 0.0 { low } else { at };
    }
    let phase = (at - low).rem_euclid(2.0 * range);
    low + phase.min(2.0 * range - phase)
}

/// Keys' cubic convolution with −0.75 at distance `x`.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.75;
    match x.abs() {
        x if x <= 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A,
        _ => 0.0,
    }
}

/// For every element of `extents` its position between −1 and 1, the innermost axis first, then 1.
pub(crate) fn base_grid(align_corners: bool, extents: &Shape) -> Vec<f64> {
    let along = |at: usize, extent: usize| match align_corners {
        true if extent == 1 => -1.0,
        true => 2.0 * at as f64 / (extent - 1) as f64 - 1.0,
        false => (2.0 * at as f64 + 1.0) / extent as f64 - 1.0,
    };
    let position = |i: usize| {
        let at = extents.coordinates(i);
        (0..extents.rank()).rev().map(|axis| along(at[axis], extents[axis])).chain([1.0]).collect::<Vec<_>>()
    };
    (0..extents.elements()).flat_map(position).collect()
}

/// `y[n, o, i] = Σ_j theta[n, i, j] · base[o, j]`
pub(crate) fn affine_grid(align_corners: bool, extents: &Shape, theta: &Tensor) -> Tensor {
    let (base, values, axes) = (base_grid(align_corners, extents), theta.to_f64(), extents.rank());
    let mut y = vec![];
    for map in values.chunks_exact(axes * (axes + 1)) {
        for position in base.chunks_exact(axes + 1) {
            y.extend(map.chunks_exact(axes + 1).map(|row| row.iter().zip(position).map(|(a, b)| a * b).sum::<f64>()));
        }
    }
    rounded(theta, [&[theta.shape()[0]], extents.dims(), &[axes]].concat(), y)
}

/// `y[r, c, p, q]`: the mean, or the largest weighted element, of the samples of bin `(p, q)` of box `r`
pub(crate) fn roi_align(op: &RoiAlign, x: &Tensor, rois: &Tensor, indices: &Tensor) -> Tensor {
    let (values, rois, indices) = (x.to_f64(), rois.to_f64(), indices.to_i64().unwrap_or_default());
    let (channels, height, width) = (x.shape()[1], x.shape()[2], x.shape()[3]);
    let [bins_h, bins_w] = op.output;
    let mut y = Vec::with_capacity(indices.len() * channels * bins_h * bins_w);
    for (roi, &batch) in rois.chunks_exact(4).zip(&indices) {
        let offset = if op.half_pixel { 0.5 } else { 0.0 };
        let [x1, y1, x2, y2] = [0, 1, 2, 3].map(|at| roi[at] * f64::from(op.spatial_scale) - offset);
        let least = if op.half_pixel { f64::MIN } else { 1.0 };
        let (bin_h, bin_w) = ((y2 - y1).max(least) / bins_h as f64, (x2 - x1).max(least) / bins_w as f64);
        let samples = |bin: f64| match op.sampling_ratio {
            0 => (bin.ceil().max(0.0) as usize).min(MAX_SAMPLES),
            ratio => ratio,
        };
        let (samples_h, samples_w) = (samples(bin_h), samples(bin_w));
        for channel in 0..channels {
            let map = &values[(batch as usize * channels + channel) * height * width..][..height * width];
            for (p, q) in (0..bins_h).flat_map(|p| (0..bins_w).map(move |q| (p, q))) {
                let mut elements = vec![];
                for (s, t) in (0..samples_h).flat_map(|s| (0..samples_w).map(move |t| (s, t))) {
                    let h = between(y1 + p as f64 * bin_h + (s as f64 + 0.5) * bin_h / samples_h as f64, height);
                    let w = between(x1 + q as f64 * bin_w + (t as f64 + 0.5) * bin_w / samples_w as f64, width);
                    let sample = h.zip(w).map(|(h, w)| h.map(|(h, a)| w.map(|(w, b)| a * b * map[h * width + w])));
                    elements.extend(sample.unwrap_or_default().into_iter().flatten());
                }
                let larger = |a: f64, b: f64| if a.is_nan() || b <= a { a } else { b };
                y.push(match op.mode {
                    RoiPool::Average => elements.iter().sum::<f64>() / (samples_h * samples_w).max(1) as f64,
                    RoiPool::Max => elements.into_iter().reduce(larger).unwrap_or(0.0),
                });
            }
        }
    }
    rounded(x, [indices.len(), channels, bins_h, bins_w], y)
}

/// The elements before and after a position, with their weights; `None` more than one element outside.
fn between(at: f64, extent: usize) -> Option<[(usize, f64); 2]> {
    let inside = (-1.0..=extent as f64).contains(&at);
    let (at, last) = (at.max(0.0), extent - 1);
    let low = at as usize;
    inside.then(|| if low >= last { [(last, 1.0), (last, 0.0)] } else { [(low, 1.0 - at.fract()), (low + 1, at.fract())] })
}

/// `[batch, class, box]` of the boxes of each class, by falling score, that no better one of the class overlaps too much
pub(crate) fn non_max_suppression(
    center_point_box: bool,
    boxes: &Tensor,
    scores: &Tensor,
    most: usize,
    overlap: f64,
    least: Option<f64>,
) -> Tensor {
    let (batches, classes, count) = (scores.shape()[0], scores.shape()[1], scores.shape()[2]);
    let (boxes, scores) = (boxes.to_f64(), scores.to_f64());
    let corners = |at: usize| {
        let [a, b, c, d] = [0, 1, 2, 3].map(|k| boxes[4 * at + k]);
        if center_point_box { [b - d / 2.0, a - c / 2.0, b + d / 2.0, a + c / 2.0] } else { [a.min(c), b.min(d), a.max(c), b.max(d)] }
    };
    let hides = |a: [f64; 4], b: [f64; 4]| {
        let side = |low: usize| (a[low + 2].min(b[low + 2]) - a[low].max(b[low])).max(0.0);
        let area = |c: [f64; 4]| (c[2] - c[0]) * (c[3] - c[1]);
        let common = side(0) * side(1);
        let union = area(a) + area(b) - common;
        common > 0.0 && union > 0.0 && common / union > overlap
    };
    let mut selected = vec![];
    for (batch, class) in (0..batches).flat_map(|batch| (0..classes).map(move |class| (batch, class))) {
        let score = |&at: &usize| scores[(batch * classes + class) * count + at];
        let mut order: Vec<usize> = (0..count).filter(|at| least.is_none_or(|least| score(at) > least)).collect();
        order.sort_by(|a, b| score(b).total_cmp(&score(a)));
        let mut kept: Vec<[f64; 4]> = vec![];
        for at in order {
            let candidate = corners(batch * count + at);
            if kept.len() < most && !kept.iter().any(|&better| hides(better, candidate)) {
                kept.push(candidate);
                selected.extend([batch as i64, class as i64, at as i64]);
            }
        }
    }
    Tensor::of([selected.len() / 3, 3], selected)
}

/// `y[m, s·stride + k·dilation − before] += x[m, k, s]`
pub(crate) fn col2im(columns: &Columns, x: &Tensor) -> Tensor {
    let (values, image) = (x.to_f64(), Shape::from(columns.image.as_slice()));
    let (block, steps, strides) = (Shape::from(columns.block.as_slice()), Shape::from(columns.steps.as_slice()), image.strides());
    let maps = columns.batch * columns.channels;
    let mut y = vec![0.0; maps * image.elements()];
    let mut values = values.into_iter();
    for map in 0..maps {
        for k in (0..block.elements()).map(|k| block.coordinates(k)) {
            for s in (0..steps.elements()).map(|s| steps.coordinates(s)) {
                let value = values.next().expect("the shape rule has counted");
                let along = |axis: usize| {
                    let at = (s[axis] * columns.stride[axis] + k[axis] * columns.dilation[axis]).checked_sub(columns.before[axis])?;
                    (at < image[axis]).then_some(at * strides[axis])
                };
                if let Some(at) = (0..image.rank()).map(along).sum::<Option<usize>>() {
                    y[map * image.elements() + at] += value;
                }
            }
        }
    }
    rounded(x, [&[columns.batch, columns.channels], image.dims()].concat(), y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::OpError;
    use crate::ops::{AffineGrid, Col2Im, NonMaxSuppression, Op, Operands};

    fn run(op: impl Into<Op>, inputs: &[&Tensor]) -> Result<(Vec<usize>, Vec<f64>), OpError> {
        let (op, inputs) = (op.into(), inputs.iter().map(|&t| Some(t)).collect::<Vec<_>>());
        let ty = op.operator().infer(&Operands::of(&inputs, 1))?.remove(0);
        let y = op.operator().reference(&inputs, 1)?.remove(0);
        assert_eq!((y.dtype(), y.shape()), (ty.dtype, &ty.shape), "{op:?}");
        Ok((y.shape().to_vec(), y.to_f64()))
    }

    fn floats(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::new(shape, values.to_vec()).unwrap()
    }

    /// Samples of the line `1, 2, 3, 4` at these positions.
    fn line(mode: Interpolation, padding: GridPadding, align_corners: bool, at: &[f32]) -> Vec<f64> {
        let x = floats(&[1, 1, 4], &[1.0, 2.0, 3.0, 4.0]);
        run(GridSample { mode, padding, align_corners }, &[&x, &floats(&[1, at.len(), 1], at)]).unwrap().1
    }

    #[test]
    fn grids_sample_between_elements() {
        use GridPadding::*;
        use Interpolation::*;
        // Without aligned corners −1 is half an element before the first.
        assert_eq!(line(Linear, Zeros, false, &[-1.0, -0.75, 0.0, 0.5, 2.0]), [0.5, 1.0, 2.5, 3.5, 0.0]);
        assert_eq!(line(Linear, Zeros, true, &[-1.0, 0.0, 1.0]), [1.0, 2.5, 4.0]);
        assert_eq!(line(Linear, Border, false, &[-1.0, -9.0, 9.0]), [1.0, 1.0, 4.0]);
        // ((1.5 + 1)·4 − 1) ÷ 2 = 4½ is 1 beyond the edge 3½, and shows 2½.
        assert_eq!(line(Linear, Reflection, false, &[1.5]), [3.5]);
        // (2 + 1) ÷ 2 · 3 = 4½ is 1½ beyond the centre 3, and shows 1½.
        assert_eq!(line(Linear, Reflection, true, &[2.0]), [2.5]);
        // ½, 1½ and 2½ are as near to both sides.
        assert_eq!(line(Nearest, Zeros, false, &[-0.5, 0.0, 0.5, 9.0]), [1.0, 3.0, 3.0, 0.0]);
        // Halfway, Keys' filter with −¾ is (−3, 19, 19, −3) ÷ 32.
        let halfway = (-3.0 + 19.0 * 2.0 + 19.0 * 3.0 - 3.0 * 4.0) / 32.0;
        assert_eq!(line(Cubic, Zeros, false, &[0.0]), [halfway]);
        assert_eq!(line(Linear, Border, false, &[f32::NAN]), [1.0]);
    }

    #[test]
    fn grids_name_the_innermost_axis_first() {
        let x = floats(&[1, 1, 2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let op = GridSample { align_corners: true, ..GridSample::default() };
        let grid = floats(&[1, 1, 2, 2], &[1.0, -1.0, -1.0, 0.0]);
        assert_eq!(run(op, &[&x, &grid]), Ok((vec![1, 1, 1, 2], vec![2.0, 1.5])));
        let wrong = run(op, &[&x, &floats(&[1, 1, 1, 3], &[0.0; 3])]).unwrap_err().to_string();
        assert!(wrong.contains("grid [1,1,1,3] does not sample [1,1,2,3]"), "{wrong}");
    }

    #[test]
    fn affine_grids() {
        let theta = floats(&[1, 2, 3], &[1.0, 0.0, 0.5, 0.0, 2.0, 0.0]);
        let grid = |align_corners, size: [i64; 4]| run(AffineGrid { align_corners }, &[&theta, &Tensor::vector(size.to_vec())]);
        assert_eq!(grid(true, [1, 1, 2, 2]), Ok((vec![1, 2, 2, 2], vec![-0.5, -2.0, 1.5, -2.0, -0.5, 2.0, 1.5, 2.0])));
        assert_eq!(grid(false, [1, 1, 1, 2]), Ok((vec![1, 1, 2, 2], vec![0.0, 0.0, 1.0, 0.0])));
        assert!(grid(true, [2, 1, 2, 2]).unwrap_err().to_string().contains("theta [1,2,3] makes no grid of size [2, 1, 2, 2]"));
    }

    #[test]
    fn boxes_are_pooled() {
        let x = Tensor::of([1, 1, 4, 4], (0..16).map(|v| v as f32).collect::<Vec<_>>());
        let op = RoiAlign { mode: RoiPool::Average, output: [1, 2], sampling_ratio: 1, spatial_scale: 1.0, half_pixel: false };
        let boxes = floats(&[1, 4], &[0.0, 0.0, 2.0, 2.0]);
        let first = Tensor::vector(vec![0i64]);
        // Samples at (1, ½) and (1, 1½).
        assert_eq!(run(op, &[&x, &boxes, &first]), Ok((vec![1, 1, 1, 2], vec![4.5, 5.5])));
        // Half a pixel before: (½, 0) and (½, 1).
        assert_eq!(run(RoiAlign { half_pixel: true, ..op }, &[&x, &boxes, &first]).unwrap().1, [2.0, 3.0]);
        // The largest of the four weighted elements around (1, ½): ½·5, and around (1, 1½): ½·6.
        assert_eq!(run(RoiAlign { mode: RoiPool::Max, ..op }, &[&x, &boxes, &first]).unwrap().1, [2.5, 3.0]);
        // Two rows by one column of samples in each bin: rows ½ and 1½.
        assert_eq!(run(RoiAlign { sampling_ratio: 0, ..op }, &[&x, &boxes, &first]).unwrap().1, [4.5, 5.5]);
        let outside = Tensor::vector(vec![1i64]);
        assert!(run(op, &[&x, &boxes, &outside]).unwrap_err().to_string().contains("batch index 1 is outside a batch of 1"));
    }

    #[test]
    fn overlapping_boxes_are_suppressed() {
        let boxes = floats(&[1, 3, 4], &[0.0, 0.0, 1.0, 1.0, 0.0, 0.1, 1.0, 1.1, 5.0, 5.0, 4.0, 4.0]);
        let scores = floats(&[1, 1, 3], &[0.5, 0.9, 0.3]);
        let (most, overlap) = (Tensor::scalar(5i64), Tensor::scalar(0.5f32));
        let run = |extra: &[&Tensor]| run(NonMaxSuppression::default(), &[&[&boxes, &scores], extra].concat()).unwrap();
        assert_eq!(run(&[&most, &overlap]), (vec![2, 3], vec![0.0, 0.0, 1.0, 0.0, 0.0, 2.0]));
        assert_eq!(run(&[&most, &Tensor::scalar(0.9f32)]).0, [3, 3]);
        assert_eq!(run(&[&most, &overlap, &Tensor::scalar(0.4f32)]).0, [1, 3]);
        assert_eq!(run(&[&Tensor::scalar(1i64), &overlap]).0, [1, 3]);
        assert_eq!(run(&[]).0, [0, 3]);
    }

    #[test]
    fn columns_are_added_up() {
        // Two blocks of two elements, one step apart: the middle has both.
        let x = floats(&[1, 2, 2], &[1.0, 2.0, 10.0, 20.0]);
        let (image, block) = (Tensor::vector(vec![3i64]), Tensor::vector(vec![2i64]));
        assert_eq!(run(Col2Im::default(), &[&x, &image, &block]), Ok((vec![1, 1, 3], vec![1.0, 12.0, 20.0])));
        let dilated = Col2Im { dilation: Some([2].into()), padding: Some([[1].into(), [0].into()]), ..Col2Im::default() };
        assert_eq!(run(dilated, &[&x, &image, &block]), Ok((vec![1, 1, 3], vec![2.0, 10.0, 20.0])));
        let wrong = run(Col2Im::default(), &[&x, &Tensor::vector(vec![4i64]), &block]).unwrap_err().to_string();
        assert!(wrong.contains("must be [N, C·2, 3]"), "{wrong}");
    }
}
