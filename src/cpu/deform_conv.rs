//! Deformable convolution: the moved taps in columns, then a matrix product.

use rayon::prelude::*;

use super::conv::{Weight, convolve};
use super::floats;
use crate::error::OpError;
use crate::ops::DeformConv;
use crate::ops::conv::{Convolution, of_columns};
use crate::reference::deform_conv::position;
use crate::tensor::Tensor;

/// `y = b + w · columns` on `f32`.
pub(super) fn deform_conv(op: &DeformConv, inputs: &[Option<&Tensor>]) -> Result<Option<Vec<Tensor>>, OpError> {
    let (Some(x), Some(w), Some(offset)) = (floats(inputs, 0), floats(inputs, 1), floats(inputs, 2)) else { return Ok(None) };
    let (bias, mask) = (floats(inputs, 3), floats(inputs, 4));
    let c = op.place_tensors(inputs)?;
    let (taps, outputs, map) = (c.place.taps(), c.place.output_elements(), c.place.input.iter().product::<usize>());
    let mut y = vec![0f32; c.output_shape().elements()];
    if !y.is_empty() {
        let group_channels = c.groups * c.in_channels / op.offset_groups;
        let rank = c.place.rank;
        let mut columns = vec![0f32; c.batch * c.groups * c.in_channels * taps * outputs];
        // An offset group of an image has its own offsets, mask, channels and columns.
        columns.par_chunks_mut((group_channels * taps * outputs).max(1)).enumerate().for_each(|(group, columns)| {
            let offset = &offset[group * taps * rank * outputs..][..taps * rank * outputs];
            let mask = mask.map(|mask| &mask[group * taps * outputs..][..taps * outputs]);
            let x = &x[group * group_channels * map..][..group_channels * map];
            for tap in 0..taps {
                let corners: Vec<_> = (0..outputs).map(|o| corners(&c, o, tap, offset)).collect();
                let fill = |(columns, x): (&mut [f32], &[f32])| {
                    for (o, (column, corners)) in columns[tap * outputs..][..outputs].iter_mut().zip(&corners).enumerate() {
                        let value: f32 = corners[..1 << rank].iter().map(|&(at, share)| x.get(at).map_or(0.0, |x| share * x)).sum();
                        *column = value * mask.map_or(1.0, |mask| mask[tap * outputs + o]);
                    }
                };
                columns.par_chunks_mut(taps * outputs).zip(x.par_chunks(map)).for_each(fill);
            }
        });
        convolve(&of_columns(&c), &columns, Weight::new(w), bias, &|_, _| (), &mut y);
    }
    Ok(Some(vec![Tensor::of(c.output_shape(), y)]))
}

/// The elements around the moved tap of an output, each with its share; `usize::MAX` for those outside.
fn corners(op: &Convolution, o: usize, tap: usize, offset: &[f32]) -> [(usize, f32); 8] {
    let (rank, outputs, extent) = (op.place.rank, op.place.output_elements(), op.place.input);
    let mut at = position(op, o, tap).map(|p| p as f32);
    for axis in 0..rank {
        at[3 - rank + axis] += offset[(tap * rank + axis) * outputs + o];
    }
    let mut corners = [(usize::MAX, 0.0); 8];
    for (corner, out) in corners.iter_mut().enumerate().take(1 << rank) {
        let bits = [corner >> 2, corner >> 1 & 1, corner & 1];
        let place = [0, 1, 2].map(|axis| at[axis].floor() + bits[axis] as f32);
        if (0..3).all(|axis| place[axis] >= 0.0 && place[axis] < extent[axis] as f32) {
            let share = |axis: usize| if bits[axis] == 1 { at[axis] - at[axis].floor() } else { 1.0 - (at[axis] - at[axis].floor()) };
            let [z, y, x] = place.map(|p| p as usize);
            *out = ((z * extent[1] + y) * extent[2] + x, share(0) * share(1) * share(2));
        }
    }
    corners
}
