//! Random networks of what the passes look for: outputs with all passes are those without.

use std::collections::HashMap;

use super::testing::{after, difference, outputs, wave};
use super::*;
use crate::GraphBuilder;
use crate::graph::{TensorType, ValueId};
use crate::ops::{
    self, AveragePool, BatchNormalization, Binary, Concat, Conv, ConvTranspose, Expand, Identity, Op, Operand, Operands, Padding, Reduce,
    ReduceFunction, Reshape, Tolerance, Transpose, Unary, Window,
};
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// A network that grows from its values, all of `f64`, so that nothing but a wrong pass tells outputs apart.
struct Random {
    b: GraphBuilder,
    state: u64,
    values: Vec<(ValueId, Shape)>,
    types: HashMap<ValueId, (TensorType, Option<Tensor>)>,
    count: usize,
}

impl Random {
    fn new(seed: u64) -> Self {
        let mut b = GraphBuilder::new("random");
        let shape = Shape::from([2, 4, 6, 5]);
        let x = b.input("x", DType::F64, shape.to_vec());
        let types = HashMap::from([(x, (TensorType::new(DType::F64, &shape), None))]);
        Self { b, state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, values: vec![(x, shape)], types, count: 0 }
    }

    /// A number below `n`, by xorshift.
    fn below(&mut self, n: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 33) as usize % n
    }

    fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    fn constant(&mut self, tensor: Tensor) -> ValueId {
        self.count += 1;
        let id = self.b.constant(format!("c{}", self.count), tensor.clone());
        self.types.insert(id, (TensorType::new(tensor.dtype(), tensor.shape()), Some(tensor)));
        id
    }

    fn weights(&mut self, shape: &[usize]) -> ValueId {
        let step = self.pick(&[0.3, 0.7, 1.1]);
        self.constant(Tensor::from_f64(DType::F64, shape, wave(shape, step).to_f64()).unwrap())
    }

    fn number(&mut self, value: f64) -> ValueId {
        self.constant(Tensor::scalar(value))
    }

    fn integers(&mut self, values: &[usize]) -> ValueId {
        self.constant(Tensor::vector(values.iter().map(|&v| v as i64).collect()))
    }

    /// The value of a node, if its operator accepts the inputs.
    fn node(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Option<ValueId> {
        let op = op.into();
        let operand = |id: &ValueId| {
            let (ty, constant) = &self.types[id];
            Some(Operand { dtype: ty.dtype, shape: &ty.shape, constant: constant.as_ref() })
        };
        let ty = op.operator().infer(&Operands { inputs: inputs.iter().map(operand).collect(), outputs: 1 }).ok()?.remove(0);
        self.count += 1;
        let id = self.b.node(format!("n{}", self.count), op, inputs).unwrap();
        self.types.insert(id, (ty, None));
        Some(id)
    }

    /// Adds a node, or a few, to a value that is there, the last one more often than others.
    fn grow(&mut self) {
        let (x, shape) = if self.below(3) > 0 { self.values[self.values.len() - 1].clone() } else { self.pick(&self.values.clone()) };
        let Some(y) = self.step(x, &shape) else { return };
        let shape = self.types[&y].0.shape.clone();
        self.values.push((y, shape));
    }

    fn step(&mut self, x: ValueId, shape: &Shape) -> Option<ValueId> {
        let (rank, channels) = (shape.rank(), shape.get(1).copied().unwrap_or(1));
        let vector: Vec<usize> = [vec![channels], vec![1; rank.saturating_sub(2)]].concat();
        match self.below(17) {
            0 | 1 if rank == 4 => {
                let groups = if channels % 2 == 0 { self.pick(&[1, 2]) } else { 1 };
                let kernel = self.pick(&[1, 3]);
                let padding = self.pick(&[Padding::Valid, Padding::symmetric([1, 1]), Padding::SameUpper]);
                let (w, bias) = (self.weights(&[4, channels / groups, kernel, kernel]), self.weights(&[4]));
                let inputs = [x, w, bias];
                let inputs = if self.below(2) == 0 { &inputs[..] } else { &inputs[..2] };
                self.node(Conv { groups, padding, ..Conv::default() }, inputs)
            }
            2 if rank == 4 => {
                let w = self.weights(&[channels, 3, 2, 2]);
                self.node(ConvTranspose { stride: Some([2, 1].into()), ..ConvTranspose::default() }, &[x, w])
            }
            3 => {
                let (w, bias) = (self.weights(&[shape[rank - 1], 5]), self.weights(&[5]));
                let y = self.node(ops::MatMul, &[x, w])?;
                self.node(Binary::Add, &[bias, y])
            }
            4 if rank > 1 => {
                let [scale, bias, mean] = [0; 3].map(|_| self.weights(&[channels]));
                let var = self.constant(Tensor::full([channels], 0.75f64));
                self.node(BatchNormalization { eps: 0.25, momentum: 0.9, training: false }, &[x, scale, bias, mean, var])
            }
            5 | 6 => {
                let shapes: [&[usize]; 4] = [&[], &[1], &vector, &shape[rank - 1..]];
                let shape = self.pick(&shapes).to_vec();
                let c = self.weights(&shape);
                let op = self.pick(&[Binary::Add, Binary::Sub, Binary::Mul]);
                if self.below(2) == 0 { self.node(op, &[x, c]) } else { self.node(op, &[c, x]) }
            }
            7 => {
                let (value, op) = self.pick(&[(1.0, Binary::Mul), (0.0, Binary::Add), (2.0, Binary::Div), (0.0, Binary::Max)]);
                let c = self.number(value);
                self.node(op, &[x, c])
            }
            8 => {
                let op = self.pick(&[Unary::Relu, Unary::Tanh, Unary::Neg, Unary::Abs, Unary::Affine { alpha: 0.5, beta: 0.25 }]);
                self.node(op, &[x])
            }
            9 => self.node(Identity, &[x]),
            10 => {
                let gate = self.node(Unary::Sigmoid, &[x])?;
                self.node(Binary::Mul, &[x, gate])
            }
            11 => {
                let (three, zero, six) = (self.number(3.0), self.number(0.0), self.number(6.0));
                let sum = self.node(Binary::Add, &[x, three])?;
                let clip = self.node(ops::Clip, &[sum, zero, six])?;
                let gate = self.node(Binary::Div, &[clip, six])?;
                if self.below(2) == 0 { Some(gate) } else { self.node(Binary::Mul, &[gate, x]) }
            }
            12 if rank == 4 => {
                let pads = self.pick(&[[0, 0, 1, 0, 0, 0, 2, 1], [0, 0, 0, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0, 2, 1]]);
                let pads = self.integers(&pads);
                self.node(ops::Pad { mode: ops::PadMode::Constant }, &[x, pads])
            }
            13 => {
                let target =
                    self.pick(&[shape.to_vec(), [&shape[..1], &[1], &shape[1..]].concat(), vec![shape[0], shape[1..].iter().product()]]);
                let target = if target.len() > 4 { vec![shape.elements() / shape[0], shape[0]] } else { target };
                let target = self.integers(&target);
                self.node(Reshape::default(), &[x, target])
            }
            14 => {
                let mut permutation: Vec<usize> = (0..rank).collect();
                permutation.swap(self.below(rank), self.below(rank));
                self.node(Transpose { permutation }, &[x])
            }
            15 => {
                let axes = self.integers(&[rank - 1]);
                let reduce = Reduce { function: ReduceFunction::Mean, keep_dims: true, noop_with_empty_axes: false };
                let mean = self.node(reduce, &[x, axes])?;
                let target = self.integers(shape);
                let mean = if self.below(2) == 0 { mean } else { self.node(Expand, &[mean, target])? };
                let centred = self.node(Binary::Sub, &[x, mean])?;
                let square = self.node(Binary::Mul, &[centred, centred])?;
                let variance = self.node(reduce, &[square, axes])?;
                let eps = self.number(0.125);
                let sum = self.node(Binary::Add, &[variance, eps])?;
                let root = self.node(Unary::Sqrt, &[sum])?;
                self.node(Binary::Div, &[centred, root])
            }
            16 if rank == 4 => {
                let (kernel, padding) = self.pick(&[([1, 1], [0, 0]), ([2, 3], [0, 0]), ([3, 3], [1, 1])]);
                let ones = ops::Spatial::splat(2, 1);
                let window = Window {
                    kernel_size: kernel.into(),
                    stride: ones,
                    dilation: ones,
                    padding: Padding::symmetric(padding),
                    ceil_mode: false,
                };
                let count_include_pad = self.below(2) == 0;
                self.node(AveragePool { window, count_include_pad }, &[x])
            }
            _ => {
                let same: Vec<_> = self.values.iter().filter(|(_, other)| other == shape).map(|(id, _)| *id).collect();
                let other = self.pick(&same);
                if self.below(2) == 0 { self.node(Binary::Add, &[x, other]) } else { self.node(Concat { axis: 0 }, &[x, other]) }
            }
        }
    }
}

