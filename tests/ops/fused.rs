//! Operators with epilogues, and chains of elementwise operators.

use macula::ops::{
    BatchNormalization, Binary, Conv, ConvTranspose, Fused, Gemm, GroupNormalization, InstanceNormalization, LayerNormalization, MatMul,
    Op, Padding, Step, Unary,
};
use macula::{Shape, Tensor};

use crate::support::{Case, case, random, to_f16};

const RELU: Step = Step::Unary(Unary::Relu);
const SWISH: Step = Step::Unary(Unary::Swish { alpha: 1.0 });
const CLIP: Step = Step::Clip { min: -0.25, max: 0.5 };

fn binary(op: Binary, operand: usize, swapped: bool) -> Step {
    Step::Binary { op, operand, swapped }
}

fn fused(base: impl Into<Op>, base_inputs: usize, steps: Vec<Step>) -> Fused {
    Fused { base: Some(Box::new(base.into())), base_inputs, steps }
}

fn chain(steps: Vec<Step>) -> Fused {
    Fused { base: None, base_inputs: 1, steps }
}

/// What an operator's output goes through, with the operands beside its own `inputs`.
fn epilogues(inputs: usize, output: &Shape) -> Vec<(Vec<Step>, Vec<Tensor>)> {
    let held = random(90, output, -1.0..1.0);
    vec![
        (vec![RELU], vec![]),
        (vec![CLIP, SWISH], vec![]),
        (vec![binary(Binary::Add, inputs, false)], vec![held.clone()]),
        (vec![binary(Binary::Add, inputs, true), RELU], vec![held.clone()]),
        (vec![SWISH, binary(Binary::Mul, inputs, false), CLIP], vec![held.clone()]),
        (vec![Step::PRelu { slope: inputs }], vec![held]),
    ]
}

/// Every kernel of an operator with every epilogue. `weights` are constants, or computed at run time.
fn check_epilogues(base: impl Into<Op>, x: Tensor, weights: &[Tensor], constant: bool, output: impl Into<Shape>) {
    let (base, output) = (base.into(), output.into());
    for (steps, held) in epilogues(1 + weights.len(), &output) {
        let with = |case: Case, tensor: &Tensor| if constant { case.constant(tensor.clone()) } else { case.runtime(tensor.clone()) };
        let op = fused(base.clone(), 1 + weights.len(), steps);
        let case = weights.iter().fold(case(op).runtime(x.clone()), with);
        held.into_iter().fold(case, Case::runtime).check();
    }
}

fn padded(groups: usize) -> Conv {
    Conv { padding: Padding::Explicit { before: [1, 0].into(), after: [0, 2].into() }, groups, ..Conv::default() }
}

#[test]
fn convolutions() {
    let x = || random(1, [2, 6, 7, 9], -1.0..1.0);
    // Implicit matrix products, with output channels past a tile's end; the direct kernel.
    let weights = [random(2, [9, 6, 2, 3], -0.5..0.5), random(3, [9], -1.0..1.0)];
    check_epilogues(padded(1), x(), &weights, true, [2, 9, 7, 9]);
    check_epilogues(padded(1), x(), &weights, false, [2, 9, 7, 9]);
    // Winograd's tiles, in rows of whole vectors and not, and few enough for channels inside.
    let kernels = [random(2, [9, 6, 3, 3], -0.5..0.5), random(3, [9], -1.0..1.0)];
    for (height, width) in [(21, 36), (15, 45), (6, 7)] {
        let same = Conv { padding: Padding::symmetric([1, 1]), ..Conv::default() };
        check_epilogues(same, random(10, [2, 6, height, width], -1.0..1.0), &kernels, true, [2, 9, height, width]);
    }
    // Depthwise, sliding and not.
    check_epilogues(padded(6), x(), &[random(4, [12, 1, 2, 3], -0.5..0.5)], true, [2, 12, 7, 9]);
    // Depthwise by strips, and by planes whose ends share vectors.
    let same = |groups| Conv { padding: Padding::symmetric([1, 1]), groups, ..Conv::default() };
    check_epilogues(same(6), random(1, [2, 6, 5, 8], -1.0..1.0), &[random(4, [6, 1, 3, 3], -0.5..0.5)], true, [2, 6, 5, 8]);
    check_epilogues(same(9), random(1, [1, 9, 5, 7], -1.0..1.0), &[random(4, [9, 1, 3, 3], -0.5..0.5)], true, [1, 9, 5, 7]);
    // Pointwise: whole vectors of pixels.
    let x = random(5, [2, 6, 4, 7], -1.0..1.0);
    check_epilogues(Conv::default(), x.clone(), &[random(6, [10, 6, 1, 1], -0.5..0.5)], true, [2, 10, 4, 7]);
    let grouped = Conv { groups: 2, ..Conv::default() };
    check_epilogues(grouped, x, &[random(6, [10, 3, 1, 1], -0.5..0.5)], true, [2, 10, 4, 7]);
    // A kernel as large as its input is a linear layer.
    let x = random(7, [3, 5, 2, 4], -1.0..1.0);
    check_epilogues(Conv::default(), x, &[random(8, [7, 5, 2, 4], -0.5..0.5), random(9, [7], -1.0..1.0)], true, [3, 7, 1, 1]);
}

