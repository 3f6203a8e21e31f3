use crate::graph::{Graph, ValueId};
use crate::ops::{self, Binary, Op, Padding, Reduce, ReduceFunction, Spatial, Tolerance, Unary, Window};
use crate::optimize::{Pass, testing};
use crate::{DType, GraphBuilder, Tensor};

const SHAPE: [usize; 4] = [2, 3, 5, 7];

/// `exp(x)` between `tanh` before and `abs` behind what `middle` adds, so that nothing is an input or an output of the network.
fn network(dims: &[usize], middle: impl FnOnce(&mut GraphBuilder, ValueId) -> ValueId) -> Graph {
    let mut b = GraphBuilder::new("no-ops");
    let x = b.input("x", DType::F32, dims.to_vec());
    let before = b.node("before", Unary::Tanh, &[x]).unwrap();
    let value = middle(&mut b, before);
    let y = b.node("behind", Unary::Abs, &[value]).unwrap();
    b.output("y", y);
    b.finish().unwrap()
}

/// The operators that are left, `Tanh` and `Abs` apart; and that outputs are the same.
fn left(graph: &Graph) -> Vec<&'static str> {
    let dims = graph.value(graph.inputs()[0]).ty.clone().unwrap().shape;
    testing::same_outputs(graph, &[("x", testing::wave(dims, 0.37))], Pass::RemoveNoOps, Tolerance::EXACT);
    let after = testing::after(graph.clone(), Pass::RemoveNoOps);
    let operators = testing::operators(&after);
    assert_eq!((operators[0], operators[operators.len() - 1]), ("Tanh", "Abs"));
    operators[1..operators.len() - 1].to_vec()
}

fn node(op: impl Into<Op>, constants: Vec<Tensor>) -> Graph {
    network(&SHAPE, |b, x| {
        let constants = constants.into_iter().enumerate().map(|(at, c)| b.constant(format!("c{at}"), c)).collect::<Vec<_>>();
        b.node("node", op, &[vec![x], constants].concat()).unwrap()
    })
}

fn integers(values: &[i64]) -> Tensor {
    Tensor::vector(values.to_vec())
}

fn pool(kernel: usize, stride: usize) -> Window {
    let all = |n| Spatial::splat(2, n);
    Window {
        kernel_size: all(kernel),
        stride: all(stride),
        dilation: all(1),
        padding: Padding::symmetric(all(kernel / 2)),
        ceil_mode: false,
    }
}

fn mean(axis: i64) -> (Reduce, Vec<Tensor>) {
    (Reduce { function: ReduceFunction::Mean, keep_dims: true, noop_with_empty_axes: false }, vec![integers(&[axis])])
}

#[test]
fn nodes_that_change_nothing_go() {
    let ones = |shape: &[usize]| vec![Tensor::full(shape, 1f32)];
    let zeros = |shape: &[usize]| vec![Tensor::full(shape, 0f32)];
    let sizes: Vec<i64> = SHAPE.iter().map(|&n| n as i64).collect();
    let (none, scales) = (Tensor::vector(Vec::<f32>::new()), |s: f32| Tensor::vector(vec![1.0, 1.0, 1.0, s]));
    let go: Vec<Graph> = vec![
        node(ops::Reshape::default(), vec![integers(&[0, 3, -1, 7])]),
        node(ops::Expand, vec![integers(&[1, 5, 7])]),
        node(ops::Tile, vec![integers(&[1, 1, 1, 1])]),
        node(ops::Slice, vec![integers(&[0, -9]), integers(&[99, 5]), integers(&[1, 2])]),
        node(ops::Pad { mode: ops::PadMode::Reflect }, vec![integers(&[0; 8])]),
        node(ops::Concat { axis: 1 }, vec![]),
        node(ops::Split { axis: 1 }, vec![]),
        node(ops::Resize::default(), vec![none.clone(), scales(1.0)]),
        node(ops::Resize::default(), vec![none.clone(), none.clone(), integers(&sizes)]),
        node(ops::AveragePool { window: pool(1, 1), count_include_pad: false }, vec![]),
        node(ops::MaxPool { window: pool(1, 1), column_major: false }, vec![]),
        node(Binary::Mul, ones(&[])),
        node(Binary::Div, ones(&[3, 1, 1])),
        node(Binary::Pow, ones(&[1])),
        node(Binary::Add, zeros(&[2, 3, 5, 7])),
        node(Binary::Sub, zeros(&[7])),
    ];
    for graph in &go {
        assert_eq!(left(graph), Vec::<&str>::new(), "{:?}", graph.nodes()[1].op);
    }
    let stay: Vec<Graph> = vec![
        node(ops::Slice, vec![integers(&[-1]), integers(&[-99]), integers(&[3]), integers(&[-1])]),
        node(ops::Slice, vec![integers(&[1]), integers(&[99]), integers(&[3])]),
        node(ops::Pad { mode: ops::PadMode::Reflect }, vec![integers(&[0, 0, 0, 1, 0, 0, 0, -1])]),
        node(ops::Resize::default(), vec![none, scales(1.1)]),
        node(ops::AveragePool { window: pool(3, 1), count_include_pad: false }, vec![]),
        node(Binary::Mul, vec![Tensor::vector(vec![1f32, 1.0, 1.0, 1.0, 1.0, 1.0, 1.5])]),
        node(Binary::Mul, ones(&[4, 1, 1, 1, 1])),
        node(Binary::Add, zeros(&[1, 2, 3, 5, 7])),
        network(&SHAPE, |b, x| {
            let one = b.constant("one", Tensor::scalar(1f32));
            b.node("node", Binary::Div, &[one, x]).unwrap()
        }),
    ];
    for graph in &stay {
        assert_eq!(left(graph).len(), 1, "{:?}", graph.nodes()[1].op);
    }
}

