//! Arithmetic of two operands with broadcasting.

use rayon::prelude::*;

use super::strided::Loops;
use super::{CHUNK, floats, scratch};
use crate::ops::{Binary, Comparison, Where};
use crate::shape::Shape;
use crate::tensor::{Element, Tensor, for_each_dtype};

/// `y = a ∘ b` on `f32`.
pub(super) fn binary(op: Binary, inputs: &[Option<&Tensor>]) -> Option<Vec<Tensor>> {
    Some(vec![match op {
        Binary::Add => zip(inputs, |a, b| a + b)?,
        Binary::Sub => zip(inputs, |a, b| a - b)?,
        Binary::Mul => zip(inputs, |a, b| a * b)?,
        Binary::Div => zip(inputs, |a, b| a / b)?,
        Binary::Pow if floats(inputs, 1)? == [2.0] => zip(inputs, |a, _| a * a)?,
        Binary::Pow => zip(inputs, |a, b| f64::from(a).powf(b.into()) as f32)?,
        Binary::Max => zip(inputs, |a, b| if b > a || b.is_nan() { b } else { a })?,
        Binary::Min => zip(inputs, |a, b| if b < a || b.is_nan() { b } else { a })?,
        _ => return None,
    }])
}

/// `y = a ⋚ b` on `f32`.
pub(super) fn compare(op: Comparison, inputs: &[Option<&Tensor>]) -> Option<Vec<Tensor>> {
    Some(vec![match op {
        Comparison::Equal => zip(inputs, |a, b| a == b)?,
        Comparison::Less => zip(inputs, |a, b| a < b)?,
        Comparison::LessOrEqual => zip(inputs, |a, b| a <= b)?,
        Comparison::Greater => zip(inputs, |a, b| a > b)?,
        Comparison::GreaterOrEqual => zip(inputs, |a, b| a >= b)?,
    }])
}

/// `y = a` where the condition holds, else `b`, of any type.
pub(super) fn select(inputs: &[Option<&Tensor>]) -> Option<Vec<Tensor>> {
    fn choose<T: Element>(condition: &Tensor, a: &Tensor, b: &Tensor) -> Option<Tensor> {
        let (truth, x, y) = (condition.data::<bool>()?, a.data::<T>()?, b.data::<T>()?);
        let shape = Where::shape(condition.shape(), a.shape(), b.shape())?;
        let loops = Loops::new(&shape, [condition, a, b].map(|t| signed(t.shape(), &shape)));
        let strides = loops.inner_strides();
        Some(fill(shape, &loops, |out, [c, i, j]| {
            let (truth, x, y) = (&truth[c as usize..], &x[i as usize..], &y[j as usize..]);
            if strides == [1; 3] {
                for (((out, &truth), &x), &y) in out.iter_mut().zip(truth).zip(x).zip(y) {
                    *out = if truth { x } else { y };
                }
                return;
            }
            let [c, i, j] = strides.map(|s| s as usize);
            for (n, out) in out.iter_mut().enumerate() {
                *out = if truth[n * c] { x[n * i] } else { y[n * j] };
            }
        }))
    }
    let (condition, a, b) = (inputs[0]?, inputs[1]?, inputs[2]?);
    fn of<T: Element>(_: &[T], condition: &Tensor, a: &Tensor, b: &Tensor) -> Option<Tensor> {
        choose::<T>(condition, a, b)
    }
    Some(vec![for_each_dtype!(a.data_ref(), values => of(values, condition, a, b))?])
}

/// `y = x` where positive, else `slope · x`, on `f32`.
pub(super) fn prelu(inputs: &[Option<&Tensor>]) -> Option<Vec<Tensor>> {
    Some(vec![zip(inputs, |x, slope| if x < 0.0 { slope * x } else { x })?])
}

/// `f` of all pairs of elements, the operands broadcast against each other.
fn zip<T: Element>(inputs: &[Option<&Tensor>], f: impl Fn(f32, f32) -> T + Sync) -> Option<Tensor> {
    let (a, b) = (floats(inputs, 0)?, floats(inputs, 1)?);
    let shape = inputs[0]?.shape().broadcast(inputs[1]?.shape())?;
    let strides = |index: usize| -> Option<Vec<i64>> { Some(signed(inputs[index]?.shape(), &shape)) };
    let loops = Loops::new(&shape, [strides(0)?, strides(1)?]);
    let strides = loops.inner_strides();
    Some(fill(shape, &loops, |y, at| run(y, [a, b], at, strides, &f)))
}

/// A tensor filled by inner loops: `run` gets a piece of one and where each operand begins.
fn fill<T: Element, const N: usize>(shape: Shape, loops: &Loops<N>, run: impl Fn(&mut [T], [isize; N]) + Sync) -> Tensor {
    let mut y = scratch::elements::<T>(shape.elements());
    if y.is_empty() {
        return Tensor::of(shape, y);
    }
    let (inner, strides) = (loops.inner(), loops.inner_strides());
    if inner >= CHUNK {
        // Long rows are cut, so that one alone keeps all cores busy.
        for (row, y) in y.chunks_exact_mut(inner).enumerate() {
            loops.for_each(row, 1, |at| {
                y.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, y)| {
                    run(y, std::array::from_fn(|n| at[n] + (chunk * CHUNK) as isize * strides[n]));
                });
            });
        }
    } else {
        let rows = CHUNK / inner;
        y.par_chunks_mut(rows * inner).enumerate().for_each(|(chunk, y)| {
            let mut y = y.chunks_exact_mut(inner);
            loops.for_each(chunk * rows, y.len(), |at| run(y.next().expect("one row a loop"), at));
        });
    }
    Tensor::of(shape, y)
}

fn signed(shape: &Shape, target: &Shape) -> Vec<i64> {
    shape.broadcast_strides(target).into_iter().map(|s| s as i64).collect()
}

/// One inner loop; the strides of broadcast operands are 0 or 1 where they matter for speed.
fn run<T>(y: &mut [T], [a, b]: [&[f32]; 2], at: [isize; 2], strides: [isize; 2], f: impl Fn(f32, f32) -> T) {
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
