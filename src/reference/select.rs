//! What elements select: outputs whose extents depend on values.

use std::cmp::Ordering;

use crate::shape::Shape;
use crate::tensor::{Element, Tensor, for_each_dtype};

/// The slices along `axis`, or the elements, at which `condition` holds.
pub(crate) fn compress(axis: Option<usize>, x: &Tensor, condition: &Tensor) -> Tensor {
    let kept: Vec<usize> =
        condition.data::<bool>().unwrap_or_default().iter().enumerate().filter_map(|(at, &on)| on.then_some(at)).collect();
    match axis {
        Some(axis) => pick(x, axis, &kept),
        None => pick(&x.reshape([x.len()]).expect("as many elements"), 0, &kept),
    }
}

/// The slices of `x` along `axis` at these positions.
fn pick(x: &Tensor, axis: usize, positions: &[usize]) -> Tensor {
    let [outer, inner] = [&x.shape()[..axis], &x.shape()[axis + 1..]].map(|dims| Shape::from(dims).elements());
    let mut dims = x.shape().to_vec();
    let extent = std::mem::replace(&mut dims[axis], positions.len());
    for_each_dtype!(x.data_ref(), values => {
        let mut y = Vec::with_capacity(outer * positions.len() * inner);
        for o in 0..outer {
            positions.iter().for_each(|at| y.extend_from_slice(&values[(o * extent + at) * inner..][..inner]));
        }
        Tensor::of(dims, y)
    })
}

/// `y[k, c]`: coordinate `k` of the `c`-th element that is not 0
pub(crate) fn non_zero(x: &Tensor) -> Tensor {
    fn found<T: Element>(values: &[T]) -> Vec<usize> {
        values.iter().enumerate().filter_map(|(at, value)| (*value != T::default()).then_some(at)).collect()
    }
    let found = for_each_dtype!(x.data_ref(), values => found(values));
    let at: Vec<Vec<usize>> = found.iter().map(|&at| x.shape().coordinates(at)).collect();
    let coordinates = (0..x.shape().rank()).flat_map(|axis| at.iter().map(move |at| at[axis] as i64)).collect();
    Tensor::of([x.shape().rank(), found.len()], coordinates)
}

/// The distinct slices along `axis`, or elements; the first of each, which of them each slice is, how many each stands for.
pub(crate) fn unique(axis: Option<usize>, sorted: bool, x: &Tensor) -> Vec<Tensor> {
    let flat = x.reshape([x.len()]).expect("as many elements");
    let (x, axis) = axis.map_or((&flat, 0), |axis| (x, axis));
    let order = for_each_dtype!(x.data_ref(), values => order(values, x.shape(), axis));
    // Runs of equal slices in ascending order, each run by its first slice and its number.
    let mut groups: Vec<Vec<usize>> = vec![];
    for (slice, equal) in order {
        match groups.last_mut() {
            Some(group) if equal => group.push(slice),
            _ => groups.push(vec![slice]),
        }
    }
    if !sorted {
        groups.sort_by_key(|group| group[0]);
    }
    let mut inverse = vec![0i64; x.shape()[axis]];
    for (number, group) in groups.iter().enumerate() {
        group.iter().for_each(|&slice| inverse[slice] = number as i64);
    }
    let first: Vec<usize> = groups.iter().map(|group| group[0]).collect();
    let counts = groups.iter().map(|group| group.len() as i64).collect();
    vec![
        pick(x, axis, &first),
        Tensor::vector(first.iter().map(|&at| at as i64).collect()),
        Tensor::vector(inverse),
        Tensor::vector(counts),
    ]
}

