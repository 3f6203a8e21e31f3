//! Where along an axis the largest or the smallest element is.

use std::cmp::Ordering;

use super::cast::integers;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Elements that are compared exactly, whatever their type: a NaN is larger than every number and equal to itself.
pub(crate) fn compare_elements(x: &Tensor) -> impl Fn(usize, usize) -> Ordering {
    let (exact, reals) = match integers(x) {
        Some(values) => (values, vec![]),
        None => (vec![], x.to_f64()),
    };
    move |a, b| {
        if reals.is_empty() {
            return exact[a].cmp(&exact[b]);
        }
        let (a, b) = (reals[a], reals[b]);
        a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
    }
}

/// `y[o, i] =` the `c` where `x[o, c, i]` is largest, or smallest, for `x` as `[outer, columns, inner]`; the first of equals, or
/// the last. A NaN beats every number.
pub(crate) fn arg_reduce(x: &Tensor, [outer, columns, inner]: [usize; 3], largest: bool, last: bool, shape: &Shape) -> Tensor {
    let compare = compare_elements(x);
    let values = x.to_f64();
    let beats = |a: usize, b: usize| match compare(a, b) {
        Ordering::Equal => last,
        _ if values[a].is_nan() || values[b].is_nan() => values[a].is_nan(),
        order => (order == Ordering::Greater) == largest,
    };
    let mut y = vec![];
    for o in 0..outer {
        for i in 0..inner {
            let at = |c: usize| (o * columns + c) * inner + i;
            let best = (1..columns).fold(0, |best, c| if beats(at(c), at(best)) { c } else { best });
            y.push(best as i64);
        }
    }
    Tensor::of(shape, y)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(x: &Tensor, split: [usize; 3], largest: bool, last: bool) -> Vec<i64> {
        arg_reduce(x, split, largest, last, &Shape::from([split[0] * split[2]])).to_i64().unwrap()
    }

    #[test]
    fn the_first_or_the_last_of_equals() {
        let x = Tensor::new([2, 4], vec![1f32, 5.0, 5.0, 2.0, -3.0, 0.0, -3.0, 0.0]).unwrap();
        assert_eq!(run(&x, [2, 4, 1], true, false), [1, 1]);
        assert_eq!(run(&x, [2, 4, 1], true, true), [2, 3]);
        assert_eq!(run(&x, [2, 4, 1], false, false), [0, 0]);
        assert_eq!(run(&x, [2, 4, 1], false, true), [0, 2]);
        assert_eq!(run(&x, [1, 2, 4], true, false), [0, 0, 0, 0]);
        assert_eq!(run(&x, [1, 2, 4], false, false), [1, 1, 1, 1]);
    }

    #[test]
    fn nan_beats_every_number_both_ways() {
        let x = Tensor::vector(vec![1.0, f32::NAN, f32::INFINITY, f32::NAN, f32::NEG_INFINITY]);
        for largest in [false, true] {
            assert_eq!(run(&x, [1, 5, 1], largest, false), [1]);
            assert_eq!(run(&x, [1, 5, 1], largest, true), [3]);
        }
    }

    #[test]
    fn large_integers_stay_apart() {
        let x = Tensor::vector(vec![i64::MAX - 1, i64::MAX, i64::MAX - 2]);
        assert_eq!(run(&x, [1, 3, 1], true, false), [1]);
        assert_eq!(run(&x, [1, 3, 1], false, false), [2]);
        assert_eq!(run(&Tensor::vector(vec![u64::MAX - 1, u64::MAX]), [1, 2, 1], true, false), [1]);
    }
}
