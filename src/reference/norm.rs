//! Normalizations: batch, layer, instance, group, by root mean square, by norms, across channels.

use super::rounded;
use crate::ops::LocalResponseNormalization;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// Mean and variance (of the population) in two passes.
fn statistics(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    (mean, values.map(|v| (v - mean) * (v - mean)).sum::<f64>() / count)
}

/// The channel of element `i` of a tensor `[N, C, …]`; a tensor `[N]` has one channel.
fn channel(shape: &Shape, i: usize) -> usize {
    if shape.rank() < 2 { 0 } else { i / shape[2..].iter().product::<usize>() % shape[1] }
}

/// `y[n, c, i] = scale[c] · (x[n, c, i] − mean[c]) ÷ √(var[c] + eps) + bias[c]`
pub(crate) fn batch_norm(x: &Tensor, [scale, bias, mean, var]: [&Tensor; 4], eps: f32) -> Tensor {
    let [scale, bias, mean, var] = [scale, bias, mean, var].map(Tensor::to_f64);
    let normalize = |(i, v): (usize, f64)| {
        let c = channel(x.shape(), i);
        scale[c] * (v - mean[c]) / (var[c] + f64::from(eps)).sqrt() + bias[c]
    };
    rounded(x, x.shape(), x.to_f64().into_iter().enumerate().map(normalize).collect())
}

/// [`batch_norm`] by the batch's own statistics, and the running ones:
/// `running_mean[c] = mean[c] · momentum + batch_mean[c] · (1 − momentum)`, likewise the variance.
pub(crate) fn batch_norm_training(x: &Tensor, [scale, bias, mean, var]: [&Tensor; 4], eps: f32, momentum: f32) -> [Tensor; 3] {
    let values = x.to_f64();
    let own = |c: usize| {
        let of_channel = move |&(i, _): &(usize, f64)| channel(x.shape(), i) == c;
        statistics(values.iter().copied().enumerate().filter(of_channel).map(|(_, v)| v))
    };
    let (own_mean, own_var): (Vec<f64>, Vec<f64>) = (0..scale.len()).map(own).unzip();
    let momentum = f64::from(momentum);
    let running = |old: &Tensor, new: &[f64]| {
        let mixed = old.to_f64().into_iter().zip(new).map(|(old, new)| old * momentum + new * (1.0 - momentum));
        rounded(old, old.shape(), mixed.collect())
    };
    let (running_mean, running_var) = (running(mean, &own_mean), running(var, &own_var));
    let (own_mean, own_var) = (Tensor::vector(own_mean), Tensor::vector(own_var));
    [batch_norm(x, [scale, bias, &own_mean, &own_var], eps), running_mean, running_var]
}

/// `y[n, c, i] = scale[c] · (x[n, c, i] − mean[n, g]) ÷ √(var[n, g] + eps) + bias[c]`, `g` the group of channel `c`.
///
/// `scale` and `bias` have one element for each channel or one for each group.
pub(crate) fn group_norm(x: &Tensor, scale: &Tensor, bias: &Tensor, groups: usize, eps: f32) -> Tensor {
    let (values, scale, bias) = (x.to_f64(), scale.to_f64(), bias.to_f64());
    if x.is_empty() {
        return x.clone();
    }
    let channels_per_scale = x.shape()[1] / scale.len();
    let group_elements = x.shape()[1..].iter().product::<usize>() / groups;
    let mut y = Vec::with_capacity(values.len());
    for group in values.chunks(group_elements) {
        let (mean, var) = statistics(group.iter().copied());
        for v in group {
            let s = channel(x.shape(), y.len()) / channels_per_scale;
            y.push(scale[s] * (v - mean) / (var + f64::from(eps)).sqrt() + bias[s]);
        }
    }
    rounded(x, x.shape(), y)
}

