//! Matrix products.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::floats;
use super::gemm::{Matrix, Tile};
use super::kernel::widest;
use crate::ops::Gemm;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Multiply-adds that one task should at least do.
const TASK: usize = 1 << 20;

/// Extents of the tiles that a large product is cut into.
const TILE: usize = 192;

/// Elements of the matrix that one task of a matrix-vector product reads.
const VECTOR_TASK: usize = 1 << 15;

/// `y = alpha · A' · B' + beta · C` on `f32`.
pub(super) fn gemm(op: &Gemm, inputs: &[Option<&Tensor>]) -> Option<Vec<Tensor>> {
    let (a, b) = (matrix(inputs, 0, op.transpose_a)?, matrix(inputs, 1, op.transpose_b)?);
    let ([m, k], [_, n]) = (a.extents(), b.extents());
    let shape = Shape::from([m, n]);
    let mut y = vec![0f32; shape.elements()];
    let c = inputs.get(2).copied().flatten();
    if let Some(c) = c {
        let values = c.data::<f32>()?;
        let strides = c.shape().broadcast_strides(&shape);
        for (row, y) in y.chunks_exact_mut(n.max(1)).enumerate() {
            let c = &values[row * strides[0]..];
            for (col, y) in y.iter_mut().enumerate() {
                *y = op.beta * c[col * strides[1]];
            }
        }
    }
    if k > 0 && !y.is_empty() {
        product(&mut y, a, b, op.alpha, c.is_some());
    }
    Some(vec![Tensor::of(shape, y)])
}

/// A two-axis operand, or its transpose.
fn matrix<'a>(inputs: &[Option<&'a Tensor>], index: usize, transpose: bool) -> Option<Matrix<'a>> {
    let tensor = inputs.get(index).copied().flatten()?;
    let &[rows, cols] = tensor.shape().dims() else { return None };
    let matrix = Matrix::dense(tensor.data()?, [rows, cols]);
    Some(if transpose { matrix.transposed() } else { matrix })
}

/// NumPy's `matmul` on `f32`: leading axes broadcast, a vector is a matrix of one row (left) or one column (right); plus a bias.
pub(super) fn matmul(inputs: &[Option<&Tensor>]) -> Option<Vec<Tensor>> {
    let (a, b) = (floats(inputs, 0)?, floats(inputs, 1)?);
    let (a_shape, b_shape) = (inputs[0]?.shape(), inputs[1]?.shape());
    let split = |shape: &Shape, row: bool| -> Option<(Shape, usize, usize)> {
        match *shape.dims() {
            [] => None,
            [n] => Some(if row { (Shape::scalar(), 1, n) } else { (Shape::scalar(), n, 1) }),
            [ref batch @ .., rows, cols] => Some((Shape::from(batch), rows, cols)),
        }
    };
    let (a_batch, m, k) = split(a_shape, true)?;
    let (b_batch, _, n) = split(b_shape, false)?;
    let batch = a_batch.broadcast(&b_batch)?;
    let (rows, cols) = ((a_shape.rank() > 1).then_some(m), (b_shape.rank() > 1).then_some(n));
    let shape: Shape = batch.iter().copied().chain(rows).chain(cols).collect();
    let mut y = vec![0f32; shape.elements()];
    let biased = inputs.get(2).copied().flatten().is_some();
    if biased {
        let bias = floats(inputs, 2)?;
        y.chunks_exact_mut(n.max(1)).for_each(|row| row.copy_from_slice(bias));
    }
    if y.is_empty() || k == 0 {
        return Some(vec![Tensor::of(shape, y)]);
    }
    if b_batch.elements() == 1 && a_batch.elements() == batch.elements() {
        // One right matrix for all: the rows of all left matrices are one matrix.
        product(&mut y, Matrix::dense(a, [batch.elements() * m, k]), Matrix::dense(b, [k, n]), 1.0, biased);
        return Some(vec![Tensor::of(shape, y)]);
    }
    let (a_strides, b_strides) = (a_batch.broadcast_strides(&batch), b_batch.broadcast_strides(&batch));
    y.par_chunks_mut(m * n).with_min_len(TASK.div_ceil(m * n * k)).enumerate().for_each(|(index, y)| {
        let at = batch.coordinates(index);
        let offset = |strides: &[usize]| at.iter().zip(strides).map(|(a, s)| a * s).sum::<usize>();
        let a = Matrix::dense(&a[offset(&a_strides) * m * k..][..m * k], [m, k]);
        let b = Matrix::dense(&b[offset(&b_strides) * k * n..][..k * n], [k, n]);
        product(y, a, b, 1.0, biased);
    });
    Some(vec![Tensor::of(shape, y)])
}

