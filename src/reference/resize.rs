//! `Resize`: where output elements lie in the input, and what they are made of.

use crate::ops::movement::ResizeAxis;
use crate::ops::{NearestMode, Resize, ResizeCoordinates, ResizeMode, Stencil};
use crate::shape::Shape;
use crate::tensor::{Element, Tensor, for_each_dtype};

/// The index of every tap at a position outside the region of interest.
pub(crate) const OUTSIDE: u32 = u32::MAX;

/// What each output element of an axis is made of.
pub(crate) struct Taps {
    /// Taps of one output element.
    pub count: usize,
    /// Input elements and their weights, `count` for each output element in turn.
    pub taps: Vec<(u32, f64)>,
}

impl Taps {
    /// The taps of output element `at`.
    pub(crate) fn of(&self, at: usize) -> &[(u32, f64)] {
        &self.taps[at * self.count..][..self.count]
    }
}

/// How many input elements one output element of an axis is made of.
pub(crate) fn tap_count(op: &Resize, axis: &ResizeAxis) -> usize {
    let radius = match op.mode {
        ResizeMode::Nearest(_) => return 1,
        ResizeMode::Linear => 1.0,
        ResizeMode::Cubic { .. } => 2.0,
    };
    ((radius / stretch(op, axis)).ceil() as usize).saturating_mul(2)
}

/// What distances are multiplied with before the filter: below 1 where it is stretched against aliasing.
fn stretch(op: &Resize, axis: &ResizeAxis) -> f64 {
    if op.antialias { (axis.resized / axis.input.max(1) as f64).min(1.0) } else { 1.0 }
}

/// Where output element `x` lies in the input.
fn position(op: &Resize, axis: &ResizeAxis, x: f64) -> f64 {
    let (input, resized) = (axis.input as f64, axis.resized);
    let half_pixel = (x + 0.5) * input / resized - 0.5;
    match op.coordinates {
        ResizeCoordinates::HalfPixel => half_pixel,
        ResizeCoordinates::HalfPixelSymmetric => input / 2.0 * (1.0 - axis.output as f64 / resized) + half_pixel,
        ResizeCoordinates::PytorchHalfPixel => {
            if resized > 1.0 {
                half_pixel
            } else {
                0.0
            }
        }
        ResizeCoordinates::AlignCorners => {
            if resized == 1.0 {
                0.0
            } else {
                x * (input - 1.0) / (resized - 1.0)
            }
        }
        ResizeCoordinates::Asymmetric => x * input / resized,
        ResizeCoordinates::CropAndResize => {
            let [start, end] = axis.region;
            let along = if resized == 1.0 { 0.5 } else { x / (resized - 1.0) };
            (start + along * (end - start)) * (input - 1.0)
        }
    }
}

/// Keys' cubic convolution at distance `x`.
fn cubic(x: f64, a: f64) -> f64 {
    match x.abs() {
        x if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        x if x < 2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
        _ => 0.0,
    }
}

/// What each output element of an axis is made of.
pub(crate) fn taps(op: &Resize, axis: &ResizeAxis) -> Taps {
    let count = tap_count(op, axis);
    let (last, stretch) = (axis.input as f64 - 1.0, stretch(op, axis));
    let mut taps = Vec::with_capacity(axis.output * count);
    for x in 0..axis.output {
        let at = position(op, axis, x as f64);
        if op.coordinates == ResizeCoordinates::CropAndResize && !(0.0..=last).contains(&at) {
            taps.extend(std::iter::repeat_n((OUTSIDE, 0.0), count));
            continue;
        }
        let filter = filter(op, stretch);
        let clamped = |index: f64| index.clamp(0.0, last) as u32;
        if let ResizeMode::Nearest(rounding) = op.mode {
            taps.push((clamped(nearest(at, rounding)), 1.0));
            continue;
        }
        let first = at.floor() + 1.0 - (count / 2) as f64;
        let weight = |tap: usize| {
            let index = first + tap as f64;
            let counts = !op.exclude_outside || (0.0..=last).contains(&index);
            (index, if counts { filter(index - at) } else { 0.0 })
        };
        let sum: f64 = (0..count).map(|tap| weight(tap).1).sum();
        let norm = if (op.antialias || op.exclude_outside) && sum != 0.0 { sum } else { 1.0 };
        taps.extend((0..count).map(weight).map(|(index, weight)| (clamped(index), weight / norm)));
    }
    Taps { count, taps }
}

