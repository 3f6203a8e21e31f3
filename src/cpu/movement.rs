//! Operators that move elements and compute nothing, of any type: contiguous runs are copied whole, on all cores.

use rayon::prelude::*;

use super::strided::Loops;
use super::{CHUNK, resize, scratch};
use crate::error::OpError;
use crate::ops::movement::Rearrangement;
use crate::ops::{Concat, Gather, Op, Operands, Pad, Tile};
use crate::reference;
use crate::shape::{Shape, resolve_axis};
use crate::tensor::{Element, Tensor, for_each_dtype};

/// Elements by elements of the blocks in which a transposition is done, so that the lines it touches stay in the first-level cache.
const BLOCK: usize = 32;

/// The outputs of an operator that moves elements; `None` for any other, and for those that the reference does as fast.
pub(super) fn evaluate(op: &Op, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Option<Vec<Tensor>>, OpError> {
    let Some(data) = inputs.first().copied().flatten() else { return Ok(None) };
    let operands = Operands::of(inputs, outputs);
    let own: Vec<i64> = data.shape().strides().into_iter().map(|s| s as i64).collect();
    Ok(Some(match op {
        Op::Transpose(op) => {
            let axes = op.axes(data.shape().rank())?;
            vec![walk(data, axes.iter().map(|&axis| data.shape()[axis]).collect(), 0, axes.iter().map(|&axis| own[axis]).collect())]
        }
        Op::Slice(op) => {
            let axes = op.axes(data.shape(), &operands)?;
            let start = axes.iter().zip(&own).map(|(axis, stride)| axis.start * *stride as usize).sum();
            let strides = axes.iter().zip(&own).map(|(axis, stride)| axis.step * stride).collect();
            vec![walk(data, axes.iter().map(|axis| axis.len).collect(), start, strides)]
        }
        Op::Expand(_) => {
            let shape = op.operator().infer(&operands)?.remove(0).shape;
            let strides = data.shape().broadcast_strides(&shape).into_iter().map(|s| s as i64).collect();
            vec![walk(data, shape, 0, strides)]
        }
        Op::Split(op) => {
            let (axis, parts) = op.parts(data.shape(), &operands)?;
            let mut start = 0;
            let mut part = |&extent: &usize| {
                let shape = data.shape().iter().enumerate().map(|(a, &whole)| if a == axis { extent } else { whole }).collect();
                let tensor = walk(data, shape, start * own[axis] as usize, own.clone());
                start += extent;
                tensor
            };
            parts.iter().map(&mut part).collect()
        }
        Op::Concat(op) => match concat(op, inputs) {
            Some(tensor) => vec![tensor],
            None => return Ok(None),
        },
        Op::DepthToSpace(op) => vec![rearranged(data, &op.rearrangement(data.shape())?)],
        Op::Gather(op) => match inputs.get(1).copied().flatten() {
            Some(indices) if data.len().max(indices.len()) >= CHUNK => vec![gather(op, data, indices)?],
            _ => return Ok(None),
        },
        Op::Pad(op) => vec![pad(op, data, inputs, &operands)?],
        Op::Resize(op) => match resize::nearest(op, data, &operands)? {
            Some(tensor) => vec![tensor],
            None => return Ok(None),
        },
        Op::SpaceToDepth(op) => vec![rearranged(data, &op.rearrangement(data.shape())?)],
        Op::Tile(op) => {
            let repeats = op.repeats(data.shape(), &operands)?;
            let (space, strides) = Tile::walk(data.shape(), &repeats);
            let shape = data.shape().iter().zip(&repeats).map(|(extent, count)| extent * count).collect();
            vec![reference::layout::relabel(&walk(data, space, 0, strides), shape)]
        }
        _ => return Ok(None),
    }))
}

/// `y[i_0, …] = x[start + Σ i_k · stride_k]`
fn walk(x: &Tensor, shape: Shape, start: usize, strides: Vec<i64>) -> Tensor {
    for_each_dtype!(x.data_ref(), values => {
        let y = copy_strided(values, start, &shape, strides);
        Tensor::of(shape, y)
    })
}

/// `y[i_0, …] = x[start + Σ i_k · stride_k]`, `y` of `extents`.
pub(super) fn copy_strided<T: Element>(x: &[T], start: usize, extents: &[usize], strides: Vec<i64>) -> Vec<T> {
    let mut y = scratch::elements::<T>(extents.iter().product());
    if y.is_empty() {
        return y;
    }
    let loops = Loops::new(extents, [strides]);
    let (dims, steps) = loops.axes();
    let inner = dims[dims.len() - 1];
    let unit = steps.iter().position(|&[step]| step == 1);
    match unit {
        Some(axis) if axis + 1 < dims.len() => transpose(x, start, &loops, axis, &mut y),
        _ => {
            let rows = CHUNK.div_ceil(inner);
            let [step] = loops.inner_strides();
            y.par_chunks_mut(rows * inner).enumerate().for_each(|(chunk, y)| {
                let mut y = y.chunks_exact_mut(inner);
                loops.for_each(chunk * rows, y.len(), |[at]| {
                    let y = y.next().expect("one row a loop");
                    let from = start.wrapping_add_signed(at);
                    match step {
                        1 => y.copy_from_slice(&x[from..][..inner]),
                        0 => y.fill(x[from]),
                        _ => y.iter_mut().enumerate().for_each(|(i, y)| *y = x[from.wrapping_add_signed(i as isize * step)]),
                    }
                });
            });
        }
    }
    y
}

/// As [`copy_strided`] where not the last axis, but `axis`, is contiguous in `x`: both are walked in blocks.
fn transpose<T: Element>(x: &[T], start: usize, loops: &Loops<1>, axis: usize, y: &mut [T]) {
    let (dims, steps) = loops.axes();
    let (last, inner) = (dims.len() - 1, dims[dims.len() - 1]);
    let [inner_step] = steps[last];
    let row: usize = dims[axis + 1..].iter().product();
    let outer = Loops::<1>::of(&dims[..axis], &steps[..axis]);
    let between = Loops::<1>::of(&dims[axis + 1..last], &steps[axis + 1..last]);
    let block = |first: usize, from: usize, y: &mut [T]| {
        let count = y.len() / row;
        let mut middle = 0;
        between.for_each_position(|[at]| {
            let from = from.wrapping_add_signed(at) + first;
            for i in (0..inner).step_by(BLOCK) {
                let width = BLOCK.min(inner - i);
                for j in 0..count {
                    let y = &mut y[j * row + middle + i..][..width];
                    for (k, y) in (i..).zip(y) {
                        *y = x[(from + j).wrapping_add_signed(k as isize * inner_step)];
                    }
                }
            }
            middle += inner;
        });
    };
    let mut origins = vec![];
    outer.for_each_position(|[at]| origins.push(start.wrapping_add_signed(at)));
    y.par_chunks_exact_mut(dims[axis] * row).zip(origins).for_each(|(y, from)| {
        y.par_chunks_mut(BLOCK * row).enumerate().for_each(|(at, y)| block(at * BLOCK, from, y));
    });
}

fn rearranged(x: &Tensor, rearrangement: &Rearrangement) -> Tensor {
    let (space, strides) = rearrangement.walk();
    reference::layout::relabel(&walk(x, space, 0, strides), rearrangement.output.clone())
}

/// `y[o, i, n] = x[o, indices[i], n]`
fn gather(op: &Gather, x: &Tensor, indices: &Tensor) -> Result<Tensor, OpError> {
    let axis = op.axis(x.shape().rank())?;
    let positions = reference::movement::positions(x.shape(), axis, indices)?;
    let (extent, inner) = (x.shape()[axis], Shape::from(&x.shape()[axis + 1..]).elements());
    let dims = [&x.shape()[..axis], indices.shape(), &x.shape()[axis + 1..]].concat();
    Ok(for_each_dtype!(x.data_ref(), values => Tensor::of(&*dims, rows(values, &dims, &positions, extent, inner))))
}

fn rows<T: Element>(x: &[T], dims: &[usize], positions: &[usize], extent: usize, inner: usize) -> Vec<T> {
    let mut y = scratch::elements::<T>(dims.iter().product());
    if y.is_empty() {
        return y;
    }
    let rows = CHUNK.div_ceil(inner);
    y.par_chunks_mut(rows * inner).enumerate().for_each(|(chunk, y)| {
        for (row, y) in (chunk * rows..).zip(y.chunks_exact_mut(inner)) {
            let from = row / positions.len() * extent + positions[row % positions.len()];
            y.copy_from_slice(&x[from * inner..][..inner]);
        }
    });
    y
}

/// All inputs one after the other; `None` for few elements, which the reference copies as fast.
fn concat(op: &Concat, inputs: &[Option<&Tensor>]) -> Option<Tensor> {
    let inputs: Vec<&Tensor> = inputs.iter().copied().flatten().collect();
    let axis = resolve_axis(op.axis, inputs[0].shape().rank())?;
    let total: usize = inputs.iter().map(|x| x.len()).sum();
    if total < 4 * CHUNK {
        return None;
    }
    let mut dims = inputs[0].shape().to_vec();
    dims[axis] = inputs.iter().map(|x| x.shape()[axis]).sum();
    let outer: usize = dims[..axis].iter().product();
    for_each_dtype!(inputs[0].data_ref(), values => Some(Tensor::of(dims, join(values, &inputs, outer, total))))
}

fn join<T: Element>(_like: &[T], inputs: &[&Tensor], outer: usize, total: usize) -> Vec<T> {
    let mut y = scratch::elements::<T>(total);
    let mut pieces = Vec::with_capacity(outer * inputs.len());
    let mut rest = y.as_mut_slice();
    for o in 0..outer {
        for x in inputs {
            let len = x.len() / outer;
            let (piece, after) = rest.split_at_mut(len);
            rest = after;
            pieces.push((piece, &x.data::<T>().expect("the shape rule asks for one type")[o * len..][..len]));
        }
    }
    pieces.into_par_iter().for_each(|(to, from)| to.copy_from_slice(from));
    y
}

/// One output axis of a padding: which element of the input's axis shows at each position, −1 for the constant.
type Table = Vec<i64>;

fn pad(op: &Pad, x: &Tensor, inputs: &[Option<&Tensor>], operands: &Operands<'_>) -> Result<Tensor, OpError> {
    let axes = op.axes(x.shape(), operands)?;
    // The positions of an axis, padded as the reference pads any other vector, say where everything comes from.
    let table = |(axis, &extent): (_, &usize)| -> Table {
        let positions = Tensor::vector((0..extent as i64).collect());
        let outside = Tensor::scalar(-1i64);
        reference::movement::pad(op.mode, std::slice::from_ref(axis), &positions, Some(&outside)).to_i64().unwrap_or_default()
    };
    let tables: Vec<Table> = axes.iter().zip(x.shape().iter()).map(table).collect();
    let shape: Shape = tables.iter().map(Vec::len).collect();
    let fill = inputs.get(2).copied().flatten();
    Ok(for_each_dtype!(x.data_ref(), values => Tensor::of(&shape, padded(values, x.shape(), &tables, fill))))
}

fn padded<T: Element>(x: &[T], shape: &Shape, tables: &[Table], fill: Option<&Tensor>) -> Vec<T> {
    let fill = fill.and_then(|fill| fill.data::<T>()?.first().copied()).unwrap_or_default();
    let mut y = vec![fill; tables.iter().map(Vec::len).product()];
    let Some((inner, outer)) = tables.split_last() else { return x.to_vec() };
    if y.is_empty() {
        return y;
    }
    let strides = shape.strides();
    let extents: Shape = outer.iter().map(Vec::len).collect();
    let rows = CHUNK.div_ceil(inner.len());
    let runs = runs(inner);
    y.par_chunks_mut(rows * inner.len()).enumerate().for_each(|(chunk, y)| {
        for (row, y) in (chunk * rows..).zip(y.chunks_exact_mut(inner.len())) {
            let at = extents.coordinates(row);
            let Some(from) =
                at.iter().zip(outer).zip(&strides).map(|((&i, table), stride)| Some(usize::try_from(table[i]).ok()? * stride)).sum()
            else {
                continue;
            };
            let x: &[T] = &x[from..];
            for &(to, from, len) in &runs {
                y[to..][..len].copy_from_slice(&x[from..][..len]);
            }
        }
    });
    y
}

/// `(to, from, length)` of the runs of neighbours in a table.
fn runs(table: &[i64]) -> Vec<(usize, usize, usize)> {
    let mut runs: Vec<(usize, usize, usize)> = vec![];
    for (to, &from) in table.iter().enumerate() {
        let Ok(from) = usize::try_from(from) else { continue };
        match runs.last_mut() {
            Some((last_to, last_from, len)) if *last_to + *len == to && *last_from + *len == from => *len += 1,
            _ => runs.push((to, from, 1)),
        }
    }
    runs
}
