//! `Pad` with zeros before windows that could pad themselves.

use super::pattern::Index;
use crate::error::Result;
use crate::graph::{Graph, Node, ValueId};
use crate::ops::{AveragePool, Conv, Op, Operands, Pad, PadMode, Padding, Spatial};
use crate::shape::Shape;

/// Convolutions read zeros around their input either way; averages do where what is padded counts.
pub(super) fn run(graph: &mut Graph) -> Result<usize> {
    let index = Index::new(graph);
    let mut changes = 0;
    for at in 0..graph.nodes.len() {
        let Some((pad, op)) = padded(graph, &index, &graph.nodes[at]) else { continue };
        let Node { inputs, origins, .. } = graph.nodes[pad].clone();
        let node = &mut graph.nodes[at];
        (node.op, node.inputs[0]) = (op, inputs[0]);
        node.origins.splice(0..0, origins);
        changes += 1;
    }
    Ok(changes)
}

/// The position of the `Pad` that a node reads, and the operator that pads as well.
fn padded(graph: &Graph, index: &Index, node: &Node) -> Option<(usize, Op)> {
    let axes = match &node.op {
        Op::Conv(_) => graph.value((*node.inputs.get(1)?)?).constant.as_ref()?.shape().rank().checked_sub(2)?,
        Op::AveragePool(pool) => pool.window.kernel_size.len(),
        _ => return None,
    };
    let pad = index.maker((*node.inputs.first()?)?)?;
    let added = zeros(graph, &graph.nodes[pad], axes)?;
    let op = match node.op {
        Op::Conv(conv) => Conv { padding: sum(conv.padding, added)?, ..conv }.into(),
        Op::AveragePool(mut pool) => {
            // Without padding of its own, nothing says yet whether it counts; a last window that starts in zeros is dropped in padding.
            let own = is_padded(pool.window.padding);
            if pool.window.ceil_mode || own && !pool.count_include_pad {
                return None;
            }
            pool.window.padding = sum(pool.window.padding, added)?;
            AveragePool { count_include_pad: true, ..pool }.into()
        }
        _ => return None,
    };
    Some((pad, op))
}

/// How many zeros a `Pad` adds before and after each spatial axis, where it does nothing else.
fn zeros(graph: &Graph, node: &Node, axes: usize) -> Option<[Spatial; 2]> {
    let Op::Pad(Pad { mode: PadMode::Constant }) = node.op else { return None };
    let constant = |index: usize| node.inputs.get(index).copied().flatten().map(|id: ValueId| graph.value(id).constant.as_ref());
    if !constant(2).is_none_or(|fill| fill.is_some_and(|fill| fill.to_f64() == [0.0])) {
        return None;
    }
    // A shape of the right rank, from which nothing can be cropped: all that counts is what is added.
    let shape: Shape = vec![0; axes + 2].into();
    let given = [constant(1), constant(3)];
    if given[0].flatten().is_none() || given[1].is_some_and(|axes| axes.is_none()) {
        return None;
    }
    let operands: Vec<Option<_>> = [None, given[0].flatten(), None, given[1].flatten()].to_vec();
    let padded = Pad { mode: PadMode::Constant }.axes(&shape, &Operands::of(&operands, 1)).ok()?;
    let outer = padded[..2].iter().all(|axis| axis.before == 0 && axis.after == 0);
    let side = |of: fn(&crate::ops::movement::PadAxis) -> usize| Spatial::from_slice(&padded[2..].iter().map(of).collect::<Vec<_>>());
    if outer { Some([side(|axis| axis.before)?, side(|axis| axis.after)?]) } else { None }
}

fn is_padded(padding: Padding) -> bool {
    match padding {
        Padding::Valid => false,
        Padding::Explicit { before, after } => before.iter().chain(after.iter()).any(|&n| n != 0),
        _ => true,
    }
}

