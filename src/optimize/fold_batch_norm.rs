//! Convolution, then batch normalization with constant statistics: one convolution with other weights.

use super::{count_uses, producers};
use crate::error::Result;
use crate::graph::{Graph, Node, ValueId};
use crate::ops::{BatchNormalization, Op};
use crate::tensor::{DType, Tensor};

/// `scale · (W∗x + b − mean) ÷ √(var + eps) + bias = (s·W)∗x + (b − mean)·s + bias` with `s = scale ÷ √(var + eps)`.
pub(super) fn run(graph: &mut Graph) -> Result<usize> {
    let mut changes = 0;
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
        changes += 1;
    }
    Ok(changes)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::ValueId;
    use crate::ops::{Conv, Padding, Tolerance, Unary};
    use crate::optimize::{Pass, testing};
    use crate::{Comparison, GraphBuilder};

    fn wave(shape: &[usize], step: f32, offset: f32) -> Tensor {
        let n = shape.iter().product();
        Tensor::of(shape, (0..n).map(|i| (i as f32 * step).sin() + offset).collect())
    }

    /// A grouped convolution, padded on one side more than on the other, then a normalization. `finish` marks the outputs.
    fn network(bias: bool, finish: impl Fn(&mut GraphBuilder, ValueId, ValueId)) -> Graph {
        let mut b = GraphBuilder::new("conv and norm");
        let x = b.input("x", DType::F32, [2, 4, 7, 5]);
        let w = b.constant("w", wave(&[6, 2, 3, 2], 0.7, 0.1));
        let bias = bias.then(|| b.constant("b", wave(&[6], 1.3, -0.4)));
        let padding = Padding::Explicit { before: [1, 0].into(), after: [2, 1].into() };
        let conv = b.nodes("conv", Conv { padding, groups: 2, ..Conv::default() }, &[Some(x), Some(w), bias], 1).unwrap()[0];
        let statistics = [(0.9, 1.2), (0.5, 0.0), (0.3, 0.2), (1.9, 1.5)];
        let statistics = statistics.map(|(step, offset)| b.constant(format!("s{step}"), wave(&[6], step, offset)));
        let norm = BatchNormalization { eps: 1e-5, momentum: 0.9, training: false };
        let y = b.node("norm", norm, &[conv, statistics[0], statistics[1], statistics[2], statistics[3]]).unwrap();
        finish(&mut b, conv, y);
        b.finish().unwrap()
    }

    fn outputs(graph: &Graph, without: Option<Pass>) -> Vec<Tensor> {
        testing::outputs(graph, &[("x", wave(&[2, 4, 7, 5], 0.37, 0.2).view())], without)
    }

    #[test]
    fn one_convolution_computes_what_two_nodes_did() {
        for bias in [false, true] {
            let graph = network(bias, |b, _, y| b.output("y", y));
            let folded = testing::after(graph.clone(), Pass::FoldBatchNorm);
            assert_eq!(folded.nodes().len(), 1);
            assert_eq!(
                (folded.nodes()[0].name.as_str(), &folded.nodes()[0].origins[..]),
                ("conv", &["conv".to_owned(), "norm".into()][..])
            );
            let comparison = Comparison::new(
                &outputs(&graph, None)[0],
                &outputs(&graph, Some(Pass::FoldBatchNorm))[0],
                Tolerance::accumulation(DType::F32),
            );
            assert!(comparison.passed(), "{comparison}");
        }
    }

    #[test]
    fn a_convolution_that_others_read_stays() {
        let graph = network(true, |b, conv, y| {
            let other = b.node("other", Unary::Relu, &[conv]).unwrap();
            b.output("y", y);
            b.output("other", other);
        });
        assert_eq!(testing::after(graph, Pass::FoldBatchNorm).nodes().len(), 3);
        let graph = network(false, |b, conv, y| {
            b.output("y", y);
            b.output("conv", conv);
        });
        assert_eq!(testing::after(graph, Pass::FoldBatchNorm).nodes().len(), 2);
    }
}
