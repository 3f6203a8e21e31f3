use crate::graph::{Graph, ValueId};
use crate::ops::{Binary, Clip, GeluApproximation, Op, Tolerance, Unary, Variadic};
use crate::optimize::{Pass, testing};
use crate::{DType, GraphBuilder, Tensor};

/// A network under construction whose nodes are numbered.
struct Writer {
    b: GraphBuilder,
    count: usize,
}

impl Writer {
    fn number(&mut self, value: f64) -> ValueId {
        self.count += 1;
        self.b.constant(format!("c{}", self.count), Tensor::scalar(value as f32))
    }

    fn node(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        self.count += 1;
        self.b.node(format!("n{}", self.count), op, inputs).unwrap()
    }

    fn with(&mut self, op: Binary, x: ValueId, value: f64) -> ValueId {
        let c = self.number(value);
        self.node(op, &[x, c])
    }

    fn clip(&mut self, x: ValueId, low: f64, high: f64) -> ValueId {
        let (low, high) = (self.number(low), self.number(high));
        self.node(Clip, &[x, low, high])
    }
}

type Form = fn(&mut Writer, ValueId) -> ValueId;

/// `softplus(x)` of a convolution's kind of input, then the form, then what others may read.
fn network(form: Form) -> Graph {
    let mut w = Writer { b: GraphBuilder::new("activation"), count: 0 };
    let x = w.b.input("x", DType::F32, [2, 3, 5, 7]);
    let x = w.node(Unary::Affine { alpha: 4.0, beta: 0.1 }, &[x]);
    let y = form(&mut w, x);
    w.b.output("y", y);
    w.b.finish().unwrap()
}

