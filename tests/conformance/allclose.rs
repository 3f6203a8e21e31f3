//! The suite's own comparison, NumPy's `assert_allclose`, and the proofs that it can fail.

use libtest_mimic::{Failed, Trial};
use macula::Tensor;

/// `rtol` and `atol` of the suite's runner.
const RTOL: f64 = 1e-3;
const ATOL: f64 = 1e-7;

/// That type and shape are equal, and `|got − expected| ≤ atol + rtol · |expected|` everywhere; NaN equals NaN.
pub fn allclose(got: &Tensor, expected: &Tensor) -> Result<(), String> {
    if got.dtype() != expected.dtype() || got.shape() != expected.shape() {
        let of = |t: &Tensor| format!("{}{}", t.dtype(), t.shape());
        return Err(format!("got {}, expected {}", of(got), of(expected)));
    }
    let close = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (b.is_finite() && (a - b).abs() <= ATOL + RTOL * b.abs());
    let (got, expected) = (got.to_f64(), expected.to_f64());
    let wrong: Vec<_> = (0..got.len()).filter(|&i| !close(got[i], expected[i])).collect();
    let Some(&first) = wrong.first() else { return Ok(()) };
    Err(format!("{} of {} elements differ, the first at {first}: got {}, expected {}", wrong.len(), got.len(), got[first], expected[first]))
}

/// Tests that the comparison accepts what it should and nothing else.
pub fn proofs() -> Vec<Trial> {
    let vector = |values: &[f32]| Tensor::vector(values.to_vec());
    let close = move |a: &[f32], b: &[f32]| allclose(&vector(a), &vector(b)).is_ok();
    let proof = |name: &str, holds: bool| {
        Trial::test(format!("allclose::{name}"), move || if holds { Ok(()) } else { Err(Failed::from("does not hold")) })
    };
    vec![
        proof("accepts_rounding", close(&[1.0, -2000.0, 0.0], &[1.0005, -2001.0, 5e-8])),
        proof("accepts_equal_nan_and_infinity", close(&[f32::NAN, f32::INFINITY], &[f32::NAN, f32::INFINITY])),
        proof("rejects_one_wrong_element", !close(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.01])),
        proof("rejects_a_small_number_for_zero", !close(&[1e-6], &[0.0])),
        proof("rejects_nan_for_a_number", !close(&[f32::NAN], &[1.0]) && !close(&[1.0], &[f32::NAN])),
        proof("rejects_the_other_infinity", !close(&[f32::NEG_INFINITY], &[f32::INFINITY]) && !close(&[1.0], &[f32::INFINITY])),
        proof("rejects_another_shape", allclose(&vector(&[1.0]), &Tensor::scalar(1f32)).is_err()),
        proof("rejects_another_type", allclose(&vector(&[1.0]), &Tensor::vector(vec![1.0f64])).is_err()),
    ]
}
