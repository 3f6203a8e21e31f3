//! Depthwise convolution: one input channel a group, a few vectors of outputs at a time.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Finish;
use super::kernel::widest;
use super::window::{PaddedMap, Parts};
use crate::ops::conv::Convolution;

/// Multiply-adds that one task should at least do.
const TASK: usize = 1 << 16;

/// Fills `y [N, M, …]` when every group has one input channel and the windows suit [`PaddedMap`]; else `false`.
pub(super) fn depthwise(op: &Convolution, x: &[f32], w: &[f32], bias: Option<&[f32]>, finish: Finish<'_>, y: &mut [f32]) -> bool {
    if op.in_channels != 1 || !PaddedMap::suits(&op.place) {
        return false;
    }
    let (inputs, outputs, taps) = (op.place.input.iter().product::<usize>(), op.place.output_elements(), op.place.taps());
    let maps_per_task = TASK.div_ceil(outputs * taps * op.out_channels);
    y.par_chunks_mut(op.out_channels * outputs).with_min_len(maps_per_task).enumerate().for_each_init(
        || PaddedMap::new(&op.place),
        |map, (at, y)| {
            map.load(&x[at * inputs..][..inputs], 0.0);
            let group = at % op.groups;
            for (offset, y) in y.chunks_exact_mut(outputs).enumerate() {
                let channel = group * op.out_channels + offset;
                let (weight, bias) = (&w[channel * taps..][..taps], bias.map_or(0.0, |b| b[channel]));
                widest(Map { parts: map.parts(), weight, bias });
                map.store(y);
                finish(y, (at * op.out_channels + offset) * outputs);
            }
        },
    );
    true
}

/// One output map from one input map.
struct Map<'a> {
    parts: Parts<'a>,
    weight: &'a [f32],
    bias: f32,
}

impl WithSimd for Map<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        /// Vectors whose sums are kept in registers while all taps go by.
        const VECTORS: usize = 4;
        let Parts { taps, data, results } = self.parts;
        let width = VECTORS * S::F32_LANES;
        for (block, results) in results.chunks_exact_mut(width).enumerate() {
            let data = &data[block * width..];
            let mut sums = [simd.splat_f32s(self.bias); VECTORS];
            for (&tap, &weight) in taps.iter().zip(self.weight) {
                let x: &[S::f32s; VECTORS] = S::as_simd_f32s(&data[tap..][..width]).0.try_into().expect("the width of the vectors");
                let weight = simd.splat_f32s(weight);
                for v in 0..VECTORS {
                    sums[v] = simd.mul_add_e_f32s(weight, x[v], sums[v]);
                }
            }
            S::as_mut_simd_f32s(results).0.copy_from_slice(&sums);
        }
    }
}