fn input() -> [(&'static str, Tensor); 1] {
    [("x", testing::wave([2, 3, 5, 7], 0.37))]
}

fn recognized(form: Form) -> Option<Op> {
    let graph = testing::after(network(form), Pass::RecognizeActivations);
    let [_, last] = graph.nodes() else { return None };
    assert!(last.origins.len() > 1 || network(form).nodes().len() == 2);
    Some(last.op.clone())
}

const GELU: Unary = Unary::Gelu(GeluApproximation::None);
const GELU_TANH: Unary = Unary::Gelu(GeluApproximation::Tanh);
const SQRT_2: f64 = std::f64::consts::SQRT_2;

fn erf_gate(w: &mut Writer, x: ValueId, divide: bool) -> ValueId {
    let scaled = if divide { w.with(Binary::Div, x, SQRT_2) } else { w.with(Binary::Mul, x, 1.0 / SQRT_2) };
    let erf = w.node(Unary::Erf, &[scaled]);
    w.with(Binary::Add, erf, 1.0)
}

fn tanh_gate(w: &mut Writer, inner: ValueId) -> ValueId {
    let scaled = w.with(Binary::Mul, inner, 0.7978845608028654);
    let tanh = w.node(Unary::Tanh, &[scaled]);
    w.with(Binary::Add, tanh, 1.0)
}

const FORMS: &[(&str, Unary, Form)] = &[
    ("x·sigmoid(x)", Unary::Swish { alpha: 1.0 }, |w, x| {
        let gate = w.node(Unary::Sigmoid, &[x]);
        w.node(Binary::Mul, &[x, gate])
    }),
    ("sigmoid(1.702·x)·x", Unary::Swish { alpha: 1.702 }, |w, x| {
        let scaled = w.with(Binary::Mul, x, 1.702);
        let gate = w.node(Unary::Sigmoid, &[scaled]);
        w.node(Binary::Mul, &[gate, x])
    }),
    ("x ÷ (1 + exp(−x)) as a product", Unary::Swish { alpha: 1.0 }, |w, x| {
        let minus = w.node(Unary::Neg, &[x]);
        let exp = w.node(Unary::Exp, &[minus]);
        let one = w.number(1.0);
        let sum = w.node(Binary::Add, &[one, exp]);
        let gate = w.node(Unary::Reciprocal, &[sum]);
        w.node(Binary::Mul, &[x, gate])
    }),
    ("1 ÷ (1 + exp(−x))", Unary::Sigmoid, |w, x| {
        let minus = w.node(Unary::Neg, &[x]);
        let exp = w.node(Unary::Exp, &[minus]);
        let sum = w.with(Binary::Add, exp, 1.0);
        let one = w.number(1.0);
        w.node(Binary::Div, &[one, sum])
    }),
    ("x·hardsigmoid(x)", Unary::HardSwish, |w, x| {
        let gate = w.node(Unary::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }, &[x]);
        w.node(Binary::Mul, &[gate, x])
    }),
    ("x·clip(x + 3, 0, 6) ÷ 6", Unary::HardSwish, |w, x| {
        let sum = w.with(Binary::Add, x, 3.0);
        let clip = w.clip(sum, 0.0, 6.0);
        let product = w.node(Binary::Mul, &[x, clip]);
        w.with(Binary::Div, product, 6.0)
    }),
    ("x·(clip(x + 3, 0, 6) ÷ 6)", Unary::HardSwish, |w, x| {
        let three = w.number(3.0);
        let sum = w.node(Binary::Add, &[three, x]);
        let clip = w.clip(sum, 0.0, 6.0);
        let gate = w.with(Binary::Div, clip, 6.0);
        w.node(Binary::Mul, &[x, gate])
    }),
    ("(x ÷ 6)·min(relu(x + 3), 6)", Unary::HardSwish, |w, x| {
        let sum = w.with(Binary::Add, x, 3.0);
        let relu = w.node(Unary::Relu, &[sum]);
        let six = w.number(6.0);
        let relu6 = w.node(Variadic::Min, &[relu, six]);
        let sixth = w.with(Binary::Mul, x, 1.0 / 6.0);
        w.node(Binary::Mul, &[relu6, sixth])
    }),
    ("x·clip(x ÷ 6 + ½, 0, 1)", Unary::HardSwish, |w, x| {
        let sixth = w.with(Binary::Div, x, 6.0);
        let sum = w.with(Binary::Add, sixth, 0.5);
        let clip = w.clip(sum, 0.0, 1.0);
        w.node(Binary::Mul, &[x, clip])
    }),
    ("clip(x + 3, 0, 6) ÷ 6", Unary::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }, |w, x| {
        let sum = w.with(Binary::Add, x, 3.0);
        let clip = w.clip(sum, 0.0, 6.0);
        w.with(Binary::Div, clip, 6.0)
    }),
    ("clip(0.2·x + ½, 0, 1)", Unary::HardSigmoid { alpha: 0.2, beta: 0.5 }, |w, x| {
        let scaled = w.with(Binary::Mul, x, 0.2);
        let sum = w.with(Binary::Add, scaled, 0.5);
        w.clip(sum, 0.0, 1.0)
    }),
    ("x·(1 + erf(x ÷ √2))·½", GELU, |w, x| {
        let gate = erf_gate(w, x, true);
        let product = w.node(Binary::Mul, &[x, gate]);
        w.with(Binary::Mul, product, 0.5)
    }),
    ("(½·x)·(1 + erf(x·√½))", GELU, |w, x| {
        let gate = erf_gate(w, x, false);
        let half = w.number(0.5);
        let half = w.node(Binary::Mul, &[half, x]);
        w.node(Binary::Mul, &[half, gate])
    }),
    ("x·(½·(1 + erf(x ÷ √2)))", GELU, |w, x| {
        let gate = erf_gate(w, x, true);
        let half = w.with(Binary::Mul, gate, 0.5);
        w.node(Binary::Mul, &[half, x])
    }),
    ("½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))", GELU_TANH, |w, x| {
        let cube = w.with(Binary::Pow, x, 3.0);
        let cube = w.with(Binary::Mul, cube, 0.044715);
        let inner = w.node(Binary::Add, &[x, cube]);
        let gate = tanh_gate(w, inner);
        let half = w.with(Binary::Mul, x, 0.5);
        w.node(Binary::Mul, &[half, gate])
    }),
    ("½·(x·(1 + tanh(√(2/π)·x·(1 + 0.044715·x·x))))", GELU_TANH, |w, x| {
        let scaled = w.with(Binary::Mul, x, 0.044715);
        let square = w.node(Binary::Mul, &[scaled, x]);
        let sum = w.with(Binary::Add, square, 1.0);
        let inner = w.node(Binary::Mul, &[sum, x]);
        let gate = tanh_gate(w, inner);
        let product = w.node(Binary::Mul, &[x, gate]);
        w.with(Binary::Mul, product, 0.5)
    }),
    ("log(1 + exp(x))", Unary::Softplus, |w, x| {
        let exp = w.node(Unary::Exp, &[x]);
        let sum = w.with(Binary::Add, exp, 1.0);
        w.node(Unary::Log, &[sum])
    }),
    ("x·tanh(log(1 + exp(x)))", Unary::Mish, |w, x| {
        let exp = w.node(Unary::Exp, &[x]);
        let sum = w.with(Binary::Add, exp, 1.0);
        let log = w.node(Unary::Log, &[sum]);
        let tanh = w.node(Unary::Tanh, &[log]);
        w.node(Binary::Mul, &[x, tanh])
    }),
    ("max(0.1·x, x)", Unary::LeakyRelu { alpha: 0.1 }, |w, x| {
        let slope = w.with(Binary::Mul, x, 0.1);
        w.node(Variadic::Max, &[slope, x])
    }),
    ("max(x, 0)", Unary::Relu, |w, x| w.with(Binary::Max, x, 0.0)),
    ("clip(x, 0, 3.4e38)", Unary::Relu, |w, x| w.clip(x, 0.0, f64::from(f32::MAX))),
    ("clip(x, 0)", Unary::Relu, |w, x| {
        let zero = w.number(0.0);
        w.node(Clip, &[x, zero])
    }),
    ("x ÷ (1 + |x|)", Unary::Softsign, |w, x| {
        let magnitude = w.node(Unary::Abs, &[x]);
        let sum = w.with(Binary::Add, magnitude, 1.0);
        w.node(Binary::Div, &[x, sum])
    }),
];

