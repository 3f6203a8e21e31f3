//! `Resize` of `f32`, one axis after the other.

use rayon::prelude::*;

use super::CHUNK;
use crate::error::OpError;
use crate::ops::movement::ResizeAxis;
use crate::ops::{Operands, Resize, ResizeMode};
use crate::reference::resize::{OUTSIDE, Taps, taps};
use crate::shape::Shape;
use crate::tensor::{Element, Tensor, for_each_dtype};

/// The nearest elements, of any type; `None` for what is interpolated.
pub(super) fn nearest(op: &Resize, x: &Tensor, operands: &Operands<'_>) -> Result<Option<Tensor>, OpError> {
    if !matches!(op.mode, ResizeMode::Nearest(_)) {
        return Ok(None);
    }
    let axes = op.resized(operands)?;
    let Ok(outside) = Tensor::from_f64(x.dtype(), [], vec![op.extrapolation_value.into()]) else { return Ok(None) };
    let tables: Vec<Taps> = axes.iter().map(|axis| taps(op, axis)).collect();
    let shape: Shape = axes.iter().map(|axis| axis.output).collect();
    Ok(Some(for_each_dtype!(x.data_ref(), values => Tensor::of(&shape, moved(values, x.shape(), &shape, &tables, &outside)))))
}

fn moved<T: Element>(x: &[T], input: &Shape, output: &Shape, tables: &[Taps], outside: &Tensor) -> Vec<T> {
    let outside = outside.data::<T>().map_or(T::default(), |value| value[0]);
    let Some((inner, outer)) = tables.split_last() else { return x.to_vec() };
    let (strides, extents, columns) = (input.strides(), Shape::from(&output[..outer.len()]), inner.taps.len());
    let mut y = vec![outside; output.elements()];
    if y.is_empty() {
        return y;
    }
    let rows = CHUNK.div_ceil(columns);
    y.par_chunks_mut(rows * columns).enumerate().for_each(|(chunk, y)| {
        for (row, y) in (chunk * rows..).zip(y.chunks_exact_mut(columns)) {
            let at = extents.coordinates(row);
            let start = at.iter().zip(outer).zip(&strides).try_fold(0, |from, ((&i, table), stride)| {
                let index = table.taps[i].0;
                (index != OUTSIDE).then(|| from + index as usize * stride)
            });
            let Some(start) = start else { continue };
            for (y, &(index, _)) in y.iter_mut().zip(&inner.taps) {
                if index != OUTSIDE {
                    *y = x[start + index as usize];
                }
            }
        }
    });
    y
}

/// Linear and cubic interpolation; `None` for other types, and where positions may be outside.
pub(super) fn interpolate(op: &Resize, inputs: &[Option<&Tensor>], operands: &Operands<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
    let Some(x) = inputs.first().copied().flatten() else { return Ok(None) };
    let Some(values) = x.data::<f32>() else { return Ok(None) };
    let axes = op.resized(operands)?;
    let tables: Vec<Option<Taps>> = axes.iter().map(|axis| (!axis.is_kept()).then(|| taps(op, axis))).collect();
    if tables.iter().flatten().any(|table| table.taps.iter().any(|&(index, _)| index == OUTSIDE)) {
        return Ok(None);
    }
    let mut order: Vec<usize> = (0..axes.len()).filter(|&axis| tables[axis].is_some()).collect();
    // What shrinks goes first, and of what grows the innermost, whose rows are the slowest to make.
    let growth = |axis: &ResizeAxis| (axis.output as f64 / axis.input.max(1) as f64).min(1.0);
    order.sort_by(|&a, &b| growth(&axes[a]).total_cmp(&growth(&axes[b])).then(b.cmp(&a)));
    let mut dims = x.shape().to_vec();
    let mut current: Option<Vec<f32>> = None;
    for axis in order {
        let Some(table) = &tables[axis] else { continue };
        let (extent, inner) = (dims[axis], dims[axis + 1..].iter().product());
        current = Some(along(current.as_deref().unwrap_or(values), extent, inner, axes[axis].output, table));
        dims[axis] = axes[axis].output;
    }
    Ok(Some(vec![current.map_or_else(|| x.clone(), |y| Tensor::of(dims, y))]))
}

/// `y[o, i, n] = Σ_taps weight · x[o, index, n]`
fn along(x: &[f32], extent: usize, inner: usize, output: usize, table: &Taps) -> Vec<f32> {
    let outer = x.len() / (extent * inner).max(1);
    let mut y = vec![0f32; outer * output * inner];
    if y.is_empty() {
        return y;
    }
    let weights: Vec<(usize, f32)> = table.taps.iter().map(|&(index, weight)| (index as usize, weight as f32)).collect();
    let taps = |i: usize| &weights[i * table.count..][..table.count];
    if inner == 1 {
        let lines = CHUNK.div_ceil(output);
        y.par_chunks_mut(lines * output).zip(x.par_chunks(lines * extent)).for_each(|(y, x)| {
            for (y, x) in y.chunks_exact_mut(output).zip(x.chunks_exact(extent)) {
                match table.count {
                    2 => y
                        .iter_mut()
                        .zip(weights.chunks_exact(2))
                        .for_each(|(y, taps)| *y = taps[0].1 * x[taps[0].0] + taps[1].1 * x[taps[1].0]),
                    _ => y.iter_mut().enumerate().for_each(|(i, y)| *y = taps(i).iter().map(|&(index, weight)| weight * x[index]).sum()),
                }
            }
        });
        return y;
    }
    let rows = CHUNK.div_ceil(inner);
    y.par_chunks_mut(rows * inner).enumerate().for_each(|(chunk, y)| {
        for (row, y) in (chunk * rows..).zip(y.chunks_exact_mut(inner)) {
            let x = &x[row / output * extent * inner..][..extent * inner];
            let line = |index: usize| &x[index * inner..][..inner];
            let mut taps = taps(row % output).chunks(2);
            // Two taps at a time: half the passes over the row.
            let mut add = |y: &mut [f32], first: bool| {
                let Some(pair) = taps.next() else { return false };
                let keep = if first { 0.0 } else { 1.0 };
                match *pair {
                    [(a, p), (b, q)] => {
                        for ((y, a), b) in y.iter_mut().zip(line(a)).zip(line(b)) {
                            *y = keep * *y + (p * a + q * b);
                        }
                    }
                    [(a, p)] => y.iter_mut().zip(line(a)).for_each(|(y, a)| *y = keep * *y + p * a),
                    _ => {}
                }
                true
            };
            add(y, true);
            while add(y, false) {}
        }
    });
    y
}