/// A network, and how many nodes all passes left of how many.
fn network(seed: u64) -> Graph {
    let mut random = Random::new(seed);
    for _ in 0..3 + random.below(12) {
        random.grow();
    }
    let mut outputs = vec![random.values.len() - 1];
    if random.values.len() > 3 && random.below(2) == 0 {
        outputs.push(1 + random.below(random.values.len() - 2));
    }
    for (at, value) in outputs.into_iter().enumerate() {
        let id = random.values[value].0;
        // An input that is an output needs a node.
        let id = if value == 0 { random.node(Identity, &[id]).unwrap() } else { id };
        random.b.output(format!("y{at}"), id);
    }
    random.b.finish().unwrap()
}

#[test]
fn random_networks_compute_the_same() {
    let tolerance = Tolerance { rtol: 1e-9, atol: 1e-10 };
    let input = [("x", Tensor::from_f64(DType::F64, [2, 4, 6, 5], wave([2, 4, 6, 5], 0.37).to_f64()).unwrap())];
    let (mut before, mut left) = (0, 0);
    let last = *Pass::LATE.last().unwrap();
    for seed in 1..=300 {
        let graph = network(seed);
        let expected = outputs(&graph, &input, Pass::all());
        let nodes = || testing::operators(&graph);
        assert_eq!(difference(&outputs(&graph, &input, None), &expected, tolerance), None, "seed {seed}: {:?}", nodes());
        let without = Pass::all().nth(seed as usize % Pass::all().count());
        assert_eq!(difference(&outputs(&graph, &input, without), &expected, tolerance), None, "seed {seed}: {:?}", nodes());
        before += graph.nodes().len();
        left += after(graph, last).nodes().len();
    }
    // The passes find what they look for.
    assert!(left * 4 < before * 3, "{left} of {before} nodes are left");
}