/// The first and the last element that each output element of an axis is made of, those outside the input not moved to its edge;
/// `None` where they do not repeat.
pub(crate) fn stencil(op: &Resize, axis: &ResizeAxis) -> Option<Stencil> {
    let whole = axis.resized.fract() == 0.0 && (1.0..=(1u64 << 30) as f64).contains(&axis.resized);
    if op.coordinates == ResizeCoordinates::CropAndResize || !whole || axis.input == 0 {
        return None;
    }
    let (step, period) = match op.coordinates {
        ResizeCoordinates::AlignCorners => (axis.input as u64 - 1, (axis.resized as u64).saturating_sub(1)),
        _ => (axis.input as u64, axis.resized as u64),
    };
    // A single output element, or one input for all.
    let common = gcd(step, period).max(1);
    let (step, period) = if period == 0 { (0, 1) } else { (step / common, period / common) };
    let span = |x: u64| {
        let at = position(op, axis, x as f64);
        if let ResizeMode::Nearest(rounding) = op.mode {
            return Some([nearest(at, rounding) as i64; 2]);
        }
        let weighs = filter(op, stretch(op, axis));
        let first = at.floor() as i64 + 1 - tap_count(op, axis) as i64 / 2;
        let mut taps = (first..first + tap_count(op, axis) as i64).filter(|&index| weighs(index as f64 - at) != 0.0);
        let start = taps.next()?;
        Some([start, taps.next_back().unwrap_or(start)])
    };
    (period <= 1 << 12).then(|| (0..period).map(span).collect()).and_then(|phases| Stencil::periodic(step as i64, phases))
}

fn gcd(a: u64, b: u64) -> u64 {
    if a == 0 { b } else { gcd(b % a, a) }
}

/// The nearest element to a position.
fn nearest(at: f64, rounding: NearestMode) -> f64 {
    match rounding {
        NearestMode::RoundPreferFloor => (at - 0.5).ceil(),
        NearestMode::RoundPreferCeil => (at + 0.5).floor(),
        NearestMode::Floor => at.floor(),
        NearestMode::Ceil => at.ceil(),
    }
}

/// The weight of an element at a distance, before elements outside are left out.
fn filter(op: &Resize, stretch: f64) -> impl Fn(f64) -> f64 {
    let mode = op.mode;
    move |distance| match mode {
        ResizeMode::Cubic { coefficient } => cubic(distance * stretch, coefficient.into()),
        _ => (1.0 - (distance * stretch).abs()).max(0.0),
    }
}

/// `y[i_0, …] = Σ_taps weight_0·… · x[index_0, …]`; the nearest element is moved, not multiplied
pub(crate) fn resize(op: &Resize, axes: &[ResizeAxis], x: &Tensor) -> Tensor {
    let tables: Vec<Taps> = axes.iter().map(|axis| taps(op, axis)).collect();
    let shape: Shape = axes.iter().map(|axis| axis.output).collect();
    let strides = x.shape().strides();
    let is_outside = |i: &[usize]| i.iter().zip(&tables).any(|(&i, table)| table.of(i)[0].0 == OUTSIDE);
    let coordinates = (0..shape.elements()).map(|i| shape.coordinates(i));
    if let ResizeMode::Nearest(_) = op.mode {
        let outside = Tensor::from_f64(x.dtype(), [], vec![op.extrapolation_value.into()]).expect("one value");
        fn moved<T: Element>(values: &[T], from: impl Iterator<Item = Option<usize>>, outside: &Tensor) -> Vec<T> {
            let outside = outside.data::<T>().map_or(T::default(), |value| value[0]);
            from.map(|from| from.map_or(outside, |from| values[from])).collect()
        }
        let from = coordinates.map(|i| {
            let index = |((&i, table), stride): ((&usize, &Taps), &usize)| table.of(i)[0].0 as usize * stride;
            (!is_outside(&i)).then(|| i.iter().zip(&tables).zip(&strides).map(index).sum())
        });
        return for_each_dtype!(x.data_ref(), values => Tensor::of(&shape, moved(values, from, &outside)));
    }
    let values = x.to_f64();
    let y = coordinates.map(|i| if is_outside(&i) { op.extrapolation_value.into() } else { sample(&values, &i, &tables, &strides) });
    super::rounded(x, &shape, y.collect())
}