#[test]
fn sums_over_one_element_and_pools_of_one_go() {
    for (axis, count) in [(1, 0), (2, 1)] {
        let graph = network(&[4, 1, 5, 1], |b, x| {
            let (op, axes) = mean(axis);
            let axes = b.constant("axes", axes[0].clone());
            b.node("mean", op, &[x, axes]).unwrap()
        });
        assert_eq!(left(&graph).len(), count);
    }
    let graph = network(&[4, 3, 1, 1], |b, x| b.node("pool", ops::GlobalPool { kind: ops::PoolKind::Average }, &[x]).unwrap());
    assert!(left(&graph).is_empty());
}

#[test]
fn views_of_views_are_one() {
    let reshape = |b: &mut GraphBuilder, name: &str, x, target: &[i64]| {
        let shape = b.constant(format!("{name}.to"), integers(target));
        b.node(name, ops::Reshape::default(), &[x, shape]).unwrap()
    };
    let graph = network(&SHAPE, |b, x| {
        let rows = reshape(b, "rows", x, &[6, -1]);
        let axes = b.constant("axes", integers(&[0]));
        let more = b.node("more", ops::Unsqueeze, &[rows, axes]).unwrap();
        reshape(b, "last", more, &[3, 10, 7])
    });
    assert_eq!(left(&graph), ["Reshape"]);
    let after = testing::after(graph, Pass::RemoveNoOps);
    assert_eq!((after.nodes()[1].origins.concat().as_str(), after.nodes()[1].inputs[0]), ("rowsmorelast", after.nodes()[0].outputs[0]));
    // There and back.
    let graph = network(&SHAPE, |b, x| {
        let rows = reshape(b, "rows", x, &[6, -1]);
        reshape(b, "back", rows, &[2, 3, 5, 7])
    });
    assert!(left(&graph).is_empty());
    // What others read stays for them.
    let graph = network(&SHAPE, |b, x| {
        let rows = reshape(b, "rows", x, &[6, -1]);
        let other = b.node("other", Unary::Exp, &[rows]).unwrap();
        b.output("other", other);
        reshape(b, "last", rows, &[3, 70])
    });
    assert_eq!(left(&graph), ["Reshape", "Exp", "Reshape"]);
}

#[test]
fn transpositions_of_transpositions_are_one() {
    let transpose = |b: &mut GraphBuilder, name: &str, x, permutation: &[usize]| {
        b.node(name, ops::Transpose { permutation: permutation.to_vec() }, &[x]).unwrap()
    };
    let twice = |dims: &[usize], first: &[usize], second: &[usize]| {
        network(dims, |b, x| {
            let once = transpose(b, "first", x, first);
            transpose(b, "second", once, second)
        })
    };
    assert!(left(&twice(&SHAPE, &[0, 2, 3, 1], &[0, 3, 1, 2])).is_empty());
    assert_eq!(left(&twice(&SHAPE, &[0, 2, 3, 1], &[1, 0, 3, 2])), ["Transpose"]);
    assert!(left(&twice(&SHAPE, &[], &[])).is_empty());
    // Axes of extent 1 alone move: a view.
    assert_eq!(left(&network(&[2, 1, 5, 1], |b, x| transpose(b, "t", x, &[1, 0, 3, 2]))), ["Reshape"]);
    assert_eq!(left(&twice(&[2, 1, 5, 3], &[0, 2, 3, 1], &[3, 0, 1, 2])), ["Reshape"]);
    assert_eq!(left(&network(&[2, 1, 5, 1], |b, x| transpose(b, "t", x, &[2, 0, 3, 1]))), ["Transpose"]);
}

#[test]
fn expand_goes_where_the_reader_broadcasts() {
    let graph = |other: &[usize]| {
        network(&SHAPE, |b, x| {
            let (axes, to) = (b.constant("axes", integers(&[1])), b.constant("to", integers(&[2, 3, 5, 7])));
            let mean = b.node("mean", mean(1).0, &[x, axes]).unwrap();
            let expanded = b.node("expanded", ops::Expand, &[mean, to]).unwrap();
            let other = b.constant("other", testing::wave(other, 0.7));
            b.node("sum", Binary::Add, &[other, expanded]).unwrap()
        })
    };
    assert_eq!(left(&graph(&[3, 5, 1])), ["ReduceMean", "Add"]);
    assert_eq!(left(&graph(&[1, 5, 7])), ["ReduceMean", "Expand", "Add"]);
}

#[test]
fn outputs_keep_their_names() {
    let mut b = GraphBuilder::new("outputs");
    let x = b.input("x", DType::F32, SHAPE.to_vec());
    let one = b.constant("one", Tensor::scalar(1f32));
    let direct = b.node("direct", Binary::Mul, &[x, one]).unwrap();
    let exp = b.node("exp", Unary::Exp, &[x]).unwrap();
    let same = b.node("same", Binary::Mul, &[one, exp]).unwrap();
    b.output("direct", direct);
    b.output("same", same);
    let graph = b.finish().unwrap();
    let after = testing::after(graph.clone(), Pass::RemoveNoOps);
    assert_eq!(testing::operators(&after), ["Identity", "Exp"]);
    assert_eq!(after.outputs().iter().map(|id| after.value(*id).name.as_str()).collect::<Vec<_>>(), ["direct", "same"]);
    testing::same_outputs(&graph, &[("x", testing::wave(SHAPE, 0.37))], Pass::RemoveNoOps, Tolerance::EXACT);
}
