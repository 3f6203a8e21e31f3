//! What the processor can do at most: multiply-adds and bytes a second, measured on all threads.

use std::hint::black_box;
use std::time::{Duration, Instant};

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::gpu::Roofline;

/// The fastest of so many measurements counts.
const MEASUREMENTS: usize = 7;
/// Independent sums of one thread: enough to hide the latency of a multiply-add.
const SUMS: usize = 12;
/// Rounds of one measurement.
const ROUNDS: usize = 1 << 20;
/// Elements of each buffer of the copy: past any cache.
const COPIED: usize = 16 << 20;
/// Elements that a thread copies at a time.
const PIECE: usize = 1 << 18;

/// Measures both roofs; takes a fraction of a second.
pub(crate) fn roofline() -> Roofline {
    Roofline { gflops: multiply_adds(), gigabytes: copied(), launch: Duration::ZERO, kept: false }
}

/// One thread's multiply-adds, and how many each vector has.
struct MultiplyAdds;

impl WithSimd for MultiplyAdds {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let (scale, offset) = (simd.splat_f32s(black_box(0.75)), simd.splat_f32s(black_box(0.5)));
        let mut sums = [simd.splat_f32s(1.0); SUMS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, scale, offset);
            }
        }
        let total = sums.into_iter().fold(simd.splat_f32s(0.0), |a, b| simd.add_f32s(a, b));
        black_box(simd.reduce_sum_f32s(total));
        size_of::<S::f32s>() / size_of::<f32>()
    }
}

fn multiply_adds() -> f64 {
    let once = || {
        let start = Instant::now();
        let lanes: usize = rayon::broadcast(|_| Arch::new().dispatch(MultiplyAdds)).into_iter().sum();
        2.0 * (lanes * SUMS * ROUNDS) as f64 / start.elapsed().as_secs_f64() * 1e-9
    };
    (0..MEASUREMENTS).map(|_| once()).fold(0.0, f64::max)
}

fn copied() -> f64 {
    let source = vec![1f32; COPIED];
    let mut target = vec![0f32; COPIED];
    let mut once = || {
        let start = Instant::now();
        target.par_chunks_mut(PIECE).zip(source.par_chunks(PIECE)).for_each(|(target, source)| target.copy_from_slice(source));
        black_box(&mut target);
        2.0 * (COPIED * size_of::<f32>()) as f64 / start.elapsed().as_secs_f64() * 1e-9
    };
    (0..MEASUREMENTS).map(|_| once()).fold(0.0, f64::max)
}
