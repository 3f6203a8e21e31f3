//! Nodes that compute the same of the same: one of them is enough.

use std::collections::HashMap;

use super::forward::forward;
use crate::error::Result;
use crate::graph::{Graph, Node, ValueId};
use crate::shape::Shape;
use crate::tensor::DType;

/// Constants that are equal byte for byte become one, whoever reads them.
pub(super) fn run(graph: &mut Graph) -> Result<usize> {
    let mut constants = Constants::default();
    let mut first: HashMap<(String, Vec<Option<ValueId>>, Vec<bool>), Node> = HashMap::new();
    Ok(forward(graph, |graph, _, node| {
        node.inputs.iter_mut().flatten().for_each(|id| *id = constants.first(graph, *id));
        let written: Vec<bool> = node.outputs.iter().map(Option::is_some).collect();
        // Operators are compared whole below: some print the first elements of a tensor only.
        let key = (format!("{:?}", node.op), node.inputs.clone(), written);
        match first.get(&key) {
            Some(same) if same.op == node.op => Some(same.outputs.iter().map(|id| id.unwrap_or(ValueId(0))).collect()),
            Some(_) => None,
            None => {
                first.insert(key, node.clone());
                None
            }
        }
    }))
}

/// The first constant of each content.
#[derive(Default)]
struct Constants {
    first_of: HashMap<ValueId, ValueId>,
    alike: HashMap<(DType, Shape, Vec<u8>), Vec<ValueId>>,
}

impl Constants {
    /// The first constant equal to `id`, or `id` where it is none.
    fn first(&mut self, graph: &Graph, id: ValueId) -> ValueId {
        let Some(tensor) = &graph.value(id).constant else { return id };
        if let Some(first) = self.first_of.get(&id) {
            return *first;
        }
        // A sample of the bytes tells most weights apart without hashing all of them.
        let bytes = tensor.bytes();
        let sample = bytes.iter().step_by(bytes.len() / 256 + 1).copied().collect();
        let alike = self.alike.entry((tensor.dtype(), tensor.shape().clone(), sample)).or_default();
        let same = |other: &&ValueId| graph.value(**other).constant.as_ref().is_some_and(|other| other.bytes() == bytes);
        let first = alike.iter().find(same).copied().unwrap_or_else(|| {
            alike.push(id);
            id
        });
        self.first_of.insert(id, first);
        first
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::{self, Binary, Tolerance, Unary};
    use crate::optimize::{Pass, testing};
    use crate::{DType, GraphBuilder, Tensor};

    #[test]
    fn equal_nodes_are_computed_once() {
        let mut b = GraphBuilder::new("duplicates");
        let x = b.input("x", DType::F32, [2, 3]);
        let [c, d, other] = [("c", 2.0f32), ("d", 2.0), ("other", 2.5)].map(|(name, value)| b.constant(name, Tensor::full([3], value)));
        let sums = [("first", c), ("again", d), ("no", other)].map(|(name, c)| b.node(name, Binary::Add, &[x, c]).unwrap());
        let slopes = [("steep", 0.5), ("flat", 0.1), ("flat again", 0.1)];
        let [steep, flat, again] = slopes.map(|(name, alpha)| b.node(name, Unary::LeakyRelu { alpha }, &[sums[1]]).unwrap());
        let y = b.node("y", ops::Concat { axis: 0 }, &[sums[0], sums[1], sums[2], steep, flat, again]).unwrap();
        b.output("y", y);
        b.output("second", sums[1]);
        let graph = b.finish().unwrap();
        let merged = testing::after(graph.clone(), Pass::RemoveDuplicates);
        merged.check().unwrap();
        assert_eq!(merged.nodes().iter().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["first", "no", "steep", "flat", "y"]);
        assert_eq!(merged.nodes()[0].origins, ["first", "again"]);
        assert_eq!(merged.nodes()[3].origins, ["flat", "flat again"]);
        assert_eq!(merged.value(merged.nodes()[0].outputs[0].unwrap()).name, "second");
        testing::same_outputs(&graph, &[("x", testing::wave([2, 3], 0.7))], Pass::RemoveDuplicates, Tolerance::EXACT);
    }

    #[test]
    fn two_outputs_that_are_equal_keep_their_names() {
        let mut b = GraphBuilder::new("outputs");
        let x = b.input("x", DType::F32, [2, 3]);
        for name in ["a", "b"] {
            let y = b.node(name, Unary::Exp, &[x]).unwrap();
            b.output(name, y);
        }
        let splits = ["s", "t"].map(|name| b.nodes(name, ops::Split { axis: 1 }, &[Some(x)], 3).unwrap());
        for (at, id) in splits.concat().into_iter().enumerate() {
            b.output(format!("part{at}"), id);
        }
        let graph = b.finish().unwrap();
        let merged = testing::after(graph.clone(), Pass::RemoveDuplicates);
        assert_eq!(merged.nodes().iter().map(|n| n.op.name()).collect::<Vec<_>>(), ["Exp", "Identity", "Split", "Split"]);
        testing::same_outputs(&graph, &[("x", testing::wave([2, 3], 0.7))], Pass::RemoveDuplicates, Tolerance::EXACT);
    }
}
