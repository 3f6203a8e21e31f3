//! Nodes that would keep a GPU longer than a driver's watchdog allows, as several on parts of their inputs.

use crate::error::Result;
use crate::graph::{Graph, Node, Value, ValueId};
use crate::ops::{Concat, Fused, Op, Split};

/// What one dispatch may compute: 1.6 s on a GPU that reaches 10 GFLOP/s, the slowest in use. Windows resets a GPU after 2 s.
const MAX_FLOPS: u64 = 16_000_000_000;

pub(super) fn run(graph: &mut Graph) -> Result<usize> {
    // Twice: one picture of a batch may be too much as well.
    Ok(bound(graph, MAX_FLOPS)? + bound(graph, MAX_FLOPS)?)
}

/// Cuts nodes of more than `most` operations where they can be: batches, rows of matrices, output channels.
fn bound(graph: &mut Graph, most: u64) -> Result<usize> {
    let mut kept = vec![];
    let mut changes = 0;
    for node in std::mem::take(&mut graph.nodes) {
        match cut(graph, &node, most)? {
            Some(cut) => {
                changes += 1;
                in_parts(graph, &node, &cut, &mut kept)?;
            }
            None => kept.push(node),
        }
    }
    graph.nodes = kept;
    Ok(changes)
}

/// How a node is cut: into how many parts, along which axis of its output, and the axis of each input that is cut along with it.
struct Cut {
    parts: usize,
    axis: usize,
    inputs: Vec<Option<usize>>,
}

fn cut(graph: &Graph, node: &Node, most: u64) -> Result<Option<Cut>> {
    let base = match &node.op {
        Op::Fused(Fused { base: Some(base), .. }) => base,
        op => op,
    };
    let ([Some(output)], true) = (&node.outputs[..], matches!(base, Op::Conv(_) | Op::ConvTranspose(_) | Op::Gemm(_) | Op::MatMul(_)))
    else {
        return Ok(None);
    };
    let flops = node.op.operator().flops(&graph.operands(node), &graph.output_types(node)?);
    if flops <= most {
        return Ok(None);
    }
    let shape = graph.tensor_type(*output).shape;
    let base_inputs = if let Op::Fused(fused) = &node.op { fused.base_inputs } else { node.inputs.len() };
    for (axis, of_base) in axes(base, graph, node) {
        let extent = shape[axis];
        // No part is beyond the limit, unless one position is.
        let part = (extent as u128 * u128::from(most) / u128::from(flops)).max(1) as usize;
        let parts = extent.div_ceil(part);
        if parts < 2 {
            continue;
        }
        let operand_axis = |id: &Option<ValueId>| {
            let operand = graph.tensor_type((*id)?).shape;
            let along = (axis + operand.rank()).checked_sub(shape.rank())?;
            (operand[along] == extent).then_some(along)
        };
        // What broadcasts to the output: the operands of what is fused, and the addend of a matrix product.
        let broadcast = if matches!(base, Op::Gemm(_) | Op::MatMul(_)) { 2 } else { base_inputs };
        let operands = node.inputs.iter().skip(broadcast).map(operand_axis);
        let inputs = of_base.into_iter().chain(std::iter::repeat(None)).take(broadcast).chain(operands).collect();
        return Ok(Some(Cut { parts, axis, inputs }));
    }
    Ok(None)
}

/// The axes of the output along which an operator can be cut, the best first, each with the axis of every input that goes with it.
fn axes(base: &Op, graph: &Graph, node: &Node) -> Vec<(usize, Vec<Option<usize>>)> {
    let shape = |index: usize| graph.tensor_type(node.inputs[index].expect("it has two inputs")).shape;
    match base {
        // Channels of a group go with their group; one group's are rows of the weight.
        Op::Conv(conv) if conv.groups == 1 => vec![(0, vec![Some(0)]), (1, vec![None, Some(0), Some(0)])],
        Op::Conv(_) | Op::ConvTranspose(_) => vec![(0, vec![Some(0)])],
        Op::Gemm(gemm) => vec![(0, vec![Some(usize::from(gemm.transpose_a))])],
        Op::MatMul(_) if shape(0).rank() > 1 && shape(1).rank() > 1 => {
            let (rank, of_a) = (shape(0).rank().max(shape(1).rank()), shape(0).rank());
            vec![(rank - 2, vec![Some(of_a - 2)])]
        }
        _ => vec![],
    }
}