/// The weighted sum over the taps of the first axis of the same of the others.
fn sample(x: &[f64], i: &[usize], tables: &[Taps], strides: &[usize]) -> f64 {
    match (i, tables, strides) {
        ([i, inner @ ..], [table, tables @ ..], [stride, strides @ ..]) => {
            table.of(*i).iter().map(|&(index, weight)| weight * sample(&x[index as usize * stride..], inner, tables, strides)).sum()
        }
        _ => x[0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::OpError;
    use crate::ops::{AspectRatio, Operands, Operator};
    use crate::tensor::DType;

    fn linear(coordinates: ResizeCoordinates) -> Resize {
        Resize { mode: ResizeMode::Linear, coordinates, ..Resize::default() }
    }

    fn run(op: &Resize, x: &Tensor, roi: Option<&[f32]>, scales: Option<&[f32]>, sizes: Option<&[i64]>) -> Result<Tensor, OpError> {
        let floats = |values: &[f32]| Tensor::vector(values.to_vec());
        let (roi, scales, sizes) = (roi.map(floats), scales.map(floats), sizes.map(|s| Tensor::vector(s.to_vec())));
        let inputs = [Some(x), roi.as_ref(), scales.as_ref(), sizes.as_ref()];
        let ty = op.infer(&Operands::of(&inputs, 1))?.remove(0);
        let y = op.reference(&inputs, 1)?.remove(0);
        assert_eq!((y.dtype(), y.shape()), (ty.dtype, &ty.shape));
        Ok(y)
    }

    fn line(op: &Resize, x: &[f32], size: i64) -> Vec<f64> {
        run(op, &Tensor::vector(x.to_vec()), None, None, Some(&[size])).unwrap().to_f64()
    }

    #[test]
    fn coordinates_by_hand() {
        let x = [0.0, 1.0, 2.0, 3.0];
        // (x + ½)·½ − ½ = −¼, ¼, ¾, …, clamped at the ends.
        assert_eq!(line(&linear(ResizeCoordinates::HalfPixel), &x, 8), [0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0]);
        assert_eq!(line(&linear(ResizeCoordinates::Asymmetric), &x, 8), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.0]);
        assert_eq!(line(&linear(ResizeCoordinates::AlignCorners), &x, 7), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
        assert_eq!(line(&linear(ResizeCoordinates::HalfPixel), &x, 1), [1.5]);
        assert_eq!(line(&linear(ResizeCoordinates::PytorchHalfPixel), &x, 1), [0.0]);
        assert_eq!(line(&linear(ResizeCoordinates::AlignCorners), &x, 1), [0.0]);
        // 4 · 0.6 = 2.4 becomes 2: the centres ¾·… are moved by 2·(1 − 2/2.4).
        let symmetric = linear(ResizeCoordinates::HalfPixelSymmetric);
        let y = run(&symmetric, &Tensor::vector(x.to_vec()), None, Some(&[0.6]), None).unwrap().to_f64();
        assert!((y[0] - 2.0 / 3.0).abs() < 1e-6 && (y[1] - 7.0 / 3.0).abs() < 1e-6, "{y:?}");
    }

    #[test]
    fn regions_and_what_is_outside() {
        let crop = Resize { extrapolation_value: 9.0, ..linear(ResizeCoordinates::CropAndResize) };
        let x = Tensor::vector(vec![0f32, 1.0, 2.0, 3.0, 4.0]);
        let part = |roi: &[f32], size| run(&crop, &x, Some(roi), None, Some(&[size])).unwrap().to_f64();
        assert_eq!(part(&[0.25, 0.75], 5), [1.0, 1.5, 2.0, 2.5, 3.0]);
        assert_eq!(part(&[0.5, 1.5], 3), [2.0, 4.0, 9.0]);
        assert_eq!(part(&[0.0, 0.5], 1), [1.0]);
        let scaled = run(&crop, &x, Some(&[0.0, 0.5]), Some(&[2.0]), None).unwrap();
        assert_eq!(scaled.shape().dims(), [5], "the region's half, twice as large");
    }

    #[test]
    fn nearest_rounds_as_asked() {
        let nearest = |mode| Resize { mode: ResizeMode::Nearest(mode), coordinates: ResizeCoordinates::Asymmetric, ..Resize::default() };
        let x = [0.0, 1.0, 2.0];
        // Positions 0, ½, 1, 1½, 2, 2½.
        assert_eq!(line(&nearest(NearestMode::RoundPreferFloor), &x, 6), [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
        assert_eq!(line(&nearest(NearestMode::RoundPreferCeil), &x, 6), [0.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
        assert_eq!(line(&nearest(NearestMode::Floor), &x, 6), [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
        assert_eq!(line(&nearest(NearestMode::Ceil), &x, 6), [0.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
        // 4/3 in f32 is a little too large; the third element is where 3 · ¾ says.
        let y = run(&nearest(NearestMode::Floor), &Tensor::vector(x.to_vec()), None, Some(&[4.0 / 3.0]), None).unwrap();
        assert_eq!(y.to_f64(), [0.0, 0.0, 1.0, 2.0]);
    }

    #[test]
    fn cubics_and_their_edges() {
        let cubic = Resize { mode: ResizeMode::Cubic { coefficient: -0.5 }, ..linear(ResizeCoordinates::Asymmetric) };
        // Halfway, Keys' filter with a = −½ is (−1, 9, 9, −1) ÷ 16; the edge element is repeated.
        let y = line(&cubic, &[0.0, 16.0, 16.0, 0.0], 8);
        assert_eq!(y[..4], [0.0, 8.0, 16.0, 18.0]);
        let excluding = Resize { exclude_outside: true, ..cubic };
        // Without the element before the first: (9·0 + 9·16 − 16) ÷ 17.
        let y = line(&excluding, &[0.0, 16.0, 16.0, 0.0], 8);
        assert!((y[1] - 128.0 / 17.0).abs() < 1e-6, "{y:?}");
    }

    #[test]
    fn antialiasing_stretches_the_filter() {
        let linear = Resize { antialias: true, ..linear(ResizeCoordinates::HalfPixel) };
        // Half as large: around ½ the distances ½, 1½ weigh ¾ and ¼ of 2, the edge repeated.
        assert_eq!(line(&linear, &[8.0, 0.0, 0.0, 0.0], 2), [(3.0 + 1.0) * 8.0 / 8.0, 0.0]);
        assert_eq!(line(&linear, &[0.0, 8.0], 4), [0.0, 2.0, 6.0, 8.0], "enlarging is as without");
    }

    #[test]
    fn sizes_keep_the_aspect_ratio() {
        let extents = |aspect_ratio, sizes: &[i64]| {
            let op = Resize { aspect_ratio, axes: Some(vec![-1, 0]), ..Resize::default() };
            run(&op, &Tensor::full([2, 5, 4], 1i32), None, None, Some(sizes)).unwrap().shape().to_vec()
        };
        assert_eq!(extents(AspectRatio::Stretch, &[7, 8]), [8, 5, 7]);
        assert_eq!(extents(AspectRatio::NotLarger, &[7, 8]), [4, 5, 7]);
        assert_eq!(extents(AspectRatio::NotSmaller, &[7, 8]), [8, 5, 16]);
    }

    #[test]
    fn two_axes_are_interpolated_one_by_one() {
        let x = Tensor::new([2, 2], vec![1f32, 2.0, 3.0, 4.0]).unwrap();
        let y = run(&linear(ResizeCoordinates::AlignCorners), &x, None, None, Some(&[3, 3])).unwrap();
        assert_eq!(y.to_f64(), [1.0, 1.5, 2.0, 2.0, 2.5, 3.0, 3.0, 3.5, 4.0]);
        let whole = Tensor::from_f64(DType::U8, [2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        let y = run(&linear(ResizeCoordinates::AlignCorners), &whole, None, None, Some(&[2, 3])).unwrap();
        assert_eq!(y.to_f64(), [1.0, 1.0, 2.0, 3.0, 3.0, 4.0], "integers lose what is behind the point");
    }

    #[test]
    fn what_is_unclear_is_refused() {
        let x = Tensor::full([2, 3], 1f32);
        let nearest = Resize::default();
        let fails = |result: Result<Tensor, OpError>, text: &str| {
            let message = result.unwrap_err().to_string();
            assert!(message.contains(text), "{message}");
        };
        fails(run(&nearest, &x, None, None, None), "takes one of inputs 2 (`scales`) and 3 (`sizes`)");
        fails(run(&nearest, &x, None, Some(&[1.0, 2.0]), Some(&[1, 2])), "takes one of");
        fails(run(&nearest, &x, None, Some(&[1.0]), None), "1 scales for 2 axes of [2,3]");
        fails(run(&nearest, &x, None, Some(&[1.0, 0.0]), None), "must be above 0");
        fails(run(&nearest, &x, None, Some(&[1.0, f32::NAN]), None), "must be above 0");
        fails(run(&nearest, &x, None, None, Some(&[2, -1])), "below 0");
        fails(run(&nearest, &Tensor::full([0, 3], 1f32), None, None, Some(&[2, 3])), "no element to make 2 of");
        fails(run(&linear(ResizeCoordinates::CropAndResize), &x, None, None, Some(&[2, 3])), "`roi`");
        fails(run(&linear(ResizeCoordinates::CropAndResize), &x, Some(&[0.0, 1.0]), None, Some(&[2, 3])), "2 numbers in roi");
        fails(run(&Resize { axes: Some(vec![0, -2]), ..nearest }, &x, None, None, Some(&[2, 3])), "name axis 0 twice");
    }
}
