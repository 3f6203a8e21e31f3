//! How far two tensors are apart.

use std::fmt;

use crate::ops::Tolerance;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// The element that is furthest beyond its bound.
#[derive(Clone, PartialEq, Debug)]
pub struct Worst {
    /// Its coordinates, `[n, c, y, x]` for images.
    pub at: Vec<usize>,
    /// What was computed.
    pub got: f64,
    /// What is right.
    pub expected: f64,
}

/// A tensor held against what it should be.
#[derive(Clone, PartialEq, Debug)]
pub struct Comparison {
    /// The shape of both.
    pub shape: Shape,
    /// The bound.
    pub tolerance: Tolerance,
    /// Elements beyond the bound.
    pub beyond: usize,
    /// The largest `|got − expected|`.
    pub worst_absolute: f64,
    /// The largest `|got − expected| ÷ |expected|` over elements of at least a thousandth of the largest magnitude.
    pub worst_relative: f64,
    /// The largest error in units of its bound: above 1 is beyond it.
    pub severity: f64,
    /// The element with the largest error in units of its bound, where there is any error.
    pub worst: Option<Worst>,
    /// Types or shapes that differ, so that no element was compared.
    pub mismatch: Option<String>,
}

impl Comparison {
    /// Holds `got` against `expected`: `!(|a − b| ≤ atol · max|b| + rtol · |b|)` counts as beyond, so NaN does,
    /// unless both are NaN. Infinities must be equal. Where roundings are allowed, subnormal `f32` numbers may be 0, as on devices
    /// that flush them.
    pub fn new(got: &Tensor, expected: &Tensor, tolerance: Tolerance) -> Self {
        let mut comparison = Self {
            shape: expected.shape().clone(),
            tolerance,
            beyond: 0,
            worst_absolute: 0.0,
            worst_relative: 0.0,
            severity: 0.0,
            worst: None,
            mismatch: None,
        };
        if got.shape() != expected.shape() || got.dtype() != expected.dtype() {
            let of = |t: &Tensor| format!("{}{}", t.dtype(), t.shape());
            comparison.mismatch = Some(format!("got {}, expected {}", of(got), of(expected)));
            comparison.beyond = expected.len().max(1);
            comparison.severity = f64::INFINITY;
            return comparison;
        }
        let (a, b) = (got.to_f64(), expected.to_f64());
        let range = b.iter().filter(|x| x.is_finite()).fold(0.0f64, |m, x| m.max(x.abs()));
        let flushed = if expected.dtype() == DType::F32 && tolerance != Tolerance::EXACT { f32::MIN_POSITIVE.into() } else { 0.0 };
        for (i, (&a, &b)) in a.iter().zip(&b).enumerate() {
            if a == b || (a.is_nan() && b.is_nan()) {
                continue;
            }
            let error = (a - b).abs();
            let bound = tolerance.atol * range + tolerance.rtol * b.abs() + flushed;
            let within = error <= bound && b.is_finite();
            comparison.beyond += usize::from(!within);
            let severity = if error.is_nan() || !b.is_finite() || (bound == 0.0 && !within) { f64::INFINITY } else { error / bound };
            comparison.worst_absolute = larger(comparison.worst_absolute, error);
            if b.abs() >= range * 1e-3 {
                comparison.worst_relative = larger(comparison.worst_relative, error / b.abs());
            }
            if comparison.worst.is_none() || severity > comparison.severity {
                comparison.severity = severity;
                comparison.worst = Some(Worst { at: expected.shape().coordinates(i), got: a, expected: b });
            }
        }
        comparison
    }

    /// Whether every element is within its bound.
    pub fn passed(&self) -> bool {
        self.beyond == 0 && self.mismatch.is_none()
    }
}

/// The larger of two errors; an error that is NaN is larger than any.
fn larger(worst: f64, error: f64) -> f64 {
    if error.is_nan() || worst.is_nan() { f64::NAN } else { worst.max(error) }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(mismatch) = &self.mismatch {
            return f.write_str(mismatch);
        }
        write!(f, "{} of {} beyond tolerance", self.beyond, self.shape.elements())?;
        if let Some(worst) = &self.worst {
            write!(
                f,
                ", worst at {:?}: got {}, expected {} (absolute {:.3e}, relative {:.3e})",
                worst.at, worst.got, worst.expected, self.worst_absolute, self.worst_relative
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOSE: Tolerance = Tolerance { rtol: 1e-3, atol: 1e-4 };

    fn maps(values: impl Fn(usize) -> f32) -> Tensor {
        Tensor::new([2, 3, 4, 5], (0..120).map(values).collect()).unwrap()
    }

    #[test]
    fn equal_tensors_pass() {
        let a = maps(|i| i as f32);
        let comparison = Comparison::new(&a, &a, Tolerance::EXACT);
        assert!(comparison.passed() && comparison.worst.is_none());
    }

    #[test]
    fn one_wrong_value_fails_and_is_named() {
        let a = maps(|i| i as f32);
        let b = maps(|i| if i == 67 { 67.5 } else { i as f32 });
        let comparison = Comparison::new(&b, &a, LOOSE);
        assert_eq!(comparison.beyond, 1);
        assert_eq!(comparison.worst.unwrap(), Worst { at: vec![1, 0, 1, 2], got: 67.5, expected: 67.0 });
    }

    #[test]
    fn subnormal_numbers_may_be_flushed_where_roundings_are_allowed() {
        let tiny = maps(|i| i as f32 * 1e-42);
        let zeros = maps(|_| 0.0);
        assert!(Comparison::new(&zeros, &tiny, LOOSE).passed());
        assert!(!Comparison::new(&zeros, &tiny, Tolerance::EXACT).passed());
        assert!(!Comparison::new(&zeros, &maps(|i| i as f32 * 1e-38), LOOSE).passed());
    }

    #[test]
    fn nan_fails_unless_expected() {
        let nan = maps(|i| if i == 3 { f32::NAN } else { 1.0 });
        let ones = maps(|_| 1.0);
        assert!(!Comparison::new(&nan, &ones, LOOSE).passed());
        assert!(!Comparison::new(&ones, &nan, LOOSE).passed());
        assert!(Comparison::new(&nan, &nan, LOOSE).passed());
    }

    #[test]
    fn infinities_must_be_equal() {
        let inf = maps(|i| if i == 3 { f32::INFINITY } else { 1.0 });
        let negative = maps(|i| if i == 3 { f32::NEG_INFINITY } else { 1.0 });
        let finite = maps(|_| 1.0);
        assert!(Comparison::new(&inf, &inf, LOOSE).passed());
        for (a, b) in [(&inf, &negative), (&inf, &finite), (&finite, &inf)] {
            assert!(!Comparison::new(a, b, LOOSE).passed());
        }
    }

    #[test]
    fn swapped_height_and_width_fail() {
        let a = maps(|i| i as f32);
        let swapped = Tensor::new([2, 3, 5, 4], a.data::<f32>().unwrap().to_vec()).unwrap();
        assert!(!Comparison::new(&swapped, &a, LOOSE).passed());
        let transposed = maps(|i| {
            let (map, y, x) = (i / 20, i / 5 % 4, i % 5);
            (map * 20 + (x * 4 + y)) as f32
        });
        assert!(!Comparison::new(&transposed, &a, LOOSE).passed());
    }
}
