//! Which positions of one axis the units along another read: an interval that moves on regularly.

/// More phases than this are not regular in any useful sense.
const MAX_PHASES: usize = 1 << 13;

/// Positions beyond this come from attributes that mean nothing.
const MAX_POSITION: i128 = 1 << 40;

/// Unit `q · period + r` reads the positions `q · step + first ..= q · step + last` of phase `r`.
///
/// A strided window has one phase; what makes an axis longer, such as a transposed convolution or `Resize`, has several, and
/// a phase may read nothing. Positions outside the axis are padding. Source of the calculus for one phase: A. Araujo,
/// W. Norris, J. Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stencil {
    step: i64,
    phases: Vec<Option<[i64; 2]>>,
}

impl Stencil {
    /// Unit `i` reads position `i`.
    pub fn identity() -> Self {
        Self { step: 1, phases: vec![Some([0, 0])] }
    }

    /// Unit `i` reads `i · step + first ..= i · step + last`; `None` where the numbers are too large.
    pub fn window(step: i64, first: i64, last: i64) -> Option<Self> {
        Self::periodic(step, vec![Some([first, last])])
    }

    /// From the step of a whole period, and the first and last position that each unit of the first period reads.
    pub fn periodic(step: i64, phases: Vec<Option<[i64; 2]>>) -> Option<Self> {
        let small = |at: i64| i128::from(at).abs() <= MAX_POSITION;
        let fits = (1..=MAX_PHASES).contains(&phases.len()) && small(step) && phases.iter().flatten().flatten().all(|&at| small(at));
        fits.then_some(Self { step, phases })
    }

    /// How far the positions move on from unit to unit, over a period.
    pub fn stride(&self) -> f64 {
        self.step as f64 / self.phases.len() as f64
    }

    /// The first and last position that a unit reads.
    pub fn at(&self, unit: i64) -> Option<[i64; 2]> {
        let period = self.phases.len() as i64;
        let moved = i128::from(unit.div_euclid(period)) * i128::from(self.step);
        let clamp = |at: i64| (moved + i128::from(at)).clamp(-MAX_POSITION, MAX_POSITION) as i64;
        self.phases[unit.rem_euclid(period) as usize].map(|range| range.map(clamp))
    }

    /// What the first unit reads that reads anything.
    pub fn first(&self) -> Option<[i64; 2]> {
        self.phases.iter().flatten().next().copied()
    }

    /// The most positions between the first and the last that any unit reads, both included.
    pub fn size(&self) -> i64 {
        self.phases.iter().flatten().map(|[first, last]| last - first + 1).max().unwrap_or(0)
    }

    /// The first and last position that any unit of `first ..= last` reads.
    pub fn hull(&self, first: i64, last: i64) -> Option<[i64; 2]> {
        let period = self.phases.len() as i64;
        // Each phase moves one way, so that its extremes are in the first and in the last period.
        let head = first..=last.min(first.saturating_add(period - 1));
        let tail = (*head.end() + 1).max(last.saturating_sub(period - 1))..=last;
        head.chain(tail).filter_map(|unit| self.at(unit)).reduce(hull)
    }

    /// The positions behind positions: this stencil reads units of `inner`. `None` where that is not regular.
    pub fn of(&self, inner: &Stencil) -> Option<Self> {
        let (period, inner_period) = (self.phases.len() as i64, inner.phases.len() as i64);
        let repeats = inner_period / gcd(self.step.unsigned_abs(), inner_period as u64) as i64;
        let units = period.checked_mul(repeats).filter(|&n| n <= MAX_PHASES as i64)?;
        let step = i128::from(self.step) * i128::from(repeats) / i128::from(inner_period) * i128::from(inner.step);
        let phase = |unit: i64| self.at(unit).and_then(|[first, last]| inner.hull(first, last));
        Self::periodic(i64::try_from(step).ok()?, (0..units).map(phase).collect())
    }

