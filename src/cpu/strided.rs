//! Loops over tensors with strides, neighbouring axes merged where every operand allows it.

use crate::plan::collapse;

/// Axes of a loop and the strides of `N` operands along them, outermost first; the last axis is the inner loop.
pub(super) struct Loops<const N: usize> {
    extents: Vec<usize>,
    strides: Vec<[isize; N]>,
}

impl<const N: usize> Loops<N> {
    /// Loops over `extents`, with a stride per axis for every operand.
    pub(super) fn new(extents: &[usize], strides: [Vec<i64>; N]) -> Self {
        let collapsed = collapse(extents, &strides);
        let strides = (0..collapsed.dims.len()).map(|axis| std::array::from_fn(|n| collapsed.strides[n][axis] as isize)).collect();
        Self { extents: collapsed.dims, strides }
    }

    /// Loops over given axes as they are, none being one position.
    pub(super) fn of(extents: &[usize], strides: &[[isize; N]]) -> Self {
        Self { extents: extents.to_vec(), strides: strides.to_vec() }
    }

    /// The extents and strides of all axes, outermost first.
    pub(super) fn axes(&self) -> (&[usize], &[[isize; N]]) {
        (&self.extents, &self.strides)
    }

    /// Calls `visit` at every position, in row-major order.
    pub(super) fn for_each_position(&self, mut visit: impl FnMut([isize; N])) {
        let whole = Self { extents: [self.extents.as_slice(), &[1]].concat(), strides: [self.strides.as_slice(), &[[0; N]]].concat() };
        whole.for_each(0, self.extents.iter().product(), &mut visit);
    }

    /// Iterations of the inner loop.
    pub(super) fn inner(&self) -> usize {
        self.extents[self.extents.len() - 1]
    }

    /// The operands' strides in the inner loop.
    pub(super) fn inner_strides(&self) -> [isize; N] {
        self.strides[self.strides.len() - 1]
    }

    /// Calls `run` for `count` inner loops from number `first` on, with where each operand begins.
    pub(super) fn for_each(&self, first: usize, count: usize, mut run: impl FnMut([isize; N])) {
        let outer = self.extents.len() - 1;
        let mut position = vec![0; outer];
        let mut offsets = [0isize; N];
        let mut rest = first;
        for axis in (0..outer).rev() {
            position[axis] = rest % self.extents[axis];
            rest /= self.extents[axis];
            step(&mut offsets, &self.strides[axis], position[axis] as isize);
        }
        for _ in 0..count {
            run(offsets);
            for axis in (0..outer).rev() {
                position[axis] += 1;
                step(&mut offsets, &self.strides[axis], 1);
                if position[axis] < self.extents[axis] {
                    break;
                }
                position[axis] = 0;
                step(&mut offsets, &self.strides[axis], -(self.extents[axis] as isize));
            }
        }
    }
}

fn step<const N: usize>(offsets: &mut [isize; N], strides: &[isize; N], count: isize) {
    for (offset, stride) in offsets.iter_mut().zip(strides) {
        *offset += count * stride;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_visit_every_offset_from_anywhere() {
        let loops = Loops::new(&[2, 3, 1, 5], [vec![15, 5, 5, 1], vec![0, 7, 0, 0]]);
        assert_eq!((loops.inner(), loops.inner_strides()), (5, [1, 0]));
        let mut seen = vec![];
        loops.for_each(2, 3, |at| seen.push(at));
        assert_eq!(seen, [[10, 14], [15, 0], [20, 7]]);
    }
}
