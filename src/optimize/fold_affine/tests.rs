use crate::graph::{Graph, ValueId};
use crate::ops::{BatchNormalization, Binary, Conv, ConvTranspose, Gemm, ImageScaler, MatMul, Op, Padding, Tolerance, Unary};
use crate::optimize::{Pass, testing};
use crate::{DType, GraphBuilder, Tensor};

/// A network under construction whose nodes and constants are numbered.
struct Writer {
    b: GraphBuilder,
    count: usize,
    dtype: DType,
}

impl Writer {
    fn constant(&mut self, shape: &[usize], step: f32) -> ValueId {
        self.count += 1;
        let values = testing::wave(shape, step).to_f64();
        self.b.constant(format!("c{}", self.count), Tensor::from_f64(self.dtype, shape, values).unwrap())
    }

    fn node(&mut self, op: impl Into<Op>, inputs: &[Option<ValueId>]) -> ValueId {
        self.count += 1;
        self.b.nodes(format!("n{}", self.count), op, inputs, 1).unwrap()[0]
    }

    fn binary(&mut self, op: Binary, x: ValueId, shape: &[usize]) -> ValueId {
        let c = self.constant(shape, 0.83);
        self.node(op, &[Some(x), Some(c)])
    }

    fn norm(&mut self, x: ValueId, channels: usize) -> ValueId {
        let [scale, bias, mean] = [0.9, 0.5, 0.3].map(|step| self.constant(&[channels], step));
        let var = self.node(Unary::Abs, &[Some(mean)]);
        self.node(BatchNormalization { eps: 1e-3, momentum: 0.9, training: false }, &[x, scale, bias, mean, var].map(Some))
    }
}

type Build<'a> = &'a dyn Fn(&mut Writer, ValueId) -> ValueId;

fn network(dims: &[usize], dtype: DType, build: Build<'_>) -> Graph {
    let mut w = Writer { b: GraphBuilder::new("affine"), count: 0, dtype };
    let x = w.b.input("x", dtype, dims.to_vec());
    let y = build(&mut w, x);
    w.b.output("y", y);
    w.b.finish().unwrap()
}

