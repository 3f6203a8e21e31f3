//! Pooling: maximum, average and norm over windows or whole maps, and maxima put back.

use super::rounded;
use crate::ops::{Placement, PoolKind};
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// The least finite value of `dtype`: the maximum of a window that holds nothing but padding, as ONNX Runtime has it.
pub(crate) fn lowest(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::MIN,
        DType::F16 => half::f16::MIN.to_f64(),
        DType::I8 => i8::MIN.into(),
        DType::U8 => u8::MIN.into(),
        _ => f32::MIN.into(),
    }
}

/// What one output position of an axis sees of it.
struct Taps {
    /// The input positions that taps fall on.
    inside: Vec<usize>,
    /// How many taps fall on the input or its padding.
    padded: usize,
}

/// The taps of every output position, axis by axis.
fn taps(p: &Placement) -> [Vec<Taps>; 3] {
    [0, 1, 2].map(|axis| {
        let (before, input) = (p.before[axis], p.input[axis]);
        let tap = |o: usize| {
            let reached = (0..p.kernel[axis]).map(move |k| o * p.stride[axis] + k * p.dilation[axis]);
            Taps {
                inside: reached.clone().filter(|&i| i >= before && i < before + input).map(|i| i - before).collect(),
                padded: reached.filter(|&i| i < before + input + p.after[axis]).count(),
            }
        };
        (0..p.output[axis]).map(tap).collect()
    })
}

/// The windows of one map in the output's order: for each its taps along `[D, H, W]`.
fn windows([ds, hs, ws]: &[Vec<Taps>; 3]) -> impl Iterator<Item = [&Taps; 3]> {
    ds.iter().flat_map(move |d| hs.iter().flat_map(move |h| ws.iter().map(move |w| [d, h, w])))
}

/// The input positions `[d, h, w]` of a window, row-major.
fn positions<'a>([d, h, w]: [&'a Taps; 3]) -> impl Iterator<Item = [usize; 3]> + 'a {
    d.inside.iter().flat_map(move |&d| h.inside.iter().flat_map(move |&h| w.inside.iter().map(move |&w| [d, h, w])))
}

/// Whether `value` replaces `best` in a maximum: the first of equals stays, and the first NaN stays for good.
fn wins(value: f64, best: f64) -> bool {
    !best.is_nan() && (value > best || value.is_nan())
}

/// `y[m, o] = max over k of x[m, o·stride + k·dilation − before]`, and where in `x` it was found, as `i64`.
///
/// Indices count the elements of the whole input, within a map by rows, or by columns (first axis fastest) when
/// `column_major`. A window of padding only has the lowest value, and the index −1.
pub(crate) fn max_pool(p: &Placement, x: &Tensor, column_major: bool, shape: &Shape) -> [Tensor; 2] {
    let [depth, height, width] = p.input;
    let (values, taps) = (x.to_f64(), taps(p));
    let (mut maxima, mut indices) = (vec![], vec![]);
    for (map, values) in values.chunks(depth * height * width).enumerate() {
        for window in windows(&taps) {
            let (mut best, mut index) = (lowest(x.dtype()), -1);
            for [d, h, w] in positions(window) {
                let row_major = (d * height + h) * width + w;
                let value = values[row_major];
                if index < 0 || wins(value, best) {
                    best = value;
                    let within = if column_major { (w * height + h) * depth + d } else { row_major };
                    index = (map * values.len() + within) as i64;
                }
            }
            maxima.push(best);
            indices.push(index);
        }
    }
    [rounded(x, shape, maxima), Tensor::of(shape, indices)]
}

/// `y[m, o] = Σ over k of x[m, o·stride + k·dilation − before] ÷ taps`, padding reading as zero.
///
/// The taps counted are those on the input, with `count_include_pad` also those on the padding, but never those beyond it.
/// A window without any on the input is 0.
pub(crate) fn average_pool(p: &Placement, x: &Tensor, count_include_pad: bool, shape: &Shape) -> Tensor {
    let [depth, height, width] = p.input;
    let (values, taps) = (x.to_f64(), taps(p));
    let mut means = vec![];
    for values in values.chunks(depth * height * width) {
        for window in windows(&taps) {
            let sum: f64 = positions(window).map(|[d, h, w]| values[(d * height + h) * width + w]).sum();
            let count: usize = window.iter().map(|t| if count_include_pad { t.padded } else { t.inside.len() }).product();
            means.push(if count == 0 { 0.0 } else { sum / count as f64 });
        }
    }
    rounded(x, shape, means)
}