#[test]
fn forms_are_recognized_and_compute_the_same() {
    for &(name, function, form) in FORMS {
        assert_eq!(recognized(form), Some(function.into()), "{name}");
        testing::same_outputs(&network(form), &input(), Pass::RecognizeActivations, Tolerance::accumulation(DType::F32));
    }
}

const OTHERS: &[(&str, Form)] = &[
    ("clip(x, 0, 6)", |w, x| w.clip(x, 0.0, 6.0)),
    ("x·sigmoid(y)", |w, x| {
        let other = w.node(Unary::Tanh, &[x]);
        let gate = w.node(Unary::Sigmoid, &[other]);
        w.node(Binary::Mul, &[x, gate])
    }),
    ("x·clip(x + 3, 0, 6) ÷ 5", |w, x| {
        let sum = w.with(Binary::Add, x, 3.0);
        let clip = w.clip(sum, 0.0, 6.0);
        let product = w.node(Binary::Mul, &[x, clip]);
        w.with(Binary::Div, product, 5.0)
    }),
    ("x·(1 + erf(x ÷ 1.5))·½", |w, x| {
        let scaled = w.with(Binary::Div, x, 1.5);
        let erf = w.node(Unary::Erf, &[scaled]);
        let gate = w.with(Binary::Add, erf, 1.0);
        let product = w.node(Binary::Mul, &[x, gate]);
        w.with(Binary::Mul, product, 0.5)
    }),
    ("max(x, 1.5·x)", |w, x| {
        let slope = w.with(Binary::Mul, x, 1.5);
        w.node(Binary::Max, &[x, slope])
    }),
    ("log(2 + exp(x))", |w, x| {
        let exp = w.node(Unary::Exp, &[x]);
        let sum = w.with(Binary::Add, exp, 2.0);
        w.node(Unary::Log, &[sum])
    }),
];

#[test]
fn what_only_looks_like_one_stays() {
    for &(name, form) in OTHERS {
        let graph = network(form);
        assert_eq!(testing::operators(&testing::after(graph.clone(), Pass::RecognizeActivations)), testing::operators(&graph), "{name}");
    }
}

#[test]
fn what_others_read_and_what_changes_a_shape_stays() {
    let mut w = Writer { b: GraphBuilder::new("read twice"), count: 0 };
    let x = w.b.input("x", DType::F32, [2, 3]);
    let gate = w.node(Unary::Sigmoid, &[x]);
    let y = w.node(Binary::Mul, &[x, gate]);
    w.b.output("y", y);
    w.b.output("gate", gate);
    let graph = w.b.finish().unwrap();
    assert_eq!(testing::operators(&testing::after(graph, Pass::RecognizeActivations)), ["Sigmoid", "Mul"]);

    for (dims, expected) in [([1, 1, 1], "Max"), ([1, 1, 0], "Relu")] {
        let mut w = Writer { b: GraphBuilder::new("shapes"), count: 0 };
        let x = w.b.input("x", DType::F32, [2, 3]);
        let shape: Vec<usize> = dims.into_iter().filter(|&extent| extent > 0).collect();
        let zero = w.b.constant("zero", Tensor::full(shape, 0f32));
        let y = w.node(Binary::Max, &[x, zero]);
        w.b.output("y", y);
        let graph = w.b.finish().unwrap();
        assert_eq!(testing::operators(&testing::after(graph, Pass::RecognizeActivations)), [expected], "{dims:?}");
    }
}

#[test]
fn half_precision_numbers_are_recognized() {
    let mut b = GraphBuilder::new("half");
    let x = b.input("x", DType::F16, [2, 3]);
    let [root, one, half] =
        [("root", SQRT_2), ("one", 1.0), ("half", 0.5)].map(|(name, value)| b.constant(name, Tensor::scalar(half::f16::from_f64(value))));
    let scaled = b.node("scaled", Binary::Div, &[x, root]).unwrap();
    let erf = b.node("erf", Unary::Erf, &[scaled]).unwrap();
    let gate = b.node("gate", Binary::Add, &[one, erf]).unwrap();
    let product = b.node("product", Binary::Mul, &[x, gate]).unwrap();
    let y = b.node("y", Binary::Mul, &[product, half]).unwrap();
    b.output("y", y);
    let graph = b.finish().unwrap();
    assert_eq!(testing::after(graph, Pass::RecognizeActivations).nodes()[0].op, GELU.into());
}
