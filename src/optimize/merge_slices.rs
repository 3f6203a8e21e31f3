//! A slice of a slice: one slice of what the first one reads.

use super::forward::{Kept, forward};
use super::pattern::Index;
use crate::error::Result;
use crate::graph::{Graph, Node};
use crate::ops::movement::SliceAxis;
use crate::ops::{Op, Slice};
use crate::tensor::Tensor;

pub(super) fn run(graph: &mut Graph) -> Result<usize> {
    let index = Index::new(graph);
    let mut merged = 0;
    forward(graph, |graph, kept, node| {
        merged += usize::from(merge(graph, kept, &index, node));
        None
    });
    Ok(merged)
}

/// What a slice with constant bounds takes of each axis of its input, where it walks forward.
fn taken(graph: &Graph, node: &Node) -> Option<Vec<SliceAxis>> {
    let Op::Slice(slice) = &node.op else { return None };
    let operands = graph.operands(node);
    let axes = slice.axes(operands.get(0)?.shape, &operands).ok()?;
    axes.iter().all(|axis| axis.step > 0 && axis.len > 0).then_some(axes)
}

/// Has a slice read what the slice before it reads. That one goes when nobody else reads it.
fn merge(graph: &mut Graph, kept: &mut Kept, index: &Index, node: &mut Node) -> bool {
    let Some(before) = node.inputs.first().copied().flatten().and_then(|input| kept.maker(input)) else { return false };
    let (Some(inner), Some(outer)) = (taken(graph, before), taken(graph, node)) else { return false };
    kept.skip(index, node, 0);
    let bounds = inner.iter().zip(&outer).map(|(inner, outer)| {
        let start = inner.start as i64 + inner.step * outer.start as i64;
        let step = inner.step * outer.step;
        (start, start + step * (outer.len as i64 - 1) + 1, step)
    });
    let (mut starts, mut ends, mut steps) = (vec![], vec![], vec![]);
    for (start, end, step) in bounds {
        starts.push(start);
        ends.push(end);
        steps.push(step);
    }
    let axes = (0..starts.len() as i64).collect();
    let mut constant = |what: &str, values: Vec<i64>| Some(graph.add_constant(format!("{}.{what}", node.name), Tensor::vector(values)));
    node.inputs =
        vec![node.inputs[0], constant("starts", starts), constant("ends", ends), constant("axes", axes), constant("steps", steps)];
    node.op = Slice.into();
    true
}

#[cfg(test)]
mod tests {
    use crate::graph::{GraphBuilder, ValueId};
    use crate::ops::{Concat, Slice, Tolerance};
    use crate::optimize::Pass;
    use crate::optimize::testing::{after, operators, same_outputs, title, wave};
    use crate::{DType, Graph, Tensor};

    fn slice(b: &mut GraphBuilder, name: &str, x: ValueId, [axis, start, end, step]: [i64; 4]) -> ValueId {
        let constants = [("start", start), ("end", end), ("axis", axis), ("step", step)];
        let constants = constants.map(|(what, value)| b.constant(format!("{name}.{what}"), Tensor::vector(vec![value])));
        b.node(name, Slice, &[&[x][..], &constants].concat()).unwrap()
    }

    fn checked(build: impl FnOnce(&mut GraphBuilder, ValueId) -> ValueId) -> Vec<&'static str> {
        let mut b = GraphBuilder::new("slices");
        let x = b.input("x", DType::F32, [2, 3, 9, 10]);
        let y = build(&mut b, x);
        b.output("y", y);
        let graph: Graph = b.finish().unwrap();
        same_outputs(&graph, &[("x", wave([2, 3, 9, 10], 0.3))], Pass::MergeSlices, Tolerance::EXACT);
        operators(&after(graph, Pass::MergeSlices))
    }

    #[test]
    fn rows_then_columns_and_a_range_of_a_range() {
        assert_eq!(
            checked(|b, x| {
                let rows = slice(b, "rows", x, [2, 1, i64::MAX, 2]);
                slice(b, "columns", rows, [3, 0, -1, 3])
            }),
            ["Slice"]
        );
        assert_eq!(
            checked(|b, x| {
                let first = slice(b, "first", x, [3, 1, 9, 2]);
                let second = slice(b, "second", first, [3, -3, 4, 2]);
                slice(b, "third", second, [1, 1, 3, 1])
            }),
            ["Slice"]
        );
    }

    #[test]
    fn a_merged_slice_stands_for_both() {
        let mut b = GraphBuilder::new("slices");
        let x = b.input("x", DType::F32, [2, 3, 9, 10]);
        let rows = slice(&mut b, "rows", x, [2, 0, 8, 2]);
        let y = slice(&mut b, "columns", rows, [3, 0, 5, 1]);
        b.output("y", y);
        let graph = after(b.finish().unwrap(), Pass::MergeSlices);
        assert_eq!(graph.nodes().iter().map(title).collect::<Vec<_>>(), ["columns: Slice [rows, columns]"]);
    }

    #[test]
    fn several_readers_each_take_their_part() {
        let operators = checked(|b, x| {
            let rows = slice(b, "rows", x, [2, 0, 8, 2]);
            let halves = [slice(b, "left", rows, [3, 0, 5, 1]), slice(b, "right", rows, [3, 5, 10, 1])];
            b.node("both", Concat { axis: 1 }, &halves).unwrap()
        });
        assert_eq!(operators, ["Slice", "Slice", "Concat"]);
    }

    #[test]
    fn what_walks_backwards_stays() {
        let operators = checked(|b, x| {
            let back = slice(b, "back", x, [3, -1, i64::MIN, -1]);
            slice(b, "front", back, [3, 0, 4, 1])
        });
        assert_eq!(operators, ["Slice", "Slice"]);
    }
}
