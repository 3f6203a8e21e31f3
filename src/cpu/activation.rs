//! Functions of one element, in arithmetic that vectorises: no branches, no calls, no table look-ups.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, LN_2, LOG2_E};

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::kernel::widest;
use super::{CHUNK, floats, scratch};
use crate::ops::{GeluApproximation, Unary};
use crate::reference::activation::function;
use crate::tensor::Tensor;

/// A polynomial by Horner's rule, the highest coefficient first; written out, because inner loops would keep outer ones from vectorising.
macro_rules! horner {
    ($x:expr, $first:expr $(, $next:expr)*) => {{
        let p = $first;
        $(let p = p * $x + $next;)*
        p
    }};
}

/// `y[i] = f(x[i])` on `f32`.
pub(super) fn unary(op: &Unary, inputs: &[Option<&Tensor>]) -> Option<Vec<Tensor>> {
    Some(vec![Tensor::of(inputs[0]?.shape(), changed(floats(inputs, 0)?, |y| apply(op, y)))])
}

/// `y[i] ← f(y[i])`
pub(super) fn apply(op: &Unary, y: &mut [f32]) {
    widest(Apply(op, y));
}

struct Apply<'a>(&'a Unary, &'a mut [f32]);

impl WithSimd for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        apply_here(self.0, self.1);
    }
}

#[inline(always)]
fn apply_here(op: &Unary, y: &mut [f32]) {
    match *op {
        Unary::Relu => each(y, |x| if x < 0.0 { 0.0 } else { x }),
        Unary::LeakyRelu { alpha } => each(y, move |x| if x < 0.0 { alpha * x } else { x }),
        Unary::Sigmoid => each(y, |x| 1.0 / (1.0 + exp(-x))),
        Unary::HardSigmoid { alpha, beta } => each(y, move |x| clamp(alpha * x + beta, 0.0, 1.0)),
        Unary::HardSwish => each(y, |x| x * clamp(x / 6.0 + 0.5, 0.0, 1.0)),
        Unary::Tanh => each(y, tanh),
        Unary::Erf => each(y, erf),
        Unary::Gelu(GeluApproximation::None) => each(y, gelu),
        Unary::Gelu(GeluApproximation::Tanh) => each(y, |x| {
            let inner = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            // ½ (1 + tanh u) = 1 ÷ (1 + exp(−2u)), which does not cancel.
            x / (1.0 + exp(-2.0 * inner))
        }),
        Unary::Exp => each(y, exp),
        Unary::Sqrt => each(y, f32::sqrt),
        Unary::Abs => each(y, f32::abs),
        Unary::Neg => each(y, |x| -x),
        Unary::Ceil => each(y, f32::ceil),
        Unary::Floor => each(y, f32::floor),
        Unary::Round => each(y, f32::round_ties_even),
        Unary::Reciprocal => each(y, |x| 1.0 / x),
        Unary::Log => each(y, ln),
        Unary::Elu { alpha } => each(y, move |x| if x < 0.0 { alpha * exp_m1(x) } else { x }),
        Unary::Celu { alpha } => each(y, move |x| if x < 0.0 { alpha * exp_m1(x / alpha) } else { x }),
        Unary::Selu { alpha, gamma } => each(y, move |x| gamma * if x < 0.0 { alpha * exp_m1(x) } else { x }),
        Unary::Softplus => each(y, softplus),
        Unary::Softsign => each(y, |x| x / (1.0 + x.abs())),
        Unary::Mish => each(y, mish),
        Unary::Swish { alpha } => each(y, move |x| x / (1.0 + exp(-alpha * x))),
        Unary::ThresholdedRelu { alpha } => each(y, move |x| if x > alpha { x } else { 0.0 }),
        Unary::Affine { alpha, beta } => each(y, move |x| alpha * x + beta),
        Unary::ScaledTanh { alpha, beta } => each(y, move |x| alpha * tanh(beta * x)),
        // The others are rare: the reference's function, on all cores.
        _ => each(y, |x| function(op, x.into()) as f32),
    }
}

/// `y[i] ← clamp(y[i])`; the upper bound wins where the two cross.
pub(super) fn apply_clip(y: &mut [f32], low: f32, high: f32) {
    widest(|| each(y, move |x| clamp(x, low, high)));
}

