//! Running sums.

use super::cast::{from_integers, integers};
use super::rounded;
use crate::tensor::Tensor;

/// `y[o, c, i] = Σ x[o, k, i]` over `k ≤ c`, or `k < c` where `exclusive`; over `k ≥ c`, or `k > c`, where `reverse`; for `x` as
/// `[outer, columns, inner]`. Integers wrap.
pub(crate) fn cumsum(x: &Tensor, split: [usize; 3], exclusive: bool, reverse: bool) -> Tensor {
    match integers(x) {
        Some(values) => from_integers(x.dtype(), x.shape(), running(&values, split, exclusive, reverse, |a, b| a + b)),
        None => rounded(x, x.shape(), running(&x.to_f64(), split, exclusive, reverse, |a, b| a + b)),
    }
}

fn running<T: Copy + Default>(
    x: &[T],
    [outer, columns, inner]: [usize; 3],
    exclusive: bool,
    reverse: bool,
    add: impl Fn(T, T) -> T,
) -> Vec<T> {
    let mut y = vec![T::default(); x.len()];
    for o in 0..outer {
        for i in 0..inner {
            let mut sum = T::default();
            for c in 0..columns {
                let at = (o * columns + if reverse { columns - 1 - c } else { c }) * inner + i;
                let with_own = add(sum, x[at]);
                y[at] = if exclusive { sum } else { with_own };
                sum = with_own;
            }
        }
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_with_and_without_the_own_element() {
        let x = Tensor::vector(vec![1f64, 2.0, 3.0, 5.0]);
        let run = |exclusive, reverse| cumsum(&x, [1, 4, 1], exclusive, reverse).to_f64();
        assert_eq!(run(false, false), [1.0, 3.0, 6.0, 11.0]);
        assert_eq!(run(true, false), [0.0, 1.0, 3.0, 6.0]);
        assert_eq!(run(false, true), [11.0, 10.0, 8.0, 5.0]);
        assert_eq!(run(true, true), [10.0, 8.0, 5.0, 0.0]);
    }

    #[test]
    fn axes_and_wrapping() {
        let x = Tensor::new([2, 3], vec![1i32, 2, 3, 4, 5, i32::MAX]).unwrap();
        assert_eq!(cumsum(&x, [1, 2, 3], false, false).data::<i32>().unwrap(), [1, 2, 3, 5, 7, i32::MIN + 2]);
        assert_eq!(cumsum(&x, [2, 3, 1], false, false).data::<i32>().unwrap(), [1, 3, 6, 4, 9, i32::MIN + 8]);
    }
}
