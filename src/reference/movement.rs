//! Operators that move elements and compute nothing: every element type, bit for bit.

use crate::error::OpError;
use crate::ops::movement::{PadAxis, PadMode, SliceAxis};
use crate::shape::Shape;
use crate::tensor::{Element, Tensor, for_each_dtype};

/// `y[i_0, …] = x[j]` with `j_{permutation_k} = i_k`
pub(crate) fn transpose(permutation: &[usize], x: &Tensor) -> Tensor {
    let own = x.shape().strides();
    let strides: Vec<_> = permutation.iter().map(|&axis| own[axis]).collect();
    let shape: Shape = permutation.iter().map(|&axis| x.shape()[axis]).collect();
    pick(x, &shape, |i| dot(i, &strides))
}

/// `y[i_0, …] = x[start_0 + i_0·step_0, …]`
pub(crate) fn slice(axes: &[SliceAxis], x: &Tensor) -> Tensor {
    let strides = x.shape().strides();
    let shape: Shape = axes.iter().map(|axis| axis.len).collect();
    let position = |axis: &SliceAxis, i: usize| axis.start.wrapping_add_signed(i as isize * axis.step as isize);
    pick(x, &shape, |i| axes.iter().zip(i).zip(&strides).map(|((axis, &i), stride)| position(axis, i) * stride).sum())
}

/// `y[i] = x[i]`, 0 for `i` along axes of extent 1
pub(crate) fn expand(shape: &Shape, x: &Tensor) -> Tensor {
    let strides = x.shape().broadcast_strides(shape);
    pick(x, shape, |i| dot(i, &strides))
}

/// `y_p[…, i, …] = x[…, extent_0 + … + extent_{p−1} + i, …]`
pub(crate) fn split(axis: usize, parts: &[usize], x: &Tensor) -> Vec<Tensor> {
    let mut start = 0;
    let mut part = |&len: &usize| {
        let whole = |&len| SliceAxis { start: 0, step: 1, len };
        let mut axes: Vec<_> = x.shape().iter().map(whole).collect();
        axes[axis] = SliceAxis { start, step: 1, len };
        start += len;
        slice(&axes, x)
    };
    parts.iter().map(&mut part).collect()
}

/// `y[…, extent_0 + … + extent_{p−1} + i, …] = x_p[…, i, …]`
pub(crate) fn concat(axis: usize, inputs: &[&Tensor]) -> Tensor {
    fn joined<T: Element>(_like: &[T], axis: usize, inputs: &[&Tensor]) -> Tensor {
        let mut dims = inputs[0].shape().to_vec();
        dims[axis] = inputs.iter().map(|x| x.shape()[axis]).sum();
        let outer = Shape::from(&dims[..axis]).elements();
        let mut y = Vec::with_capacity(Shape::from(dims.as_slice()).elements());
        for o in 0..outer {
            for x in inputs {
                let row = x.len() / outer;
                y.extend_from_slice(&x.data::<T>().expect("the shape rule asks for one type")[o * row..][..row]);
            }
        }
        Tensor::of(dims, y)
    }
    for_each_dtype!(inputs[0].data_ref(), values => joined(values, axis, inputs))
}

/// `y[i_0, …] = x[start_0 + source(i_0 − before_0), …]`, or `fill`, or 0, where a coordinate has no source
pub(crate) fn pad(mode: PadMode, axes: &[PadAxis], x: &Tensor, fill: Option<&Tensor>) -> Tensor {
    fn padded<T: Element>(values: &[T], mode: PadMode, axes: &[PadAxis], strides: &[usize], fill: Option<&Tensor>) -> Tensor {
        let fill = fill.and_then(|fill| fill.data::<T>()).map_or(T::default(), |fill| fill[0]);
        let shape: Shape = axes.iter().map(PadAxis::extent).collect();
        let mut y = Vec::with_capacity(shape.elements());
        for_each_coordinate(&shape, |i| {
            let mut from = Some(0);
            for ((axis, &i), stride) in axes.iter().zip(i).zip(strides) {
                let at = source(mode, i as i64 - axis.before as i64, axis.kept as i64);
                from = from.zip(at).map(|(from, at)| from + (axis.start + at) * stride);
            }
            y.push(from.map_or(fill, |from| values[from]));
        });
        Tensor::of(shape, y)
    }
    let fill = fill.filter(|_| mode == PadMode::Constant);
    for_each_dtype!(x.data_ref(), values => padded(values, mode, axes, &x.shape().strides(), fill))
}

