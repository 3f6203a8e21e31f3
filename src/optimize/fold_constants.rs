//! Nodes that read constants alone are computed once, for all shapes.

use crate::error::Result;
use crate::graph::Graph;

/// What follows from input shapes too is folded later, by `Graph::specialize`.
pub(super) fn run(graph: &mut Graph) -> Result<usize> {
    let mut changes = 0;
    let nodes = std::mem::take(&mut graph.nodes);
    for node in nodes {
        let constant = !node.inputs.is_empty() && node.inputs.iter().flatten().all(|id| graph.value(*id).constant.is_some());
        match if constant { graph.fold(&node)? } else { None } {
            Some(folded) => {
                graph.set_constants(&node, folded);
                changes += 1;
            }
            None => graph.nodes.push(node),
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use crate::optimize::{Pass, testing};
    use crate::{DType, GraphBuilder, Tensor, ops};

    #[test]
    fn constant_nodes_become_constants() {
        let mut b = GraphBuilder::new("constants");
        let x = b.input("x", DType::F32, ["N".into(), crate::Dim::from(3)]);
        let w = b.constant("w", Tensor::vector(vec![-1f32, 0.5, 2.0]));
        let relu = b.node("relu", ops::Unary::Relu, &[w]).unwrap();
        let y = b.node("y", ops::Binary::Mul, &[x, relu]).unwrap();
        b.output("y", y);
        let graph = testing::after(b.finish().unwrap(), Pass::FoldConstants);
        assert_eq!(graph.nodes().len(), 1);
        assert_eq!(graph.value(relu).constant.as_ref().unwrap().data::<f32>().unwrap(), [0.0, 0.5, 2.0]);
    }
}
