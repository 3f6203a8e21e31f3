use crate::graph::{Graph, ValueId};
use crate::ops::{self, Binary, Op, Reduce, ReduceFunction, Tolerance, Unary};
use crate::optimize::{Pass, testing};
use crate::{DType, GraphBuilder, Tensor};

/// How the root of the variance divides.
#[derive(Clone, Copy)]
enum Division {
    Divide,
    Reciprocal,
    OneOver,
    Power,
}

struct Writer {
    b: GraphBuilder,
    count: usize,
}

impl Writer {
    fn new() -> Self {
        Self { b: GraphBuilder::new("norm"), count: 0 }
    }

    fn constant(&mut self, tensor: Tensor) -> ValueId {
        self.count += 1;
        self.b.constant(format!("c{}", self.count), tensor)
    }

    fn number(&mut self, value: f32) -> ValueId {
        self.constant(Tensor::scalar(value))
    }

    fn node(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        self.count += 1;
        self.b.node(format!("n{}", self.count), op, inputs).unwrap()
    }

    fn mean(&mut self, x: ValueId, axes: &[i64], keep_dims: bool) -> ValueId {
        let axes = self.constant(Tensor::vector(axes.to_vec()));
        self.node(Reduce { function: ReduceFunction::Mean, keep_dims, noop_with_empty_axes: false }, &[x, axes])
    }

    fn divided(&mut self, value: ValueId, square: bool, axes: &[i64], eps: f32, how: Division) -> ValueId {
        let two = self.number(2.0);
        let squared = if square { self.node(Binary::Mul, &[value, value]) } else { self.node(Binary::Pow, &[value, two]) };
        let variance = self.mean(squared, axes, true);
        let eps = self.number(eps);
        let sum = self.node(Binary::Add, &[variance, eps]);
        let (root, one, power) = (self.node(Unary::Sqrt, &[sum]), self.number(1.0), self.number(-0.5));
        match how {
            Division::Divide => self.node(Binary::Div, &[value, root]),
            Division::Reciprocal => {
                let inverse = self.node(Unary::Reciprocal, &[root]);
                self.node(Binary::Mul, &[value, inverse])
            }
            Division::OneOver => {
                let inverse = self.node(Binary::Div, &[one, root]);
                self.node(Binary::Mul, &[inverse, value])
            }
            Division::Power => {
                let inverse = self.node(Binary::Pow, &[sum, power]);
                self.node(Binary::Mul, &[value, inverse])
            }
        }
    }

    fn centred(&mut self, x: ValueId, axes: &[i64]) -> ValueId {
        let mean = self.mean(x, axes, true);
        self.node(Binary::Sub, &[x, mean])
    }

    /// Times a constant, plus another, of these shapes.
    fn affine(&mut self, mut y: ValueId, scale: Option<&[usize]>, shift: Option<&[usize]>) -> ValueId {
        for (op, shape, step) in [(Binary::Mul, scale, 0.9), (Binary::Add, shift, 0.4)] {
            if let Some(shape) = shape {
                let c = self.constant(testing::wave(shape, step));
                y = self.node(op, &[c, y]);
            }
        }
        y
    }

    fn reshape(&mut self, x: ValueId, target: &[i64]) -> ValueId {
        let shape = self.constant(Tensor::vector(target.to_vec()));
        self.node(ops::Reshape::default(), &[x, shape])
    }
}

const DIMS: [usize; 4] = [2, 6, 5, 7];

/// The network of what `form` makes of `exp(x)`, `f32[2,6,5,7]`.
fn network(form: &dyn Fn(&mut Writer, ValueId) -> ValueId) -> Graph {
    let mut w = Writer::new();
    let x = w.b.input("x", DType::F32, DIMS);
    let x = w.node(Unary::Exp, &[x]);
    let y = form(&mut w, x);
    w.b.output("y", y);
    w.b.finish().unwrap()
}

/// What is left of a form, and that outputs are the same.
fn left(form: &dyn Fn(&mut Writer, ValueId) -> ValueId) -> Vec<Op> {
    let graph = network(form);
    testing::same_outputs(&graph, &[("x", testing::wave(DIMS, 0.37))], Pass::RecognizeNorms, Tolerance::accumulation(DType::F32));
    testing::after(graph, Pass::RecognizeNorms).nodes()[1..].iter().map(|node| node.op.clone()).collect()
}

#[test]
fn layer_normalization_in_all_ways_to_write_it() {
    for (square, how) in [(false, Division::Divide), (true, Division::Reciprocal), (false, Division::OneOver), (true, Division::Power)] {
        for (scale, shift) in [(None, None), (Some(&[7][..]), None), (Some(&[7]), Some(&[1, 7][..])), (None, Some(&[7]))] {
            let found = left(&|w, x| {
                let centred = w.centred(x, &[-1]);
                let y = w.divided(centred, square, &[3], 1e-3, how);
                w.affine(y, scale, shift)
            });
            // A shift without a scale, too.
            assert_eq!(found, [ops::LayerNormalization { axis: 3, eps: 1e-3 }.into()]);
        }
    }
}