/// `y = alpha · a · b`, or `y += …`, on all cores.
fn product(y: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, alpha: f32, accumulate: bool) {
    let ([m, k], [_, n]) = (a.extents(), b.extents());
    if m == 1 || n == 1 {
        // A vector times a matrix; `matrix` has a row for every output.
        let (vector, matrix) = if m == 1 { (a, b.transposed()) } else { (b.transposed(), a) };
        let contiguous: Vec<f32>;
        let x = match vector.strides() {
            [_, 1] => &vector.data()[..k],
            [_, stride] => {
                contiguous = vector.data().iter().step_by(stride).take(k).copied().collect();
                &contiguous
            }
        };
        if vector_product(y, x, matrix, alpha, accumulate) {
            return;
        }
    }
    let work = m.saturating_mul(n).saturating_mul(k);
    let (rows, cols) = if work <= TASK {
        (m, n)
    } else {
        // Tiles of few rows are wide, tiles of few columns tall.
        let area = (TASK / k).max(TILE * TILE);
        let rows = m.min(TILE.max(area / n.min(TILE)));
        (rows, (area / rows).max(TILE).next_multiple_of(16))
    };
    Tile::new(y, m, n).grid(rows, cols).into_par_iter().for_each(|([row, col], mut tile)| {
        let [rows, cols] = tile.extents();
        tile.multiply(a.rows(row, rows), b.cols(col, cols), alpha, accumulate);
    });
}

/// `y[i] (+)= alpha · Σ_k matrix[i, k] · x[k]`, reading the matrix once in memory order; `false` where it has none.
fn vector_product(y: &mut [f32], x: &[f32], matrix: Matrix<'_>, alpha: f32, accumulate: bool) -> bool {
    let depth = x.len();
    let outputs_per_task = VECTOR_TASK.div_ceil(depth).next_multiple_of(16);
    match matrix.strides() {
        [row_stride, 1] => {
            y.par_chunks_mut(outputs_per_task).enumerate().for_each(|(chunk, y)| {
                for (row, y) in (chunk * outputs_per_task..).zip(y) {
                    let sum = alpha * dot(&matrix.data()[row * row_stride..][..depth], x);
                    *y = if accumulate { *y + sum } else { sum };
                }
            });
            true
        }
        [1, depth_stride] => {
            y.par_chunks_mut(outputs_per_task.max(256)).enumerate().for_each(|(chunk, y)| {
                let first = chunk * outputs_per_task.max(256);
                if !accumulate {
                    y.fill(0.0);
                }
                let row = |k: usize| &matrix.data()[k * depth_stride + first..][..y.len()];
                let mut sums = vec![0f32; y.len()];
                let mut k = 0;
                while k + 4 <= depth {
                    let (a, b, c, d) = (row(k), row(k + 1), row(k + 2), row(k + 3));
                    for (i, sum) in sums.iter_mut().enumerate() {
                        *sum += (x[k] * a[i] + x[k + 1] * b[i]) + (x[k + 2] * c[i] + x[k + 3] * d[i]);
                    }
                    k += 4;
                }
                for (k, x) in x.iter().enumerate().take(depth).skip(k) {
                    for (sum, a) in sums.iter_mut().zip(row(k)) {
                        *sum += x * a;
                    }
                }
                for (y, sum) in y.iter_mut().zip(sums) {
                    *y += alpha * sum;
                }
            });
            true
        }
        _ => false,
    }
}

/// `Σ a[i] · b[i]` in sixteen partial sums.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    widest(Dot(a, b))
}

struct Dot<'a>(&'a [f32], &'a [f32]);

impl WithSimd for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        /// Sums that do not wait for one another.
        const SUMS: usize = 4;
        let ((a, a_rest), (b, b_rest)) = (S::as_simd_f32s(self.0), S::as_simd_f32s(self.1));
        let mut sums = [simd.splat_f32s(0.0); SUMS];
        let (a_blocks, b_blocks) = (a.chunks_exact(SUMS), b.chunks_exact(SUMS));
        let last = a_blocks.remainder().iter().zip(b_blocks.remainder());
        for (a, b) in a_blocks.zip(b_blocks) {
            for i in 0..SUMS {
                sums[i] = simd.mul_add_e_f32s(a[i], b[i], sums[i]);
            }
        }
        for (sum, (&a, &b)) in sums.iter_mut().zip(last) {
            *sum = simd.mul_add_e_f32s(a, b, *sum);
        }
        let [s, t, u, v] = sums;
        let tail: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
        simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(s, t), simd.add_f32s(u, v))) + tail
    }
}
