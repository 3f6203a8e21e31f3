//! Runs in which values share memory give what runs give in which each has its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::context::Context;
use super::execute::Wait;
use super::program::Program;
use super::weights::WeightStore;
use crate::graph::{GraphBuilder, InputSpec, Specialized, TensorType, ValueId};
use crate::ops::{Binary, Clip, Concat, Conv, Gather, MaxPool, Op, Padding, Slice, Spatial, Split, Transpose, Unary, Window};
use crate::plan::{LowerOptions, Plan, Step, lower};
use crate::tensor::{DType, Tensor};
use crate::{Device, cpu};

fn gpu() -> Device {
    Device::from_name(&std::env::var("MACULA_DEVICE").unwrap_or_else(|_| "gpu".into())).expect("run tools/test.sh")
}

/// Numbers that differ, of both signs.
fn numbers(shape: &[usize]) -> Tensor {
    let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| ((i * 37 + 11) % 101) as f32 / 16.0 - 3.0).collect();
    Tensor::new(shape.to_vec(), values).unwrap()
}

/// A name that no other has.
fn name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("n{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn node(b: &mut GraphBuilder, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
    b.node(name(), op, inputs).unwrap()
}

fn constant(b: &mut GraphBuilder, tensor: Tensor) -> ValueId {
    b.constant(name(), tensor)
}

fn concat(b: &mut GraphBuilder, inputs: &[ValueId]) -> ValueId {
    node(b, Concat { axis: 1 }, inputs)
}

/// A 3×3 maximum of the same extents, which reads neighbours.
fn pool(b: &mut GraphBuilder, x: ValueId) -> ValueId {
    let (one, kernel_size) = (Spatial::splat(2, 1), Spatial::splat(2, 3));
    let window = Window { kernel_size, stride: one, dilation: one, padding: Padding::SameUpper, ceil_mode: false };
    node(b, MaxPool { window, column_major: false }, &[x])
}

/// 1×1, to `channels` channels.
fn conv(b: &mut GraphBuilder, x: ValueId, in_channels: usize, channels: usize) -> ValueId {
    let w = constant(b, numbers(&[channels, in_channels, 1, 1]));
    node(b, Conv::default(), &[x, w])
}

fn slice(b: &mut GraphBuilder, x: ValueId, start: i64, end: i64) -> ValueId {
    let [start, end, axes] = [start, end, 1].map(|n| constant(b, Tensor::vector(vec![n])));
    node(b, Slice, &[x, start, end, axes])
}

/// How a run shares memory: dispatches fewer than without, dispatches in place, buffers fewer than without.
struct Shared {
    elided: usize,
    in_place: usize,
    buffers: usize,
}

/// Runs the network of `build` on `[batch, 4, height, width]` with shared memory and without, poisoned: both give the same bits, the
/// processor nearly the same numbers, and a trace of the nodes too.
fn compare(shape: [usize; 4], build: impl Fn(&mut GraphBuilder, ValueId) -> Vec<ValueId>) -> Shared {
    let device = gpu();
    let context = device.context().expect("a GPU has a context");
    let mut b = GraphBuilder::new("network");
    let x = b.input("x", DType::F32, shape.map(crate::Dim::from));
    for (i, y) in build(&mut b, x).into_iter().enumerate() {
        b.output(format!("y{i}"), y);
    }
    let spec = InputSpec { ty: TensorType::new(DType::F32, shape), value: None };
    let Ok(Specialized::Graph(graph)) = b.finish().unwrap().specialize(&[spec]) else { panic!("the shapes are known") };
    let plan = |reuse_memory| {
        let options = LowerOptions { reuse_memory, strict: true, ..LowerOptions::default() };
        Arc::new(lower(graph.clone(), Some(context.capabilities()), &options).unwrap())
    };
    let input = numbers(&shape);
    let (shared, apart) = (plan(true), plan(false));
    let alone = run(context, &apart, &input);
    for _ in 0..2 {
        assert_eq!(run(context, &shared, &input), alone, "{:#?}", shared.steps);
    }
    let on_cpu = cpu::run(&lower(graph.clone(), None, &LowerOptions::default()).unwrap(), &[input.view()], None).unwrap();
    for (got, expected) in alone[..on_cpu.len()].iter().zip(&on_cpu) {
        let comparison = crate::Comparison::new(got, expected, crate::ops::Tolerance::accumulation(DType::F32));
        assert!(comparison.passed(), "{comparison}");
    }
    let in_place = |step: &&Step| matches!(step, Step::Dispatch { dispatch, .. } if dispatch.variant.in_place);
    Shared {
        elided: apart.steps.len() - shared.steps.len(),
        in_place: shared.steps.iter().filter(in_place).count(),
        buffers: apart.buffers.len() - shared.buffers.len(),
    }
}

