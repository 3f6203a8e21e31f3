//! Nodes that hand an input on: whoever reads the output reads the input instead.

use super::forward::forward;
use super::known::Known;
use crate::error::Result;
use crate::graph::{Graph, Node, ValueId};
use crate::ops::{Cast, Op};

pub(super) fn run(graph: &mut Graph) -> Result<usize> {
    let known = Known::new(graph);
    Ok(forward(graph, |graph, _, node| {
        if let (Op::CastLike(_), [x, Some(like)]) = (&node.op, &node.inputs[..])
            && let Some(to) = known.dtype(*like)
        {
            (node.op, node.inputs) = (Cast { to }.into(), vec![*x]);
        }
        handed_on(graph, node, &known).map(|input| vec![input; node.outputs.len()])
    }))
}

/// The input that is the node's only output.
fn handed_on(graph: &Graph, node: &Node, known: &Known) -> Option<ValueId> {
    let input = (*node.inputs.first()?)?;
    let same = match &node.op {
        Op::Identity(_) => true,
        Op::Dropout(_) => {
            let training = node.inputs.get(2).copied().flatten().map(|id| graph.value(id).constant.as_ref());
            let known_off = training.is_none_or(|flag| flag.is_some_and(|flag| flag.to_f64().iter().all(|&flag| flag == 0.0)));
            known_off && node.outputs[1..].iter().all(Option::is_none)
        }
        Op::Cast(cast) => known.dtype(input) == Some(cast.to),
        _ => false,
    };
    same.then_some(input)
}

#[cfg(test)]
mod tests {
    use crate::graph::{Graph, ValueId};
    use crate::optimize::{Pass, testing};
    use crate::{DType, GraphBuilder, Tensor, ops};

    fn after(b: GraphBuilder) -> Graph {
        let graph = testing::after(b.finish().unwrap(), Pass::RemoveIdentities);
        graph.check().unwrap();
        graph
    }

    fn names(graph: &Graph, ids: &[ValueId]) -> Vec<String> {
        ids.iter().map(|id| graph.value(*id).name.clone()).collect()
    }

    #[test]
    fn readers_skip_identities() {
        let mut b = GraphBuilder::new("identities");
        let x = b.input("x", DType::F32, [2, 3]);
        let a = b.node("a", ops::Identity, &[x]).unwrap();
        let c = b.node("c", ops::Cast { to: DType::F32 }, &[a]).unwrap();
        let d = b.nodes("d", ops::Dropout::default(), &[Some(c)], 1).unwrap()[0];
        let y = b.node("y", ops::Unary::Relu, &[d]).unwrap();
        b.output("y", y);
        let graph = after(b);
        assert_eq!(graph.nodes().len(), 1);
        assert_eq!(graph.nodes()[0].inputs, [Some(x)]);
    }

    #[test]
    fn outputs_keep_their_names() {
        let mut b = GraphBuilder::new("outputs");
        let x = b.input("x", DType::F32, [2, 3]);
        let relu = b.node("relu", ops::Unary::Relu, &[x]).unwrap();
        let a = b.node("a", ops::Identity, &[relu]).unwrap();
        let y = b.node("y", ops::Identity, &[a]).unwrap();
        let z = b.node("z", ops::Identity, &[a]).unwrap();
        let direct = b.node("direct", ops::Identity, &[x]).unwrap();
        let exp = b.node("exp", ops::Unary::Exp, &[y]).unwrap();
        for (name, id) in [("y", y), ("z", z), ("direct", direct), ("exp", exp)] {
            b.output(name, id);
        }
        let graph = after(b);
        // relu writes `y`; `z` is a second name of it, `direct` one of the input.
        let made: Vec<_> =
            graph.nodes().iter().map(|node| (node.op.name(), names(&graph, &[node.outputs[0].unwrap()]).remove(0))).collect();
        assert_eq!(
            made,
            [("Relu", "y"), ("Identity", "z"), ("Identity", "direct"), ("Exp", "exp")].map(|(op, name)| (op, name.to_owned()))
        );
        assert_eq!(graph.nodes()[0].origins, ["relu", "a", "y"]);
        assert_eq!((graph.nodes()[1].inputs[0], graph.nodes()[3].inputs[0]), (graph.nodes()[0].outputs[0], graph.nodes()[0].outputs[0]));
        assert_eq!(names(&graph, graph.outputs()), ["y", "z", "direct", "exp"]);
    }

    #[test]
    fn what_changes_a_type_or_has_a_mask_stays() {
        let mut b = GraphBuilder::new("stays");
        let x = b.input("x", DType::F32, [2, 3]);
        let half = b.constant("half", Tensor::scalar(half::f16::ONE));
        let cast = b.node("cast", ops::CastLike, &[x, half]).unwrap();
        let dropped = b.nodes("dropped", ops::Dropout::default(), &[Some(x)], 2).unwrap();
        for (name, id) in [("y", cast), ("kept", dropped[0]), ("mask", dropped[1])] {
            b.output(name, id);
        }
        let graph = after(b);
        assert_eq!(graph.nodes().iter().map(|n| n.op.name()).collect::<Vec<_>>(), ["Cast", "Dropout"]);
    }
}
