//! Determinants.

use super::rounded;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// `y[m] = det x[m]`
pub(crate) fn det(x: &Tensor) -> Tensor {
    let (batch, n) = (&x.shape()[..x.shape().rank() - 2], x.shape()[x.shape().rank() - 1]);
    let (count, values) = (Shape::from(batch).elements(), x.to_f64());
    let matrix = |m: usize| values[m * n * n..][..n * n].chunks_exact(n.max(1)).map(<[f64]>::to_vec).collect();
    rounded(x, batch, (0..count).map(|m| determinant(matrix(m))).collect())
}

/// The product of the pivots of Gaussian elimination, the largest of each column chosen, its sign turned at every exchange.
fn determinant(mut rows: Vec<Vec<f64>>) -> f64 {
    let mut product = 1.0;
    for k in 0..rows.len() {
        let pivot = (k..rows.len()).max_by(|&a, &b| rows[a][k].abs().total_cmp(&rows[b][k].abs())).unwrap_or(k);
        if rows[pivot][k] == 0.0 {
            return 0.0;
        }
        if pivot != k {
            rows.swap(pivot, k);
            product = -product;
        }
        product *= rows[k][k];
        let (done, below) = rows.split_at_mut(k + 1);
        for row in below {
            let factor = row[k] / done[k][k];
            row.iter_mut().zip(&done[k]).skip(k).for_each(|(value, pivot)| *value -= factor * pivot);
        }
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Det, Operands, Operator};

    #[test]
    fn determinants_by_hand() {
        let x = Tensor::new([2, 2, 2], vec![1f32, 2.0, 3.0, 4.0, 0.0, 2.0, 3.0, 5.0]).unwrap();
        assert_eq!(Det.reference(&[Some(&x)], 1).unwrap()[0], Tensor::vector(vec![-2f32, -6.0]));
        let x = Tensor::new([3, 3], vec![2f64, 0.0, 1.0, 1.0, 3.0, 2.0, 1.0, 1.0, 1.0]).unwrap();
        assert!((det(&x).to_f64()[0] - 0.0).abs() < 1e-12, "2·(3 − 2) − 0 + 1·(1 − 3) = 0");
        assert_eq!(det(&Tensor::full([2, 0, 0], 0f32)), Tensor::vector(vec![1f32, 1.0]));
        assert!(det(&Tensor::full([2, 2], f32::NAN)).to_f64()[0].is_nan());
        let wide = Tensor::full([2, 3], 1f32);
        assert!(Det.infer(&Operands::of(&[Some(&wide)], 1)).unwrap_err().to_string().contains("[2,3] is not a batch of square"));
    }
}
