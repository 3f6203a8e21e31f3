//! Convolution, then batch normalization with constant statistics: one convolution with other weights.

use super::{count_uses, producers};
use crate::graph::{Graph, Node, ValueId};
use crate::ops::{BatchNormalization, Op};
use crate::tensor::{DType, Tensor};

/// `scale · (W∗x + b − mean) ÷ √(var + eps) + bias = (s·W)∗x + (b − mean)·s + bias` with `s = scale ÷ √(var + eps)`.
pub(super) fn run(graph: &mut Graph) {
    let (uses, producers) = (count_uses(graph), producers(graph));
    for at in 0..graph.nodes.len() {
        let Some((conv_at, weight, bias)) = folded(graph, &graph.nodes[at], &uses, &producers) else { continue };
        let norm = graph.nodes[at].clone();
        let conv = graph.nodes[conv_at].clone();
        let weight = graph.add_constant(format!("{}.folded_weight", conv.name), weight);
        let bias = graph.add_constant(format!("{}.folded_bias", conv.name), bias);
        // The convolution takes the normalization's place, and its output's name with it.
        graph.nodes[at] = Node {
            origins: [conv.origins, norm.origins].concat(),
            name: conv.name,
            op: conv.op,
            inputs: vec![conv.inputs[0], Some(weight), Some(bias)],
            outputs: vec![norm.outputs[0]],
        };
    }
}

/// The convolution before a normalization, with its new weight and bias, where the two can be one.
fn folded(graph: &Graph, norm: &Node, uses: &[usize], producers: &[Option<usize>]) -> Option<(usize, Tensor, Tensor)> {
    let Op::BatchNormalization(BatchNormalization { eps, training: false, .. }) = norm.op else { return None };
    if norm.outputs.iter().skip(1).any(Option::is_some) {
        return None;
    }
    let input = (*norm.inputs.first()?)?;
    let conv_at = producers[input.index()]?;
    let conv = &graph.nodes[conv_at];
    if uses[input.index()] != 1 || !matches!(conv.op, Op::Conv(_)) {
        return None;
    }
    let constant = |id: Option<&Option<ValueId>>| graph.value((*id?)?).constant.as_ref().filter(|t| t.dtype() == DType::F32);
    let weight = constant(conv.inputs.get(1))?;
    let [scale, shift, mean, var] = [1, 2, 3, 4].map(|i| constant(norm.inputs.get(i)).map(Tensor::to_f64));
    let (scale, shift, mean, var) = (scale?, shift?, mean?, var?);
    let channels = *weight.shape().first()?;
    let bias = match conv.inputs.get(2).copied().flatten() {
        Some(id) => graph.value(id).constant.as_ref()?.to_f64(),
        None => vec![0.0; channels],
    };
    if channels == 0 || [&scale, &shift, &mean, &var, &bias].iter().any(|v| v.len() != channels) {
        return None;
    }
    let factors: Vec<f64> = scale.iter().zip(&var).map(|(s, v)| s / (v + f64::from(eps)).sqrt()).collect();
    let per_channel = weight.len() / channels;
    let weights = weight.to_f64().iter().enumerate().map(|(i, w)| (w * factors[i / per_channel]) as f32).collect();
    let biases = (0..channels).map(|m| ((bias[m] - mean[m]) * factors[m] + shift[m]) as f32).collect();
    Some((conv_at, Tensor::of(weight.shape(), weights), Tensor::vector(biases)))
}
