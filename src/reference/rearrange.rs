//! Repetition, triangles, reversal, one-hot vectors: every element type, bit for bit.

use super::movement::{pad, slice};
use crate::ops::PadMode;
use crate::ops::movement::{PadAxis, SliceAxis};
use crate::shape::Shape;
use crate::tensor::{Tensor, for_each_dtype};

/// `y[i_0, …] = x[i_0 mod extent_0, …]`
pub(crate) fn tile(repeats: &[usize], x: &Tensor) -> Tensor {
    let shape: Shape = x.shape().iter().zip(repeats).map(|(extent, count)| extent * count).collect();
    let strides = x.shape().strides();
    let from = |i: usize| -> usize {
        let at = shape.coordinates(i);
        at.iter().zip(x.shape().iter()).zip(&strides).map(|((at, extent), stride)| at % extent * stride).sum()
    };
    for_each_dtype!(x.data_ref(), values => Tensor::of(&shape, (0..shape.elements()).map(|i| values[from(i)]).collect()))
}

/// The input cropped where `pads` are negative, then padded with zeros where they are positive.
pub(crate) fn center_crop_pad(pads: &[i64], x: &Tensor) -> Tensor {
    let (before, after) = pads.split_at(x.shape().rank());
    let crop = |pad: i64| pad.min(0).unsigned_abs() as usize;
    let sides = || x.shape().iter().zip(before.iter().zip(after));
    let cropped = |(&extent, (&before, &after)): (&usize, (&i64, &i64))| SliceAxis {
        start: crop(before),
        step: 1,
        len: extent - crop(before) - crop(after),
    };
    let axes: Vec<_> = sides().map(cropped).collect();
    let add = |pad: i64| pad.max(0) as usize;
    let padded = |(axis, (&before, &after)): (&SliceAxis, (&i64, &i64))| PadAxis {
        start: 0,
        kept: axis.len,
        before: add(before),
        after: add(after),
    };
    let around: Vec<_> = axes.iter().zip(before.iter().zip(after)).map(padded).collect();
    pad(PadMode::Constant, &around, &slice(&axes, x), None)
}

/// `y[m, r, c] = x[m, r, c]` where `c − r ≥ k` or, for the lower triangle, `c − r ≤ k`; else 0
pub(crate) fn trilu(upper: bool, k: i64, x: &Tensor) -> Tensor {
    let rank = x.shape().rank();
    let (rows, columns) = (x.shape()[rank - 2].max(1), x.shape()[rank - 1].max(1));
    let stays = |i: usize| {
        let distance = (i % columns) as i64 - (i / columns % rows) as i64;
        if upper { distance >= k } else { distance <= k }
    };
    for_each_dtype!(x.data_ref(), values => {
        Tensor::of(x.shape(), values.iter().enumerate().map(|(i, &value)| if stays(i) { value } else { Default::default() }).collect())
    })
}

/// `y[o, d, n] = values[1]` where `indices[o, n]` is `d` or `d − depth`, else `values[0]`
pub(crate) fn one_hot(axis: usize, shape: &Shape, indices: &Tensor, values: &Tensor) -> Tensor {
    let (depth, inner) = (shape[axis], Shape::from(&shape[axis + 1..]).elements());
    let exact = indices.to_i64();
    let index = |i: usize| exact.as_ref().map_or_else(|| None, |exact| Some(exact[i]));
    let cut: Vec<f64> = if exact.is_some() { vec![] } else { indices.to_f64().into_iter().map(f64::trunc).collect() };
    let on = |i: usize| {
        let (o, d, n) = (i / (depth * inner), i / inner % depth, i % inner);
        let at = o * inner + n;
        match index(at) {
            Some(index) => index == d as i64 || index == d as i64 - depth as i64,
            None => cut[at] == d as f64 || cut[at] == d as f64 - depth as f64,
        }
    };
    for_each_dtype!(values.data_ref(), values => {
        Tensor::of(shape, (0..shape.elements()).map(|i| values[usize::from(on(i))]).collect())
    })
}