/// `y[r, i] = scale[i] · (x[r, i] − mean[r]) ÷ √(var[r] + eps) + bias[i]`, `r` over the axes before `axis`, `i` over the
/// others; then `mean[r]` and `1 ÷ √(var[r] + eps)` as `f32` with extent 1 along the others.
///
/// `scale` and `bias` broadcast to `x`.
pub(crate) fn layer_norm(x: &Tensor, scale: &Tensor, bias: Option<&Tensor>, axis: usize, eps: f32) -> [Tensor; 3] {
    let values = x.to_f64();
    let row_elements: usize = x.shape()[axis..].iter().product();
    let (mut y, mut means, mut inverses) = (Vec::with_capacity(values.len()), vec![], vec![]);
    let (scale, bias) = (broadcast(scale, x.shape()), bias.map(|bias| broadcast(bias, x.shape())));
    for row in values.chunks(row_elements.max(1)) {
        let (mean, var) = statistics(row.iter().copied());
        let inverse = 1.0 / (var + f64::from(eps)).sqrt();
        for v in row {
            let bias = bias.as_ref().map_or(0.0, |b| b[y.len()]);
            y.push(scale[y.len()] * (v - mean) * inverse + bias);
        }
        means.push(mean);
        inverses.push(inverse);
    }
    let rows: Shape = x.shape().iter().enumerate().map(|(a, &extent)| if a < axis { extent } else { 1 }).collect();
    let statistic = |values: Vec<f64>| Tensor::from_f64(DType::F32, &rows, values).expect("one value a row");
    [rounded(x, x.shape(), y), statistic(means), statistic(inverses)]
}

/// `y[r, i] = scale[i] · x[r, i] ÷ √(Σ x[r, i]² ÷ count + eps)`, `r` over the axes before `axis`, `i` over the others, in the type of
/// `scale`, which broadcasts to `x`.
pub(crate) fn rms_norm(x: &Tensor, scale: &Tensor, axis: usize, eps: f32) -> Tensor {
    let (values, scales) = (x.to_f64(), broadcast(scale, x.shape()));
    let row_elements = x.shape()[axis..].iter().product::<usize>().max(1);
    let mut y = Vec::with_capacity(values.len());
    for row in values.chunks(row_elements) {
        let mean_square = row.iter().map(|v| v * v).sum::<f64>() / row_elements as f64;
        for v in row {
            y.push(scales[y.len()] * v / (mean_square + f64::from(eps)).sqrt());
        }
    }
    rounded(scale, x.shape(), y)
}

/// `y[n, c, i] = x[n, c, i] ÷ (bias + alpha ÷ size · Σ x[n, k, i]²)^beta`, `k` over the channels around `c`.
pub(crate) fn lrn(x: &Tensor, op: &LocalResponseNormalization) -> Tensor {
    let values = x.to_f64();
    let (channels, map) = (x.shape()[1], x.shape()[2..].iter().product::<usize>());
    let [before, after] = op.neighbours();
    let normalize = |(at, v): (usize, &f64)| {
        let c = at / map % channels;
        let window = c.saturating_sub(before)..=c.saturating_add(after).min(channels - 1);
        let squares: f64 = window.map(|k| values[at + k * map - c * map].powi(2)).sum();
        v / (f64::from(op.bias) + f64::from(op.alpha) / op.size as f64 * squares).powf(op.beta.into())
    };
    rounded(x, x.shape(), values.iter().enumerate().map(normalize).collect())
}

/// `y[o, c, i] = x[o, c, i] ÷ ‖x[o, :, i]‖` for `x` as `[outer, columns, inner]`.
pub(crate) fn lp_norm(x: &Tensor, [_, columns, inner]: [usize; 3], l1: bool) -> Tensor {
    let values = x.to_f64();
    let normalize = |(at, v): (usize, &f64)| {
        let start = at / (columns * inner) * (columns * inner) + at % inner;
        let column = (0..columns).map(|c| values[start + c * inner]);
        let norm = if l1 { column.map(f64::abs).sum::<f64>() } else { column.map(|v| v * v).sum::<f64>().sqrt() };
        v / norm
    };
    rounded(x, x.shape(), values.iter().enumerate().map(normalize).collect())
}

/// `y[k, r] = (x[k, r] − mean[k]) ÷ (√var[k] + 1e-9)`, `r` over the reduced axes, `k` over the others.
pub(crate) fn mean_variance_norm(x: &Tensor, reduced: &[bool]) -> Tensor {
    let values = x.to_f64();
    let kept: Shape = x.shape().iter().zip(reduced).map(|(&extent, &reduced)| if reduced { 1 } else { extent }).collect();
    let strides = kept.broadcast_strides(x.shape());
    let owner = |at: usize| x.shape().coordinates(at).iter().zip(&strides).map(|(c, s)| c * s).sum::<usize>();
    let mut groups = vec![vec![]; kept.elements()];
    values.iter().enumerate().for_each(|(at, &v)| groups[owner(at)].push(v));
    let known: Vec<_> = groups.iter().map(|group| statistics(group.iter().copied())).collect();
    let normalize = |(at, v): (usize, &f64)| {
        let (mean, var) = known[owner(at)];
        (v - mean) / (var.sqrt() + 1e-9)
    };
    rounded(x, x.shape(), values.iter().enumerate().map(normalize).collect())
}