/// The operators that are left; and that outputs are the same.
fn left(dims: &[usize], build: Build<'_>) -> Vec<&'static str> {
    let graph = network(dims, DType::F32, build);
    testing::same_outputs(&graph, &[("x", testing::wave(dims, 0.37))], Pass::FoldAffine, Tolerance::accumulation(DType::F32));
    testing::operators(&testing::after(graph, Pass::FoldAffine))
}

const X: [usize; 4] = [2, 4, 7, 5];

fn uneven() -> Padding {
    Padding::Explicit { before: [1, 0].into(), after: [2, 1].into() }
}

fn conv(w: &mut Writer, x: ValueId, padding: Padding, bias: bool) -> ValueId {
    let weight = w.constant(&[6, 2, 3, 2], 0.7);
    let bias = bias.then(|| w.constant(&[6], 1.3));
    w.node(Conv { padding, groups: 2, ..Conv::default() }, &[Some(x), Some(weight), bias])
}

fn transposed(w: &mut Writer, x: ValueId, bias: bool) -> ValueId {
    let weight = w.constant(&[4, 3, 3, 2], 0.7);
    let bias = bias.then(|| w.constant(&[6], 1.3));
    w.node(ConvTranspose { groups: 2, stride: Some([2, 3].into()), ..ConvTranspose::default() }, &[Some(x), Some(weight), bias])
}

fn gemm(w: &mut Writer, x: ValueId, transpose_b: bool, c: Option<&[usize]>) -> ValueId {
    let weight = w.constant(if transpose_b { &[5, 4] } else { &[4, 5] }, 0.7);
    let c = c.map(|shape| w.constant(shape, 1.3));
    w.node(Gemm { alpha: 0.75, beta: -1.5, transpose_b, ..Gemm::default() }, &[Some(x), Some(weight), c])
}

/// A normalization, factors and shifts of every kind, in a chain of six.
fn chain(w: &mut Writer, x: ValueId, channels: usize, trailing: usize) -> ValueId {
    let vector: Vec<usize> = [vec![channels], vec![1; trailing]].concat();
    let y = w.norm(x, channels);
    let y = w.binary(Binary::Mul, y, &vector);
    let y = w.binary(Binary::Add, y, &[]);
    let y = w.binary(Binary::Div, y, &[&[1][..], &vector].concat());
    let y = w.node(Unary::Neg, &[Some(y)]);
    let c = w.constant(&vector, 0.2);
    w.node(Binary::Sub, &[Some(c), Some(y)])
}

#[test]
fn chains_after_a_layer_are_its_weights() {
    for bias in [false, true] {
        let of_maps: &[(&str, Build<'_>)] = &[
            ("Conv", &|w, x| {
                let y = conv(w, x, uneven(), bias);
                chain(w, y, 6, 2)
            }),
            ("ConvTranspose", &|w, x| {
                let y = transposed(w, x, bias);
                chain(w, y, 6, 2)
            }),
        ];
        for (op, build) in of_maps {
            assert_eq!(left(&X, build), [*op]);
        }
        for transpose_b in [false, true] {
            for c in [&[5][..], &[1, 5], &[1, 1], &[]] {
                let build: Build<'_> = &|w, x| {
                    let y = gemm(w, x, transpose_b, bias.then_some(c));
                    chain(w, y, 5, 0)
                };
                assert_eq!(left(&[3, 4], build), ["Gemm"]);
            }
        }
    }
}

#[test]
fn chains_before_a_layer_are_its_weights_where_nothing_is_padded() {
    for bias in [false, true] {
        assert_eq!(
            left(&X, &|w, x| {
                let x = chain(w, x, 4, 2);
                conv(w, x, Padding::Valid, bias)
            }),
            ["Conv"]
        );
        let build: Build<'_> = &|w, x| {
            let x = chain(w, x, 4, 0);
            gemm(w, x, bias, bias.then_some(&[5]))
        };
        assert_eq!(left(&[3, 4], build), ["Gemm"]);
        // A scale alone passes through padding.
        for scale in [&[][..], &[4, 1, 1]] {
            assert_eq!(
                left(&X, &|w, x| {
                    let x = w.binary(Binary::Mul, x, scale);
                    conv(w, x, uneven(), bias)
                }),
                ["Conv"]
            );
            assert_eq!(
                left(&X, &|w, x| {
                    let x = w.binary(Binary::Mul, x, scale);
                    transposed(w, x, bias)
                }),
                ["ConvTranspose"]
            );
        }
    }
    let padded: Build<'_> = &|w, x| {
        let x = w.norm(x, 4);
        conv(w, x, uneven(), true)
    };
    assert_eq!(left(&X, padded), ["BatchNormalization", "Conv"]);
    let transposed: Build<'_> = &|w, x| {
        let x = w.norm(x, 4);
        transposed(w, x, true)
    };
    assert_eq!(left(&X, transposed), ["BatchNormalization", "ConvTranspose"]);
    // Same padding of a window of one is none, and of a larger one some.
    for (kernel, expected) in [(1, &["Conv"][..]), (2, &["ImageScaler", "Conv"])] {
        let same: Build<'_> = &|w, x| {
            let x = w.node(ImageScaler { scale: 0.3, bias: vec![1.0, -2.0, 0.5, 3.0] }, &[Some(x)]);
            let weight = w.constant(&[3, 4, 1, kernel], 0.7);
            w.node(Conv { padding: Padding::SameUpper, ..Conv::default() }, &[Some(x), Some(weight)])
        };
        let folded = testing::after(network(&X, DType::F32, same), Pass::FoldAffine);
        assert_eq!(testing::operators(&folded), expected);
        left(&X, same);
    }
}

#[test]
fn a_map_between_two_layers_belongs_to_the_first() {
    let build: Build<'_> = &|w, x| {
        let y = conv(w, x, uneven(), false);
        let y = w.norm(y, 6);
        let weight = w.constant(&[3, 6, 1, 1], 0.7);
        w.node(Conv { padding: uneven(), ..Conv::default() }, &[Some(y), Some(weight)])
    };
    assert_eq!(left(&X, build), ["Conv", "Conv"]);
    let folded = testing::after(network(&X, DType::F32, build), Pass::FoldAffine);
    assert_eq!((folded.nodes()[0].name.as_str(), folded.nodes()[0].origins.len(), folded.nodes()[1].origins.len()), ("n2", 2, 1));
    let apart: Build<'_> = &|w, x| {
        let x = w.norm(x, 4);
        let x = w.node(Unary::Relu, &[Some(x)]);
        conv(w, x, Padding::Valid, false)
    };
    assert_eq!(left(&X, apart), ["BatchNormalization", "Relu", "Conv"]);
}

#[test]
fn products_take_a_bias() {
    for (dims, bias, folds) in [
        (&[3, 4][..], &[5][..], true),
        (&[4], &[5], true),
        (&[2, 6, 4], &[1, 1, 5], true),
        (&[2, 6, 4], &[], true),
        (&[2, 6, 4], &[6, 5], false),
        (&[6, 4], &[2, 1, 5], false),
        (&[4], &[1, 5], false),
    ] {
        let build: Build<'_> = &|w, x| {
            let weight = w.constant(&[4, 5], 0.7);
            let y = w.node(MatMul, &[Some(x), Some(weight)]);
            w.binary(Binary::Add, y, bias)
        };
        assert_eq!(left(dims, build).len() == 1, folds, "{dims:?} {bias:?}");
    }
    // The weight is as it was, not stored again.
    let build: Build<'_> = &|w, x| {
        let weight = w.constant(&[4, 5], 0.7);
        let y = w.node(MatMul, &[Some(x), Some(weight)]);
        w.binary(Binary::Add, y, &[5])
    };
    let (before, graph) = (network(&[3, 4], DType::F32, build), testing::after(network(&[3, 4], DType::F32, build), Pass::FoldAffine));
    assert_eq!(graph.nodes()[0].inputs[1], before.nodes()[0].inputs[1]);
}