    /// The hull of what both read. `None` where they do not move on alike.
    pub fn union(&self, other: &Stencil) -> Option<Self> {
        if self == other {
            return Some(self.clone());
        }
        let (a, b) = (self.phases.len() as u64, other.phases.len() as u64);
        let units = a / gcd(a, b) * b;
        if units > MAX_PHASES as u64 || i128::from(self.step) * i128::from(b) != i128::from(other.step) * i128::from(a) {
            return None;
        }
        let both = |unit| [self.at(unit), other.at(unit)].into_iter().flatten().reduce(hull);
        Self::periodic(self.step.checked_mul((units / a) as i64)?, (0..units as i64).map(both).collect())
    }
}

/// The smallest interval around two.
pub fn hull(a: [i64; 2], b: [i64; 2]) -> [i64; 2] {
    [a[0].min(b[0]), a[1].max(b[1])]
}

fn gcd(a: u64, b: u64) -> u64 {
    if a == 0 { b } else { gcd(b % a, a) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(step: i64, first: i64, last: i64) -> Stencil {
        Stencil::window(step, first, last).unwrap()
    }

    /// What `outer` reads through `inner`, unit by unit.
    fn by_hand(outer: &Stencil, inner: &Stencil, unit: i64) -> Option<[i64; 2]> {
        let [first, last] = outer.at(unit)?;
        (first..=last).filter_map(|at| inner.at(at)).reduce(hull)
    }

    fn several() -> Vec<Stencil> {
        vec![
            Stencil::identity(),
            window(2, -1, 1),
            window(3, -4, 2),
            window(-1, 9, 9),
            window(0, 2, 3),
            Stencil::periodic(1, vec![Some([-1, 0]), Some([0, 1])]).unwrap(),
            Stencil::periodic(2, vec![Some([0, 0]), None, Some([1, 2])]).unwrap(),
            Stencil::periodic(0, vec![Some([0, 0]), Some([1, 1]), Some([2, 2])]).unwrap(),
        ]
    }

    #[test]
    fn stencils_of_stencils_read_what_both_read_one_after_the_other() {
        for outer in several() {
            for inner in several() {
                let both = outer.of(&inner).unwrap();
                for unit in -7..20 {
                    assert_eq!(both.at(unit), by_hand(&outer, &inner, unit), "{outer:?} of {inner:?} at {unit}");
                }
            }
        }
    }

    #[test]
    fn unions_hold_both_and_need_equal_strides() {
        let half = Stencil::periodic(1, vec![Some([-1, 0]), Some([0, 1])]).unwrap();
        let holes = Stencil::periodic(2, vec![None, Some([3, 3]), Some([0, 1]), None]).unwrap();
        let both = half.union(&holes).unwrap();
        assert_eq!([0, 1, 2, 3, 5].map(|unit| both.at(unit).unwrap()), [[-1, 0], [0, 3], [0, 1], [1, 2], [2, 5]]);
        assert_eq!((both.size(), both.stride()), (4, 0.5));
        assert_eq!(half.union(&Stencil::identity()), None);
    }

    #[test]
    fn hulls_of_long_ranges_need_only_their_ends() {
        for stencil in several() {
            for (first, last) in [(0, 0), (-3, 50), (4, 9), (0, 3), (1, 7)] {
                assert_eq!(stencil.hull(first, last), (first..=last).filter_map(|at| stencil.at(at)).reduce(hull), "{stencil:?}");
            }
        }
    }

    #[test]
    fn what_is_not_regular_is_refused() {
        assert_eq!(Stencil::window(1 << 41, 0, 0), None);
        assert_eq!(Stencil::periodic(1, vec![]), None);
        let long = Stencil::periodic(1, vec![Some([0, 0]); MAX_PHASES]).unwrap();
        assert_eq!(window(3, 0, 0).of(&Stencil::periodic(1, vec![Some([0, 0]); 8191]).unwrap()).unwrap().stride(), 3.0 / 8191.0);
        assert_eq!(Stencil::periodic(1, vec![Some([0, 0]); 3]).unwrap().of(&long), None);
        let far = window(1 << 40, 0, 0);
        assert_eq!(far.of(&far), None);
    }
}
