//! Depthwise convolution: one input channel a group, direct loops over whole output rows.

use rayon::prelude::*;

use super::window::PaddedMap;
use crate::ops::conv::Convolution;

/// Multiply-adds that one task should at least do.
const TASK: usize = 1 << 16;

/// Fills `y [N, M, …]` when every group has one input channel and the windows suit [`PaddedMap`]; else `false`.
pub(crate) fn depthwise(op: &Convolution, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) -> bool {
    if op.in_channels != 1 || PaddedMap::new(&op.place).is_none() {
        return false;
    }
    let (inputs, outputs, taps) = (op.place.input.iter().product::<usize>(), op.place.output_elements(), op.place.taps());
    let maps_per_task = TASK.div_ceil(outputs * taps * op.out_channels);
    y.par_chunks_mut(op.out_channels * outputs).with_min_len(maps_per_task).enumerate().for_each_init(
        || PaddedMap::new(&op.place).expect("checked above"),
        |map, (at, y)| {
            map.load(&x[at * inputs..][..inputs], 0.0);
            let group = at % op.groups;
            for (offset, y) in y.chunks_exact_mut(outputs).enumerate() {
                let channel = group * op.out_channels + offset;
                convolve(op, map, &w[channel * taps..][..taps], bias.map_or(0.0, |b| b[channel]), y);
            }
        },
    );
    true
}

/// One output map from one input map.
fn convolve(op: &Convolution, map: &PaddedMap, w: &[f32], bias: f32, y: &mut [f32]) {
    let [_, kh, kw] = op.place.kernel;
    for (row, y) in y.chunks_exact_mut(op.place.output[2]).enumerate() {
        if (kh, kw) == (3, 3) {
            row_3x3(map, row, w, bias, y);
            continue;
        }
        y.fill(bias);
        for ky in 0..kh {
            let w = &w[ky * kw..][..kw];
            let mut kx = 0;
            while kx + 5 <= kw {
                let taps = [0, 1, 2, 3, 4].map(|k| map.tap(row, ky, kx + k));
                add_5(y, taps, [w[kx], w[kx + 1], w[kx + 2], w[kx + 3], w[kx + 4]]);
                kx += 5;
            }
            for (kx, &w) in w.iter().enumerate().skip(kx) {
                for (y, &x) in y.iter_mut().zip(map.tap(row, ky, kx)) {
                    *y += w * x;
                }
            }
        }
    }
}

fn row_3x3(map: &PaddedMap, row: usize, w: &[f32], bias: f32, y: &mut [f32]) {
    let n = y.len();
    let tap = |ky, kx| &map.tap(row, ky, kx)[..n];
    let (a, b, c) = (tap(0, 0), tap(0, 1), tap(0, 2));
    let (d, e, f) = (tap(1, 0), tap(1, 1), tap(1, 2));
    let (g, h, i) = (tap(2, 0), tap(2, 1), tap(2, 2));
    let w: &[f32; 9] = w.try_into().expect("a 3×3 kernel");
    for (at, y) in y.iter_mut().enumerate() {
        let top = w[0] * a[at] + w[1] * b[at] + w[2] * c[at];
        let middle = w[3] * d[at] + w[4] * e[at] + w[5] * f[at];
        let bottom = w[6] * g[at] + w[7] * h[at] + w[8] * i[at];
        *y = bias + top + middle + bottom;
    }
}

fn add_5(y: &mut [f32], taps: [&[f32]; 5], w: [f32; 5]) {
    let n = y.len();
    let [a, b, c, d, e] = taps.map(|t| &t[..n]);
    for (at, y) in y.iter_mut().enumerate() {
        *y += w[0] * a[at] + w[1] * b[at] + w[2] * c[at] + w[3] * d[at] + w[4] * e[at];
    }
}