/// `y[n, c] =` the mean or the maximum of `x[n, c]`
pub(crate) fn global_pool(kind: PoolKind, x: &Tensor, shape: &Shape) -> Tensor {
    let map_elements: usize = x.shape()[2..].iter().product();
    let pool = |map: &[f64]| match kind {
        PoolKind::Average => map.iter().sum::<f64>() / map_elements as f64,
        PoolKind::Max => map.iter().skip(1).fold(map[0], |best, &v| if wins(v, best) { v } else { best }),
    };
    rounded(x, shape, x.to_f64().chunks(map_elements).map(pool).collect())
}

/// `y[m, o] = (Σ over k of |x[m, o·stride + k·dilation − before]|^p)^(1/p)`, padding reading as zero.
pub(crate) fn lp_pool(place: &Placement, x: &Tensor, p: u32, shape: &Shape) -> Tensor {
    let [depth, height, width] = place.input;
    let (values, taps) = (x.to_f64(), taps(place));
    let mut norms = vec![];
    for values in values.chunks(depth * height * width) {
        for window in windows(&taps) {
            norms.push(norm(positions(window).map(|[d, h, w]| values[(d * height + h) * width + w]), p));
        }
    }
    rounded(x, shape, norms)
}

/// `y[n, c] = (Σ |x[n, c]|^p)^(1/p)`
pub(crate) fn global_lp_pool(x: &Tensor, p: u32, shape: &Shape) -> Tensor {
    let map_elements: usize = x.shape()[2..].iter().product();
    rounded(x, shape, x.to_f64().chunks(map_elements).map(|map| norm(map.iter().copied(), p)).collect())
}

fn norm(values: impl Iterator<Item = f64>, p: u32) -> f64 {
    let p = f64::from(p);
    values.map(|v| v.abs().powf(p)).sum::<f64>().powf(1.0 / p)
}