/// A window's own padding and what is added around its input; `None` where its own follows from the input's extents.
fn sum(own: Padding, [before, after]: [Spatial; 2]) -> Option<Padding> {
    let add = |a: Spatial, b: Spatial| {
        let sums = a.iter().zip(b.iter()).map(|(a, b)| a.checked_add(*b)).collect::<Option<Vec<_>>>()?;
        if a.len() == b.len() { Spatial::from_slice(&sums) } else { None }
    };
    match own {
        Padding::Valid => Some(Padding::Explicit { before, after }),
        Padding::Explicit { before: own_before, after: own_after } => {
            Some(Padding::Explicit { before: add(own_before, before)?, after: add(own_after, after)? })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Tolerance, Window};
    use crate::optimize::{Pass, testing};
    use crate::{DType, GraphBuilder, Tensor};

    /// `Pad` of `[2, 3, 6, 9]`, then what `reader` adds.
    fn network(pads: &[i64], fill: Option<f32>, reader: impl FnOnce(&mut GraphBuilder, ValueId) -> ValueId) -> Graph {
        let mut b = GraphBuilder::new("pad");
        let x = b.input("x", DType::F32, [2, 3, 6, 9]);
        let pads = b.constant("pads", Tensor::vector(pads.to_vec()));
        let fill = fill.map(|value| b.constant("fill", Tensor::scalar(value)));
        let inputs = [Some(x), Some(pads), fill];
        let padded = b.nodes("pad", Pad { mode: PadMode::Constant }, &inputs[..2 + usize::from(fill.is_some())], 1).unwrap()[0];
        let y = reader(&mut b, padded);
        b.output("y", y);
        b.finish().unwrap()
    }

    fn conv(b: &mut GraphBuilder, x: ValueId, padding: Padding) -> ValueId {
        let w = b.constant("w", testing::wave([4, 3, 3, 2], 0.7));
        b.node("conv", Conv { padding, stride: Some([2, 1].into()), ..Conv::default() }, &[x, w]).unwrap()
    }

    fn average(padding: Padding, count_include_pad: bool, ceil_mode: bool) -> AveragePool {
        let ones = Spatial::splat(2, 1);
        let window = Window { kernel_size: [3, 2].into(), stride: [2, 3].into(), dilation: ones, padding, ceil_mode };
        AveragePool { window, count_include_pad }
    }

    fn own() -> Padding {
        Padding::Explicit { before: [1, 0].into(), after: [0, 1].into() }
    }

    const PADS: &[i64] = &[0, 0, 1, 2, 0, 0, 3, 0];

    fn check(graph: &Graph, folds: bool) {
        let after = testing::after(graph.clone(), Pass::FoldPad);
        assert_eq!(after.nodes().len() < graph.nodes().len(), folds, "{:?}", testing::operators(&after));
        if folds {
            assert_eq!(after.nodes()[0].origins[0], "pad");
        }
        testing::same_outputs(graph, &[("x", testing::wave([2, 3, 6, 9], 0.37))], Pass::FoldPad, Tolerance::accumulation(DType::F32));
    }

    #[test]
    fn convolutions_pad_themselves() {
        for padding in [Padding::Valid, own()] {
            check(&network(PADS, None, |b, x| conv(b, x, padding)), true);
        }
        check(&network(PADS, Some(0.0), |b, x| conv(b, x, own())), true);
        let graph = network(PADS, None, |b, x| conv(b, x, own()));
        let expected = Padding::Explicit { before: [2, 2].into(), after: [3, 1].into() };
        let Op::Conv(folded) = testing::after(graph, Pass::FoldPad).nodes()[0].op else { panic!("no convolution") };
        assert_eq!(folded.padding, expected);
    }

    #[test]
    fn what_is_no_padding_with_zeros_stays() {
        check(&network(PADS, Some(0.5), |b, x| conv(b, x, Padding::Valid)), false);
        check(&network(PADS, None, |b, x| conv(b, x, Padding::SameUpper)), false);
        check(&network(&[0, 0, -1, 2, 0, 0, 3, 0], None, |b, x| conv(b, x, Padding::Valid)), false);
        check(&network(&[1, 0, 1, 2, 0, 0, 3, 0], None, |b, x| conv(b, x, Padding::Valid)), false);
    }

    #[test]
    fn averages_count_what_pad_added() {
        for (pool, folds) in [
            (average(Padding::Valid, false, false), true),
            (average(own(), true, false), true),
            (average(own(), false, false), false),
            (average(Padding::Valid, false, true), false),
        ] {
            check(&network(PADS, None, |b, x| b.node("pool", pool, &[x]).unwrap()), folds);
        }
    }

    #[test]
    fn every_reader_pads() {
        let graph = network(PADS, None, |b, x| {
            let (a, c) = (conv(b, x, own()), b.node("pool", average(Padding::Valid, true, false), &[x]).unwrap());
            b.output("a", a);
            c
        });
        check(&graph, true);
    }
}
