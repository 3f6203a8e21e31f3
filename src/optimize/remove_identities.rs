//! Identity and Dropout: whoever reads the output reads the input instead.

use super::replace_uses;
use crate::error::Result;
use crate::graph::Graph;
use crate::ops::Op;

/// Graph outputs keep their node: it gives the value its second name, at no cost (it is a view).
pub(super) fn run(graph: &mut Graph) -> Result<usize> {
    let mut changes = 0;
    for at in 0..graph.nodes.len() {
        let node = &graph.nodes[at];
        if let (Op::Identity(_), [Some(input)], [Some(output)]) = (&node.op, &node.inputs[..], &node.outputs[..]) {
            let (input, output) = (*input, *output);
            changes += usize::from(replace_uses(graph, output, input) > 0);
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use crate::optimize::{Pass, testing};
    use crate::{DType, GraphBuilder, ops};

    #[test]
    fn readers_skip_identities() {
        let mut b = GraphBuilder::new("identities");
        let x = b.input("x", DType::F32, [2, 3]);
        let a = b.node("a", ops::Identity, &[x]).unwrap();
        let c = b.node("c", ops::Identity, &[a]).unwrap();
        let y = b.node("y", ops::Unary::Relu, &[c]).unwrap();
        b.output("y", y);
        let graph = testing::after(b.finish().unwrap(), Pass::RemoveIdentities);
        assert_eq!(graph.nodes().len(), 1);
        assert_eq!(graph.nodes()[0].inputs, [Some(x)]);
    }
}
