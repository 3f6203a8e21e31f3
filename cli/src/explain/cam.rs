//! Class activation maps. Source: B. Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016.

use macula::ops::{Op, PoolKind, ReduceFunction};
use macula::{Graph, Node, Tensor, ValueId};

use super::{Heat, Method, Subject};
use crate::failure::Failure;

/// The end of a network that averages maps.
#[derive(Clone, PartialEq, Debug)]
pub struct Head {
    /// The name of the maps that are averaged.
    maps: String,
    /// The linear layer behind the average, `[classes, channels]`; without it, the maps are the classes'.
    weight: Option<Weight>,
}

#[derive(Clone, PartialEq, Debug)]
struct Weight {
    values: Vec<f64>,
    channels: usize,
}

/// The end of the network, if it averages maps and at most one linear layer with a constant weight follows.
pub fn head(graph: &Graph) -> Option<Head> {
    let mut value = *graph.outputs().first()?;
    let mut weight = None;
    loop {
        let node = graph.nodes().iter().find(|node| node.outputs.first() == Some(&Some(value)))?;
        let input = |at: usize| node.inputs.get(at).copied().flatten();
        let maps = |id: ValueId, weight| Some(Head { maps: graph.value(id).name.clone(), weight });
        match &node.op {
            Op::GlobalPool(pool) if pool.kind == PoolKind::Average => return maps(input(0)?, weight),
            // Whether all of a map is averaged is seen where its extents are known.
            Op::AveragePool(_) => return maps(input(0)?, weight),
            Op::Reduce(reduce) if reduce.function == ReduceFunction::Mean => return maps(input(0)?, weight),
            op if only_reshapes(op) => value = input(0)?,
            Op::Binary(macula::ops::Binary::Add) if weight.is_none() => {
                let (a, b) = (input(0)?, input(1)?);
                value = if graph.value(b).constant.is_some() { a } else { b };
            }
            _ if weight.is_none() => {
                weight = Some(linear(graph, node)?);
                value = input(0)?;
            }
            _ => return None,
        }
    }
}

/// Whether an operator keeps the order of a picture's scores, element by element.
fn only_reshapes(op: &Op) -> bool {
    matches!(
        op,
        Op::Reshape(_)
            | Op::Flatten(_)
            | Op::Squeeze(_)
            | Op::Unsqueeze(_)
            | Op::Identity(_)
            | Op::Cast(_)
            | Op::Dropout(_)
            | Op::Softmax(_)
    ) || matches!(op, Op::Unary(macula::ops::Unary::Sigmoid))
}

fn linear(graph: &Graph, node: &Node) -> Option<Weight> {
    let tensor: &Tensor = graph.value(node.inputs.get(1).copied().flatten()?).constant.as_ref()?;
    let dims = tensor.shape().dims();
    let (values, transposed) = match (&node.op, dims) {
        (Op::Gemm(gemm), [_, _]) if !gemm.transpose_a => (tensor.to_f64(), !gemm.transpose_b),
        (Op::MatMul(_), [_, _]) => (tensor.to_f64(), true),
        (Op::Conv(conv), [_, _, 1, 1]) if conv.groups == 1 => (tensor.to_f64(), false),
        _ => return None,
    };
    let (rows, columns) = (dims[0], dims[1]);
    if !transposed {
        return Some(Weight { values, channels: columns });
    }
    let values =
        (0..columns).flat_map(|column| (0..rows).map(move |row| (row, column))).map(|(row, column)| values[row * columns + column]);
    Some(Weight { values: values.collect(), channels: rows })
}

/// The maps, weighted by the class's row of the linear layer.
pub fn heat(subject: &Subject<'_>, head: &Head, prepared: &[f32], class: Option<usize>) -> Result<Heat, Failure> {
    let session = subject.session(&[&head.maps])?;
    let (probabilities, further) = subject.run(&session, prepared)?;
    let class = subject.class(class, &probabilities)?;
    // Where the maps are an output of the network already, they are not a further one.
    let [maps] = &further[..] else { return Err(none(subject)) };
    let [_, channels, height, width] = *maps.shape().dims() else { return Err(none(subject)) };
    let values = maps.to_f64();
    let map = |channel: usize| &values[channel * height * width..][..height * width];
    let heat: Vec<f64> = match &head.weight {
        None if channels == probabilities.len() => map(class).to_vec(),
        Some(weight) if weight.channels == channels && weight.values.len() == channels * probabilities.len() => {
            let row = &weight.values[class * channels..][..channels];
            (0..height * width).map(|at| row.iter().enumerate().map(|(channel, w)| w * map(channel)[at]).sum()).collect()
        }
        _ => return Err(none(subject)),
    };
    let heat = heat.into_iter().map(|v| v as f32).collect();
    Ok(Heat::new(Method::Cam, class, probabilities, heat, [height, width]))
}

