//! Real numbers as small integers.

use rayon::prelude::*;

use super::{CHUNK, floats};
use crate::ops::quantize::{Granularity, range};
use crate::ops::{DequantizeLinear, QuantizeLinear};
use crate::tensor::{DType, Element, Tensor};

/// An integer of at most 16 bits.
trait Small: Element {
    fn of(x: f32) -> Self;
    fn real(self) -> f32;
}

macro_rules! small {
    ($($ty:ty),*) => {
        $(impl Small for $ty {
            #[inline(always)]
            fn of(x: f32) -> Self {
                x as $ty
            }

            #[inline(always)]
            fn real(self) -> f32 {
                self.into()
            }
        })*
    };
}
small!(u8, i8, u16, i16);

/// `saturate(round(x ÷ scale) + zero_point)` of `f32`, a scale a tensor or along an axis; `None` for what only the reference knows.
pub(super) fn quantize(op: &QuantizeLinear, inputs: &[Option<&Tensor>], output: DType) -> Option<Vec<Tensor>> {
    fn to<T: Small>(inputs: &[Option<&Tensor>], runs: Granularity) -> Option<Tensor> {
        let (low, high) = range(T::DTYPE);
        let (low, high) = (low as f32, high as f32);
        each_run::<f32, T>(inputs, runs, floats(inputs, 0)?, zeros::<T>(inputs)?, move |x, scale, zero| {
            let q = (x / scale).round_ties_even();
            let q = if q.is_nan() { zero } else { q + zero };
            let raised = if q < low { low } else { q };
            T::of(if raised > high { high } else { raised })
        })
    }
    if op.precision.is_some_and(|precision| precision != DType::F32) {
        return None;
    }
    let runs = Granularity::new(inputs[0]?.shape(), inputs[1]?.shape(), op.axis, op.block_size).ok()?;
    Some(vec![match output {
        DType::U8 => to::<u8>(inputs, runs)?,
        DType::I8 => to::<i8>(inputs, runs)?,
        DType::U16 => to::<u16>(inputs, runs)?,
        DType::I16 => to::<i16>(inputs, runs)?,
        _ => return None,
    }])
}

/// `(x − zero_point) · scale` as `f32`, a scale a tensor or along an axis; `None` for what only the reference knows.
pub(super) fn dequantize(op: &DequantizeLinear, inputs: &[Option<&Tensor>]) -> Option<Vec<Tensor>> {
    fn from<T: Small>(inputs: &[Option<&Tensor>], runs: Granularity) -> Option<Tensor> {
        each_run::<T, f32>(inputs, runs, inputs[0]?.data()?, zeros::<T>(inputs)?, |q, scale, zero| (q.real() - zero) * scale)
    }
    if op.output.is_some_and(|output| output != DType::F32) {
        return None;
    }
    let runs = Granularity::new(inputs[0]?.shape(), inputs[1]?.shape(), op.axis, op.block_size).ok()?;
    Some(vec![match inputs[0]?.dtype() {
        DType::U8 => from::<u8>(inputs, runs)?,
        DType::I8 => from::<i8>(inputs, runs)?,
        DType::U16 => from::<u16>(inputs, runs)?,
        DType::I16 => from::<i16>(inputs, runs)?,
        _ => return None,
    }])
}

/// The zero points as numbers, none at all where they are left out.
fn zeros<T: Small>(inputs: &[Option<&Tensor>]) -> Option<Vec<f32>> {
    match inputs.get(2).copied().flatten() {
        Some(tensor) => Some(tensor.data::<T>()?.iter().map(|&zero| zero.real()).collect()),
        None => Some(vec![]),
    }
}

/// `f(x, scale, zero_point)` of all elements, in runs that share a scale.
fn each_run<A: Element, B: Element>(
    inputs: &[Option<&Tensor>],
    runs: Granularity,
    x: &[A],
    zeros: Vec<f32>,
    f: impl Fn(A, f32, f32) -> B + Sync,
) -> Option<Tensor> {
    let scales = floats(inputs, 1)?;
    if runs.strides[2] != 0 {
        return None;
    }
    let mut y = vec![B::default(); x.len()];
    // Many short runs make a task, and long ones are cut.
    let task = if runs.inner < CHUNK { CHUNK / runs.inner.max(1) * runs.inner } else { CHUNK };
    y.par_chunks_mut(task.max(1)).enumerate().for_each(|(chunk, y)| {
        let (mut at, mut done) = (chunk * task, 0);
        while done < y.len() {
            let index = runs.scale_of(at);
            let (scale, zero) = (scales[index], zeros.get(index).copied().unwrap_or(0.0));
            let left = (runs.inner - at % runs.inner).min(y.len() - done);
            for (y, &x) in y[done..done + left].iter_mut().zip(&x[at..at + left]) {
                *y = f(x, scale, zero);
            }
            (at, done) = (at + left, done + left);
        }
    });
    Some(Tensor::of(inputs[0]?.shape(), y))
}