/// The outputs of two runs, the second of which looks at every node; and what that saw, views left out, which other plans may lack.
fn run(context: &Context, plan: &Arc<Plan>, input: &Tensor) -> Vec<Tensor> {
    let program = Program::new(context, plan.clone(), &WeightStore::default(), true).unwrap();
    let run = |trace| pollster::block_on(program.run(context, &[input.view()], Wait::Here, trace)).unwrap();
    let plain = run(None);
    let mut seen = vec![];
    let mut trace = |node: crate::NodeId, outputs: Vec<Option<Tensor>>| {
        if !matches!(plan.graph.node(node).op, Op::Concat(_) | Op::Slice(_) | Op::Split(_) | Op::Gather(_)) {
            seen.extend(outputs.into_iter().flatten());
        }
    };
    assert_eq!(run(Some(&mut trace)), plain, "a traced run differs");
    plain.into_iter().chain(seen).collect()
}

#[test]
fn layers_that_read_all_before_them() {
    // Maps of 128, 140 and 144 bytes: one is not aligned.
    for ([height, width], elided) in [([4, 8], 10), ([5, 7], 0), ([4, 9], 10)] {
        let shared = compare([1, 4, height, width], |b, x| {
            let mut features = vec![pool(b, x)];
            for layer in 0..4 {
                let all = concat(b, &features);
                let few = conv(b, all, 4 + 8 * layer, 6);
                let few = node(b, Unary::Relu, &[few]);
                let few = conv(b, few, 6, 8);
                features.push(node(b, Unary::Tanh, &[few]));
            }
            let all = concat(b, &features);
            vec![node(b, Unary::Sigmoid, &[all])]
        });
        assert!(shared.elided > elided && shared.in_place > 8 && shared.buffers > 10, "{height}x{width}");
    }
}

#[test]
fn pools_beside_what_they_read() {
    let shared = compare([1, 4, 8, 8], |b, x| {
        let x = node(b, Unary::Tanh, &[x]);
        let mut pieces = vec![x];
        for _ in 0..3 {
            pieces.push(pool(b, pieces[pieces.len() - 1]));
        }
        let all = concat(b, &pieces);
        vec![conv(b, all, 16, 5)]
    });
    assert_eq!(shared.elided, 2);
}

#[test]
fn halves_that_come_back() {
    for batch in [1, 2] {
        let shared = compare([batch, 4, 8, 8], |b, x| {
            let mut x = node(b, Unary::Relu, &[x]);
            for _ in 0..2 {
                let parts = b.nodes(name(), Split { axis: 1 }, &[Some(x)], 2).unwrap();
                let half = conv(b, parts[1], 2, 3);
                let half = pool(b, half);
                let half = conv(b, half, 3, 2);
                let half = node(b, Unary::Relu, &[half]);
                x = concat(b, &[parts[0], half]);
            }
            vec![x]
        });
        assert_eq!(shared.elided, if batch == 1 { 8 } else { 0 });
    }
}

#[test]
fn outputs_inputs_and_constants_in_concatenations() {
    let shared = compare([1, 4, 4, 10], |b, x| {
        let c = constant(b, numbers(&[1, 3, 4, 10]));
        let left = pool(b, x);
        let right = node(b, Binary::Sub, &[left, x]);
        let inner = concat(b, &[left, c]);
        let turned = node(b, Transpose { permutation: vec![0, 1, 3, 2] }, &[right]);
        let turned = node(b, Transpose { permutation: vec![0, 1, 3, 2] }, &[turned]);
        let outer = concat(b, &[right, turned, inner, right, x]);
        vec![outer, left, right, x, inner]
    });
    assert!(shared.elided > 0);
}

#[test]
fn ranges_and_operands_that_die() {
    let shared = compare([1, 4, 4, 8], |b, x| {
        let x = pool(b, x);
        let (first, rest) = (slice(b, x, 0, 1), slice(b, x, 1, 4));
        let indices = constant(b, Tensor::vector(vec![-2i64, -1]));
        let last = node(b, Gather { axis: 1 }, &[rest, indices]);
        let scaled = constant(b, numbers(&[2, 1, 1]));
        // The constant is the left operand; `last` is overwritten while `first` lives on beside it.
        let last = node(b, Binary::Sub, &[scaled, last]);
        let high = constant(b, Tensor::scalar(1.5f32));
        let low = constant(b, Tensor::scalar(-1.5f32));
        let last = node(b, Clip, &[last, low, high]);
        let sum = node(b, Binary::Add, &[first, first]);
        let product = node(b, Binary::Mul, &[last, sum]);
        vec![node(b, Binary::Sub, &[product, first])]
    });
    assert!(shared.elided >= 3 && shared.in_place >= 3, "{} {}", shared.elided, shared.in_place);
}
