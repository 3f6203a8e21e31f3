//! Scatters: updates taken one after the other.

use half::f16;

use super::gather::slices;
use super::movement::positions;
use crate::error::OpError;
use crate::ops::ScatterReduction;
use crate::ops::movement::Tuples;
use crate::tensor::{Element, Tensor, for_each_dtype};

/// How the elements of a type are reduced: floats in `f64`, integers wrapping, `bool` by or and by and.
trait Reduce: Element {
    type Wide: Copy;
    fn widen(self) -> Self::Wide;
    fn narrow(wide: Self::Wide) -> Self;
    fn add(a: Self::Wide, b: Self::Wide) -> Self::Wide;
    fn mul(a: Self::Wide, b: Self::Wide) -> Self::Wide;
    fn less(a: Self::Wide, b: Self::Wide) -> bool;
    fn is_nan(wide: Self::Wide) -> bool;
}

macro_rules! reduce_floats {
    ($($float:ty: $narrow:expr),*) => {
        $(impl Reduce for $float {
            type Wide = f64;
            fn widen(self) -> f64 { self.into() }
            fn narrow(wide: f64) -> Self { $narrow(wide) }
            fn add(a: f64, b: f64) -> f64 { a + b }
            fn mul(a: f64, b: f64) -> f64 { a * b }
            fn less(a: f64, b: f64) -> bool { a < b }
            fn is_nan(wide: f64) -> bool { wide.is_nan() }
        })*
    };
}

macro_rules! reduce_integers {
    ($($integer:ty),*) => {
        $(impl Reduce for $integer {
            type Wide = Self;
            fn widen(self) -> Self { self }
            fn narrow(wide: Self) -> Self { wide }
            fn add(a: Self, b: Self) -> Self { a.wrapping_add(b) }
            fn mul(a: Self, b: Self) -> Self { a.wrapping_mul(b) }
            fn less(a: Self, b: Self) -> bool { a < b }
            fn is_nan(_wide: Self) -> bool { false }
        })*
    };
}

reduce_floats!(f32: |wide| wide as f32, f16: f16::from_f64, f64: |wide| wide);
reduce_integers!(i8, i16, i32, i64, u8, u16, u32, u64);

impl Reduce for bool {
    type Wide = bool;
    fn widen(self) -> bool {
        self
    }
    fn narrow(wide: bool) -> bool {
        wide
    }
    fn add(a: bool, b: bool) -> bool {
        a | b
    }
    fn mul(a: bool, b: bool) -> bool {
        a & b
    }
    fn less(a: bool, b: bool) -> bool {
        !a & b
    }
    fn is_nan(_wide: bool) -> bool {
        false
    }
}

fn reduced<T: Reduce>(reduction: ScatterReduction, a: T::Wide, b: T::Wide) -> T::Wide {
    match reduction {
        ScatterReduction::None => b,
        ScatterReduction::Add => T::add(a, b),
        ScatterReduction::Mul => T::mul(a, b),
        // A NaN takes the place of a number, and nothing the place of a NaN.
        ScatterReduction::Min => {
            if T::is_nan(b) || T::less(b, a) {
                b
            } else {
                a
            }
        }
        ScatterReduction::Max => {
            if T::is_nan(b) || T::less(a, b) {
                b
            } else {
                a
            }
        }
    }
}

/// `y = x`, then `y[targets[u]] = reduced(y[targets[u]], updates[u])` for each `u` in turn
fn scattered<T: Reduce>(reduction: ScatterReduction, x: &[T], updates: &Tensor, targets: impl Iterator<Item = usize>) -> Vec<T> {
    let updates = updates.data::<T>().expect("the shape rule asks for one type");
    // Widened once, so that a sum is rounded once.
    let mut y: Vec<T::Wide> = x.iter().map(|&x| x.widen()).collect();
    for (target, update) in targets.zip(updates) {
        y[target] = reduced::<T>(reduction, y[target], update.widen());
    }
    y.into_iter().map(T::narrow).collect()
}