#[test]
fn transposed_convolutions() {
    let op = ConvTranspose { stride: Some([2, 3].into()), ..ConvTranspose::default() };
    let (x, w) = (random(10, [2, 5, 3, 4], -1.0..1.0), random(11, [5, 6, 2, 3], -0.5..0.5));
    check_epilogues(op, x.clone(), &[w.clone(), random(12, [6], -1.0..1.0)], true, [2, 6, 6, 12]);
    check_epilogues(op, x, &[w], false, [2, 6, 6, 12]);
}

#[test]
fn channels_have_slopes_of_their_own() {
    let slope = || random(20, [9, 1, 1], -1.0..1.0);
    let x = random(21, [2, 6, 7, 9], -1.0..1.0);
    let op = fused(padded(1), 2, vec![Step::PRelu { slope: 2 }, SWISH]);
    case(op).runtime(x.clone()).constant(random(22, [9, 6, 2, 3], -0.5..0.5)).constant(slope()).check();
    let pointwise = fused(Conv { groups: 3, ..Conv::default() }, 2, vec![RELU, binary(Binary::Add, 2, false)]);
    let x = random(23, [2, 6, 4, 7], -1.0..1.0);
    case(pointwise).runtime(x).constant(random(24, [9, 2, 1, 1], -0.5..0.5)).constant(slope()).check();
    for width in [7, 8] {
        let depthwise = Conv { padding: Padding::symmetric([1, 1]), groups: 9, ..Conv::default() };
        let x = random(23, [2, 9, 5, width], -1.0..1.0);
        let op = fused(depthwise, 2, vec![Step::PRelu { slope: 2 }, SWISH]);
        case(op).runtime(x).constant(random(24, [9, 1, 3, 3], -1.0..1.0)).constant(slope()).check();
    }
    let op = fused(MatMul, 2, vec![binary(Binary::Mul, 2, false), RELU]);
    let (a, b) = (random(25, [2, 5, 7], -1.0..1.0), random(26, [7, 10], -1.0..1.0));
    case(op).runtime(a).constant(b).constant(random(27, [10], -1.0..1.0)).check();
}

#[test]
fn matrix_products() {
    for (rows, constant) in [(1, true), (3, false), (11, true), (11, false)] {
        let (a, b) = (random(30, [2, rows, 7], -1.0..1.0), random(31, [7, 10], -1.0..1.0));
        check_epilogues(MatMul, a, &[b], constant, [2, rows, 10]);
    }
    let gemm = Gemm { transpose_b: true, ..Gemm::default() };
    let weights = [random(33, [9, 7], -1.0..1.0), random(34, [9], -1.0..1.0)];
    check_epilogues(gemm, random(32, [5, 7], -1.0..1.0), &weights, true, [5, 9]);
}

