//! The forms that normalizations are written in.

use super::super::pattern::Cursor;
use crate::ops::reduce::reduced_axes;
use crate::ops::{Binary, Op, ReduceFunction, Unary};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Whose statistics a normalization is by.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Kind {
    /// Mean and variance of all axes from this one on.
    Layer { axis: usize },
    /// Mean square of all axes from this one on.
    Rms { axis: usize },
    /// Mean and variance of each map.
    Instance,
    /// Mean and variance of groups of channels.
    Group { groups: usize },
}

impl Kind {
    /// Whether the operator can scale, and shift, by a constant.
    pub fn takes(self, tensor: &Tensor, x: &Shape) -> bool {
        match self {
            Kind::Layer { .. } | Kind::Rms { .. } => tensor.shape().broadcast(x).as_ref() == Some(x),
            Kind::Instance | Kind::Group { .. } => is_per_channel(tensor, x),
        }
    }

    /// Whether the operator can shift.
    pub fn shifts(self) -> bool {
        !matches!(self, Kind::Rms { .. })
    }
}

/// Whether a constant broadcasts to `x`, `[N, C, …]`, with one number for each channel.
pub(super) fn is_per_channel(tensor: &Tensor, x: &Shape) -> bool {
    let (shape, rank) = (tensor.shape(), x.rank());
    let channel = (shape.rank() + 1).checked_sub(rank);
    shape.rank() <= rank && channel.is_some_and(|axis| shape[axis] == x[1]) && tensor.len() == x[1]
}

/// A normalization without what scales and shifts its result, unless that is part of the form: one number for each group.
pub(super) struct Form<'a> {
    pub x: Cursor<'a>,
    pub kind: Kind,
    pub eps: f64,
    pub affine: Option<[Tensor; 2]>,
}

/// The normalization that `root` is the value of.
pub(super) fn of(root: Cursor<'_>) -> Option<Form<'_>> {
    if let Op::Reshape(_) = root.op()? {
        return groups(root);
    }
    let (value, deviation) = over_deviation(root)?;
    let (mean_square, eps) = deviation.and_scalar(Binary::Add)?;
    let (square, axis) = mean(mean_square)?;
    let (factors, coefficient) = square.factors();
    if coefficient != 1.0 || factors != [value, value] {
        return None;
    }
    let centred = value.of_binary(Binary::Sub).filter(|[x, average]| mean(*average).is_some_and(|(of, over)| of == *x && over == axis));
    Some(match centred {
        Some([x, _]) => Form { x, kind: Kind::Layer { axis }, eps, affine: None },
        None => Form { x: value, kind: Kind::Rms { axis }, eps, affine: None },
    })
}

/// `a` and `v`, for `a ÷ √v` in all ways to write it.
fn over_deviation(root: Cursor<'_>) -> Option<(Cursor<'_>, Cursor<'_>)> {
    let power = |value: Cursor<'_>, exponent: f64| {
        let [base, power] = value.of_binary(Binary::Pow)?;
        if power.scalar() == Some(exponent) { Some(base.id) } else { None }
    };
    let root_of = |value: Cursor<'_>| value.of_unary(Unary::Sqrt).map(|v| v.id).or_else(|| power(value, 0.5));
    let inverse_of = |value: Cursor<'_>| {
        let divisor = value.of_unary(Unary::Reciprocal).or_else(|| {
            let [one, divisor] = value.of_binary(Binary::Div)?;
            if one.is_number(1.0) { Some(divisor) } else { None }
        });
        divisor.and_then(root_of).or_else(|| power(value, -0.5))
    };
    let found = match root.of_binary(Binary::Div) {
        Some([a, b]) => Some((a, root_of(b)?)),
        None => root.either(Binary::Mul, |a, b| Some((a, inverse_of(b)?))),
    };
    found.map(|(a, v)| (a, a.at(v)))
}

/// `x` and the axis, for the mean of `x` over all axes from one on, each of which stays with extent 1.
fn mean(value: Cursor<'_>) -> Option<(Cursor<'_>, usize)> {
    let Op::Reduce(reduce) = value.op()? else { return None };
    if reduce.function != ReduceFunction::Mean || !reduce.keep_dims {
        return None;
    }
    let x = value.input(0)?;
    let axes = match value.input(1) {
        Some(axes) => Some(axes.constant()?.to_i64()?),
        None => None,
    };
    let reduced = reduced_axes(reduce, x.shape()?.rank(), axes.as_deref()).ok()?;
    let axis = reduced.iter().position(|&reduced| reduced)?;
    reduced[axis..].iter().all(|&reduced| reduced).then_some((x, axis))
}

/// `InstanceNormalization` of groups of channels as one map each.
fn groups(root: Cursor<'_>) -> Option<Form<'_>> {
    let norm = root.input(0)?;
    let Op::InstanceNormalization(instance) = norm.op()? else { return None };
    let grouped = norm.input(0)?;
    let Op::Reshape(_) = grouped.op()? else { return None };
    let x = grouped.input(0)?;
    let (outer, inner) = (x.shape()?, grouped.shape()?);
    let groups = *inner.get(1)?;
    if outer.rank() < 2 || outer[0] != inner[0] || groups == 0 || !outer[1].is_multiple_of(groups) || outer.elements() == 0 {
        return None;
    }
    let (scale, shift) = (norm.input(1)?.constant()?, norm.input(2)?.constant()?);
    let plain = scale.to_f64().iter().all(|&scale| scale == 1.0) && shift.to_f64().iter().all(|&shift| shift == 0.0);
    let affine = if plain { None } else { Some([scale.clone(), shift.clone()]) };
    Some(Form { x, kind: Kind::Group { groups }, eps: instance.eps.into(), affine })
}
