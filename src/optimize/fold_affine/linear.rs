//! Layers whose weights are constants, as maps of channels to channels.

use super::super::known::Known;
use super::affine::{Affine, Features};
use crate::graph::{Graph, Node, ValueId};
use crate::ops::{Conv, Gemm, Op, Padding};
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// A layer with a constant weight, and a constant bias or none.
pub(super) struct Linear<'a> {
    node: &'a Node,
    weight: &'a Tensor,
    /// One number for each output channel, as the layer adds it.
    bias: Option<Vec<f64>>,
    in_channels: usize,
    out_channels: usize,
}

/// What a layer becomes.
pub(super) struct Folded {
    /// The operator.
    pub op: Op,
    /// The weight, where it is another.
    pub weight: Option<Tensor>,
    /// The bias, where there is one.
    pub bias: Option<Tensor>,
}

impl<'a> Linear<'a> {
    /// The layer that a node is; its shape rule has not run, so nothing is taken for granted.
    pub fn new(graph: &'a Graph, node: &'a Node) -> Option<Self> {
        let id = |index: usize| node.inputs.get(index).copied().flatten();
        let constant = |id: ValueId| graph.value(id).constant.as_ref();
        let weight = constant(id(1)?).filter(|weight| weight.dtype().is_float() && !weight.is_empty())?;
        let [outer, inner, ref taps @ ..] = *weight.shape().dims() else { return None };
        let (in_channels, out_channels) = match &node.op {
            Op::Conv(conv) if (1..=3).contains(&taps.len()) && conv.groups > 0 && outer.is_multiple_of(conv.groups) => {
                (inner.checked_mul(conv.groups)?, outer)
            }
            Op::ConvTranspose(conv) if (1..=3).contains(&taps.len()) && conv.groups > 0 && outer.is_multiple_of(conv.groups) => {
                (outer, inner.checked_mul(conv.groups)?)
            }
            Op::Gemm(gemm) if taps.is_empty() => {
                if gemm.transpose_b {
                    (inner, outer)
                } else {
                    (outer, inner)
                }
            }
            Op::MatMul(_) if taps.is_empty() => (outer, inner),
            _ => return None,
        };
        let bias = match id(2) {
            None => None,
            Some(id) => {
                let bias = constant(id).filter(|bias| bias.dtype() == weight.dtype())?;
                let factor = if let Op::Gemm(gemm) = &node.op { f64::from(gemm.beta) } else { 1.0 };
                // `C` of `Gemm` may broadcast, but not differ between rows.
                let is_row = bias.shape().rank() == 1 || bias.shape().rank() <= 2 && bias.shape().first().is_none_or(|&rows| rows == 1);
                let values: Vec<f64> = bias.to_f64().into_iter().map(|value| value * factor).collect();
                match values[..] {
                    _ if !is_row => return None,
                    [value] => Some(vec![value; out_channels]),
                    _ if values.len() == out_channels => Some(values),
                    _ => return None,
                }
            }
        };
        Some(Self { node, weight, bias, in_channels, out_channels })
    }

    /// The channels of the output.
    pub fn outputs(&self, known: &Known) -> Features {
        let channels = self.out_channels;
        match &self.node.op {
            Op::Gemm(_) => Features { channels, from_end: 0, rank: 2, is_axis_1: true },
            Op::MatMul(_) => {
                let rank = self.node.inputs[0].and_then(|x| known.rank(x)).unwrap_or(1);
                Features { channels, from_end: 0, rank, is_axis_1: rank == 2 }
            }
            _ => self.maps(channels),
        }
    }

    /// The channels of the input, where maps before the layer may be folded. What scales and shifts before a `MatMul` is the end of a
    /// normalization, which does both at no cost.
    pub fn inputs(&self) -> Option<Features> {
        let channels = self.in_channels;
        match &self.node.op {
            Op::Gemm(Gemm { transpose_a: false, .. }) => Some(Features { channels, from_end: 0, rank: 2, is_axis_1: true }),
            Op::Gemm(_) | Op::MatMul(_) => None,
            _ => Some(self.maps(channels)),
        }
    }

    /// Channels of `[N, C, …]`.
    fn maps(&self, channels: usize) -> Features {
        let rank = self.weight.shape().rank();
        Features { channels, from_end: rank - 2, rank, is_axis_1: true }
    }

