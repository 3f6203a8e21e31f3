//! Winograd convolution: 3×3 kernels at stride 1.

use macula::ops::{Conv, Op, Padding, Spatial, Tolerance};
use macula::plan::{Placed, Plan};
use macula::{Comparison, CompileOptions, DType, GraphBuilder, Tensor};

use crate::support::{case, gpu, random};

fn padded(before: impl Into<Spatial>, after: impl Into<Spatial>) -> Conv {
    Conv { padding: Padding::Explicit { before: before.into(), after: after.into() }, ..Conv::default() }
}

fn same() -> Conv {
    padded([1, 1], [1, 1])
}

fn check(op: Conv, x: [usize; 4], m: usize) {
    let weight = random(2, [m, x[1], 3, 3], -1.0..1.0);
    case(op).runtime(random(1, x, -1.0..1.0)).constant(weight.clone()).constant(random(3, [m], -1.0..1.0)).check();
}

/// One below, at and above tiles of two and of four outputs, and vectors of four tiles; rows of whole vectors and not.
#[test]
fn around_the_tiles() {
    for (height, width) in [(1, 3), (2, 1), (3, 4), (4, 5), (5, 8), (7, 16), (8, 17), (9, 15), (13, 12), (17, 20)] {
        check(same(), [3, 5, height, width], 6);
    }
    for (c, m) in [(1, 33), (6, 16), (17, 3), (64, 9), (2, 65)] {
        check(same(), [1, c, 14, 36], m);
        check(same(), [2, c, 6, 7], m);
    }
}

#[test]
fn padding_of_every_kind() {
    for (before, after) in [([0, 0], [0, 0]), ([2, 1], [0, 3]), ([0, 1], [2, 0]), ([1, 0], [1, 2]), ([5, 4], [3, 6])] {
        check(padded(before, after), [2, 3, 9, 12], 7);
        check(padded(before, after), [1, 4, 21, 35], 18);
    }
}

/// A node's plan with the kernels of Winograd's algorithm, and its output.
fn run(op: impl Into<Op>, x: &Tensor, w: &Tensor) -> (std::sync::Arc<Plan>, Tensor) {
    let mut b = GraphBuilder::new("winograd");
    let input = b.input("x", DType::F32, x.shape().to_vec());
    let weight = b.constant("w", w.clone());
    let y = b.node("node", op, &[input, weight]).unwrap();
    b.output("y", y);
    let graph = b.finish().unwrap();
    let plan = gpu().compile(graph.clone()).unwrap().plans_for(&[("x", x.view())]).unwrap().remove(0);
    let kernel = plan.candidates[0].iter().map(|c| c.kernel).find(|kernel| kernel.contains("winograd")).expect("it is offered");
    let session = gpu().compile_with(graph, CompileOptions::new().kernel(kernel)).unwrap();
    let plan = session.plans_for(&[("x", x.view())]).unwrap().remove(0);
    (plan, session.run(&[("x", x.view())]).unwrap().into_tensors().remove(0))
}

fn reference(op: Conv, x: &Tensor, w: &Tensor) -> Tensor {
    Op::from(op).operator().reference(&[Some(x), Some(w)], 1).unwrap().remove(0)
}

fn dispatches(plan: &Plan) -> &[String] {
    match &plan.placed[..] {
        [Placed::Gpu(dispatches)] => dispatches,
        other => panic!("{other:?}"),
    }
}

/// Less than half of what the operator tolerates, at so many channels; a weight that is wrong by a thousandth shows.
#[test]
fn many_channels_lose_little() {
    let within = Tolerance { rtol: 0.0, atol: 5e-6 };
    let mut tiles = [false; 2];
    for size in [[6, 7], [16, 13], [29, 32]] {
        let (x, w) = (random(1, [1, 512, size[0], size[1]], -1.0..1.0), random(2, [16, 512, 3, 3], -1.0..1.0));
        let (plan, y) = run(same(), &x, &w);
        ["winograd_2", "winograd_4"].iter().zip(&mut tiles).for_each(|(tile, seen)| *seen |= dispatches(&plan)[0].contains(tile));
        let expected = reference(same(), &x, &w);
        let comparison = Comparison::new(&y, &expected, within);
        assert!(comparison.passed(), "{comparison}");
        let mut values = w.data::<f32>().unwrap().to_vec();
        values[4] *= 1.001;
        let (_, y) = run(same(), &x, &Tensor::new(w.shape(), values).unwrap());
        assert!(!Comparison::new(&y, &expected, within).passed());
    }
    assert_eq!(tiles, [true; 2], "tiles of two and of four outputs");
}

/// The tiles of a large image, and of a batch, are computed in bands that share scratch memory.
#[test]
fn bands_share_scratch() {
    for (op, shape, m) in [(same(), [2, 9, 147, 148], 160), (padded([0, 2], [1, 0]), [5, 160, 67, 70], 9)] {
        let (x, w) = (random(1, shape, -1.0..1.0), random(2, [m, shape[1], 3, 3], -1.0..1.0));
        let (plan, y) = run(op, &x, &w);
        assert!(dispatches(&plan).len() > 3, "{:?}", plan.placed);
        let tensors = 4 * (x.len() + y.len()) as u64;
        assert!(plan.peak_bytes() <= tensors + (64 << 20), "{} beside {tensors}", plan.peak_bytes());
        let comparison = Comparison::new(&y, &reference(op, &x, &w), Tolerance::accumulation(DType::F32));
        assert!(comparison.passed(), "{comparison}");
    }
}

#[test]
fn other_convolutions_are_not_served() {
    let offered = |op: Conv, x: [usize; 4], w: [usize; 4], dtype: DType| {
        let mut b = GraphBuilder::new("others");
        let input = b.input("x", dtype, x);
        let weight = b.constant("w", crate::support::to_dtype(&random(1, w, -1.0..1.0), dtype));
        let y = b.node("node", op, &[input, weight]).unwrap();
        b.output("y", y);
        let session = gpu().compile(b.finish().unwrap()).unwrap();
        let plans = session.plans_for(&[("x", Tensor::from_f64(dtype, x, vec![0.0; x.iter().product()]).unwrap().view())]).unwrap();
        plans[0].candidates[0].iter().any(|c| c.kernel.contains("winograd"))
    };
    let x = [1, 4, 9, 10];
    assert!(offered(same(), x, [6, 4, 3, 3], DType::F32));
    assert!(!offered(same(), x, [6, 4, 3, 3], DType::F16));
    assert!(!offered(same(), x, [6, 4, 3, 2], DType::F32));
    assert!(!offered(Conv { stride: Some([1, 2].into()), ..same() }, x, [6, 4, 3, 3], DType::F32));
    assert!(!offered(Conv { dilation: Some([2, 1].into()), ..same() }, x, [6, 4, 3, 3], DType::F32));
    assert!(!offered(Conv { groups: 2, ..same() }, x, [6, 2, 3, 3], DType::F32));
}
