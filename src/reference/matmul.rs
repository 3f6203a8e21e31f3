//! Matrix products.

use super::binary::pairs;
use super::rounded;
use crate::ops::matmul::{Factor, Product};
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// `y[…, m, n] = alpha · Σ_k a[…, m, k] · b[…, k, n] + beta · c[m, n]`, integers modulo 2 to the power of their width.
pub(crate) fn product(op: &Product, a: &Tensor, b: &Tensor, c: Option<&Tensor>, output: Shape) -> Tensor {
    if a.dtype().is_float() {
        let (a_values, b_values, c_values) = (a.to_f64(), b.to_f64(), c.map(Tensor::to_f64));
        let (alpha, beta) = (f64::from(op.alpha), f64::from(op.beta));
        let y = outputs(op, |at, c_at| {
            let sum: f64 = at.map(|(i, j)| a_values[i] * b_values[j]).sum();
            alpha * sum + c_values.as_ref().map_or(0.0, |c| beta * c[c_at])
        });
        return rounded(a, output, y);
    }
    let (a_values, b_values, c_values) = (bits(a), bits(b), c.map(bits));
    let y = outputs(op, |at, c_at| {
        let sum = at.fold(0u64, |sum, (i, j)| sum.wrapping_add(a_values[i].wrapping_mul(b_values[j])));
        sum.wrapping_add(c_values.as_ref().map_or(0, |c| c[c_at]))
    });
    match a.dtype() {
        DType::I32 => Tensor::of(output, y.into_iter().map(|v| v as i32).collect()),
        DType::U32 => Tensor::of(output, y.into_iter().map(|v| v as u32).collect()),
        DType::I64 => Tensor::of(output, y.into_iter().map(|v| v as i64).collect()),
        _ => Tensor::of(output, y),
    }
}

/// `Σ_k a[…, m, k] · b[…, k, n]` of integers, modulo 2⁶⁴.
pub(crate) fn integer_product(op: &Product, a: &[i64], b: &[i64]) -> Vec<i64> {
    outputs(op, |at, _| at.fold(0i64, |sum, (i, j)| sum.wrapping_add(a[i].wrapping_mul(b[j]))))
}

/// Every element less its zero point, which broadcasts.
pub(crate) fn centred(tensor: &Tensor, zero_point: &Tensor) -> Vec<i64> {
    let integers = |tensor: &Tensor| tensor.to_i64().expect("the shape rule admits integers only");
    let (values, zeros) = (integers(tensor), integers(zero_point));
    pairs(tensor.shape(), zero_point.shape(), tensor.shape()).map(|(i, j)| values[i] - zeros[j]).collect()
}

/// The elements as if they had `shape`, which they broadcast to.
pub(crate) fn spread(tensor: &Tensor, shape: &Shape) -> Vec<f64> {
    let values = tensor.to_f64();
    pairs(tensor.shape(), shape, shape).map(|(i, _)| values[i]).collect()
}

/// One value for each output in row-major order, from the positions in `a` and `b` that it sums over and its position in `c`.
fn outputs<T>(op: &Product, value: impl Fn(&mut dyn Iterator<Item = (usize, usize)>, usize) -> T) -> Vec<T> {
    let batch = Shape::from(&op.batch[..]);
    let mut y = Vec::with_capacity(op.outputs());
    for index in 0..batch.elements() {
        let at = batch.coordinates(index);
        let start = |factor: &Factor| at.iter().zip(&factor.batch).map(|(i, s)| i * s).sum::<usize>();
        let (a, b) = (start(&op.a), start(&op.b));
        for m in 0..op.rows {
            for n in 0..op.columns {
                let mut inner = (0..op.inner).map(|k| (a + m * op.a.row + k * op.a.column, b + k * op.b.row + n * op.b.column));
                y.push(value(&mut inner, op.c.map_or(0, |[row, column]| m * row + n * column)));
            }
        }
    }
    y
}