    /// Input and output channel of the weight's element `i`.
    fn channels_of(&self, i: usize) -> (usize, usize) {
        let dims = self.weight.shape();
        let (outer, inner) = (i / dims[1..].iter().product::<usize>(), i / dims[2..].iter().product::<usize>() % dims[1]);
        match &self.node.op {
            Op::Conv(conv) => (outer / (dims[0] / conv.groups) * dims[1] + inner, outer),
            Op::ConvTranspose(conv) => (outer, outer / (dims[0] / conv.groups) * dims[1] + inner),
            Op::Gemm(Gemm { transpose_b: true, .. }) => (inner, outer),
            _ => (outer, inner),
        }
    }

    /// The layer, then `map`.
    pub fn scaled_after(&self, map: &Affine) -> Option<Folded> {
        let old = self.bias.clone().unwrap_or_else(|| vec![0.0; self.out_channels]);
        let bias = old.iter().zip(map.scale.iter().zip(&map.shift)).map(|(bias, (scale, shift))| bias * scale + shift).collect();
        self.folded(&map.scale, |(_, output)| output, bias)
    }

    /// `map`, then the layer. What is padded is not shifted.
    pub fn scaled_before(&self, map: &Affine) -> Option<Folded> {
        let mut bias = self.bias.clone().unwrap_or_else(|| vec![0.0; self.out_channels]);
        if map.shift.iter().any(|&shift| shift != 0.0) {
            if self.is_padded() {
                return None;
            }
            let alpha = if let Op::Gemm(gemm) = &self.node.op { f64::from(gemm.alpha) } else { 1.0 };
            for (i, weight) in self.weight.to_f64().into_iter().enumerate() {
                let (input, output) = self.channels_of(i);
                bias[output] += alpha * weight * map.shift[input];
            }
        }
        self.folded(&map.scale, |(input, _)| input, bias)
    }

    /// Whether outputs at the edges read less of the input than others.
    fn is_padded(&self) -> bool {
        let Op::Conv(Conv { padding, stride, .. }) = self.node.op else {
            return matches!(self.node.op, Op::ConvTranspose(_));
        };
        match padding {
            Padding::Valid => false,
            Padding::Explicit { before, after } => before.iter().chain(after.iter()).any(|&n| n != 0),
            // A window of one element needs none to have as many outputs as steps.
            _ => self.weight.shape()[2..].iter().any(|&n| n != 1) || stride.is_some_and(|stride| stride.iter().any(|&n| n != 1)),
        }
    }

    /// The layer with each weight multiplied by the factor of its channel, and this bias.
    fn folded(&self, factors: &[f64], channel: impl Fn((usize, usize)) -> usize, bias: Vec<f64>) -> Option<Folded> {
        let dtype = self.weight.dtype();
        let weight = match factors.iter().all(|&factor| factor == 1.0) {
            true => None,
            false => {
                let scaled = self.weight.to_f64().into_iter().enumerate().map(|(i, w)| w * factors[channel(self.channels_of(i))]).collect();
                Some(self.rounded(dtype, scaled)?)
            }
        };
        let bias = match self.bias.is_none() && bias.iter().all(|&bias| bias == 0.0) {
            true => None,
            false => Some(Tensor::from_f64(dtype, Shape::from([bias.len()]), bias).ok().filter(is_finite)?),
        };
        let op = match self.node.op {
            Op::Gemm(gemm) => Gemm { beta: 1.0, ..gemm }.into(),
            ref op => op.clone(),
        };
        Some(Folded { op, weight, bias })
    }

    /// The weights in the type they are stored in, where that holds them.
    fn rounded(&self, dtype: DType, values: Vec<f64>) -> Option<Tensor> {
        /// The smallest number of half precision with all its digits.
        const SMALLEST_HALF: f64 = 6.103515625e-5;
        if dtype == DType::F16 {
            let mut largest = vec![0f64; self.out_channels];
            for (i, value) in values.iter().enumerate() {
                let of_channel = &mut largest[self.channels_of(i).1];
                *of_channel = of_channel.max(value.abs());
            }
            if largest.iter().any(|&largest| largest != 0.0 && largest < SMALLEST_HALF) {
                return None;
            }
        }
        Tensor::from_f64(dtype, self.weight.shape(), values).ok().filter(is_finite)
    }
}

fn is_finite(tensor: &Tensor) -> bool {
    tensor.to_f64().iter().all(|value| value.is_finite())
}
