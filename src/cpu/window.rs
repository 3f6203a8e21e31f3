//! A padded copy of a map in which the taps of every window are contiguous, whatever stride, dilation and padding.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::kernel::widest;
use super::scratch::Scratch;
use crate::ops::Placement;

/// So many elements behind the last position's may be read, and are ignored.
pub(super) const SPARE: usize = 64;

/// Where the elements of a padded map lie: split by position modulo the stride into planes, of which those are kept that a tap reads.
///
/// What tap `k` reads for output position `[z, y, x]` is at `taps[k] + (z · rows + y) · pitch + x`, so that neighbours in an output row
/// are neighbours here, and so are rows but for some columns that mean nothing.
pub(crate) struct Layout {
    place: Placement,
    /// The phases that are kept of each axis.
    phases: [Vec<usize>; 3],
    /// The extents of a plane.
    plane: [usize; 3],
    /// Where each tap of the first window is.
    pub taps: Vec<usize>,
}

impl Layout {
    /// `None` where a map would not fit in memory.
    pub(crate) fn new(place: &Placement) -> Option<Self> {
        let taps = |axis: usize| (0..place.kernel[axis]).map(move |k| k * place.dilation[axis]);
        let phases = [0, 1, 2].map(|axis| {
            let mut phases: Vec<_> = taps(axis).map(|tap| tap % place.stride[axis]).collect();
            phases.sort_unstable();
            phases.dedup();
            phases
        });
        let reach = |axis: usize| (place.kernel[axis] - 1) * place.dilation[axis] / place.stride[axis];
        let plane = [0, 1, 2].map(|axis| place.output[axis] + reach(axis));
        let elements = plane.into_iter().chain(phases.iter().map(Vec::len)).try_fold(1usize, usize::checked_mul)?;
        isize::try_from(elements).ok()?;
        let mut layout = Self { place: *place, phases, plane, taps: vec![] };
        for z in taps(0) {
            for y in taps(1) {
                for x in taps(2) {
                    let [z, y, x] = [(0, z), (1, y), (2, x)].map(|(axis, tap)| {
                        let phase = layout.phases[axis].binary_search(&(tap % place.stride[axis])).expect("every tap's phase");
                        (phase, tap / place.stride[axis])
                    });
                    let plane = (z.0 * layout.phases[1].len() + y.0) * layout.phases[2].len() + x.0;
                    layout.taps.push(plane * layout.plane_elements() + layout.flat([z.1, y.1, x.1]));
                }
            }
        }
        Some(layout)
    }

    fn plane_elements(&self) -> usize {
        self.plane.iter().product()
    }

    /// Elements of a padded map.
    pub(crate) fn elements(&self) -> usize {
        self.phases.iter().map(Vec::len).product::<usize>() * self.plane_elements()
    }

    /// Where an output position is, beside its tap.
    pub(crate) fn flat(&self, [z, y, x]: [usize; 3]) -> usize {
        (z * self.plane[1] + y) * self.plane[2] + x
    }

    /// Positions from the first output to the last, those between rows too.
    pub(crate) fn positions(&self) -> usize {
        self.flat(self.place.output.map(|extent| extent.saturating_sub(1))) + 1
    }

    /// How many outputs are before a position.
    pub(crate) fn outputs_before(&self, flat: usize) -> usize {
        let ([_, rows, pitch], [_, oh, ow]) = (self.plane, self.place.output);
        let (line, x) = (flat / pitch, flat % pitch);
        let (z, y) = (line / rows, line % rows);
        if y < oh { (z * oh + y) * ow + x.min(ow) } else { (z + 1) * oh * ow }
    }

    /// The runs of positions in a range that are outputs.
    pub(crate) fn runs(&self, range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let ([_, rows, pitch], [_, oh, ow]) = (self.plane, self.place.output);
        (range.start / pitch..range.end.div_ceil(pitch)).filter(move |line| line % rows < oh).filter_map(move |line| {
            let (start, end) = (range.start.max(line * pitch), range.end.min(line * pitch + ow));
            (start < end).then_some(start..end)
        })
    }

    /// Copies from the results at a range of positions those that are outputs.
    pub(super) fn store(&self, range: Range<usize>, results: &[f32], mut y: &mut [f32]) {
        for run in self.runs(range.clone()) {
            let (to, rest) = std::mem::take(&mut y).split_at_mut(run.len());
            to.copy_from_slice(&results[run.start - range.start..][..run.len()]);
            y = rest;
        }
    }

    /// Copies a map of `input` extents to where padding was written before.
    pub(crate) fn load(&self, map: &[f32], to: &mut [f32]) {
        widest(Load(self, map, to));
    }

    #[inline(always)]
    fn load_here(&self, map: &[f32], to: &mut [f32]) {
        let [_, height, width] = self.place.input;
        let Placement { stride, before, .. } = self.place;
        // The positions of a plane that are elements of the map, the first of them, and its place in the map.
        let inside = |axis: usize, phase: usize| {
            let start = before[axis].saturating_sub(phase).div_ceil(stride[axis]).min(self.plane[axis]);
            let end = (before[axis] + self.place.input[axis]).saturating_sub(phase).div_ceil(stride[axis]).clamp(start, self.plane[axis]);
            (start..end, phase + start * stride[axis])
        };
        let mut planes = to.chunks_exact_mut(self.plane_elements());
        for &pz in &self.phases[0] {
            for &py in &self.phases[1] {
                for &px in &self.phases[2] {
                    let plane = planes.next().expect("a plane for every phase");
                    let [(zs, z0), (ys, y0), (xs, x0)] = [inside(0, pz), inside(1, py), inside(2, px)];
                    if xs.is_empty() {
                        continue;
                    }
                    for (i, z) in zs.enumerate() {
                        let z_in = z0 + i * stride[0] - before[0];
                        for (j, y) in ys.clone().enumerate() {
                            let y_in = y0 + j * stride[1] - before[1];
                            let row = &map[(z_in * height + y_in) * width..][..width];
                            let at = self.flat([z, y, 0]);
                            copy_every(&mut plane[at + xs.start..at + xs.end], &row[x0 - before[2]..], stride[2]);
                        }
                    }
                }
            }
        }
    }
}