fn none(subject: &Subject<'_>) -> Failure {
    Failure::failed(format!("{}: its maps are not averaged whole into one linear layer; use score-cam or occlusion", subject.model))
}

#[cfg(test)]
mod tests {
    use super::*;
    use macula::ops::{self, Binary, Unary};
    use macula::{DType, GraphBuilder};

    fn network(build: impl Fn(&mut GraphBuilder, ValueId) -> ValueId) -> Graph {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, [2, 3, 5, 4]);
        let maps = b.node("maps", Unary::Relu, &[x]).unwrap();
        let y = build(&mut b, maps);
        b.output("y", y);
        b.finish().unwrap()
    }

    fn average() -> ops::GlobalPool {
        ops::GlobalPool { kind: PoolKind::Average }
    }

    /// Two classes of three channels.
    const ROWS: [f32; 6] = [1., 2., 3., 4., 5., 6.];
    const COLUMNS: [f32; 6] = [1., 4., 2., 5., 3., 6.];

    fn expected() -> Option<Head> {
        Some(Head { maps: "maps".into(), weight: Some(Weight { values: ROWS.map(f64::from).to_vec(), channels: 3 }) })
    }

    #[test]
    fn linear_layers_of_every_form_are_found() {
        let flat = |b: &mut GraphBuilder, maps| {
            let mean = b.node("mean", average(), &[maps]).unwrap();
            b.node("flat", ops::Flatten { axis: 1 }, &[mean]).unwrap()
        };
        let gemm = network(|b, maps| {
            let (flat, w) = (flat(b, maps), b.constant("w", Tensor::new([2, 3], ROWS.to_vec()).unwrap()));
            b.node("fc", ops::Gemm { transpose_b: true, ..ops::Gemm::default() }, &[flat, w]).unwrap()
        });
        assert_eq!(head(&gemm), expected());
        let product = network(|b, maps| {
            let (flat, w) = (flat(b, maps), b.constant("w", Tensor::new([3, 2], COLUMNS.to_vec()).unwrap()));
            let product = b.node("fc", ops::MatMul, &[flat, w]).unwrap();
            let bias = b.constant("b", Tensor::new([2], vec![1f32, 2.0]).unwrap());
            let sum = b.node("sum", Binary::Add, &[bias, product]).unwrap();
            b.node("softmax", ops::Softmax { axis: 1, log: false, flatten: false }, &[sum]).unwrap()
        });
        assert_eq!(head(&product), expected());
        let convolution = network(|b, maps| {
            let mean = b.node("mean", average(), &[maps]).unwrap();
            let w = b.constant("w", Tensor::new([2, 3, 1, 1], ROWS.to_vec()).unwrap());
            let conv = b.node("fc", ops::Conv::default(), &[mean, w]).unwrap();
            b.node("flat", ops::Flatten { axis: 1 }, &[conv]).unwrap()
        });
        assert_eq!(head(&convolution), expected());
    }

    #[test]
    fn maps_of_classes_need_no_weight() {
        let pooled = network(|b, maps| b.node("mean", average(), &[maps]).unwrap());
        assert_eq!(head(&pooled), Some(Head { maps: "maps".into(), weight: None }));
    }

    #[test]
    fn other_ends_have_none() {
        let largest = network(|b, maps| b.node("max", ops::GlobalPool { kind: PoolKind::Max }, &[maps]).unwrap());
        assert_eq!(head(&largest), None);
        let two_layers = network(|b, maps| {
            let mean = b.node("mean", average(), &[maps]).unwrap();
            let w = b.constant("w", Tensor::new([3, 3, 1, 1], vec![1f32; 9]).unwrap());
            let first = b.node("first", ops::Conv::default(), &[mean, w]).unwrap();
            let bent = b.node("bent", Unary::Relu, &[first]).unwrap();
            b.node("second", ops::Conv::default(), &[bent, w]).unwrap()
        });
        assert_eq!(head(&two_layers), None);
        assert_eq!(head(&network(|b, maps| b.node("flat", ops::Flatten { axis: 1 }, &[maps]).unwrap())), None);
    }
}
