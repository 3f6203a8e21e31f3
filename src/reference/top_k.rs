//! The largest or smallest elements along an axis.

use super::arg_reduce::compare_elements;
use crate::shape::Shape;
use crate::tensor::{Tensor, for_each_dtype};

/// The `k` largest or smallest of each column of `x` as `[outer, columns, inner]`, in order, and where they stood, as `i64`.
///
/// Of equals the first goes first; a NaN counts as the largest.
pub(crate) fn top_k(x: &Tensor, [outer, columns, inner]: [usize; 3], k: usize, largest: bool, shape: &Shape) -> [Tensor; 2] {
    let compare = compare_elements(x);
    let (mut from, mut indices) = (vec![0; shape.elements()], vec![0i64; shape.elements()]);
    for o in 0..outer {
        for i in 0..inner {
            let at = |c: usize| (o * columns + c) * inner + i;
            let mut order: Vec<usize> = (0..columns).collect();
            // The sort is stable, so equals keep their order.
            order.sort_by(|&a, &b| if largest { compare(at(b), at(a)) } else { compare(at(a), at(b)) });
            for (rank, &c) in order[..k].iter().enumerate() {
                let to = (o * k + rank) * inner + i;
                (from[to], indices[to]) = (at(c), c as i64);
            }
        }
    }
    let values = for_each_dtype!(x.data_ref(), values => Tensor::of(shape, from.iter().map(|&at| values[at]).collect()));
    [values, Tensor::of(shape, indices)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_with_the_first_of_equals_first() {
        let x = Tensor::new([2, 4], vec![3f32, 7.0, 7.0, 1.0, f32::NAN, -2.0, 9.0, -2.0]).unwrap();
        let shape = Shape::from([2, 3]);
        let [values, indices] = top_k(&x, [2, 4, 1], 3, true, &shape);
        assert_eq!(indices.to_i64().unwrap(), [1, 2, 0, 0, 2, 1]);
        assert_eq!(values.to_f64()[..3], [7.0, 7.0, 3.0]);
        let [values, indices] = top_k(&x, [2, 4, 1], 3, false, &shape);
        assert_eq!(indices.to_i64().unwrap(), [3, 0, 1, 1, 3, 2]);
        assert_eq!(values.to_f64(), [1.0, 3.0, 7.0, -2.0, -2.0, 9.0]);
    }

    #[test]
    fn columns_and_large_integers() {
        let x = Tensor::new([3, 2], vec![u64::MAX - 1, 1, u64::MAX, 2, 0, 3]).unwrap();
        let [values, indices] = top_k(&x, [1, 3, 2], 2, true, &Shape::from([2, 2]));
        assert_eq!(values.data::<u64>().unwrap(), [u64::MAX, 3, u64::MAX - 1, 2]);
        assert_eq!(indices.to_i64().unwrap(), [1, 2, 0, 1]);
    }
}