/// The element of an axis of extent `n` that shows at position `at`, outside the axis too; `None` for the constant.
fn source(mode: PadMode, at: i64, n: i64) -> Option<usize> {
    let at = match mode {
        PadMode::Constant => return (0..n).contains(&at).then_some(at as usize),
        PadMode::Reflect => {
            let period = (2 * (n - 1)).max(1);
            let phase = at.rem_euclid(period);
            phase.min(period - phase)
        }
        PadMode::Edge => at.clamp(0, n - 1),
        PadMode::Wrap => at.rem_euclid(n),
    };
    Some(at as usize)
}

/// `y[o, i, n] = x[o, indices[i], n]`
pub(crate) fn gather(axis: usize, x: &Tensor, indices: &Tensor) -> Result<Tensor, OpError> {
    let positions = positions(x.shape(), axis, indices)?;
    let [outer, inner] = [&x.shape()[..axis], &x.shape()[axis + 1..]].map(|dims| Shape::from(dims).elements());
    let (extent, dims) = (x.shape()[axis], [&x.shape()[..axis], indices.shape(), &x.shape()[axis + 1..]].concat());
    Ok(for_each_dtype!(x.data_ref(), values => {
        let mut y = Vec::with_capacity(outer * positions.len() * inner);
        for o in 0..outer {
            for i in &positions {
                y.extend_from_slice(&values[(o * extent + i) * inner..][..inner]);
            }
        }
        Tensor::of(dims, y)
    }))
}

/// The elements of axis `axis` that `indices` mean, or which of them there is none of.
pub(crate) fn positions(shape: &Shape, axis: usize, indices: &Tensor) -> Result<Vec<usize>, OpError> {
    let extent = shape[axis];
    let position = |(at, &index): (usize, &i64)| {
        let counted = if index < 0 { index.checked_add(extent as i64) } else { Some(index) };
        let found = counted.and_then(|i| usize::try_from(i).ok()).filter(|&i| i < extent);
        found.ok_or_else(|| {
            let at = indices.shape().coordinates(at);
            OpError::invalid(format!("index {index} at {at:?} is outside axis {axis} of {shape}, whose extent is {extent}"))
        })
    };
    indices.to_i64().unwrap_or_default().iter().enumerate().map(position).collect()
}

/// `y[i] = x[source(i)]`, `source` giving the row-major position
fn pick(x: &Tensor, shape: &Shape, source: impl Fn(&[usize]) -> usize) -> Tensor {
    for_each_dtype!(x.data_ref(), values => {
        let mut y = Vec::with_capacity(shape.elements());
        for_each_coordinate(shape, |i| y.push(values[source(i)]));
        Tensor::of(shape, y)
    })
}

fn dot(i: &[usize], strides: &[usize]) -> usize {
    i.iter().zip(strides).map(|(i, stride)| i * stride).sum()
}

