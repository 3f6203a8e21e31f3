//! A padded copy of one map in which the taps of every window are contiguous rows, whatever stride, dilation and padding.

use crate::ops::Placement;

/// A map, padded, with each row split by column modulo the stride: tap `(ky, kx)` of all windows of an output row is then a
/// contiguous slice, and loops over output columns need neither strides nor edges.
pub(crate) struct PaddedMap {
    place: Placement,
    rows: usize,
    /// Columns of one phase of one row.
    pitch: usize,
    data: Vec<f32>,
}

impl PaddedMap {
    /// Room for maps of one depth; `None` for three axes, and for padding or strides so large that the copy would not pay.
    pub(crate) fn new(place: &Placement) -> Option<Self> {
        let span = |axis: usize| (place.output[axis] - 1) * place.stride[axis] + (place.kernel[axis] - 1) * place.dilation[axis] + 1;
        let (rows, pitch) = (span(1), span(2).div_ceil(place.stride[2]));
        let elements = rows.checked_mul(pitch)?.checked_mul(place.stride[2])?;
        let map = place.input.iter().product::<usize>();
        let worthwhile = place.rank < 3 && elements <= 4096 + 4 * (map + place.output_elements());
        worthwhile.then(|| Self { place: *place, rows, pitch, data: vec![0.0; elements] })
    }

    /// Copies a map of `input` extents, `fill` all around.
    pub(crate) fn load(&mut self, map: &[f32], fill: f32) {
        let Placement { input: [_, height, width], stride: [_, _, stride], before: [_, top, left], .. } = self.place;
        for (y, row) in self.data.chunks_exact_mut(stride * self.pitch).enumerate() {
            let Some(source) = y.checked_sub(top).filter(|&y| y < height).map(|y| &map[y * width..][..width]) else {
                row.fill(fill);
                continue;
            };
            for (phase, to) in row.chunks_exact_mut(self.pitch).enumerate() {
                // Column `phase + i · stride` of the padded row is column `phase + i · stride − left` of the map.
                let start = left.saturating_sub(phase).div_ceil(stride).min(self.pitch);
                let end = (left + width).saturating_sub(phase).div_ceil(stride).clamp(start, self.pitch);
                to[..start].fill(fill);
                to[end..].fill(fill);
                if start == end {
                    continue;
                }
                let first = phase + start * stride - left;
                copy_every(&mut to[start..end], &source[first..], stride);
            }
        }
        debug_assert_eq!(self.data.len(), self.rows * stride * self.pitch);
    }

    /// What tap `(ky, kx)` reads for every column of output row `y`.
    pub(crate) fn tap(&self, y: usize, ky: usize, kx: usize) -> &[f32] {
        let Placement { output: [_, _, width], stride: [_, sy, sx], dilation: [_, dy, dx], .. } = self.place;
        let row = y * sy + ky * dy;
        let column = kx * dx;
        &self.data[(row * sx + column % sx) * self.pitch + column / sx..][..width]
    }
}

/// `to[i] = from[i · stride]`
pub(super) fn copy_every(to: &mut [f32], from: &[f32], stride: usize) {
    let Some(last) = to.len().checked_sub(1) else { return };
    match stride {
        1 => to.copy_from_slice(&from[..=last]),
        // The commonest stride, in a form that vectorises.
        2 => {
            for (to, pair) in to.iter_mut().zip(from.chunks_exact(2)) {
                *to = pair[0];
            }
            to[last] = from[2 * last];
        }
        _ => to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, &from)| *to = from),
    }
}