/// Each update falls on the element at its position, with the index for the coordinate along `axis`.
pub(crate) fn scatter_elements(
    axis: usize,
    reduction: ScatterReduction,
    x: &Tensor,
    indices: &Tensor,
    updates: &Tensor,
) -> Result<Tensor, OpError> {
    let (positions, strides) = (positions(x.shape(), axis, indices)?, x.shape().strides());
    let target = |(u, &position): (usize, &usize)| -> usize {
        let mut at = indices.shape().coordinates(u);
        at[axis] = position;
        at.iter().zip(&strides).map(|(at, stride)| at * stride).sum()
    };
    let targets = || positions.iter().enumerate().map(target);
    Ok(for_each_dtype!(x.data_ref(), values => Tensor::of(x.shape(), scattered(reduction, values, updates, targets()))))
}

/// Each update is a slice, which falls on the slice that its tuple of indices means.
pub(crate) fn scatter_nd(
    tuples: &Tuples,
    reduction: ScatterReduction,
    x: &Tensor,
    indices: &Tensor,
    updates: &Tensor,
) -> Result<Tensor, OpError> {
    let slices = slices(&tuples.dims, indices)?;
    let targets = || slices.iter().flat_map(|slice| (0..tuples.inner).map(move |n| slice * tuples.inner + n));
    Ok(for_each_dtype!(x.data_ref(), values => Tensor::of(x.shape(), scattered(reduction, values, updates, targets()))))
}