/// Visits the coordinates of `shape` in row-major order.
fn for_each_coordinate(shape: &Shape, mut visit: impl FnMut(&[usize])) {
    let mut at = vec![0; shape.rank()];
    for _ in 0..shape.elements() {
        visit(&at);
        for (i, &extent) in at.iter_mut().zip(shape.iter()).rev() {
            *i += 1;
            if *i < extent {
                break;
            }
            *i = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Concat, Expand, Gather, Op, Operands, Pad, Slice, Split, Transpose};

    /// `0, 1, 2, …` in `shape`.
    fn count(shape: &[usize]) -> Tensor {
        Tensor::of(shape, (0..Shape::from(shape).elements() as i32).collect())
    }

    fn run(op: impl Into<Op>, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let op = op.into();
        let types = op.operator().infer(&Operands::of(inputs, outputs))?;
        let results = op.operator().reference(inputs, outputs)?;
        for (result, ty) in results.iter().zip(&types) {
            assert_eq!((result.dtype(), result.shape()), (ty.dtype, &ty.shape), "{op:?}");
        }
        assert_eq!(results.len(), types.len());
        Ok(results)
    }

    #[track_caller]
    fn gives(result: Result<Vec<Tensor>, OpError>, shape: &[usize], values: &[i32]) {
        let result = result.unwrap();
        assert_eq!((result[0].shape().dims(), result[0].data::<i32>().unwrap()), (shape, values));
    }

    #[track_caller]
    fn fails(result: Result<Vec<Tensor>, OpError>, message: &str) {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn transposes() {
        let turn = |permutation: &[usize], x: &Tensor| run(Transpose { permutation: permutation.to_vec() }, &[Some(x)], 1);
        gives(turn(&[], &count(&[2, 3])), &[3, 2], &[0, 3, 1, 4, 2, 5]);
        gives(turn(&[1, 2, 0], &count(&[2, 3, 2])), &[3, 2, 2], &[0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]);
        gives(turn(&[], &count(&[])), &[], &[0]);
        for wrong in [&[0, 0][..], &[0, 2], &[0], &[0, 1, 2]] {
            fails(turn(wrong, &count(&[2, 3])), "must name each of 2 axes once");
        }
    }

    fn slices(x: &Tensor, lists: &[&[i64]]) -> Result<Vec<Tensor>, OpError> {
        let lists: Vec<_> = lists.iter().map(|list| Tensor::vector(list.to_vec())).collect();
        run(Slice, &std::iter::once(Some(x)).chain(lists.iter().map(Some)).collect::<Vec<_>>(), 1)
    }

    #[test]
    fn slices_clamp_and_step() {
        let x = count(&[6]);
        let line = |start, end, step| slices(&x, &[&[start], &[end], &[0], &[step]]).unwrap()[0].data::<i32>().unwrap().to_vec();
        assert_eq!(line(1, 4, 1), [1, 2, 3]);
        assert_eq!(line(-4, -1, 2), [2, 4]);
        assert_eq!(line(0, i64::MAX, 4), [0, 4]);
        assert_eq!(line(-1, i64::MIN, -1), [5, 4, 3, 2, 1, 0]);
        assert_eq!(line(i64::MAX, i64::MIN, -3), [5, 2]);
        assert_eq!(line(4, 1, -2), [4, 2]);
        assert_eq!(line(-100, -100, 1), [0; 0]);
        assert_eq!(line(4, 2, 1), [0; 0]);
        assert_eq!(line(2, 3, i64::MAX), [2]);
        assert_eq!(line(3, 2, i64::MIN), [3]);
        assert_eq!(line(i64::MIN, i64::MIN, -1), [0], "ONNX clamps the start to the first element");
        gives(slices(&count(&[0]), &[&[-1], &[i64::MIN], &[0], &[-1]]), &[0], &[]);
        gives(slices(&count(&[3, 4]), &[&[1, 3], &[3, 0], &[0, -1], &[1, -2]]), &[2, 2], &[7, 5, 11, 9]);
        gives(slices(&count(&[3, 4]), &[&[2], &[9]]), &[1, 4], &[8, 9, 10, 11]);
    }

    #[test]
    fn slices_refuse_what_is_unclear() {
        let x = count(&[3, 4]);
        fails(slices(&x, &[&[0], &[1], &[0], &[0]]), "step by 0 along axis 0");
        fails(slices(&x, &[&[0, 0], &[1, 1], &[1, -1]]), "name axis 1 twice");
        fails(slices(&x, &[&[0], &[1], &[2]]), "axis 2 is outside -2..2");
        fails(slices(&x, &[&[0, 0], &[1]]), "2 starts, 1 ends, 2 axes and 2 steps");
        fails(slices(&x, &[&[0]]), "`ends`");
        fails(slices(&x, &[&[0, 0, 0], &[1, 1, 1]]), "axis 2 is outside");
    }

    #[test]
    fn splits_equal_and_given_parts() {
        let parts = |axis, split: Option<&[i64]>, outputs| {
            let split = split.map(|s| Tensor::vector(s.to_vec()));
            run(Split { axis }, &[Some(&count(&[2, 5])), split.as_ref()], outputs)
        };
        let values = |tensors: Vec<Tensor>| tensors.iter().map(|t| t.data::<i32>().unwrap().to_vec()).collect::<Vec<_>>();
        assert_eq!(values(parts(1, None, 2).unwrap()), [vec![0, 1, 2, 5, 6, 7], vec![3, 4, 8, 9]]);
        assert_eq!(values(parts(-2, None, 2).unwrap()), [vec![0, 1, 2, 3, 4], vec![5, 6, 7, 8, 9]]);
        assert_eq!(values(parts(1, Some(&[1, 0, 4]), 3).unwrap()), [vec![0, 5], vec![], vec![1, 2, 3, 4, 6, 7, 8, 9]]);
        assert_eq!(values(parts(0, None, 1).unwrap()), [(0..10).collect::<Vec<_>>()]);
        fails(parts(1, None, 4), "axis 1 of [2,5] cannot be cut in 4 parts of 2");
        fails(parts(1, Some(&[2, 2]), 2), "[2, 2] must add up to 5");
        fails(parts(1, Some(&[7, -2]), 2), "must add up to 5");
        fails(parts(1, Some(&[2, 3]), 3), "has 2 parts, the node has 3 outputs");
        fails(parts(2, None, 2), "axis 2 is outside");
    }

    #[test]
    fn concatenates_along_any_axis() {
        let (a, b) = (count(&[2, 1]), count(&[2, 2]));
        gives(run(Concat { axis: -1 }, &[Some(&a), Some(&b), Some(&a)], 1), &[2, 4], &[0, 0, 1, 0, 1, 2, 3, 1]);
        gives(run(Concat { axis: 0 }, &[Some(&b), Some(&count(&[1, 2]))], 1), &[3, 2], &[0, 1, 2, 3, 0, 1]);
        gives(run(Concat { axis: 1 }, &[Some(&count(&[2, 0])), Some(&b)], 1), &[2, 2], &[0, 1, 2, 3]);
        fails(run(Concat { axis: 0 }, &[Some(&a), Some(&b)], 1), "input 1 is i32[2,2], input 0 is i32[2,1]");
        fails(run(Concat { axis: 0 }, &[Some(&a), Some(&Tensor::full([2, 1], 0f32))], 1), "input 1 is f32[2,1]");
        fails(run(Concat { axis: 0 }, &[Some(&a), Some(&count(&[2]))], 1), "input 1 is i32[2]");
        fails(run(Concat { axis: 2 }, &[Some(&a)], 1), "axis 2 is outside");
        fails(run(Concat { axis: 0 }, &[], 1), "missing");
        fails(run(Concat { axis: 0 }, &[Some(&a), None], 1), "input 1 (`inputs`) is missing");
    }

    fn pads(mode: PadMode, x: &Tensor, pads: &[i64], fill: Option<i32>, axes: Option<&[i64]>) -> Result<Vec<Tensor>, OpError> {
        let (pads, fill) = (Tensor::vector(pads.to_vec()), fill.map(Tensor::scalar));
        let axes = axes.map(|axes| Tensor::vector(axes.to_vec()));
        run(Pad { mode }, &[Some(x), Some(&pads), fill.as_ref(), axes.as_ref()], 1)
    }

    #[test]
    fn pads_in_every_mode() {
        // The rows are numpy.pad's, the last of each mode beyond one extent.
        let x = count(&[3]);
        gives(pads(PadMode::Constant, &x, &[2, 1], Some(9), None), &[6], &[9, 9, 0, 1, 2, 9]);
        gives(pads(PadMode::Constant, &x, &[1, 0], None, None), &[4], &[0, 0, 1, 2]);
        gives(pads(PadMode::Reflect, &x, &[2, 1], None, None), &[6], &[2, 1, 0, 1, 2, 1]);
        gives(pads(PadMode::Reflect, &x, &[5, 4], None, None), &[12], &[1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]);
        gives(pads(PadMode::Reflect, &count(&[1]), &[2, 1], None, None), &[4], &[0, 0, 0, 0]);
        gives(pads(PadMode::Edge, &x, &[2, 1], None, None), &[6], &[0, 0, 0, 1, 2, 2]);
        gives(pads(PadMode::Wrap, &x, &[2, 1], None, None), &[6], &[1, 2, 0, 1, 2, 0]);
        gives(pads(PadMode::Wrap, &x, &[4, 4], None, None), &[11], &[2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn pads_axes_and_crops() {
        let x = count(&[2, 3]);
        gives(pads(PadMode::Constant, &x, &[0, 1, 1, -1], Some(7), None), &[3, 3], &[7, 0, 1, 7, 3, 4, 7, 7, 7]);
        gives(pads(PadMode::Edge, &x, &[1, 0], None, Some(&[-1])), &[2, 4], &[0, 0, 1, 2, 3, 3, 4, 5]);
        gives(pads(PadMode::Constant, &x, &[-1, -1, 0, 0], None, None), &[1, 2], &[4, 5]);
        // The crop comes first: 0 1 2 3 loses 0, and 1 2 3 is mirrored about its 3.
        gives(pads(PadMode::Reflect, &count(&[4]), &[-1, 2], None, None), &[5], &[1, 2, 3, 2, 1]);
        gives(pads(PadMode::Constant, &count(&[0]), &[1, 1], Some(5), None), &[2], &[5, 5]);
    }

    #[test]
    fn pads_refuse_what_does_not_fit() {
        let x = count(&[2, 3]);
        fails(pads(PadMode::Constant, &x, &[0, 1, 1], None, None), "3 pads for 2 axes");
        fails(pads(PadMode::Constant, &x, &[0, -2, 0, -2], None, None), "pads -2 and -2 of axis 1 with extent 3 crop more");
        fails(pads(PadMode::Constant, &x, &[i64::MIN, 0, i64::MAX, 0], None, None), "of axis 0 with extent 2 crop more");
        fails(pads(PadMode::Constant, &x, &[1, 1, 1, 1], None, Some(&[0, -2])), "name axis 0 twice");
        fails(pads(PadMode::Edge, &count(&[0]), &[1, 1], None, None), "leave no element to repeat");
        let (p, fill) = (Tensor::vector(vec![1i64; 4]), Tensor::scalar(1f32));
        fails(run(Pad { mode: PadMode::Constant }, &[Some(&x), Some(&p), Some(&fill)], 1), "constant_value is f32[], expected one i32");
    }

    #[test]
    fn expands_both_ways() {
        let expand = |x: &[usize], shape: &[i64]| run(Expand, &[Some(&count(x)), Some(&Tensor::vector(shape.to_vec()))], 1);
        gives(expand(&[2, 1], &[2, 1, 3]), &[2, 2, 3], &[0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1]);
        gives(expand(&[3], &[2, 1]), &[2, 3], &[0, 1, 2, 0, 1, 2]);
        gives(expand(&[2, 3], &[1]), &[2, 3], &[0, 1, 2, 3, 4, 5]);
        gives(expand(&[1], &[0]), &[0], &[]);
        fails(expand(&[2, 3], &[4]), "[2,3] and [4] do not broadcast");
        fails(expand(&[2, 3], &[-1]), "shape [-1] has an extent below 0");
    }

    #[test]
    fn gathers_and_names_what_is_outside() {
        let x = count(&[3, 2]);
        let rows = Tensor::new([2, 2], vec![0i64, -1, 2, 1]).unwrap();
        gives(run(Gather { axis: 0 }, &[Some(&x), Some(&rows)], 1), &[2, 2, 2], &[0, 1, 4, 5, 4, 5, 2, 3]);
        gives(run(Gather { axis: -1 }, &[Some(&x), Some(&Tensor::scalar(-2i32))], 1), &[3], &[0, 2, 4]);
        for wrong in [3i64, -4, i64::MAX, i64::MIN] {
            let indices = Tensor::new([1, 2], vec![0, wrong]).unwrap();
            let message = format!("index {wrong} at [0, 1] is outside axis 0 of [3,2], whose extent is 3");
            fails(run(Gather { axis: 0 }, &[Some(&x), Some(&indices)], 1), &message);
            assert_eq!(gather(0, &x, &indices), Err(OpError::invalid(message)));
        }
        fails(run(Gather { axis: 0 }, &[Some(&x), Some(&Tensor::scalar(0u8))], 1), "`indices`) is u8, expected i32, i64");
        fails(run(Gather { axis: 0 }, &[Some(&count(&[])), Some(&rows)], 1), "axis 0 is outside");
    }
}