/// `x` between two optional scalars on `f32`; the upper bound wins where they cross.
pub(super) fn clip(inputs: &[Option<&Tensor>]) -> Option<Vec<Tensor>> {
    let x = floats(inputs, 0)?;
    let bound = |index: usize, default: f32| match inputs.get(index).copied().flatten() {
        Some(tensor) => tensor.data::<f32>()?.first().copied(),
        None => Some(default),
    };
    let (low, high) = (bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?);
    Some(vec![Tensor::of(inputs[0]?.shape(), changed(x, |y| apply_clip(y, low, high)))])
}

#[inline(always)]
fn each(y: &mut [f32], f: impl Fn(f32) -> f32) {
    for y in y {
        *y = f(*y);
    }
}

/// A copy of `x` that `change` went over chunk by chunk, in parallel where there are many.
fn changed(x: &[f32], change: impl Fn(&mut [f32]) + Sync) -> Vec<f32> {
    if x.len() <= CHUNK {
        let mut y = x.to_vec();
        change(&mut y);
        return y;
    }
    let mut y = scratch::buffer(x.len());
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
        y.copy_from_slice(x);
        change(y);
    });
    y
}

/// NaN passes.
#[inline(always)]
fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// `(n, exp(r) − 1)` with `x = n ln 2 + r`, `|r| ≤ ½ ln 2`: the Taylor series to the seventh power, whose next term is below 6e-9.
#[inline(always)]
fn exp_parts(x: f32) -> (f32, f32) {
    // Adding 1.5 · 2²³ leaves no fraction bits, which rounds to an integer.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts; the first has few bits, so that its product with n is exact.
    const LN_2_HIGH: f32 = 355.0 / 512.0;
    const LN_2_LOW: f32 = (std::f64::consts::LN_2 - 355.0 / 512.0) as f32;
    debug_assert!((LN_2_HIGH + LN_2_LOW - LN_2).abs() < 1e-7);
    let n = (x * LOG2_E + ROUND) - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let p = horner!(r, 1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5);
    (n, r + r * r * p)
}

/// 2ⁿ for an integer −126 ≤ n ≤ 127.
#[inline(always)]
fn power_of_two(n: f32) -> f32 {
    // The integer n + 127 in the lowest bits, then in the exponent's place.
    f32::from_bits((n + (8_388_608.0 + 127.0)).to_bits() << 23)
}

/// The exponential function to about 1 ulp.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let (n, p) = exp_parts(clamp(x, -104.0, 89.0));
    // In two factors, because 2ⁿ itself may overflow or be subnormal.
    let half = ((n * 0.5) + 12_582_912.0) - 12_582_912.0;
    (1.0 + p) * power_of_two(half) * power_of_two(n - half)
}

/// The hyperbolic tangent to a few ulp: `(e − 1) ÷ (e + 1)` with `e = exp(2|x|)`, whose `e − 1` keeps its small bits.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let (n, p) = exp_parts(clamp(2.0 * x.abs(), 0.0, 40.0));
    let scale = power_of_two(n);
    let less_one = scale * p + (scale - 1.0);
    (less_one / (less_one + 2.0)).copysign(x)
}

/// `exp(x) − 1`, which keeps its small bits.
#[inline(always)]
fn exp_m1(x: f32) -> f32 {
    let (n, p) = exp_parts(clamp(x, -104.0, 88.0));
    let scale = power_of_two(if n < -126.0 { -126.0 } else { n });
    scale * p + (scale - 1.0)
}

/// The natural logarithm to a few ulp: `x = 2ᵏ m` with `m` near 1, `ln m = 2 artanh((m − 1) ÷ (m + 1))`.
#[inline(always)]
fn ln(x: f32) -> f32 {
    // Half way between two powers of two, on the scale of exponents.
    const SQRT_HALF: i32 = 0x3f35_04f3;
    let subnormal = x < f32::MIN_POSITIVE;
    let bits = (if subnormal { x * 8_388_608.0 } else { x }).to_bits() as i32;
    let k = bits.wrapping_sub(SQRT_HALF) >> 23;
    let m = f32::from_bits(bits.wrapping_sub(k << 23) as u32);
    let k = k as f32 - if subnormal { 23.0 } else { 0.0 };
    let s = (m - 1.0) / (m + 1.0);
    let near = 2.0 * s * horner!(s * s, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0);
    // ln 2 in two parts; the first has few bits, so that its product with k is exact.
    let finite = k * (355.0 / 512.0) + (near + k * (std::f64::consts::LN_2 - 355.0 / 512.0) as f32);
    let pole = if x == 0.0 { f32::NEG_INFINITY } else { f32::NAN };
    if x > 0.0 && x < f32::INFINITY {
        finite
    } else if x > 0.0 {
        x
    } else {
        pole
    }
}