/// `y[b, l, (write_indices[b] + t) mod steps, n] = update[b, l, t, n]`, else the cache
pub(crate) fn tensor_scatter(axis: usize, x: &Tensor, update: &Tensor, indices: Option<&Tensor>) -> Tensor {
    let starts = indices.and_then(Tensor::to_i64);
    let (steps, strides) = (x.shape()[axis], x.shape().strides());
    let target = |u: usize| -> usize {
        let mut at = update.shape().coordinates(u);
        let start = starts.as_ref().map_or(0, |starts| starts[at[0]].rem_euclid(steps as i64) as usize);
        at[axis] = (at[axis] + start) % steps;
        at.iter().zip(&strides).map(|(at, stride)| at * stride).sum()
    };
    let targets = || (0..update.len()).map(target);
    for_each_dtype!(x.data_ref(), values => Tensor::of(x.shape(), scattered(ScatterReduction::None, values, update, targets())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Op, Operands, ScatterElements, ScatterNd, TensorScatter};

    fn run(op: impl Into<Op>, inputs: &[&Tensor]) -> Result<Vec<f64>, OpError> {
        let (op, inputs) = (op.into(), inputs.iter().map(|&t| Some(t)).collect::<Vec<_>>());
        let ty = op.operator().infer(&Operands::of(&inputs, 1))?.remove(0);
        let y = op.operator().reference(&inputs, 1)?.remove(0);
        assert_eq!((y.dtype(), y.shape()), (ty.dtype, &ty.shape));
        Ok(y.to_f64())
    }

    fn fails(result: Result<Vec<f64>, OpError>, text: &str) {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(text), "{message}");
    }

    fn line(values: &[f32]) -> Tensor {
        Tensor::vector(values.to_vec())
    }

    #[test]
    fn elements_are_reduced_in_turn() {
        let (x, indices, updates) = (line(&[1.0, 2.0, 3.0]), Tensor::vector(vec![1i64, -2, 0]), line(&[5.0, 7.0, -1.0]));
        let by = |reduction| run(ScatterElements { axis: 0, reduction }, &[&x, &indices, &updates]).unwrap();
        assert_eq!(by(ScatterReduction::None), [-1.0, 7.0, 3.0], "the last duplicate wins");
        assert_eq!(by(ScatterReduction::Add), [0.0, 14.0, 3.0]);
        assert_eq!(by(ScatterReduction::Mul), [-1.0, 70.0, 3.0]);
        assert_eq!(by(ScatterReduction::Min), [-1.0, 2.0, 3.0]);
        assert_eq!(by(ScatterReduction::Max), [1.0, 7.0, 3.0]);
    }

    #[test]
    fn elements_keep_their_other_coordinates() {
        let x = Tensor::full([3, 3], 0i32);
        let indices = Tensor::new([2, 3], vec![1i64, 0, 2, 0, 2, 1]).unwrap();
        let updates = Tensor::new([2, 3], vec![1i32, 2, 3, 4, 5, 6]).unwrap();
        let op = ScatterElements { axis: 0, reduction: ScatterReduction::None };
        assert_eq!(run(op, &[&x, &indices, &updates]).unwrap(), [4.0, 2.0, 0.0, 1.0, 0.0, 6.0, 0.0, 5.0, 3.0]);
        fails(run(op, &[&x, &Tensor::full([1, 4], 0i64), &Tensor::full([1, 4], 0i32)]), "exceed data [3,3]");
        fails(run(op, &[&x, &indices, &Tensor::full([2, 3], 0f32)]), "updates are f32[2,3], expected i32[2,3]");
        fails(run(op, &[&x, &Tensor::full([1, 1], 3i64), &Tensor::full([1, 1], 0i32)]), "index 3 at [0, 0] is outside axis 0");
    }

    #[test]
    fn slices_are_replaced() {
        let x = Tensor::new([3, 2], vec![1f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let indices = Tensor::new([2, 1], vec![2i64, 0]).unwrap();
        let updates = Tensor::new([2, 2], vec![10f32, 20.0, 30.0, 40.0]).unwrap();
        let by = |reduction| run(ScatterNd { reduction }, &[&x, &indices, &updates]).unwrap();
        assert_eq!(by(ScatterReduction::None), [30.0, 40.0, 3.0, 4.0, 10.0, 20.0]);
        assert_eq!(by(ScatterReduction::Add), [31.0, 42.0, 3.0, 4.0, 15.0, 26.0]);
        fails(run(ScatterNd::default(), &[&x, &indices, &line(&[1.0, 2.0])]), "updates are f32[2], expected f32[2,2]");
        let nothing = Tensor::new([1, 0], Vec::<i64>::new()).unwrap();
        fails(run(ScatterNd::default(), &[&x, &nothing, &Tensor::full([1, 3, 2], 0f32)]), "no indices in a tuple");
    }

    #[test]
    fn every_type_has_its_arithmetic() {
        let indices = Tensor::vector(vec![0i64, 1]);
        let by = |reduction, x: Tensor, updates: Tensor| run(ScatterElements { axis: 0, reduction }, &[&x, &indices, &updates]).unwrap();
        assert_eq!(by(ScatterReduction::Add, Tensor::full([2], 200u8), Tensor::full([2], 100u8)), [44.0, 44.0]);
        assert_eq!(by(ScatterReduction::Add, Tensor::full([2], false), Tensor::vector(vec![true, false])), [1.0, 0.0]);
        let nan = by(ScatterReduction::Max, line(&[1.0, f32::NAN]), line(&[f32::NAN, 1.0]));
        assert!(nan.iter().all(|v| v.is_nan()), "{nan:?}");
    }

    #[test]
    fn caches_take_steps() {
        let cache = Tensor::new([2, 3, 1], vec![0i32, 1, 2, 3, 4, 5]).unwrap();
        let update = Tensor::new([2, 2, 1], vec![10i32, 11, 12, 13]).unwrap();
        let at = Tensor::vector(vec![1i64, 2]);
        let op = |circular| TensorScatter { axis: -2, circular };
        assert_eq!(run(op(true), &[&cache, &update, &at]).unwrap(), [0.0, 10.0, 11.0, 13.0, 4.0, 12.0]);
        assert_eq!(run(op(false), &[&cache, &update]).unwrap(), [10.0, 11.0, 2.0, 12.0, 13.0, 5.0]);
        fails(run(op(false), &[&cache, &update, &at]), "write index 2 is outside 0..=1 of axis 1");
        fails(run(op(true), &[&update, &cache]), "update i32[2,3,1] does not go in i32[2,2,1]");
    }
}