/// [`Layout::load`], compiled for the widest vectors.
struct Load<'a>(&'a Layout, &'a [f32], &'a mut [f32]);

impl WithSimd for Load<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.0.load_here(self.1, self.2);
    }
}

/// One map in its layout, and room for the outputs from it.
pub(crate) struct PaddedMap {
    layout: Layout,
    data: Scratch,
    /// What the padding holds.
    fill: Option<f32>,
    results: Scratch,
}

/// What outputs are computed from, and where they go: the result at position `i` is of what `data` has at `taps[k] + i`.
pub(super) struct Parts<'a> {
    pub taps: &'a [usize],
    pub data: &'a [f32],
    /// A multiple of [`SPARE`] positions.
    pub results: &'a mut [f32],
}

impl PaddedMap {
    /// The layout of maps with these windows; `None` for three axes, and for padding so large that the copy would not pay.
    fn layout(place: &Placement) -> Option<Layout> {
        let map = place.input.iter().product::<usize>();
        Layout::new(place).filter(|l| place.rank < 3 && l.elements() <= 4096 + 4 * (map + place.output_elements()))
    }

    /// Whether a map serves these windows.
    pub(crate) fn suits(place: &Placement) -> bool {
        Self::layout(place).is_some()
    }

    /// Room for a map. Panics unless it suits the windows.
    pub(crate) fn new(place: &Placement) -> Self {
        let layout = Self::layout(place).expect("windows that a map suits");
        let results = Scratch::take(layout.positions().next_multiple_of(SPARE));
        Self { data: Scratch::take(layout.elements() + SPARE), layout, fill: None, results }
    }

    /// Copies a map of `input` extents, `fill` all around.
    pub(crate) fn load(&mut self, map: &[f32], fill: f32) {
        if self.fill.replace(fill) != Some(fill) {
            self.data.fill(fill);
        }
        self.layout.load(map, &mut self.data);
    }

    pub(super) fn parts(&mut self) -> Parts<'_> {
        Parts { taps: &self.layout.taps, data: &self.data, results: &mut self.results }
    }

    /// Copies the results that are outputs.
    pub(super) fn store(&self, y: &mut [f32]) {
        self.layout.store(0..self.layout.positions(), &self.results, y);
    }
}

/// `to[i] = from[i · stride]`
#[inline(always)]
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

#[cfg(test)]
mod tests {
    use super::*;

    fn place(input: [usize; 3], kernel: [usize; 3], stride: [usize; 3], dilation: [usize; 3], before: [usize; 3]) -> Placement {
        let output = [0, 1, 2].map(|a| (input[a] + 2 * before[a] - (kernel[a] - 1) * dilation[a] - 1) / stride[a] + 1);
        Placement { rank: 3, input, output, kernel, stride, dilation, before, after: before }
    }

    #[test]
    fn every_tap_reads_what_its_window_covers() {
        for place in [
            place([1, 7, 9], [1, 3, 3], [1; 3], [1; 3], [0, 1, 1]),
            place([1, 8, 5], [1, 2, 3], [1, 2, 3], [1, 3, 2], [0, 2, 4]),
            place([4, 6, 7], [3, 1, 2], [2, 3, 1], [1, 1, 2], [1, 0, 3]),
            place([1, 11, 10], [1, 1, 1], [1, 3, 2], [1; 3], [0; 3]),
        ] {
            let map: Vec<f32> = (1..=place.input.iter().product()).map(|i| i as f32).collect();
            let layout = Layout::new(&place).unwrap();
            let mut padded = vec![0.0; layout.elements()];
            layout.load(&map, &mut padded);
            let [od, oh, ow] = place.output;
            let mut outputs = 0;
            for run in layout.runs(0..layout.positions()) {
                for flat in run {
                    assert_eq!(layout.outputs_before(flat), outputs, "{place:?} at {flat}");
                    let at = [outputs / (oh * ow), outputs / ow % oh, outputs % ow];
                    assert_eq!(layout.flat(at), flat, "{place:?}");
                    for (tap, &offset) in layout.taps.iter().enumerate() {
                        let [_, kh, kw] = place.kernel;
                        let k = [tap / (kh * kw), tap / kw % kh, tap % kw];
                        let inside = |axis: usize| {
                            let position = (at[axis] * place.stride[axis] + k[axis] * place.dilation[axis]).checked_sub(place.before[axis]);
                            position.filter(|&i| i < place.input[axis])
                        };
                        let want = match (inside(0), inside(1), inside(2)) {
                            (Some(z), Some(y), Some(x)) => map[(z * place.input[1] + y) * place.input[2] + x],
                            _ => 0.0,
                        };
                        assert_eq!(padded[offset + flat], want, "{place:?}, tap {k:?} of output {at:?}");
                    }
                    outputs += 1;
                }
            }
            assert_eq!(outputs, od * oh * ow, "{place:?}");
            // Whatever the cut, the runs are the same outputs, and the cuts know how many come before.
            for cut in 0..layout.positions() {
                let before: usize = layout.runs(0..cut).map(|run| run.len()).sum();
                assert_eq!(layout.outputs_before(cut), before, "{place:?} cut at {cut}");
            }
        }
    }
}
