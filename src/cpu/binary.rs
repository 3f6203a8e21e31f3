//! Arithmetic of two operands with broadcasting.

use rayon::prelude::*;

use super::strided::Loops;
use super::{CHUNK, floats};
use crate::ops::Binary;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// `y = a ∘ b` on `f32`.
pub(super) fn binary(op: Binary, inputs: &[Option<&Tensor>]) -> Option<Vec<Tensor>> {
    Some(vec![match op {
        Binary::Add => zip(inputs, |a, b| a + b)?,
        Binary::Sub => zip(inputs, |a, b| a - b)?,
        Binary::Mul => zip(inputs, |a, b| a * b)?,
        Binary::Div => zip(inputs, |a, b| a / b)?,
        Binary::Pow if floats(inputs, 1)? == [2.0] => zip(inputs, |a, _| a * a)?,
        Binary::Pow => zip(inputs, |a, b| f64::from(a).powf(b.into()) as f32)?,
    }])
}

/// `y = x` where positive, else `slope · x`, on `f32`.
pub(super) fn prelu(inputs: &[Option<&Tensor>]) -> Option<Vec<Tensor>> {
    Some(vec![zip(inputs, |x, slope| if x < 0.0 { slope * x } else { x })?])
}

/// `f` of all pairs of elements, the operands broadcast against each other.
fn zip(inputs: &[Option<&Tensor>], f: impl Fn(f32, f32) -> f32 + Sync) -> Option<Tensor> {
    let (a, b) = (floats(inputs, 0)?, floats(inputs, 1)?);
    let shape = inputs[0]?.shape().broadcast(inputs[1]?.shape())?;
    let mut y = vec![0f32; shape.elements()];
    if y.is_empty() {
        return Some(Tensor::of(shape, y));
    }
    let strides = |index: usize| -> Option<Vec<i64>> { Some(signed(inputs[index]?.shape(), &shape)) };
    let loops = Loops::new(&shape, [strides(0)?, strides(1)?]);
    let inner = loops.inner();
    let strides = loops.inner_strides();
    if inner >= CHUNK {
        // Long rows are cut, so that one alone keeps all cores busy.
        for (row, y) in y.chunks_exact_mut(inner).enumerate() {
            loops.for_each(row, 1, |at| {
                y.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, y)| {
                    let at = [0, 1].map(|n| at[n] + (chunk * CHUNK) as isize * strides[n]);
                    run(y, [a, b], at, strides, &f);
                });
            });
        }
    } else {
        let rows = CHUNK / inner;
        y.par_chunks_mut(rows * inner).enumerate().for_each(|(chunk, y)| {
            let mut y = y.chunks_exact_mut(inner);
            loops.for_each(chunk * rows, y.len(), |at| run(y.next().expect("one row a loop"), [a, b], at, strides, &f));
        });
    }
    Some(Tensor::of(shape, y))
}

fn signed(shape: &Shape, target: &Shape) -> Vec<i64> {
    shape.broadcast_strides(target).into_iter().map(|s| s as i64).collect()
}

/// One inner loop; the strides of broadcast operands are 0 or 1 where they matter for speed.
fn run(y: &mut [f32], [a, b]: [&[f32]; 2], at: [isize; 2], strides: [isize; 2], f: impl Fn(f32, f32) -> f32) {
    let (a, b) = (&a[at[0] as usize..], &b[at[1] as usize..]);
    match strides {
        [1, 1] => {
            for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                *y = f(a, b);
            }
        }
        [1, 0] => {
            let b = b[0];
            for (y, &a) in y.iter_mut().zip(a) {
                *y = f(a, b);
            }
        }
        [0, 1] => {
            let a = a[0];
            for (y, &b) in y.iter_mut().zip(b) {
                *y = f(a, b);
            }
        }
        [a_stride, b_stride] => {
            for (i, y) in y.iter_mut().enumerate() {
                *y = f(a[i * a_stride as usize], b[i * b_stride as usize]);
            }
        }
    }
}