/// The elements of `tensor` repeated to fill `shape`.
fn broadcast(tensor: &Tensor, shape: &Shape) -> Vec<f64> {
    let (values, strides) = (tensor.to_f64(), tensor.shape().broadcast_strides(shape));
    let at = |i| shape.coordinates(i).iter().zip(&strides).map(|(c, s)| c * s).sum::<usize>();
    (0..shape.elements()).map(|i| values[at(i)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor<const N: usize>(shape: [usize; N], values: impl IntoIterator<Item = f64>) -> Tensor {
        Tensor::new(shape, values.into_iter().collect()).unwrap()
    }

    fn wave<const N: usize>(shape: [usize; N], offset: f64) -> Tensor {
        let n: usize = shape.iter().product();
        tensor(shape, (0..n).map(|i| offset + ((i * i + 3 * i) % 17) as f64 / 4.0 - 2.0))
    }

    fn assert_close(a: &Tensor, b: &[f64]) {
        assert_eq!(a.len(), b.len());
        for (i, (a, b)) in a.to_f64().into_iter().zip(b).enumerate() {
            assert!((a - b).abs() < 1e-9, "[{i}]: {a} is not {b}");
        }
    }

    #[test]
    fn batch_norm_by_hand() {
        let x = tensor([2, 2, 2], [1., 2., 3., 4., 5., 6., 7., 8.]);
        let v = |a, b| tensor([2], [a, b]);
        // eps 0.25: √(2 + ¼) = 1.5, √(0 + ¼) = 0.5.
        let y = batch_norm(&x, [&v(3., -1.), &v(10., 0.), &v(1., 4.), &v(2., 0.)], 0.25);
        assert_close(&y, &[10., 12., 2., 0., 18., 20., -6., -8.]);
    }

    #[test]
    fn batch_norm_of_one_axis_has_one_channel() {
        let v = |a| tensor([1], [a]);
        assert_close(&batch_norm(&tensor([3], [1., 2., 3.]), [&v(2.), &v(1.), &v(2.), &v(0.)], 0.25), &[-3., 1., 5.]);
    }

    #[test]
    fn training_uses_and_updates_statistics() {
        // Channel 0 holds 1, 3, 5, 7 (mean 4, variance 5); channel 1 holds 2 four times.
        let x = tensor([2, 2, 2], [1., 3., 2., 2., 5., 7., 2., 2.]);
        let v = |a, b| tensor([2], [a, b]);
        let [y, mean, var] = batch_norm_training(&x, [&v(3., 1.), &v(0., 5.), &v(8., 4.), &v(1., 2.)], 4.0, 0.75);
        assert_close(&y, &[-3., -1., 5., 5., 1., 3., 5., 5.]);
        assert_close(&mean, &[0.75 * 8. + 0.25 * 4., 0.75 * 4. + 0.25 * 2.]);
        assert_close(&var, &[0.75 + 0.25 * 5., 1.5]);
    }

    #[test]
    fn group_norm_by_hand() {
        // Groups of two channels: 1, 3 | 5, 7 (mean 4, variance 5) and 2, 2 | 2, 2.
        let x = tensor([1, 4, 2], [1., 3., 5., 7., 2., 2., 2., 2.]);
        let y = group_norm(&x, &tensor([4], [3., 6., 1., 1.]), &tensor([4], [0., 1., 8., 9.]), 2, 4.0);
        assert_close(&y, &[-3., -1., 3., 7., 8., 8., 9., 9.]);
        let y = group_norm(&x, &tensor([2], [3., 6.]), &tensor([2], [0., 1.]), 2, 4.0);
        assert_close(&y, &[-3., -1., 1., 3., 1., 1., 1., 1.]);
    }

    #[test]
    fn layer_norm_by_hand() {
        // Rows 1, 3, 5, 7 (mean 4, variance 5) and 2, 2, 2, 2; √(5 + 4) = 3, √(0 + 4) = 2.
        let x = tensor([2, 2, 2], [1., 3., 5., 7., 2., 2., 2., 2.]);
        let scale = tensor([2, 2], [3., 3., 6., 9.]);
        let [y, mean, inverse] = layer_norm(&x, &scale, Some(&tensor([2], [0., 1.])), 1, 4.0);
        assert_close(&y, &[-3., 0., 2., 10., 0., 1., 0., 1.]);
        assert_eq!((mean.dtype(), mean.shape().dims()), (DType::F32, &[2, 1, 1][..]));
        assert_close(&mean, &[4., 2.]);
        assert_close(&inverse, &[f64::from(1f32 / 3.0), 0.5]);
        assert_close(&layer_norm(&x, &tensor([1], [3.]), None, 1, 4.0)[0], &[-3., -1., 1., 3., 0., 0., 0., 0.]);
    }

    #[test]
    fn instances_are_groups_of_one_channel_and_layers_groups_of_all() {
        let x = wave([2, 6, 3, 5], 1e4);
        let (ones, zeros) = (Tensor::full([6], 1f64), Tensor::full([6], 0f64));
        // One group over [C, H, W] is a layer over them.
        let [layer, ..] = layer_norm(&x, &Tensor::full([1], 1f64), None, 1, 1e-5);
        assert_close(&group_norm(&x, &ones, &zeros, 1, 1e-5), &layer.to_f64());
        // One group a channel is a layer over [H, W].
        let [map, ..] = layer_norm(&x, &Tensor::full([1], 1f64), None, 2, 1e-5);
        assert_close(&group_norm(&x, &ones, &zeros, 6, 1e-5), &map.to_f64());
        // The output has mean 0 and variance var / (var + eps), whatever the offset.
        for row in layer.to_f64().chunks(6 * 15) {
            let (mean, var) = statistics(row.iter().copied());
            assert!(mean.abs() < 1e-9 && (var - 1.0).abs() < 1e-4, "{mean} {var}");
        }
        assert_close(&layer_norm(&wave([2, 6, 3, 5], 0.0), &Tensor::full([1], 1f64), None, 1, 1e-5)[0], &layer.to_f64());
    }

    #[test]
    fn rms_norm_by_hand() {
        // Mean squares (1 + 49 + 25 + 25) ÷ 4 = 25 and 4, eps 11 and 5: roots 6 and 3.
        let x = tensor([2, 2, 2], [1., 7., 5., -5., 2., 2., -2., 2.]);
        assert_close(
            &rms_norm(&x, &tensor([2], [6., 12.]), 1, 11.0),
            &[1., 14., 5., -10., 12. / 15f64.sqrt(), 24. / 15f64.sqrt(), -12. / 15f64.sqrt(), 24. / 15f64.sqrt()],
        );
        assert_close(&rms_norm(&tensor([1, 2], [2., -2.]), &tensor([1], [3.]), 1, 5.0), &[2., -2.]);
    }

    #[test]
    fn lrn_by_hand() {
        let x = tensor([1, 4, 1], [1., 2., 3., 4.]);
        let op = |size| LocalResponseNormalization { alpha: size as f32, beta: 1.0, bias: 1.0, size };
        // Sums of squares over three channels 5, 14, 29, 25; over two, the own and the next, 5, 13, 25, 16.
        assert_close(&lrn(&x, &op(3)), &[1. / 6., 2. / 15., 3. / 30., 4. / 26.]);
        assert_close(&lrn(&x, &op(2)), &[1. / 6., 2. / 14., 3. / 26., 4. / 17.]);
        assert_close(&lrn(&x, &op(1)), &[1. / 2., 2. / 5., 3. / 10., 4. / 17.]);
    }

    #[test]
    fn norms_by_hand() {
        let x = tensor([2, 2], [3., -4., 0., 0.]);
        assert_close(&lp_norm(&x, [1, 2, 2], false), &[1., -1., 0., 0.]);
        let y = lp_norm(&x, [2, 2, 1], false).to_f64();
        assert!(y[..2] == [0.6, -0.8] && y[2].is_nan() && y[3].is_nan());
        assert_eq!(lp_norm(&x, [2, 2, 1], true).to_f64()[..2], [3. / 7., -4. / 7.]);
    }

    #[test]
    fn mean_variance_norm_by_hand() {
        // Over the first and last axis: 1, 3, 5, 7 (mean 4, variance 5) and 2 four times.
        let x = tensor([2, 2, 2], [1., 3., 2., 2., 5., 7., 2., 2.]);
        let s = 5f64.sqrt() + 1e-9;
        assert_close(&mean_variance_norm(&x, &[true, false, true]), &[-3. / s, -1. / s, 0., 0., 1. / s, 3. / s, 0., 0.]);
    }
}