/// `ln(1 + x)` for 0 ≤ x ≤ 1.
#[inline(always)]
fn ln_1p(x: f32) -> f32 {
    let s = x / (2.0 + x);
    2.0 * s * horner!(s * s, 1.0 / 15.0, 1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0)
}

/// `ln(1 + exp(x))`, in which nothing overflows.
#[inline(always)]
fn softplus(x: f32) -> f32 {
    (if x < 0.0 { 0.0 } else { x }) + ln_1p(exp(-x.abs()))
}

/// `x · tanh(softplus(x))` from one exponential of nothing positive.
#[inline(always)]
fn mish(x: f32) -> f32 {
    let e = exp(-x.abs());
    let (above, below) = (1.0 + 2.0 * e, e * (e + 2.0));
    x * if x < 0.0 { below / (below + 2.0) } else { above / (above + 2.0 * e * e) }
}

/// The error function to a few ulp.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let a = x.abs();
    (if a < 1.0 { erf_near(a) } else { 1.0 - erfc(a) }).copysign(x)
}

/// `x · Φ(x)`, Φ(x) = ½ (1 + erf(x ÷ √2)), to a relative 2e-6: the tail of erf is used as it is, because `1 + erf` would cancel.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    let a = x.abs() * FRAC_1_SQRT_2;
    let (near, tail) = (erf_near(a), erfc(a));
    let near = if x < 0.0 { 1.0 - near } else { 1.0 + near };
    let far = if x < 0.0 { tail } else { 2.0 - tail };
    0.5 * x * if a < 1.0 { near } else { far }
}

/// erf for 0 ≤ a < 1: its Taylor series, NIST DLMF 7.6.1.
#[inline(always)]
fn erf_near(a: f32) -> f32 {
    let square = a * a;
    // (−1)ⁿ ÷ (n! (2n + 1)), n = 10 … 0: the next term is below 2e-9.
    let series = horner!(
        square,
        1.0 / 76_204_800.0,
        -1.0 / 6_894_720.0,
        1.0 / 685_440.0,
        -1.0 / 75_600.0,
        1.0 / 9_360.0,
        -1.0 / 1_320.0,
        1.0 / 216.0,
        -1.0 / 42.0,
        1.0 / 10.0,
        -1.0 / 3.0,
        1.0
    );
    FRAC_2_SQRT_PI * a * series
}

