//! Matrix products of integers and of `f64`.

use rayon::prelude::*;

use crate::ops::matmul::{Factor, Product};
use crate::ops::{Gemm, MatMul};
use crate::shape::Shape;
use crate::tensor::{DType, Element, Tensor};

/// Multiply-adds that one task should at least do.
const TASK: usize = 1 << 18;

/// Elements of the right factor that one pass over rows of the left one keeps in cache.
const CACHED: usize = 1 << 13;

/// A number that sums of products are made of; integers wrap.
trait Number: Element {
    fn multiply_add(self, a: Self, b: Self) -> Self;
    fn times(self, factor: f32) -> Self;
    fn plus(self, other: Self) -> Self;
}

macro_rules! integers {
    ($($ty:ty),*) => {
        $(impl Number for $ty {
            fn multiply_add(self, a: Self, b: Self) -> Self {
                self.wrapping_add(a.wrapping_mul(b))
            }

            /// The shape rule admits no factor but 1.
            fn times(self, _factor: f32) -> Self {
                self
            }

            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
        })*
    };
}

integers!(i32, u32, i64, u64);

impl Number for f64 {
    fn multiply_add(self, a: Self, b: Self) -> Self {
        self + a * b
    }

    fn times(self, factor: f32) -> Self {
        self * f64::from(factor)
    }

    fn plus(self, other: Self) -> Self {
        self + other
    }
}

/// `Gemm` on integers and `f64`.
pub(super) fn gemm(op: &Gemm, inputs: &[Option<&Tensor>]) -> Option<Vec<Tensor>> {
    let (a, b, c) = (inputs.first()?.as_ref()?, inputs.get(1)?.as_ref()?, inputs.get(2).copied().flatten());
    let product = op.product(a.shape(), b.shape(), c.map(Tensor::shape)).ok()?;
    dispatch(&product, a, b, c, [product.rows, product.columns].into())
}

/// NumPy's `matmul` on integers and `f64`.
pub(super) fn matmul(inputs: &[Option<&Tensor>]) -> Option<Vec<Tensor>> {
    let (a, b, bias) = (inputs.first()?.as_ref()?, inputs.get(1)?.as_ref()?, inputs.get(2).copied().flatten());
    let (product, shape) = MatMul::product_and_bias(a.shape(), b.shape(), bias.map(Tensor::shape)).ok()?;
    dispatch(&product, a, b, bias, shape)
}

fn dispatch(product: &Product, a: &Tensor, b: &Tensor, c: Option<&Tensor>, shape: Shape) -> Option<Vec<Tensor>> {
    Some(vec![match a.dtype() {
        DType::I32 => multiply::<i32>(product, a, b, c, shape)?,
        DType::U32 => multiply::<u32>(product, a, b, c, shape)?,
        DType::I64 => multiply::<i64>(product, a, b, c, shape)?,
        DType::U64 => multiply::<u64>(product, a, b, c, shape)?,
        DType::F64 => multiply::<f64>(product, a, b, c, shape)?,
        _ => return None,
    }])
}

fn multiply<T: Number>(op: &Product, a: &Tensor, b: &Tensor, c: Option<&Tensor>, shape: Shape) -> Option<Tensor> {
    let (a, b) = (a.data::<T>()?, b.data::<T>()?);
    let c = match c {
        Some(c) => Some(c.data::<T>()?),
        None => None,
    };
    let mut y = vec![T::default(); shape.elements()];
    if y.is_empty() {
        return Some(Tensor::of(shape, y));
    }
    // Columns of B side by side, so that the innermost loop runs along them.
    let packed: Vec<T>;
    let mut op = op.clone();
    let b = if op.b.column == 1 || op.inner == 0 {
        b
    } else {
        packed = transposed(b, op.columns, op.inner);
        (op.b.row, op.b.column) = (op.columns, 1);
        &packed
    };
    let batch = Shape::from(&op.batch[..]);
    let rows_per_task = TASK.div_ceil(op.columns * op.inner.max(1)).min(op.rows);
    let tasks = op.rows.div_ceil(rows_per_task);
    let matrices = y.par_chunks_mut(op.rows * op.columns).enumerate();
    matrices
        .flat_map(|(entry, y)| y.par_chunks_mut(rows_per_task * op.columns).enumerate().map(move |(task, y)| (entry * tasks + task, y)))
        .for_each(|(index, y)| {
            let at = batch.coordinates(index / tasks);
            let start = |factor: &Factor| at.iter().zip(&factor.batch).map(|(i, stride)| i * stride).sum::<usize>();
            let (first, a, b) = (index % tasks * rows_per_task, &a[start(&op.a)..], &b[start(&op.b)..]);
            rows(&op, first, y, a, b);
            for (row, y) in y.chunks_exact_mut(op.columns).enumerate() {
                for (column, y) in y.iter_mut().enumerate() {
                    *y = y.times(op.alpha);
                    if let (Some(c), Some([row_stride, column_stride])) = (c, op.c) {
                        let addend = c[(first + row) * row_stride + column * column_stride];
                        *y = y.plus(addend.times(op.beta));
                    }
                }
            }
        });
    Some(Tensor::of(shape, y))
}

/// Adds the products of some rows of `A` and all of `B` to `y`, by bands of `B` that stay in cache.
fn rows<T: Number>(op: &Product, first: usize, y: &mut [T], a: &[T], b: &[T]) {
    let band = CACHED.div_ceil(op.columns);
    for start in (0..op.inner).step_by(band) {
        let end = op.inner.min(start + band);
        for (row, y) in y.chunks_exact_mut(op.columns).enumerate() {
            let a = &a[(first + row) * op.a.row..];
            for k in start..end {
                let left = a[k * op.a.column];
                for (y, right) in y.iter_mut().zip(&b[k * op.b.row..][..op.columns]) {
                    *y = y.multiply_add(left, *right);
                }
            }
        }
    }
}

/// Matrices of `[rows, columns]`, each transposed.
fn transposed<T: Number>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
    let matrix =
        |matrix: &[T]| (0..columns).flat_map(|c| (0..rows).map(move |r| (r, c))).map(|(r, c)| matrix[r * columns + c]).collect::<Vec<_>>();
    values.chunks_exact(rows * columns).flat_map(matrix).collect()
}
