//! What one unit of an operator's output reads of one of its inputs, axis by axis: the rules that receptive fields are made of.

use super::stencil::Stencil;
use super::{Operands, Placement};
use crate::graph::TensorType;
use crate::shape::Shape;

/// What the units of one output read along one axis of one input.
#[derive(Clone, PartialEq, Debug)]
pub enum AxisReach {
    /// Positions that follow the unit's position along an axis of the output.
    Along {
        /// The axis of the output.
        axis: usize,
        /// Which positions.
        stencil: Stencil,
    },
    /// The same positions, from the first to the last, for every unit.
    Fixed([i64; 2]),
}

/// What the units of one output read of one input.
///
/// A rule may say more than is read, and never less: what is read lies between the first and the last position.
#[derive(Clone, PartialEq, Debug)]
pub enum Reach {
    /// No element.
    Nothing,
    /// One rule for each axis of the input.
    Axes(Vec<AxisReach>),
}

/// What a rule may know: a node's operands and outputs, and which of them it is asked about.
#[derive(Clone, Copy, Debug)]
pub struct ReachContext<'a> {
    /// The inputs, with constants.
    pub inputs: &'a Operands<'a>,
    /// The types of all outputs.
    pub outputs: &'a [TensorType],
    /// Which input; the node gives it.
    pub input: usize,
    /// Which output.
    pub output: usize,
}

impl AxisReach {
    /// Unit `i` along `axis` of the output reads position `i`.
    pub fn same(axis: usize) -> Self {
        AxisReach::Along { axis, stencil: Stencil::identity() }
    }

    /// Every position of an axis of `extent` elements.
    pub fn whole(extent: usize) -> Self {
        AxisReach::Fixed([0, extent.max(1) as i64 - 1])
    }

    /// Positions that follow `axis` of the output, or where they are not regular all `extent` of them.
    pub fn along(axis: usize, stencil: Option<Stencil>, extent: usize) -> Self {
        stencil.map_or_else(|| Self::whole(extent), |stencil| AxisReach::Along { axis, stencil })
    }
}

impl<'a> ReachContext<'a> {
    /// The shape of the input asked about.
    pub fn x(&self) -> &'a Shape {
        // Asked only about inputs that the node gives.
        self.inputs.get(self.input).map_or(&self.outputs[self.output].shape, |operand| operand.shape)
    }

    /// The shape of the output asked about.
    pub fn y(&self) -> &'a Shape {
        &self.outputs[self.output].shape
    }

    /// Every unit reads the whole input: what is said where nothing better is known.
    pub fn whole(&self) -> Reach {
        Reach::Axes(self.x().iter().map(|&extent| AxisReach::whole(extent)).collect())
    }

    /// Each unit reads the element at its own place; the input's axes are aligned with the output's last ones, and broadcast.
    pub fn elementwise(&self) -> Reach {
        self.mixing(|_| false)
    }

    /// As [`ReachContext::elementwise`], but along the input's axes that `mixed` names every unit reads all positions.
    pub fn mixing(&self, mixed: impl Fn(usize) -> bool) -> Reach {
        let (x, y) = (self.x(), self.y());
        let Some(offset) = y.rank().checked_sub(x.rank()) else { return self.whole() };
        self.each_axis(|axis, extent| match extent == y[axis + offset] && !mixed(axis) {
            true => AxisReach::same(axis + offset),
            false => AxisReach::whole(extent),
        })
    }

    /// One rule for each axis of the input, from its number and extent.
    pub fn each_axis(&self, rule: impl Fn(usize, usize) -> AxisReach) -> Reach {
        Reach::Axes(self.x().iter().enumerate().map(|(axis, &extent)| rule(axis, extent)).collect())
    }

    /// Windows over the spatial axes of an input `[N, C, …]`; the channels are mixed, or each stays by itself.
    pub fn windows(&self, placement: &Placement, mixes_channels: bool) -> Reach {
        self.each_axis(|axis, extent| match axis.checked_sub(2) {
            None if axis == 1 && mixes_channels => AxisReach::whole(extent),
            None => AxisReach::same(axis),
            Some(spatial) => {
                let at = 3 - placement.rank + spatial;
                let first = -(placement.before[at] as i64);
                let last = first.saturating_add((placement.dilation[at] as i64).saturating_mul(placement.kernel[at] as i64 - 1));
                AxisReach::along(axis, Stencil::window(placement.stride[at] as i64, first, last), extent)
            }
        })
    }

    /// The columns of `axis` go into one number each; the axis goes too, unless it stays with another extent.
    pub fn reduction(&self, reduced: &[bool], keep_dims: bool) -> Reach {
        let kept = |axis: usize| if keep_dims { axis } else { reduced[..axis].iter().filter(|r| !**r).count() };
        self.each_axis(|axis, extent| if reduced[axis] { AxisReach::whole(extent) } else { AxisReach::same(kept(axis)) })
    }

    /// A factor of a matrix product: `kept` is its axis that the output has too, along its axis `shown`; the other is summed over.
    /// Axes before the last two are aligned with the `batch` leading axes of the output, and broadcast.
    pub fn factor(&self, kept: Option<usize>, shown: usize, batch: usize) -> Reach {
        let own_batch = self.x().rank().saturating_sub(2);
        self.each_axis(|axis, extent| match (axis + batch).checked_sub(own_batch) {
            _ if Some(axis) == kept => AxisReach::same(shown),
            Some(at) if axis < own_batch && self.y()[at] == extent => AxisReach::same(at),
            _ => AxisReach::whole(extent),
        })
    }

    /// The same elements in order, under another shape.
    pub fn regrouped(&self) -> Reach {
        regroup(self.x(), self.y()).map_or_else(|| self.whole(), Reach::Axes)
    }
}