/// `y[t, b, n] = x[lengths[b] − 1 − t, b, n]` for `t < lengths[b]`, else `x[t, b, n]`; or with `b` before `t`
pub(crate) fn reverse_sequence(batch_first: bool, x: &Tensor, lengths: &Tensor) -> Tensor {
    let lengths = lengths.to_i64().unwrap_or_default();
    let (columns, inner) = (x.shape()[1], Shape::from(&x.shape()[2..]).elements());
    let from = |i: usize| {
        let (row, column, n) = (i / inner / columns, i / inner % columns, i % inner);
        let (b, t) = if batch_first { (row, column) } else { (column, row) };
        let length = lengths[b] as usize;
        let t = if t < length { length - 1 - t } else { t };
        let (row, column) = if batch_first { (b, t) } else { (t, b) };
        (row * columns + column) * inner + n
    };
    for_each_dtype!(x.data_ref(), values => Tensor::of(x.shape(), (0..x.len()).map(|i| values[from(i)]).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::OpError;
    use crate::ops::{CenterCropPad, DepthOrder, DepthToSpace, OneHot, Op, Operands, ReverseSequence, SpaceToDepth, Tile, Trilu};

    fn run(op: impl Into<Op>, inputs: &[Option<&Tensor>]) -> Result<(Vec<usize>, Vec<f64>), OpError> {
        let op = op.into();
        let ty = op.operator().infer(&Operands::of(inputs, 1))?.remove(0);
        let y = op.operator().reference(inputs, 1)?.remove(0);
        assert_eq!((y.dtype(), y.shape()), (ty.dtype, &ty.shape), "{op:?}");
        Ok((y.shape().to_vec(), y.to_f64()))
    }

    fn count(shape: &[usize]) -> Tensor {
        Tensor::of(shape, (0..Shape::from(shape).elements() as i32).collect())
    }

    fn list(values: &[i64]) -> Tensor {
        Tensor::vector(values.to_vec())
    }

    fn fails(result: Result<(Vec<usize>, Vec<f64>), OpError>, text: &str) {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(text), "{message}");
    }

    #[test]
    fn tiles() {
        let x = count(&[2, 2]);
        let tiled = |repeats: &[i64]| run(Tile, &[Some(&x), Some(&list(repeats))]);
        assert_eq!(tiled(&[1, 2]), Ok((vec![2, 4], vec![0., 1., 0., 1., 2., 3., 2., 3.])));
        assert_eq!(tiled(&[2, 1]), Ok((vec![4, 2], vec![0., 1., 2., 3., 0., 1., 2., 3.])));
        assert_eq!(tiled(&[0, 1]), Ok((vec![0, 2], vec![])));
        fails(tiled(&[2]), "repeats [2] must be 2 numbers from 0 on");
        fails(tiled(&[2, -1]), "from 0 on");
        let wide = run(Tile, &[Some(&count(&[3])), Some(&list(&[i64::MAX]))]);
        fails(wide, "is too large");
    }

    #[test]
    fn depth_becomes_space_and_back() {
        let x = count(&[1, 8, 1, 2]);
        let shuffled = |mode| run(DepthToSpace { block_size: 2, mode }, &[Some(&x)]).unwrap();
        // Channel 2·(2r + c) + k holds row r, column c of output channel k.
        assert_eq!(shuffled(DepthOrder::DepthColumnRow).0, [1, 2, 2, 4]);
        assert_eq!(shuffled(DepthOrder::DepthColumnRow).1[..8], [0., 4., 1., 5., 8., 12., 9., 13.]);
        // Channel 4·k + 2r + c does.
        assert_eq!(shuffled(DepthOrder::ColumnRowDepth).1[..8], [0., 2., 1., 3., 4., 6., 5., 7.]);
        let image = Tensor::of([1, 2, 2, 4], shuffled(DepthOrder::DepthColumnRow).1);
        assert_eq!(run(SpaceToDepth { block_size: 2 }, &[Some(&image)]).unwrap(), (vec![1, 8, 1, 2], (0..16).map(f64::from).collect()));
        fails(run(DepthToSpace { block_size: 3, mode: DepthOrder::DepthColumnRow }, &[Some(&x)]), "8 channels, not a multiple of 9");
        fails(run(DepthToSpace { block_size: 0, mode: DepthOrder::DepthColumnRow }, &[Some(&x)]), "cannot be rearranged");
        fails(run(SpaceToDepth { block_size: 2 }, &[Some(&x)]), "cannot be cut in blocks");
        fails(run(SpaceToDepth { block_size: 2 }, &[Some(&count(&[4, 4]))]), "has not four axes");
    }

    #[test]
    fn triangles() {
        let x = Tensor::full([2, 3], 1u8);
        let of = |upper, k: Option<i64>| run(Trilu { upper }, &[Some(&x), k.map(Tensor::scalar).as_ref()]).unwrap().1;
        assert_eq!(of(true, None), [1., 1., 1., 0., 1., 1.]);
        assert_eq!(of(true, Some(1)), [0., 1., 1., 0., 0., 1.]);
        assert_eq!(of(false, None), [1., 0., 0., 1., 1., 0.]);
        assert_eq!(of(false, Some(-1)), [0., 0., 0., 1., 0., 0.]);
        assert_eq!(of(true, Some(i64::MIN)), [1.; 6]);
        fails(run(Trilu { upper: true }, &[Some(&count(&[3]))]), "[3] has no rows and columns");
        fails(run(Trilu { upper: true }, &[Some(&x), Some(&list(&[1, 2]))]), "k must be one number");
    }

    #[test]
    fn one_hot_vectors() {
        let values = Tensor::vector(vec![5i32, 7]);
        let of = |axis, indices: &Tensor, depth: i64| run(OneHot { axis }, &[Some(indices), Some(&Tensor::scalar(depth)), Some(&values)]);
        assert_eq!(of(-1, &list(&[1, -1, 9]), 3), Ok((vec![3, 3], vec![5., 7., 5., 5., 5., 7., 5., 5., 5.])));
        assert_eq!(of(0, &list(&[1, 0]), 2), Ok((vec![2, 2], vec![5., 7., 7., 5.])));
        assert_eq!(of(0, &Tensor::vector(vec![1.9f32, -0.5]), 2), Ok((vec![2, 2], vec![5., 7., 7., 5.])));
        fails(of(2, &list(&[1]), 3), "axis 2 is outside");
        fails(of(0, &list(&[1]), -3), "depth must be one number from 0");
        fails(of(0, &Tensor::vector(vec![true]), 3), "indices are bool[1]");
    }

    #[test]
    fn sequences_are_reversed() {
        let x = count(&[3, 2]);
        let of = |batch_first, lengths: &[i64]| run(ReverseSequence { batch_first }, &[Some(&x), Some(&list(lengths))]);
        assert_eq!(of(false, &[3, 1]).unwrap().1, [4., 1., 2., 3., 0., 5.]);
        assert_eq!(of(true, &[2, 0, 1]).unwrap().1, [1., 0., 2., 3., 4., 5.]);
        fails(of(false, &[4, 1]), "a sequence of 4 steps is not in [3,2] with 3 steps");
        fails(of(false, &[1]), "expected 2 lengths");
    }

    #[test]
    fn centres_are_cropped_and_padded() {
        let x = count(&[5]);
        let to = |extent| run(CenterCropPad::default(), &[Some(&x), Some(&list(&[extent]))]).unwrap().1;
        assert_eq!(to(2), [1., 2.], "one cut at the start, two at the end");
        assert_eq!(to(8), [0., 0., 1., 2., 3., 4., 0., 0.], "one added at the start, two at the end");
        let axes = CenterCropPad { axes: Some(vec![-1]) };
        assert_eq!(run(axes.clone(), &[Some(&count(&[2, 2])), Some(&list(&[1]))]), Ok((vec![2, 1], vec![0., 2.])));
        fails(run(axes.clone(), &[Some(&x), Some(&list(&[1, 2]))]), "2 extents for 1 axes");
        fails(run(axes, &[Some(&x), Some(&list(&[-1]))]), "below 0");
    }
}
