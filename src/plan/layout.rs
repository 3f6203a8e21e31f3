//! Host-side arithmetic that several lowerings share: collapsing axes, splitting workgroups.

use crate::shape::Shape;

/// The most axes that strided kernels take after collapsing.
pub(crate) const MAX_AXES: usize = 8;

/// A space of elements and, for each operand, its strides in that space, with as few axes as possible.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Collapsed {
    /// Extents, outermost first; at least one axis.
    pub dims: Vec<usize>,
    /// One list of strides per operand.
    pub strides: Vec<Vec<i64>>,
}

/// Drops axes of extent 1 and merges neighbours that every operand walks as one.
pub(crate) fn collapse(dims: &[usize], operands: &[Vec<i64>]) -> Collapsed {
    let mut out = Collapsed { dims: vec![], strides: vec![vec![]; operands.len()] };
    for (axis, &extent) in dims.iter().enumerate() {
        if extent == 1 {
            continue;
        }
        let merges = !out.dims.is_empty()
            && operands.iter().zip(&out.strides).all(|(s, o)| o.last().is_some_and(|&outer| outer == s[axis] * extent as i64));
        if merges {
            *out.dims.last_mut().expect("not empty") *= extent;
            for (o, s) in out.strides.iter_mut().zip(operands) {
                *o.last_mut().expect("not empty") = s[axis];
            }
        } else {
            out.dims.push(extent);
            for (o, s) in out.strides.iter_mut().zip(operands) {
                o.push(s[axis]);
            }
        }
    }
    if out.dims.is_empty() {
        out.dims.push(1);
        out.strides.iter_mut().for_each(|s| s.push(0));
    }
    out
}

/// Up to eight numbers, aligned to the innermost axis, `fill` before them: the shader's `array<vec4<u32>, 2>`.
///
/// Strides go in as two's complement. `None` where there are more axes than a kernel takes.
pub(crate) fn dims_array(values: impl ExactSizeIterator<Item = i64>, fill: u32) -> Option<[[u32; 4]; 2]> {
    let missing = MAX_AXES.checked_sub(values.len())?;
    let mut out = [[fill; 4]; 2];
    for (i, value) in values.enumerate() {
        let at = missing + i;
        out[at / 4][at % 4] = value as i32 as u32;
    }
    Some(out)
}

/// The number of elements of `shape`, where indices of 32 bits reach all of them with room for a stride past the end.
pub(crate) fn element_count(shape: &Shape) -> Result<u32, String> {
    let elements = shape.elements();
    i32::try_from(elements).map(|n| n as u32).map_err(|_| format!("{elements} elements are too many for indices of 32 bits"))
}

/// Workgroups for `items` independent pieces of work, `per_workgroup` each, folded into two dimensions
/// where one has not enough; kernels recover the index with `flat_workgroup` of `shared/index.wgsl`.
pub(crate) fn workgroups_1d(items: usize, per_workgroup: usize, max: u32) -> Option<[u32; 3]> {
    let total = u32::try_from(items.div_ceil(per_workgroup).max(1)).ok()?;
    if total <= max {
        return Some([total, 1, 1]);
    }
    let y = total.div_ceil(max);
    (y <= max).then(|| [total.div_ceil(y), y, 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_collapse_when_all_operands_agree() {
        let c = collapse(&[2, 3, 1, 5], &[vec![15, 5, 5, 1], vec![0, 5, 0, 1]]);
        assert_eq!(c, Collapsed { dims: vec![2, 15], strides: vec![vec![15, 1], vec![0, 1]] });
        let scalar = collapse(&[1, 1], &[vec![7, 7]]);
        assert_eq!(scalar, Collapsed { dims: vec![1], strides: vec![vec![0]] });
    }

    #[test]
    fn workgroups_fold_at_the_limit() {
        assert_eq!(workgroups_1d(64 * 65_535, 64, 65_535), Some([65_535, 1, 1]));
        assert_eq!(workgroups_1d(64 * 65_535 + 1, 64, 65_535), Some([32_768, 2, 1]));
        assert_eq!(workgroups_1d(0, 64, 65_535), Some([1, 1, 1]));
        assert_eq!(workgroups_1d(usize::MAX, 1, 65_535), None);
    }

    #[test]
    fn dims_are_aligned_to_the_innermost() {
        assert_eq!(dims_array([5i64, -1].into_iter(), 1), Some([[1; 4], [1, 1, 5, u32::MAX]]));
        assert_eq!(dims_array([1i64; 9].into_iter(), 1), None);
    }
}