/// The slices along `axis` in ascending order, equal ones in that of their positions, and whether each equals the one before.
fn order<T: Element + PartialOrd>(values: &[T], shape: &Shape, axis: usize) -> Vec<(usize, bool)> {
    let [outer, inner] = [&shape[..axis], &shape[axis + 1..]].map(|dims| Shape::from(dims).elements());
    let slice = |at: usize| (0..outer * inner).map(move |i| values[(i / inner * shape[axis] + at) * inner + i % inner]);
    // A NaN comes last, and equals no other.
    let is_nan = |value: &T| value.partial_cmp(value).is_none();
    let compare = |a: &T, b: &T| a.partial_cmp(b).unwrap_or_else(|| is_nan(a).cmp(&is_nan(b)));
    let compared = |&a: &usize, &b: &usize| {
        slice(a).zip(slice(b)).map(|(a, b)| compare(&a, &b)).find(|&order| order != Ordering::Equal).unwrap_or(Ordering::Equal)
    };
    let mut order: Vec<usize> = (0..shape[axis]).collect();
    order.sort_by(compared);
    let equal = |at: usize| at > 0 && slice(order[at - 1]).eq(slice(order[at]));
    order.iter().enumerate().map(|(at, &number)| (number, equal(at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::OpError;
    use crate::ops::{Compress, NonZero, Op, Operands, Unique};

    fn run(op: impl Into<Op>, inputs: &[&Tensor]) -> Result<Vec<Tensor>, OpError> {
        let (op, inputs) = (op.into(), inputs.iter().map(|&t| Some(t)).collect::<Vec<_>>());
        let types = op.operator().infer(&Operands::of(&inputs, 1))?;
        let results = op.operator().reference(&inputs, 1)?;
        for (result, ty) in results.iter().zip(&types) {
            assert_eq!((result.dtype(), result.shape()), (ty.dtype, &ty.shape), "{op:?}");
        }
        Ok(results)
    }

    #[test]
    fn conditions_select() {
        let x = Tensor::new([3, 2], vec![1i32, 2, 3, 4, 5, 6]).unwrap();
        let by = |axis, condition: &[bool]| run(Compress { axis }, &[&x, &Tensor::vector(condition.to_vec())]).map(|y| y[0].clone());
        assert_eq!(by(Some(0), &[false, true, true]), Ok(Tensor::new([2, 2], vec![3, 4, 5, 6]).unwrap()));
        assert_eq!(by(Some(-1), &[false, true]), Ok(Tensor::new([3, 1], vec![2, 4, 6]).unwrap()));
        assert_eq!(by(None, &[false, true, false, false, true]), Ok(Tensor::vector(vec![2, 5])));
        let error = by(Some(1), &[true; 3]).unwrap_err().to_string();
        assert!(error.contains("condition bool[3] is not a list of at most 2 for [3,2]"), "{error}");
    }

    #[test]
    fn coordinates_of_what_is_not_zero() {
        let x = Tensor::new([2, 2], vec![1.0f32, 0.0, -0.0, f32::NAN]).unwrap();
        assert_eq!(run(NonZero, &[&x]).unwrap()[0], Tensor::new([2, 2], vec![0i64, 1, 0, 1]).unwrap());
        assert_eq!(run(NonZero, &[&Tensor::scalar(3u8)]).unwrap()[0].shape().dims(), [0, 1]);
    }

    fn uniques(op: Unique, x: &Tensor) -> Vec<Vec<f64>> {
        run(op, &[x]).unwrap().iter().map(Tensor::to_f64).collect()
    }

    #[test]
    fn distinct_elements_and_slices() {
        let x = Tensor::vector(vec![2f32, 1.0, 1.0, 3.0, 4.0, 3.0]);
        let sorted = uniques(Unique { axis: None, sorted: true }, &x);
        assert_eq!(
            sorted,
            [vec![1.0, 2.0, 3.0, 4.0], vec![1.0, 0.0, 3.0, 4.0], vec![1.0, 0.0, 0.0, 2.0, 3.0, 2.0], vec![2.0, 1.0, 2.0, 1.0]]
        );
        let first = uniques(Unique { axis: None, sorted: false }, &x);
        assert_eq!(
            first,
            [vec![2.0, 1.0, 3.0, 4.0], vec![0.0, 1.0, 3.0, 4.0], vec![0.0, 1.0, 1.0, 2.0, 3.0, 2.0], vec![1.0, 2.0, 2.0, 1.0]]
        );
        let rows = Tensor::new([3, 2], vec![5i32, 1, 2, 9, 5, 1]).unwrap();
        assert_eq!(
            uniques(Unique { axis: Some(0), sorted: true }, &rows),
            [vec![2.0, 9.0, 5.0, 1.0], vec![1.0, 0.0], vec![1.0, 0.0, 1.0], vec![1.0, 2.0]]
        );
        let columns = Tensor::new([2, 3], vec![5i32, 2, 5, 1, 9, 1]).unwrap();
        assert_eq!(uniques(Unique { axis: Some(-1), sorted: true }, &columns)[0], [2.0, 5.0, 9.0, 1.0]);
        let nans = uniques(Unique { axis: None, sorted: true }, &Tensor::vector(vec![f32::NAN, 1.0, f32::NAN]));
        assert_eq!(nans[3], [1.0, 1.0, 1.0], "a NaN equals no other");
    }
}