#[test]
fn normalizations() {
    // Maps of whole vectors and of odd sizes.
    for map in [[4, 6], [3, 5]] {
        let shape = [2, 6, map[0], map[1]];
        let x = || random(40, shape, -2.0..3.0);
        let channel = |seed| random(seed, [6], 0.5..1.5);
        let batch = BatchNormalization { eps: 1e-5, momentum: 0.9, training: false };
        check_epilogues(batch, x(), &[channel(41), channel(42), channel(43), channel(44)], true, shape);
        check_epilogues(InstanceNormalization { eps: 1e-5 }, x(), &[channel(41), channel(42)], true, shape);
        let group = GroupNormalization { groups: 3, eps: 1e-5 };
        check_epilogues(group, x(), &[channel(41), channel(42)], true, shape);
        let layer = LayerNormalization { axis: -1, eps: 1e-5 };
        let along = |seed| random(seed, [map[1]], 0.5..1.5);
        check_epilogues(layer, x(), &[along(45), along(46)], true, shape);
    }
}

#[test]
fn half_precision() {
    let op = fused(Conv::default(), 2, vec![RELU, binary(Binary::Add, 2, false), SWISH]);
    let held = to_f16(&random(52, [2, 10, 4, 7], -1.0..1.0));
    let (x, w) = (to_f16(&random(50, [2, 6, 4, 7], -1.0..1.0)), to_f16(&random(51, [10, 6, 1, 1], -0.5..0.5)));
    case(op).runtime(x).constant(w).runtime(held).check();
    let op = chain(vec![binary(Binary::Mul, 1, false), RELU]);
    case(op).runtime(to_f16(&random(53, [3, 5, 7], -1.0..1.0))).runtime(to_f16(&random(54, [5, 1], -1.0..1.0))).check();
}

#[test]
fn chains_of_six_with_four_operands() {
    let steps = vec![
        binary(Binary::Sub, 1, true),
        Step::Unary(Unary::Abs),
        binary(Binary::Mul, 2, false),
        binary(Binary::Div, 3, false),
        CLIP,
        binary(Binary::Max, 4, false),
    ];
    for shape in [[2, 3, 4, 8], [2, 3, 5, 7]] {
        let operands = [&shape[..], &[3, 1, 1], &[shape[3]], &[]];
        let operands = operands.iter().zip(60..).map(|(shape, seed)| random(seed, *shape, 0.5..1.5));
        operands.fold(case(chain(steps.clone())).runtime(random(59, shape, -1.0..1.0)), Case::runtime).check();
    }
}

#[test]
fn every_operator_of_a_chain_on_either_side() {
    let (x, y) = (random(70, [2, 3, 5, 7], 0.5..2.0), random(71, [3, 1, 1], 0.5..2.0));
    for op in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Pow, Binary::Max, Binary::Min] {
        for swapped in [false, true] {
            case(chain(vec![binary(op, 1, swapped), SWISH])).runtime(x.clone()).runtime(y.clone()).check();
        }
    }
    let prelu = chain(vec![Step::Unary(Unary::Neg), Step::PRelu { slope: 1 }]);
    case(prelu).runtime(x).constant(y).check();
}

#[test]
fn nan_goes_through() {
    let mut x = random(80, [2, 6, 4, 7], -1.0..1.0);
    x.data_mut::<f32>().unwrap()[17] = f32::NAN;
    case(fused(Conv::default(), 2, vec![RELU, CLIP])).runtime(x.clone()).constant(random(81, [5, 6, 1, 1], -1.0..1.0)).check();
    case(chain(vec![RELU, CLIP, SWISH])).runtime(x).check();
}

#[test]
fn operands_must_broadcast_to_the_output() {
    let op = || chain(vec![binary(Binary::Add, 1, false)]);
    case(op()).runtime(random(1, [3, 1], 0.0..1.0)).runtime(random(2, [3, 4], 0.0..1.0)).fails_with("does not broadcast");
    case(op()).runtime(random(1, [3, 4], 0.0..1.0)).runtime(to_f16(&random(2, [3, 4], 0.0..1.0))).fails_with("f16");
}