#[test]
fn normalization_over_maps_is_that_of_instances() {
    for (scale, shift) in [(None, None), (Some(&[6, 1, 1][..]), Some(&[1, 6, 1, 1][..])), (Some(&[6, 1, 1]), None)] {
        let found = left(&|w, x| {
            let centred = w.centred(x, &[2, 3]);
            let y = w.divided(centred, false, &[-1, -2], 1e-2, Division::Divide);
            w.affine(y, scale, shift)
        });
        assert_eq!(found, [ops::InstanceNormalization { eps: 1e-2 }.into()]);
    }
    let found = left(&|w, x| {
        let centred = w.centred(x, &[2, 3]);
        let y = w.divided(centred, false, &[2, 3], 1e-2, Division::Divide);
        w.affine(y, Some(&[5, 7]), None)
    });
    assert_eq!(found, [ops::LayerNormalization { axis: 2, eps: 1e-2 }.into()]);
}

#[test]
fn root_mean_square_normalization() {
    for scale in [None, Some(&[7][..]), Some(&[5, 1])] {
        let found = left(&|w, x| {
            let y = w.divided(x, true, &[-1], 1e-3, Division::Reciprocal);
            w.affine(y, scale, None)
        });
        assert_eq!(found, [ops::RmsNormalization { axis: 3, eps: 1e-3 }.into()]);
    }
}

#[test]
fn groups_between_reshapes() {
    let grouped = |w: &mut Writer, x, scales: [f32; 2]| {
        let rows = w.reshape(x, &[0, 3, -1]);
        let [scale, shift] = scales.map(|value| w.constant(Tensor::full([3], value)));
        let y = w.node(ops::InstanceNormalization { eps: 1e-3 }, &[rows, scale, shift]);
        w.reshape(y, &[2, 6, 5, 7])
    };
    let group: Op = ops::GroupNormalization { groups: 3, eps: 1e-3 }.into();
    for (scale, shift) in [(Some(&[6, 1, 1][..]), Some(&[1, 6, 1, 1][..])), (None, None), (None, Some(&[6, 1, 1]))] {
        let found = left(&|w, x| {
            let y = grouped(w, x, [1.0, 0.0]);
            w.affine(y, scale, shift)
        });
        assert_eq!(found, [group.clone()]);
    }
    // Groups that are scaled: what follows stays.
    let found = left(&|w, x| {
        let y = grouped(w, x, [1.5, 0.5]);
        w.affine(y, Some(&[6, 1, 1]), None)
    });
    assert_eq!(found, [group.clone(), Binary::Mul.into()]);
    // Written by hand.
    let found = left(&|w, x| {
        let rows = w.reshape(x, &[0, 3, -1]);
        let centred = w.centred(rows, &[2]);
        let y = w.divided(centred, false, &[2], 1e-3, Division::Divide);
        let y = w.reshape(y, &[2, 6, 5, 7]);
        w.affine(y, Some(&[6, 1, 1]), Some(&[6, 1, 1]))
    });
    assert_eq!(found, [group]);
}

#[test]
fn what_only_looks_like_one_stays() {
    type Other = (&'static str, fn(&mut Writer, ValueId) -> ValueId);
    let others: &[Other] = &[
        ("other axes", |w, x| {
            let centred = w.centred(x, &[2]);
            w.divided(centred, true, &[3], 1e-3, Division::Divide)
        }),
        ("axes in the middle", |w, x| {
            let centred = w.centred(x, &[1]);
            w.divided(centred, true, &[1], 1e-3, Division::Divide)
        }),
        ("another square", |w, x| {
            let (centred, other) = (w.centred(x, &[3]), w.node(Unary::Abs, &[x]));
            let product = w.node(Binary::Mul, &[centred, other]);
            let variance = w.mean(product, &[3], true);
            let eps = w.number(9.0);
            let sum = w.node(Binary::Add, &[variance, eps]);
            let root = w.node(Unary::Sqrt, &[sum]);
            w.node(Binary::Div, &[centred, root])
        }),
        ("the mean of something else", |w, x| {
            let other = w.node(Unary::Abs, &[x]);
            let tanh = w.node(Unary::Tanh, &[other]);
            let mean = w.mean(tanh, &[3], true);
            let difference = w.node(Binary::Sub, &[x, mean]);
            let y = w.divided(difference, true, &[3], 1e-3, Division::Divide);
            // Read once more, so that it is no normalization by its mean square.
            w.node(Binary::Add, &[y, difference])
        }),
        ("a deviation that others read", |w, x| {
            let centred = w.centred(x, &[3]);
            let y = w.divided(centred, true, &[3], 1e-3, Division::Divide);
            w.node(Binary::Add, &[y, centred])
        }),
    ];
    for (name, form) in others {
        let found = left(form);
        let norm = |op: &Op| matches!(op, Op::LayerNormalization(_) | Op::InstanceNormalization(_));
        assert!(!found.iter().any(norm), "{name}: {found:?}");
    }
}