/// Integers as their two's complement in 64 bits.
fn bits(tensor: &Tensor) -> Vec<u64> {
    match tensor.data::<u64>() {
        Some(values) => values.to_vec(),
        None => tensor.to_i64().expect("the shape rule admits numbers only").into_iter().map(|v| v as u64).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Gemm, MatMul, MatMulInteger, Operator, QLinearMatMul};

    fn tensor<const N: usize>(shape: [usize; N], values: &[f32]) -> Tensor {
        Tensor::new(shape, values.to_vec()).unwrap()
    }

    fn run(op: impl Operator, inputs: &[&Tensor]) -> Tensor {
        let inputs: Vec<_> = inputs.iter().map(|&t| Some(t)).collect();
        op.reference(&inputs, 1).unwrap().remove(0)
    }

    /// By hand: [1 2 3; 4 5 6] · [7 8; 9 10; 11 12] = [58 64; 139 154].
    #[test]
    fn a_product_by_hand_in_all_transpositions() {
        let a = tensor([2, 3], &[1., 2., 3., 4., 5., 6.]);
        let b = tensor([3, 2], &[7., 8., 9., 10., 11., 12.]);
        let (at, bt) = (tensor([3, 2], &[1., 4., 2., 5., 3., 6.]), tensor([2, 3], &[7., 9., 11., 8., 10., 12.]));
        let want = tensor([2, 2], &[58., 64., 139., 154.]);
        assert_eq!(run(MatMul, &[&a, &b]), want);
        for (transpose_a, a) in [(false, &a), (true, &at)] {
            for (transpose_b, b) in [(false, &b), (true, &bt)] {
                assert_eq!(run(Gemm { transpose_a, transpose_b, ..Gemm::default() }, &[a, b]), want);
            }
        }
        let scaled = Gemm { alpha: 0.5, beta: 2.0, ..Gemm::default() };
        assert_eq!(run(scaled, &[&a, &b, &tensor([2], &[1., 10.])]), tensor([2, 2], &[31., 52., 71.5, 97.]));
        assert_eq!(run(scaled, &[&a, &b, &tensor([2, 1], &[1., 10.])]), tensor([2, 2], &[31., 34., 89.5, 97.]));
    }

    /// By hand: vectors lose the axis they were given; leading axes broadcast.
    #[test]
    fn vectors_and_batches_by_hand() {
        let v = tensor([2], &[1., 10.]);
        let m = tensor([2, 2], &[1., 2., 3., 4.]);
        assert_eq!(run(MatMul, &[&v, &v]), tensor([], &[101.]));
        assert_eq!(run(MatMul, &[&v, &m]), tensor([2], &[31., 42.]));
        assert_eq!(run(MatMul, &[&m, &v]), tensor([2], &[21., 43.]));
        let rows = tensor([2, 1, 1, 2], &[1., 0., 0., 1.]);
        let columns = tensor([3, 2, 1], &[1., 2., 3., 4., 5., 6.]);
        assert_eq!(run(MatMul, &[&rows, &columns]), tensor([2, 3, 1, 1], &[1., 3., 5., 2., 4., 6.]));
    }

    /// By hand: rows of A less 1 and 2, columns of B less 3 and −1; then halved, halves to even, plus 10, saturated.
    #[test]
    fn quantised_products_by_hand() {
        let a = Tensor::new([2, 2], vec![1u8, 2, 4, 2]).unwrap();
        let b = Tensor::new([2, 2], vec![4i8, -1, 6, 0]).unwrap();
        let (a_zero, b_zero) = (Tensor::vector(vec![1u8, 2]), Tensor::vector(vec![3i8, -1]));
        // [0 1; 2 0] · [1 0; 3 1] = [3 1; 2 0]
        assert_eq!(run(MatMulInteger, &[&a, &b, &a_zero, &b_zero]), Tensor::new([2, 2], vec![3i32, 1, 2, 0]).unwrap());
        let scale = |value: f32| Tensor::scalar(value);
        let quantised =
            |y_scale: &Tensor, zero: &Tensor| run(QLinearMatMul, &[&a, &scale(0.25), &a_zero, &b, &scale(2.0), &b_zero, y_scale, zero]);
        assert_eq!(quantised(&scale(1.0), &Tensor::scalar(10u8)), Tensor::new([2, 2], vec![12u8, 10, 11, 10]).unwrap());
        assert_eq!(quantised(&scale(-0.01), &Tensor::scalar(-10i8)), Tensor::new([2, 2], vec![-128i8, -60, -110, -10]).unwrap());
        assert_eq!(quantised(&Tensor::vector(vec![1.0f32, 0.5]), &Tensor::scalar(0u8)), Tensor::new([2, 2], vec![2u8, 0, 2, 0]).unwrap());
    }

    #[test]
    fn integers_wrap() {
        let a = Tensor::new([1, 2], vec![i32::MAX, 3]).unwrap();
        let b = Tensor::new([2, 1], vec![2i32, -5]).unwrap();
        assert_eq!(run(MatMul, &[&a, &b]), Tensor::new([1, 1], vec![-17i32]).unwrap());
        let big = Tensor::new([1, 1], vec![u64::MAX]).unwrap();
        assert_eq!(run(MatMul, &[&big, &big]), Tensor::new([1, 1], vec![1u64]).unwrap());
    }
}