#[test]
fn what_broadcasts_a_layer_or_its_input_stays() {
    let after = |dims: &[usize], shape: &[usize]| {
        left(dims, &|w, x| {
            let weight = w.constant(&[1, 4, 2, 2], 0.7);
            let y = w.node(Conv::default(), &[Some(x), Some(weight)]);
            w.binary(Binary::Mul, y, shape)
        })
    };
    assert_eq!(after(&X, &[3, 1, 1]), ["Conv", "Mul"]);
    assert_eq!(after(&X, &[4]), ["Conv", "Mul"]);
    assert_eq!(after(&X, &[1, 1, 1, 1, 1]), ["Conv", "Mul"]);
    assert_eq!(after(&X, &[1, 1, 1]), ["Conv"]);
    let before = |dims: &[usize], shape: &[usize]| {
        left(dims, &|w, x| {
            let x = w.binary(Binary::Mul, x, shape);
            conv(w, x, Padding::Valid, false)
        })
    };
    assert_eq!(before(&[2, 1, 7, 5], &[4, 1, 1]), ["Mul", "Conv"]);
    assert_eq!(before(&[4, 7, 5], &[1, 1, 1, 1]), ["Mul", "Conv"]);
    assert_eq!(before(&X, &[1, 1, 1, 1]), ["Conv"]);
}

#[test]
fn a_layer_that_others_read_stays() {
    for exposed in [false, true] {
        let mut w = Writer { b: GraphBuilder::new("read twice"), count: 0, dtype: DType::F32 };
        let x = w.b.input("x", DType::F32, X);
        let y = conv(&mut w, x, uneven(), true);
        let norm = w.norm(y, 6);
        let other = if exposed { y } else { w.node(Unary::Relu, &[Some(y)]) };
        w.b.output("norm", norm);
        w.b.output("other", other);
        let graph = w.b.finish().unwrap();
        assert!(testing::operators(&testing::after(graph, Pass::FoldAffine)).contains(&"BatchNormalization"));
    }
}

#[test]
fn shared_weights_are_folded_for_each_layer() {
    let build: Build<'_> = &|w, x| {
        let weight = w.constant(&[4, 4, 1, 1], 0.7);
        let y = w.node(Conv::default(), &[Some(x), Some(weight)]);
        let y = w.binary(Binary::Mul, y, &[4, 1, 1]);
        let y = w.node(Unary::Tanh, &[Some(y)]);
        w.node(Conv::default(), &[Some(y), Some(weight)])
    };
    assert_eq!(left(&X, build), ["Conv", "Tanh", "Conv"]);
}

#[test]
fn half_precision_is_rounded_once_and_never_leaves_its_range() {
    let build: Build<'_> = &|w, x| {
        let y = conv(w, x, uneven(), true);
        chain(w, y, 6, 2)
    };
    let graph = network(&X, DType::F16, build);
    let input = Tensor::from_f64(DType::F16, X, testing::wave(X, 0.37).to_f64()).unwrap();
    assert_eq!(testing::operators(&testing::after(graph.clone(), Pass::FoldAffine)), ["Conv"]);
    testing::same_outputs(&graph, &[("x", input)], Pass::FoldAffine, Tolerance { rtol: 1e-2, atol: 1e-2 });
    // Weights that half precision has only few digits of, or none.
    for factor in [1e-6, 6e4] {
        let graph = network(&X, DType::F16, &|w, x| {
            let y = conv(w, x, uneven(), false);
            let c = w.b.constant("factor", Tensor::scalar(half::f16::from_f64(factor)));
            w.node(Binary::Mul, &[Some(y), Some(c)])
        });
        assert_eq!(testing::operators(&testing::after(graph, Pass::FoldAffine)), ["Conv", "Mul"], "{factor}");
    }
}

#[test]
fn statistics_that_are_no_numbers_stay() {
    let build: Build<'_> = &|w, x| {
        let y = conv(w, x, uneven(), false);
        let c = w.b.constant("zero", Tensor::scalar(0f32));
        w.node(Binary::Div, &[Some(y), Some(c)])
    };
    assert_eq!(testing::operators(&testing::after(network(&X, DType::F32, build), Pass::FoldAffine)), ["Conv", "Div"]);
}