/// `1 − erf(a)` for a ≥ 1: `exp(−a²) · t · P(t)`, `t = 2 ÷ (2 + a)`; P interpolates at the Chebyshev points of 1 ≤ a ≤ 10.5, where
/// it is right to 1.3e-8.
#[inline(always)]
fn erfc(a: f32) -> f32 {
    let a = if a > 10.5 { 10.5 } else { a };
    let t = 2.0 / (2.0 + a);
    let p = horner!(t, 0.094_309_7, -0.228_695_62, 0.085_475_64, 0.058_988_866, 0.179_561_69, 0.246_788_44, 0.282_060_62, 0.282_097_37);
    // a² in two parts: a rounding of a² would be amplified to a² ulp.
    let high = f32::from_bits(a.to_bits() & 0xffff_f000);
    exp(-high * high) * exp((high - a) * (high + a)) * t * p
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::activation::erf as erf_f64;

    /// The worst error of `f` in units of the last place, where the result is a normal number.
    fn worst_ulp(f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64, low: f32, high: f32) -> f64 {
        let steps = 200_000;
        let at = |i: i32| low + (high - low) * (i as f32 / steps as f32);
        let error = |x: f32| {
            let want = exact(x.into());
            if want.abs() < f32::MIN_POSITIVE.into() {
                return 0.0;
            }
            let ulp = 2f64.powi(want.abs().log2().floor() as i32 - 23);
            (f64::from(f(x)) - want).abs() / ulp
        };
        (0..=steps).map(|i| error(at(i))).fold(0.0, f64::max)
    }

    #[test]
    fn functions_are_within_a_few_ulp() {
        let gelu = |x: f64| 0.5 * x * (1.0 + erf_f64(x * std::f64::consts::FRAC_1_SQRT_2));
        for (name, worst, limit) in [
            ("exp", worst_ulp(exp, f64::exp, -87.0, 88.7), 1.5),
            ("tanh", worst_ulp(tanh, f64::tanh, -10.0, 10.0), 3.0),
            ("tanh near 0", worst_ulp(tanh, f64::tanh, -0.5, 0.5), 3.0),
            ("log", worst_ulp(ln, f64::ln, 1e-3, 1e3), 2.0),
            ("log near 1", worst_ulp(ln, f64::ln, 0.9, 1.1), 3.0),
            ("log of subnormal numbers", worst_ulp(ln, f64::ln, 1e-44, 1e-37), 2.0),
            ("exp - 1", worst_ulp(exp_m1, f64::exp_m1, -20.0, 20.0), 3.0),
            ("exp - 1 near 0", worst_ulp(exp_m1, f64::exp_m1, -0.1, 0.1), 3.0),
            ("softplus", worst_ulp(softplus, |x| x.exp().ln_1p(), -80.0, 80.0), 4.0),
            ("mish", worst_ulp(mish, |x| x * x.exp().ln_1p().tanh(), -20.0, 20.0), 6.0),
            ("erf", worst_ulp(erf, erf_f64, -5.0, 5.0), 4.0),
            ("erf near 0", worst_ulp(erf, erf_f64, -1e-3, 1e-3), 2.0),
            ("gelu", worst_ulp(|x| unary_of(Unary::Gelu(GeluApproximation::None), x), gelu, -1.4, 6.0), 16.0),
            // The rounding of x ÷ √2 alone is amplified 2a² = 16 times at x = −4: no better without a second word of a.
            ("gelu's tail", worst_ulp(|x| unary_of(Unary::Gelu(GeluApproximation::None), x), gelu, -4.0, -1.4), 24.0),
        ] {
            assert!(worst <= limit, "{name} is off by {worst:.2} ulp");
        }
    }

    fn unary_of(op: Unary, x: f32) -> f32 {
        unary(&op, &[Some(&Tensor::vector(vec![x]))]).unwrap()[0].data::<f32>().unwrap()[0]
    }

    #[test]
    fn edges_are_as_in_the_reference() {
        let x = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e-38, -1e-38, 3e38, -3e38, 89.5, -104.5, -88.0];
        let x = Tensor::vector(x.to_vec());
        for op in [
            Unary::Relu,
            Unary::LeakyRelu { alpha: 0.1 },
            Unary::Sigmoid,
            Unary::HardSigmoid { alpha: 0.2, beta: 0.5 },
            Unary::HardSwish,
            Unary::Tanh,
            Unary::Erf,
            Unary::Exp,
            Unary::Sqrt,
            Unary::Log,
            Unary::Elu { alpha: 0.7 },
            Unary::Celu { alpha: 0.7 },
            Unary::Selu { alpha: 0.7, gamma: 1.3 },
            Unary::Softplus,
            Unary::Softsign,
            Unary::Mish,
            Unary::Swish { alpha: 1.5 },
            Unary::ThresholdedRelu { alpha: 0.5 },
            Unary::ScaledTanh { alpha: 0.5, beta: 2.0 },
            Unary::Round,
            Unary::Sign,
            Unary::Atan,
        ] {
            let (got, want) = (unary(&op, &[Some(&x)]).unwrap(), crate::reference::activation::unary(&op, &x));
            for ((x, got), want) in x.data::<f32>().unwrap().iter().zip(got[0].to_f64()).zip(want.to_f64()) {
                let same = got == want || (got.is_nan() && want.is_nan()) || (got - want).abs() <= 1e-5 * want.abs() + 1e-37;
                assert!(same, "{op:?} of {x}: {got}, expected {want}");
            }
        }
    }
}
