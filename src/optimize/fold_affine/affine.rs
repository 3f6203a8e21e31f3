//! Maps of each channel by a scale and a shift.

use crate::graph::{Graph, Node, ValueId};
use crate::ops::{BatchNormalization, Binary, ImageScaler, Op, Unary};
use crate::tensor::Tensor;

/// Where the channels of a layer's input or output are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Features {
    /// How many there are.
    pub channels: usize,
    /// How many axes follow theirs.
    pub from_end: usize,
    /// How many axes there are at least.
    pub rank: usize,
    /// Whether their axis is known to be axis 1, which normalizations normalise.
    pub is_axis_1: bool,
}

/// `scale[c] · x + shift[c]`
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Affine {
    pub scale: Vec<f64>,
    pub shift: Vec<f64>,
}

/// The input of a node that may be an affine map.
pub(super) fn argument(graph: &Graph, node: &Node) -> Option<ValueId> {
    let is_constant = |id: &ValueId| graph.value(*id).constant.is_some();
    match (&node.op, &node.inputs[..]) {
        (Op::Binary(_), [Some(a), Some(b)]) if is_constant(a) != is_constant(b) => Some(if is_constant(a) { *b } else { *a }),
        (Op::BatchNormalization(_) | Op::ImageScaler(_) | Op::Unary(_), [Some(x), ..]) => Some(*x),
        _ => None,
    }
}

/// Whether a map's constants and its argument broadcast against each other; others fix the number of channels.
pub(super) fn broadcasts(op: &Op) -> bool {
    matches!(op, Op::Binary(_))
}

impl Affine {
    /// The map that a node is on `features`.
    pub fn of(graph: &Graph, node: &Node, features: &Features) -> Option<Self> {
        let uniform = |scale: f64, shift: f64| Self { scale: vec![scale; features.channels], shift: vec![shift; features.channels] };
        let map = match &node.op {
            Op::BatchNormalization(norm) => batch_norm(graph, node, norm).filter(|_| features.is_axis_1)?,
            Op::ImageScaler(ImageScaler { scale, bias }) if features.is_axis_1 && features.rank == 4 => {
                Self { scale: vec![f64::from(*scale); bias.len()], shift: bias.iter().copied().map(f64::from).collect() }
            }
            Op::Unary(Unary::Neg) => uniform(-1.0, 0.0),
            Op::Unary(Unary::Affine { alpha, beta }) => uniform((*alpha).into(), (*beta).into()),
            Op::Binary(op) => binary(graph, node, *op, features)?,
            _ => return None,
        };
        let finite = map.scale.iter().chain(&map.shift).all(|value| value.is_finite());
        (finite && map.scale.len() == features.channels).then_some(map)
    }

    /// This map, then another.
    pub fn then(&self, next: &Affine) -> Self {
        let scale = self.scale.iter().zip(&next.scale).map(|(a, b)| a * b).collect();
        let shift = self.shift.iter().zip(next.scale.iter().zip(&next.shift)).map(|(t, (s, u))| t * s + u).collect();
        Self { scale, shift }
    }
}

/// `scale · (x − mean) ÷ √(var + eps) + bias` with constant statistics.
fn batch_norm(graph: &Graph, node: &Node, norm: &BatchNormalization) -> Option<Affine> {
    if norm.training || node.outputs[1..].iter().any(Option::is_some) {
        return None;
    }
    let vector = |index: usize| graph.value(node.inputs.get(index).copied().flatten()?).constant.as_ref().map(Tensor::to_f64);
    let (scale, bias, mean, var) = (vector(1)?, vector(2)?, vector(3)?, vector(4)?);
    if [&bias, &mean, &var].iter().any(|other| other.len() != scale.len()) {
        return None;
    }
    let factors: Vec<f64> = scale.iter().zip(&var).map(|(scale, var)| scale / (var + f64::from(norm.eps)).sqrt()).collect();
    let shift = bias.iter().zip(&mean).zip(&factors).map(|((bias, mean), factor)| bias - mean * factor).collect();
    Some(Affine { scale: factors, shift })
}

/// Addition, subtraction, multiplication or division of one operand and a constant.
fn binary(graph: &Graph, node: &Node, op: Binary, features: &Features) -> Option<Affine> {
    let x = argument(graph, node)?;
    let constant_first = node.inputs[0] != Some(x);
    let constant = graph.value(node.inputs[usize::from(!constant_first)]?).constant.as_ref()?;
    let values = per_channel(constant, features)?;
    let map = |of: fn(f64) -> (f64, f64)| {
        let (scale, shift) = values.iter().map(|value| of(*value)).unzip();
        Some(Affine { scale, shift })
    };
    match (op, constant_first) {
        (Binary::Add, _) => map(|c| (1.0, c)),
        (Binary::Sub, false) => map(|c| (1.0, -c)),
        (Binary::Sub, true) => map(|c| (-1.0, c)),
        (Binary::Mul, _) => map(|c| (c, 0.0)),
        (Binary::Div, false) => map(|c| (1.0 / c, 0.0)),
        _ => None,
    }
}

/// A floating-point constant that broadcasts to `features` without changing between positions, as one number for each channel.
fn per_channel(constant: &Tensor, features: &Features) -> Option<Vec<f64>> {
    let shape = constant.shape();
    if !constant.dtype().is_float() || shape.rank() > features.rank {
        return None;
    }
    let channel_axis = shape.rank().checked_sub(1 + features.from_end);
    let others_are_one = shape.iter().enumerate().all(|(axis, &extent)| extent == 1 || Some(axis) == channel_axis);
    let values = constant.to_f64();
    match values[..] {
        _ if !others_are_one => None,
        [value] => Some(vec![value; features.channels]),
        _ => (values.len() == features.channels).then_some(values),
    }
}
