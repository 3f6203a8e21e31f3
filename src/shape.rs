//! Shapes of tensors and the arithmetic on them that every operator shares.

use std::fmt;
use std::ops::Deref;

/// No tensor of a network has more axes: NumPy's limit.
pub(crate) const MAX_RANK: usize = 64;

/// The extents of a tensor, outermost first: `[N, C, H, W]` for a batch of images.
///
/// An empty shape is a scalar. Data is always dense and row-major: the last axis is contiguous.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// A shape from its extents.
    pub fn new(dims: impl Into<Vec<usize>>) -> Self {
        Self(dims.into())
    }

    /// The shape of a scalar, `[]`.
    pub fn scalar() -> Self {
        Self(Vec::new())
    }

    /// The extents, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The number of elements; saturates where the product does not fit in `usize`.
    ///
    /// Shapes inside a graph are checked when they are inferred, so there the product is exact.
    pub fn elements(&self) -> usize {
        self.checked_elements().unwrap_or(usize::MAX)
    }

    /// The number of elements, or `None` where the product does not fit in `usize`.
    pub fn checked_elements(&self) -> Option<usize> {
        if self.0.contains(&0) {
            return Some(0);
        }
        self.0.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
    }

    /// Row-major strides in elements.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1usize; self.rank()];
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(self.0[axis]);
        }
        strides
    }

    /// The coordinates of the element at `linear` in row-major order.
    pub fn coordinates(&self, mut linear: usize) -> Vec<usize> {
        let mut at = vec![0; self.rank()];
        for axis in (0..self.rank()).rev() {
            let extent = self.0[axis].max(1);
            at[axis] = linear % extent;
            linear /= extent;
        }
        at
    }

    /// The shape that two operands broadcast to under the multidirectional (NumPy) rule, if any.
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        let rank = self.rank().max(other.rank());
        let dim = |shape: &Shape, axis: usize| {
            let missing = rank - shape.rank();
            if axis < missing { 1 } else { shape.0[axis - missing] }
        };
        (0..rank)
            .map(|axis| match (dim(self, axis), dim(other, axis)) {
                (a, b) if a == b => Some(a),
                (1, b) => Some(b),
                (a, 1) => Some(a),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .map(Shape)
    }

    /// Strides in elements that read this shape as if it were `target`: 0 along broadcast axes.
    ///
    /// `target` must be a shape that this one broadcasts to; the result has its rank.
    pub fn broadcast_strides(&self, target: &Shape) -> Vec<usize> {
        let missing = target.rank() - self.rank();
        let own = self.strides();
        (0..target.rank())
            .map(|axis| match axis.checked_sub(missing) {
                Some(a) if self.0[a] != 1 => own[a],
                _ => 0,
            })
            .collect()
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Self {
        Self(dims)
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Self(dims.to_vec())
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        shape.clone()
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Self(dims.to_vec())
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(dims: I) -> Self {
        Self(dims.into_iter().collect())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, d) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{d}")?;
        }
        f.write_str("]")
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Resolves a possibly negative axis against a rank; `None` when it is out of range.
pub(crate) fn resolve_axis(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let resolved = if axis < 0 { axis.checked_add(rank)? } else { axis };
    (0..rank).contains(&resolved).then_some(resolved as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_follows_numpy() {
        let s = |d: &[usize]| Shape::from(d);
        assert_eq!(s(&[2, 1, 5]).broadcast(&s(&[3, 1])), Some(s(&[2, 3, 5])));
        assert_eq!(s(&[]).broadcast(&s(&[4])), Some(s(&[4])));
        assert_eq!(s(&[2, 3]).broadcast(&s(&[4])), None);
        assert_eq!(s(&[0, 3]).broadcast(&s(&[1, 3])), Some(s(&[0, 3])));
        assert_eq!(s(&[3, 1]).broadcast_strides(&s(&[2, 3, 5])), vec![0, 1, 0]);
    }

    #[test]
    fn element_counts_do_not_wrap() {
        assert_eq!(Shape::from([1usize << 40, 1 << 40]).checked_elements(), None);
        assert_eq!(Shape::from([1usize << 40, 1 << 40, 0]).checked_elements(), Some(0));
        assert_eq!(Shape::scalar().elements(), 1);
    }

    #[test]
    fn axes_resolve_from_both_ends() {
        assert_eq!(resolve_axis(-1, 4), Some(3));
        assert_eq!(resolve_axis(4, 4), None);
        assert_eq!(resolve_axis(i64::MIN, 4), None);
    }
}