/// Zeros in `shape`, but `y[m, d, h, w] = x[i]` where `indices[i]` counts up to `[m, d, h, w]` in maps of the first of the extents;
/// `y` has the second ones. Indices out of range, and positions that `y` has no room for, are left out.
pub(crate) fn max_unpool(x: &Tensor, indices: &Tensor, [from, to]: [[usize; 3]; 2], shape: &Shape) -> Tensor {
    let maps: usize = shape[..2].iter().product();
    let map_elements: usize = from.iter().product();
    let mut y = vec![0.0; shape.elements()];
    for (value, index) in x.to_f64().into_iter().zip(indices.to_i64().unwrap_or_default()) {
        let Some(index) = usize::try_from(index).ok().filter(|&index| index < maps * map_elements) else { continue };
        let [d, h, w] = [index / (from[1] * from[2]) % from[0], index / from[2] % from[1], index % from[2]];
        if d < to[0] && h < to[1] && w < to[2] {
            y[((index / map_elements * to[0] + d) * to[1] + h) * to[2] + w] = value;
        }
    }
    rounded(x, shape, y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Padding, Spatial, Window};

    const NAN: f32 = f32::NAN;
    const INF: f32 = f32::INFINITY;

    fn window(kernel: &[usize], stride: &[usize], dilation: &[usize], before: &[usize], after: &[usize], ceil_mode: bool) -> Window {
        let s = |v| Spatial::from_slice(v).unwrap();
        let padding = Padding::Explicit { before: s(before), after: s(after) };
        Window { kernel_size: s(kernel), stride: s(stride), dilation: s(dilation), padding, ceil_mode }
    }

    fn placed(w: &Window, x: &Tensor) -> (Placement, Shape) {
        let p = w.place(x.shape()).unwrap();
        let dims = [&x.shape()[..2], p.output_dims()].concat();
        (p, Shape::from(dims))
    }

    fn max(w: &Window, x: &Tensor, column_major: bool) -> (Vec<f64>, Vec<i64>) {
        let (p, shape) = placed(w, x);
        let [y, indices] = max_pool(&p, x, column_major, &shape);
        assert_eq!((y.dtype(), y.shape(), indices.shape()), (x.dtype(), &shape, &shape));
        (y.to_f64(), indices.to_i64().unwrap())
    }

    fn average(w: &Window, x: &Tensor, count_include_pad: bool) -> Vec<f64> {
        let (p, shape) = placed(w, x);
        average_pool(&p, x, count_include_pad, &shape).to_f64()
    }

    fn tensor<const N: usize>(shape: [usize; N], values: impl IntoIterator<Item = f32>) -> Tensor {
        Tensor::new(shape, values.into_iter().collect()).unwrap()
    }

    #[test]
    fn maxima_and_indices_by_hand() {
        //  1  5  2  0      padded by one row above and one column on the right, kernel [2, 2], stride [2, 1]
        //  7 -1  3  4
        let x = tensor([1, 2, 2, 4], [1., 5., 2., 0., 7., -1., 3., 4., -3., -5., -2., -9., -7., -1., -8., -6.]);
        let w = window(&[2, 2], &[2, 1], &[1, 1], &[1, 0], &[1, 1], false);
        let (y, rows) = max(&w, &x, false);
        assert_eq!(y, [5., 5., 2., 0., 7., 3., 4., 4., -3., -2., -2., -9., -1., -1., -6., -6.]);
        assert_eq!(rows, [1, 1, 2, 3, 4, 6, 7, 7, 8, 10, 10, 11, 13, 13, 15, 15]);
        let (_, columns) = max(&w, &x, true);
        assert_eq!(columns, [2, 2, 4, 6, 1, 5, 7, 7, 8, 12, 12, 14, 11, 11, 15, 15]);
    }

    #[test]
    fn column_major_indices_of_volumes_count_depth_fastest() {
        // The one maximum of a [2, 3, 4] volume stands at d = 1, h = 2, w = 1 of the second of two channels.
        let mut values = vec![0f32; 48];
        values[24 + 12 + 2 * 4 + 1] = 9.0;
        let x = tensor([1, 2, 2, 3, 4], values);
        let w = window(&[2, 3, 4], &[1, 1, 1], &[1, 1, 1], &[0; 3], &[0; 3], false);
        assert_eq!(max(&w, &x, false).1, [0, 24 + 21]);
        assert_eq!(max(&w, &x, true).1, [0, 24 + 1 + 2 * 2 + 6]);
    }

    #[test]
    fn padding_never_wins_and_nan_always_does() {
        let x = tensor([1, 1, 5], [-INF, -INF, NAN, 3.0, INF]);
        let w = window(&[2], &[1], &[1], &[1], &[1], false);
        let (y, indices) = max(&w, &x, false);
        assert_eq!(y[..2], [f64::NEG_INFINITY; 2]);
        assert!(y[2].is_nan() && y[3].is_nan());
        assert_eq!(y[4..], [f64::INFINITY; 2]);
        assert_eq!(indices, [0, 0, 2, 2, 4, 4]);
        // The second of two NaN, and what follows, does not replace the first.
        assert_eq!(max(&window(&[5], &[1], &[1], &[0], &[0], false), &tensor([1, 1, 5], [1., NAN, 2., NAN, INF]), false).1, [1]);
    }

    #[test]
    fn windows_of_padding_only_are_lowest_and_average_zero() {
        // Taps of the only window: −1 and 1, both outside.
        let w = window(&[2], &[1], &[2], &[1], &[1], false);
        let x = tensor([1, 1, 1], [5.0]);
        assert_eq!(max(&w, &x, false), (vec![f64::from(f32::MIN)], vec![-1]));
        assert_eq!(max(&w, &Tensor::full([1, 1, 1], 5i8), false).0, [-128.0]);
        assert_eq!(max(&w, &Tensor::full([1, 1, 1], 5u8), false).0, [0.0]);
        assert_eq!(average(&w, &x, false), [0.0]);
        assert_eq!(average(&w, &x, true), [0.0]);
    }

    #[test]
    fn dilated_maxima_of_bytes() {
        let x = Tensor::new([1, 1, 7], vec![9u8, 1, 2, 8, 255, 4, 0]).unwrap();
        assert_eq!(max(&window(&[3], &[2], &[2], &[0], &[0], false), &x, false).0, [255., 255.]);
        assert_eq!(max(&window(&[2], &[1], &[3], &[1], &[0], false), &x, false).0, [2., 9., 255., 4., 8.]);
    }

    #[test]
    fn divisors_by_hand() {
        let x = tensor([1, 1, 5], [1., 2., 3., 4., 5.]);
        // Windows of three start at −1, 1, 3; the last one's taps 3, 4, 5: on the input, on it, on the padding.
        let w = window(&[3], &[2], &[1], &[1], &[1], false);
        assert_eq!(average(&w, &x, false), [1.5, 3.0, 4.5]);
        assert_eq!(average(&w, &x, true), [1.0, 3.0, 3.0]);
        // ceil_mode without padding: the last window's third tap is beyond everything and never counts.
        let w = window(&[3], &[3], &[1], &[0], &[0], true);
        assert_eq!(average(&w, &x, false), [2.0, 4.5]);
        assert_eq!(average(&w, &x, true), [2.0, 4.5]);
        // ceil_mode with one of padding: taps 4, 5 (padding), 6 (beyond).
        let w = window(&[3], &[4], &[1], &[0], &[1], true);
        assert_eq!(average(&w, &x, false), [2.0, 5.0]);
        assert_eq!(average(&w, &x, true), [2.0, 2.5]);
        // Dilation 2 from −2: taps −2 (padding), 0, 2; then 0, 2, 4; then 2, 4, 6 (beyond).
        let w = window(&[3], &[2], &[2], &[2], &[1], true);
        assert_eq!(average(&w, &x, false), [2.0, 3.0, 4.0]);
        assert_eq!(average(&w, &x, true), [4.0 / 3.0, 3.0, 4.0].map(|v| f64::from(v as f32)));
    }

    #[test]
    fn averages_of_a_plane_by_hand() {
        // 1 2 3   kernel [2, 2], stride 1, padded by one column on the left
        // 4 5 6
        let x = tensor([1, 1, 2, 3], [1., 2., 3., 4., 5., 6.]);
        let w = window(&[2, 2], &[1, 1], &[1, 1], &[0, 1], &[0, 0], false);
        assert_eq!(average(&w, &x, false), [2.5, 3.0, 4.0]);
        assert_eq!(average(&w, &x, true), [1.25, 3.0, 4.0]);
    }

    #[test]
    fn the_average_of_a_constant_is_that_constant() {
        let x = Tensor::full([2, 3, 4, 7, 5], 0.75f32);
        for ceil_mode in [false, true] {
            let w = window(&[2, 3, 2], &[2, 3, 1], &[1, 2, 3], &[1, 2, 0], &[1, 0, 1], ceil_mode);
            assert!(average(&w, &x, false).iter().all(|&v| v == 0.75));
        }
    }

    #[test]
    fn global_pools_by_hand() {
        let x = tensor([1, 2, 2, 3], [1., 2., 3., 4., 5., 9., -1., -2., NAN, -4., -5., -6.]);
        let shape = Shape::from([1, 2, 1, 1]);
        let mean = global_pool(PoolKind::Average, &x, &shape).to_f64();
        assert!(mean[0] == 4.0 && mean[1].is_nan());
        let max = global_pool(PoolKind::Max, &x, &shape).to_f64();
        assert!(max[0] == 9.0 && max[1].is_nan());
    }

    #[test]
    fn norms_by_hand() {
        let x = tensor([1, 1, 4], [3., -4., 0., 2.]);
        let (p, shape) = placed(&window(&[2], &[1], &[1], &[1], &[0], false), &x);
        assert_eq!(lp_pool(&p, &x, 1, &shape).to_f64(), [3., 7., 4., 2.]);
        assert_eq!(lp_pool(&p, &x, 2, &shape).to_f64(), [3., 5., 4., 2.]);
        assert_eq!(lp_pool(&p, &x, 3, &shape).to_f64()[1], f64::from(91f64.powf(1.0 / 3.0) as f32));
        assert_eq!(global_lp_pool(&x, 2, &Shape::from([1, 1, 1])).to_f64(), [f64::from(29f64.sqrt() as f32)]);
    }

    #[test]
    fn maxima_go_back_to_their_places() {
        let x = tensor([1, 2, 1, 2], [5., 6., 7., 8.]);
        let indices = Tensor::new([1, 2, 1, 2], vec![1i64, 6, 8 + 3, 8 + 4]).unwrap();
        let unpool = |to: [usize; 3]| max_unpool(&x, &indices, [[1, 2, 4], to], &Shape::from([1, 2, to[1], to[2]])).to_f64();
        assert_eq!(unpool([1, 2, 4]), [0., 5., 0., 0., 0., 0., 6., 0., 0., 0., 0., 7., 8., 0., 0., 0.]);
        assert_eq!(unpool([1, 2, 3]), [0., 5., 0., 0., 0., 6., 0., 0., 0., 8., 0., 0.]);
        let outside = Tensor::new([1, 2, 1, 2], vec![-1i64, 16, 0, i64::MAX]).unwrap();
        assert_eq!(max_unpool(&x, &outside, [[1, 2, 4]; 2], &Shape::from([1, 2, 2, 4])).to_f64().iter().sum::<f64>(), 7.0);
    }
}
