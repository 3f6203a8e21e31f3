//! Chains of elementwise operators into one node, which is one pass over the elements.

use super::chains::{Chain, Chains};
use crate::error::Result;
use crate::graph::Graph;
use crate::ops::Fused;

pub(super) fn run(graph: &mut Graph) -> Result<usize> {
    let mut chains = Chains::new(graph);
    let mut changes = 0;
    for at in 0..chains.graph().nodes.len() {
        let Some(mut chain) = start(&chains, at).filter(|_| chains.is_free(at)) else { continue };
        let shape = chains.shape(chain.output);
        chains.extend(&mut chain, |steps, inputs| {
            Fused::fits_elementwise(steps, &shape, |i| chains.shape(inputs[i].expect("operands are given")))
        });
        if chain.steps.len() > 1 {
            changes += chain.steps.len() - 1;
            let op = Fused { base: None, base_inputs: 1, steps: chain.steps.clone() };
            chains.merge(chain, op);
        }
    }
    Ok(changes)
}

/// The node at `at` as the first step of a chain, on whichever of its inputs has the output's shape.
fn start(chains: &Chains<'_>, at: usize) -> Option<Chain> {
    let node = &chains.graph().nodes[at];
    let [Some(output)] = node.outputs[..] else { return None };
    let shape = chains.shape(output);
    let first = |v: crate::ValueId| {
        let (step, operand) = chains.step(at, v, 1)?;
        let inputs: Vec<_> = [Some(v)].into_iter().chain(operand.map(Some)).collect();
        let operand_shape = |i: usize| chains.shape(inputs[i].expect("operands are given"));
        let fits = Fused::fits_elementwise(&[step], &shape, operand_shape);
        fits.then(|| Chain { nodes: vec![at], steps: vec![step], inputs: inputs.clone(), output })
    };
    node.inputs.iter().flatten().find_map(|&v| first(v))
}

#[cfg(test)]
mod tests {
    use crate::graph::GraphBuilder;
    use crate::ops::{Binary, Tolerance, Unary};
    use crate::optimize::Pass;
    use crate::optimize::testing::{after, same_outputs, title, wave};
    use crate::{DType, Graph, Tensor, ValueId};

    /// Values away from 0, by which chains divide.
    fn positive<const N: usize>(shape: [usize; N], step: f32) -> Tensor {
        let wave = wave(shape, step);
        Tensor::of(shape, wave.data::<f32>().unwrap().iter().map(|x| x + 2.0).collect())
    }

    fn network(build: impl FnOnce(&mut GraphBuilder, ValueId, ValueId) -> ValueId) -> Graph {
        let mut b = GraphBuilder::new("chains");
        let x = b.input("x", DType::F32, [2, 3, 5, 7]);
        let channel = b.input("channel", DType::F32, [3, 1, 1]);
        let y = build(&mut b, x, channel);
        b.output("y", y);
        b.finish().unwrap()
    }

    fn fused(graph: &Graph) -> Vec<String> {
        let inputs = [("x", positive([2, 3, 5, 7], 0.37)), ("channel", positive([3, 1, 1], 0.23))];
        same_outputs(graph, &inputs, Pass::FuseElementwise, Tolerance::rounding(DType::F32));
        after(graph.clone(), Pass::FuseElementwise).nodes().iter().map(title).collect()
    }

    #[test]
    fn operators_and_functions_with_operands_on_either_side() {
        let graph = network(|b, x, channel| {
            let difference = b.node("difference", Binary::Sub, &[channel, x]).unwrap();
            let quotient = b.node("quotient", Binary::Div, &[difference, channel]).unwrap();
            let exp = b.node("exp", Unary::Exp, &[quotient]).unwrap();
            b.node("product", Binary::Mul, &[x, exp]).unwrap()
        });
        assert_eq!(fused(&graph), ["difference: Sub + Div + Exp + Mul [difference, quotient, exp, product]"]);
    }

    #[test]
    fn long_chains_are_cut() {
        let graph = network(|b, x, _| (0..9).fold(x, |v, i| b.node(format!("f{i}"), Unary::Sin, &[v]).unwrap()));
        let lengths: Vec<_> = fused(&graph).iter().map(|title| title.matches("Sin").count()).collect();
        assert_eq!(lengths, [6, 3]);
    }

    #[test]
    fn operands_that_alternate_stay() {
        let graph = network(|b, x, _| {
            let column = b.constant("column", positive([2, 1, 5, 1], 0.3));
            let sum = b.node("sum", Binary::Add, &[x, column]).unwrap();
            let relu = b.node("relu", Unary::Relu, &[sum]).unwrap();
            b.node("square", Binary::Mul, &[relu, relu]).unwrap()
        });
        assert_eq!(fused(&graph), ["sum: Add [sum]", "relu: Relu [relu]", "square: Mul [square]"]);
    }
}