/// Adds the parts of inputs, the nodes on them, and what puts their outputs together.
fn in_parts(graph: &mut Graph, node: &Node, cut: &Cut, kept: &mut Vec<Node>) -> Result<()> {
    let Cut { parts, axis, inputs: axes } = cut;
    let named = |graph: &mut Graph, name: String| graph.add_value(Value { name, ..Value::default() });
    let mut inputs: Vec<Vec<Option<ValueId>>> = vec![vec![]; *parts];
    for (index, (input, along)) in node.inputs.iter().zip(axes).enumerate() {
        let (Some(id), Some(along)) = (input, along) else {
            inputs.iter_mut().for_each(|part| part.push(*input));
            continue;
        };
        let outputs: Vec<_> = (0..*parts).map(|part| Some(named(graph, format!("{}/input{index}.{part}", node.name)))).collect();
        inputs.iter_mut().zip(&outputs).for_each(|(part, output)| part.push(*output));
        let name = format!("{}/split{index}", node.name);
        let split =
            Node { name, op: Split { axis: *along as i64 }.into(), inputs: vec![Some(*id)], outputs, origins: node.origins.clone() };
        graph.place(split, kept)?;
    }
    let mut outputs = vec![];
    for (part, inputs) in inputs.into_iter().enumerate() {
        let name = format!("{}/part{part}", node.name);
        let output = Some(named(graph, name.clone()));
        outputs.push(output);
        graph.place(Node { name, op: node.op.clone(), inputs, outputs: vec![output], origins: node.origins.clone() }, kept)?;
    }
    let concat = Concat { axis: *axis as i64 };
    let name = format!("{}/concat", node.name);
    graph.place(Node { name, op: concat.into(), inputs: outputs, outputs: node.outputs.clone(), origins: node.origins.clone() }, kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{GraphBuilder, InputSpec, Specialized};
    use crate::ops::{Binary, Conv, Gemm, MatMul, Step, Tolerance, Unary};
    use crate::optimize::testing::{difference, operators, wave};
    use crate::plan::{LowerOptions, lower};
    use crate::{DType, Tensor, cpu};

    /// A node on inputs of these shapes, those from `constants` on constant: itself, and cut at a limit; and what both compute.
    fn cut_at(most: u64, op: impl Into<Op>, shapes: &[&[usize]], constants: usize) -> Graph {
        let tensors: Vec<Tensor> = shapes.iter().zip(1..).map(|(shape, i)| wave(*shape, 0.17 * i as f32)).collect();
        let mut b = GraphBuilder::new("bound");
        let inputs: Vec<_> = tensors
            .iter()
            .enumerate()
            .map(|(i, tensor)| {
                let name = format!("i{i}");
                if i < constants { b.input(name, DType::F32, tensor.shape().iter().copied()) } else { b.constant(name, tensor.clone()) }
            })
            .collect();
        let y = b.node("y", op, &inputs).unwrap();
        b.output("y", y);
        let graph = b.finish().unwrap();
        let specs: Vec<_> = graph.inputs().iter().map(|id| InputSpec { ty: graph.value(*id).ty.clone().unwrap(), value: None }).collect();
        let Specialized::Graph(graph) = graph.specialize(&specs).unwrap() else { panic!("shapes are fixed") };
        let mut bounded = graph.clone();
        bound(&mut bounded, most).unwrap();
        bounded.check().unwrap();
        let views: Vec<_> = tensors.iter().take(constants).map(Tensor::view).collect();
        let run = |graph: &Graph| cpu::run(&lower(graph.clone(), None, &LowerOptions::default()).unwrap(), &views, None).unwrap();
        assert_eq!(difference(&run(&bounded), &run(&graph), Tolerance::accumulation(DType::F32)), None);
        bounded
    }

    #[test]
    fn small_nodes_stay() {
        assert_eq!(operators(&cut_at(1 << 40, Conv::default(), &[&[3, 4, 5, 7], &[6, 4, 3, 2]], 1)), ["Conv"]);
    }

    #[test]
    fn batches_first_then_output_channels() {
        let conv = || Conv::default();
        // 3 · 3 · 6 positions of 6 channels, 24 multiply-adds each.
        let batches = cut_at(6_000, conv(), &[&[3, 4, 5, 7], &[6, 4, 3, 2], &[6]], 1);
        assert_eq!(operators(&batches), ["Split", "Conv", "Conv", "Conv", "Concat"]);
        let channels = cut_at(2_900, conv(), &[&[1, 4, 5, 7], &[7, 4, 3, 2], &[7]], 1);
        // The weights are cut when they are constant, in parts of 3, 3 and 1 channels.
        assert_eq!(operators(&channels), ["Conv", "Conv", "Conv", "Concat"]);
        let grouped = Conv { groups: 2, ..Conv::default() };
        assert_eq!(operators(&cut_at(100, grouped, &[&[1, 4, 5, 7], &[6, 2, 3, 2]], 1)), ["Conv"]);
    }

    #[test]
    fn what_is_fused_goes_along() {
        let steps = vec![Step::Binary { op: Binary::Add, operand: 2, swapped: false }, Step::PRelu { slope: 3 }, Step::Unary(Unary::Relu)];
        let fused = Fused { base: Some(Box::new(Conv::default().into())), base_inputs: 2, steps };
        let graph = cut_at(3_000, fused.clone(), &[&[1, 4, 5, 7], &[7, 4, 3, 2], &[1, 7, 3, 6], &[7, 1, 1]], 3);
        assert_eq!(operators(&graph), ["Split", "Split", "Conv", "Conv", "Conv", "Concat"]);
        let graph = cut_at(6_000, fused, &[&[3, 4, 5, 7], &[6, 4, 3, 2], &[6, 3, 6], &[6, 1, 1]], 3);
        assert_eq!(operators(&graph), ["Split", "Conv", "Conv", "Conv", "Concat"]);
    }

    #[test]
    fn matrices_by_rows() {
        assert_eq!(
            operators(&cut_at(200, MatMul, &[&[2, 6, 5], &[5, 7]], 1)),
            ["Split", "MatMul", "MatMul", "MatMul", "MatMul", "MatMul", "MatMul", "Concat"]
        );
        let gemm = Gemm { transpose_a: true, ..Gemm::default() };
        // An addend for each column stays whole, one for each row and a whole one are cut.
        for (addend, cut) in [(&[7][..], 1), (&[1, 7], 1), (&[4, 1], 2), (&[4, 7], 2)] {
            let operators = operators(&cut_at(200, gemm, &[&[5, 4], &[5, 7], addend], 3));
            assert_eq!(operators.iter().filter(|op| **op == "Split").count(), cut, "{addend:?}");
            assert_eq!(operators.iter().filter(|op| **op == "Gemm").count(), 2, "{addend:?}");
        }
        assert_eq!(operators(&cut_at(200, gemm, &[&[5, 4], &[5, 7]], 1)), ["Split", "Gemm", "Gemm", "Concat"]);
    }
}
