//! Nodes that change nothing at these shapes, views of views, transpositions of transpositions, and `Expand` before what broadcasts.

use super::forward::{Kept, forward};
use super::pattern::Index;
use crate::error::Result;
use crate::graph::{Graph, Node, ValueId};
use crate::ops::{Binary, Op, Reshape, Transpose};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// What adds 0 is removed too: the sign of a zero is not kept.
pub(super) fn run(graph: &mut Graph) -> Result<usize> {
    let index = Index::new(graph);
    let mut merged = 0;
    let removed = forward(graph, |graph, kept, node| {
        merged += usize::from(merge(graph, kept, &index, node) || broadcast(graph, kept, &index, node));
        unchanged(graph, node).map(|input| vec![input; node.outputs.len()])
    });
    Ok(removed + merged)
}

fn is_view(op: &Op) -> bool {
    matches!(op, Op::Reshape(_) | Op::Flatten(_) | Op::Squeeze(_) | Op::Unsqueeze(_) | Op::Identity(_))
}

/// Has a view or a transposition read what the one before it reads. A transposition that moves axes of extent 1 alone is a view.
fn merge(graph: &mut Graph, kept: &mut Kept, index: &Index, node: &mut Node) -> bool {
    let (Some(Some(input)), [Some(output)]) = (node.inputs.first().copied(), &node.outputs[..]) else { return false };
    let (input, shape) = (input, graph.tensor_type(*output).shape);
    let mut changed = false;
    if let (Op::Transpose(outer), Some(Op::Transpose(inner))) = (&node.op, kept.maker(input).map(|before| &before.op))
        && let Some(permutation) = composed(inner, outer, shape.rank())
    {
        node.op = Transpose { permutation }.into();
        kept.skip(index, node, 0);
        changed = true;
    }
    let Some(input) = node.inputs[0] else { return changed };
    let of = graph.tensor_type(input).shape;
    let moves_nothing = matches!(&node.op, Op::Transpose(transpose) if keeps_order(transpose, &of));
    let after_view = kept.maker(input).is_some_and(|before| is_view(&before.op));
    if of == shape || !(moves_nothing || after_view && is_view(&node.op)) {
        return changed;
    }
    if after_view {
        kept.skip(index, node, 0);
    }
    let extents = shape.iter().map(|&extent| extent as i64).collect();
    let target = graph.add_constant(format!("{}.shape", node.name), Tensor::vector(extents));
    (node.op, node.inputs) = (Reshape { allow_zero: true }.into(), vec![node.inputs[0], Some(target)]);
    true
}

/// Has an operator that broadcasts read what `Expand` reads before it, where the other operand has all extents.
fn broadcast(graph: &Graph, kept: &mut Kept, index: &Index, node: &mut Node) -> bool {
    let (Op::Binary(_) | Op::Comparison(_), [Some(a), Some(b)], [Some(output)]) = (&node.op, &node.inputs[..], &node.outputs[..]) else {
        return false;
    };
    let (shape, operands) = (graph.tensor_type(*output).shape, [*a, *b]);
    let expanded = |at: usize| {
        let before = kept.maker(operands[at]).filter(|before| matches!(before.op, Op::Expand(_)))?;
        let (source, other) = (graph.tensor_type(before.inputs[0]?).shape, graph.tensor_type(operands[1 - at]).shape);
        (source.broadcast(&other) == Some(shape.clone())).then_some(at)
    };
    let Some(at) = expanded(0).or_else(|| expanded(1)) else { return false };
    kept.skip(index, node, at);
    true
}

/// The permutation of `inner`, then `outer`.
fn composed(inner: &Transpose, outer: &Transpose, rank: usize) -> Option<Vec<usize>> {
    let (inner, outer) = (inner.axes(rank).ok()?, outer.axes(rank).ok()?);
    Some(outer.into_iter().map(|axis| inner[axis]).collect())
}

/// Whether the axes with more than one element stay in order, and with them all elements.
fn keeps_order(transpose: &Transpose, shape: &Shape) -> bool {
    transpose.axes(shape.rank()).is_ok_and(|axes| axes.into_iter().filter(|&axis| shape[axis] != 1).is_sorted())
}

/// The input that equals the node's output.
fn unchanged(graph: &Graph, node: &Node) -> Option<ValueId> {
    let output = (*node.outputs.first()?)?;
    if node.outputs[1..].iter().any(Option::is_some) {
        return None;
    }
    if let (Op::Binary(op), [Some(a), Some(b)]) = (&node.op, &node.inputs[..]) {
        let x = neutral(graph, *op, *a, *b)?;
        return (graph.tensor_type(x) == graph.tensor_type(output)).then_some(x);
    }
    let input = (*node.inputs.first()?)?;
    let ty = graph.tensor_type(input);
    if ty != graph.tensor_type(output) {
        return None;
    }
    let operands = graph.operands(node);
    let is_one = |spatial: &[usize]| spatial.iter().all(|&n| n == 1);
    let same = match &node.op {
        op if is_view(op) => true,
        Op::Cast(_) | Op::Expand(_) | Op::GlobalPool(_) | Op::Tile(_) => true,
        Op::Concat(_) => node.inputs.len() == 1,
        Op::Split(_) => node.outputs.len() == 1,
        Op::Transpose(transpose) => keeps_order(transpose, &ty.shape),
        Op::Slice(slice) => slice.axes(&ty.shape, &operands).ok()?.iter().all(|axis| axis.step == 1),
        Op::Pad(pad) => pad.axes(&ty.shape, &operands).ok()?.iter().all(|axis| axis.before == 0 && axis.after == 0),
        Op::Resize(resize) => resize.resized(&operands).ok()?.iter().all(|axis| axis.is_kept()),
        Op::AveragePool(pool) => is_one(&pool.window.kernel_size) && is_one(&pool.window.stride),
        Op::MaxPool(pool) => is_one(&pool.window.kernel_size) && is_one(&pool.window.stride),
        Op::Reduce(reduce) => reduce.function.keeps_one(),
        _ => false,
    };
    same.then_some(input)
}

/// `x`, for `x · 1`, `x ÷ 1`, `x + 0`, `x − 0` and `x` to the power 1.
fn neutral(graph: &Graph, op: Binary, a: ValueId, b: ValueId) -> Option<ValueId> {
    let holds = |id: ValueId, value: f64| {
        let Some(tensor) = &graph.value(id).constant else { return false };
        let number = Tensor::from_f64(tensor.dtype(), Shape::scalar(), vec![value]);
        number.is_ok_and(|number| tensor.bytes().chunks_exact(tensor.dtype().size()).all(|element| element == number.bytes()))
    };
    match op {
        Binary::Mul | Binary::Div | Binary::Pow if holds(b, 1.0) => Some(a),
        Binary::Add | Binary::Sub if holds(b, 0.0) => Some(a),
        Binary::Mul if holds(a, 1.0) => Some(b),
        Binary::Add if holds(a, 0.0) => Some(b),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