/// What follows of a reshape for each axis of `x`: runs of axes with equally many elements are split and merged by themselves.
fn regroup(x: &Shape, y: &Shape) -> Option<Vec<AxisReach>> {
    if x.elements() == 0 {
        return None;
    }
    let axes = |shape: &Shape| shape.iter().enumerate().filter(|(_, n)| **n != 1).map(|(axis, &n)| (axis, n)).collect::<Vec<_>>();
    let mut reach: Vec<AxisReach> = x.iter().map(|&extent| AxisReach::whole(extent)).collect();
    let (from, to) = (axes(x), axes(y));
    let (mut from, mut to) = (&from[..], &to[..]);
    while !from.is_empty() && !to.is_empty() {
        let (mut m, mut n, mut inputs, mut outputs) = (1, 1, from[0].1, to[0].1);
        while inputs != outputs {
            if inputs < outputs {
                inputs *= from.get(m)?.1;
                m += 1;
            } else {
                outputs *= to.get(n)?.1;
                n += 1;
            }
        }
        match (&from[..m], &to[..n]) {
            // Split: the outermost axis says which run of elements, all others are within it.
            ([(axis, extent)], [(shown, units), ..]) => {
                let run = (extent / units) as i64;
                reach[*axis] = AxisReach::along(*shown, Stencil::window(run, 0, run - 1), *extent);
            }
            (merged, [(shown, _)]) => {
                let mut inner = 1;
                for (place, &(axis, extent)) in merged.iter().enumerate().rev() {
                    // The outermost axis goes on where the others start again.
                    let (repeats, step) = if place == 0 { (1, 1) } else { (extent, 0) };
                    let phases = (repeats * inner <= 1 << 13).then(|| (0..repeats).flat_map(|at| vec![Some([at as i64; 2]); inner]));
                    reach[axis] = AxisReach::along(*shown, phases.and_then(|p| Stencil::periodic(step, p.collect())), extent);
                    inner *= extent;
                }
            }
            _ => {}
        }
        (from, to) = (&from[m..], &to[n..]);
    }
    Some(reach)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The positions along each axis of `x` that unit `at` of `y` reads under a reshape.
    fn read(x: &[usize], y: &[usize], at: &[i64]) -> Vec<[i64; 2]> {
        let reach = regroup(&Shape::from(x), &Shape::from(y)).unwrap();
        let one = |reach: &AxisReach| match reach {
            AxisReach::Along { axis, stencil } => stencil.at(at[*axis]).unwrap(),
            AxisReach::Fixed(range) => *range,
        };
        reach.iter().map(one).collect()
    }

    #[test]
    fn reshapes_that_merge_know_every_axis() {
        let (x, y) = (Shape::from([2, 3, 4, 5]), [2, 3, 20]);
        for linear in 0..120 {
            let from = x.coordinates(linear);
            let at: Vec<i64> = Shape::from(y).coordinates(linear).into_iter().map(|i| i as i64).collect();
            let expected: Vec<[i64; 2]> = from.iter().map(|&i| [i as i64; 2]).collect();
            assert_eq!(read(&x, &y, &at), expected);
            assert_eq!(read(&x, &[120], &[linear as i64]), expected);
        }
    }

    #[test]
    fn reshapes_that_split_know_the_run() {
        assert_eq!(read(&[2, 12, 5], &[2, 3, 4, 5], &[1, 2, 3, 4]), [[1, 1], [8, 11], [4, 4]]);
        assert_eq!(read(&[2, 12, 5], &[1, 2, 12, 1, 5], &[0, 1, 7, 0, 3]), [[1, 1], [7, 7], [3, 3]]);
    }

    #[test]
    fn reshapes_that_mix_are_whole() {
        assert_eq!(read(&[4, 6, 7], &[8, 3, 7], &[5, 2, 6]), [[0, 3], [0, 5], [6, 6]]);
        assert!(regroup(&[0, 3].into(), &[3, 0].into()).is_none());
    }
}
