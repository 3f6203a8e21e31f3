//! Activations, residual additions and parametric activations into the operator whose output they change, as its kernels' epilogue.

use super::chains::{Chain, Chains};
use crate::error::Result;
use crate::graph::Graph;
use crate::ops::Fused;

pub(super) fn run(graph: &mut Graph) -> Result<usize> {
    let mut chains = Chains::new(graph);
    let mut changes = 0;
    for at in 0..chains.graph().nodes.len() {
        let node = chains.graph().nodes[at].clone();
        let ([Some(output)], true) = (&node.outputs[..], chains.is_free(at)) else { continue };
        let (base_inputs, shape) = (node.inputs.len(), chains.shape(*output));
        let mut chain = Chain { nodes: vec![at], steps: vec![], inputs: node.inputs, output: *output };
        chains.extend(&mut chain, |steps, inputs| {
            Fused::fits_epilogue(&node.op, steps, &shape, |i| chains.shape(inputs[i].expect("operands are given")))
        });
        if !chain.steps.is_empty() {
            changes += chain.steps.len();
            let op = Fused { base: Some(Box::new(node.op)), base_inputs, steps: chain.steps.clone() };
            chains.merge(chain, op);
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use crate::graph::{GraphBuilder, ValueId};
    use crate::ops::{Binary, Conv, PRelu, Tolerance, Unary};
    use crate::optimize::Pass;
    use crate::optimize::testing::{after, difference, outputs, same_outputs, title, wave};
    use crate::{DType, Graph};

    /// A network on `x [2, 3, 5, 7]` and `skip [2, 4, 5, 7]`, with `conv` a pointwise convolution of `x` to four channels.
    fn network(build: impl FnOnce(&mut GraphBuilder, ValueId, ValueId) -> ValueId) -> Graph {
        let mut b = GraphBuilder::new("epilogues");
        let x = b.input("x", DType::F32, [2, 3, 5, 7]);
        let skip = b.input("skip", DType::F32, [2, 4, 5, 7]);
        let w = b.constant("w", wave([4, 3, 1, 1], 0.9));
        let conv = b.node("conv", Conv::default(), &[x, w]).unwrap();
        let y = build(&mut b, conv, skip);
        b.output("y", y);
        b.finish().unwrap()
    }

    fn inputs() -> [(&'static str, crate::Tensor); 2] {
        [("x", wave([2, 3, 5, 7], 0.37)), ("skip", wave([2, 4, 5, 7], 0.23))]
    }

    /// The nodes after the pass, as text, having proved that the outputs are unchanged.
    fn fused(graph: &Graph) -> Vec<String> {
        same_outputs(graph, &inputs(), Pass::FuseEpilogues, Tolerance::accumulation(DType::F32));
        after(graph.clone(), Pass::FuseEpilogues).nodes().iter().map(title).collect()
    }

    #[test]
    fn activation_residual_activation() {
        let graph = network(|b, conv, skip| {
            let tanh = b.node("tanh", Unary::Tanh, &[conv]).unwrap();
            let sum = b.node("sum", Binary::Add, &[skip, tanh]).unwrap();
            b.node("relu", Unary::Relu, &[sum]).unwrap()
        });
        assert_eq!(fused(&graph), ["conv: Conv + Tanh + Add + Relu [conv, tanh, sum, relu]"]);
    }

    #[test]
    fn the_first_of_two_convolutions_takes_the_sum() {
        let graph = network(|b, conv, skip| {
            let w = b.constant("v", wave([4, 4, 1, 1], 0.7));
            let other = b.node("other", Conv::default(), &[skip, w]).unwrap();
            b.node("sum", Binary::Add, &[conv, other]).unwrap()
        });
        assert_eq!(fused(&graph), ["other: Conv [other]", "conv: Conv + Add [conv, sum]"]);
    }

    #[test]
    fn slopes_of_channels() {
        let graph = network(|b, conv, _| {
            let slope = b.constant("slope", wave([4, 1, 1], 0.5));
            b.node("prelu", PRelu, &[conv, slope]).unwrap()
        });
        assert_eq!(fused(&graph), ["conv: Conv + PRelu [conv, prelu]"]);
    }

    #[test]
    fn what_others_read_or_kernels_cannot_end_with_stays() {
        let read_twice = network(|b, conv, _| {
            let relu = b.node("relu", Unary::Relu, &[conv]).unwrap();
            b.node("sum", Binary::Sub, &[relu, conv]).unwrap()
        });
        assert!(fused(&read_twice)[0].starts_with("conv: Conv [conv]"));
        let output = network(|b, conv, _| {
            b.output("conv", conv);
            b.node("relu", Unary::Relu, &[conv]).unwrap()
        });
        assert_eq!(fused(&output).len(), 2);
        let sine = network(|b, conv, _| b.node("sin", Unary::Sin, &[conv]).unwrap());
        assert_eq!(fused(&sine).len(), 2);
        let larger = network(|b, conv, _| {
            let batch = b.constant("batch", wave([3, 1, 1, 1, 1], 0.5));
            b.node("sum", Binary::Add, &[conv, batch]).unwrap()
        });
        assert_eq!(fused(&larger).len(), 2);
    }

    #[test]
    fn a_wrong_step_would_be_seen() {
        let run = |op: Unary| outputs(&network(|b, conv, _| b.node("f", op, &[conv]).unwrap()), &inputs(), None);
        assert!(difference(&run(Unary::Relu), &run(Unary::Tanh), Tolerance::accumulation(DType::F32)).is_some());
    }
}
