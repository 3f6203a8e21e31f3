//! Random attributes and shapes of the windowed operators and the norms: every kernel = the CPU device = the reference.
//!
//! The cases are the same in every run; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` draw others, and more of them.

use macula::ops::{
    AveragePool, BatchNormalization, Conv, ConvInteger, ConvTranspose, GroupNormalization, InstanceNormalization, LayerNormalization,
    MaxPool, Op, Operand, Operands, Padding, Spatial, Window,
};
use macula::{DType, Tensor};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::support::{Case, case, random, to_dtype};

fn config() -> ProptestConfig {
    let given = |name: &str| std::env::var_os(name).is_some();
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if !given("PROPTEST_RNG_SEED") {
        config.rng_seed = RngSeed::Fixed(0x6d61_6375_6c61);
    }
    if !given("PROPTEST_CASES") {
        config.cases = 96;
    }
    config
}

/// One number for each of `rank` axes.
fn per_axis(rank: usize, range: std::ops::Range<usize>) -> impl Strategy<Value = Spatial> {
    prop::collection::vec(range, rank).prop_map(|values| Spatial::from_slice(&values).unwrap())
}

fn padding(rank: usize, most: usize) -> impl Strategy<Value = Padding> {
    prop_oneof![
        4 => (per_axis(rank, 0..most), per_axis(rank, 0..most)).prop_map(|(before, after)| Padding::Explicit { before, after }),
        1 => Just(Padding::SameUpper),
        1 => Just(Padding::SameLower),
        1 => Just(Padding::Valid),
    ]
}

fn float() -> impl Strategy<Value = DType> {
    prop_oneof![3 => Just(DType::F32), 1 => Just(DType::F16)]
}

/// Whether the shape rule accepts these inputs.
fn fits(op: impl Into<Op>, inputs: &[&Tensor]) -> bool {
    let inputs = inputs.iter().map(|t| Some(Operand { dtype: t.dtype(), shape: t.shape(), constant: None })).collect();
    op.into().operator().infer(&Operands { inputs, outputs: 1 }).is_ok()
}

/// A window, and an input `[N, C, …]` for it.
fn window() -> impl Strategy<Value = (Window, Tensor)> {
    (1usize..4).prop_flat_map(|rank| {
        let extent = [70, 18, 8][rank - 1];
        let shape = (1usize..4, 1usize..7, per_axis(rank, 1..extent));
        let attributes = (per_axis(rank, 1..5), per_axis(rank, 1..4), per_axis(rank, 1..3), padding(rank, 3), any::<bool>());
        (shape, attributes, any::<u64>()).prop_map(|((n, c, extents), (kernel_size, stride, dilation, padding, ceil_mode), seed)| {
            let shape: Vec<usize> = [n, c].into_iter().chain(extents.iter().copied()).collect();
            (Window { kernel_size, stride, dilation, padding, ceil_mode }, random(seed, shape, -4.0..4.0))
        })
    })
}

#[derive(Debug)]
struct Convolution {
    op: Conv,
    x: Tensor,
    w: Tensor,
    b: Option<Tensor>,
    constant: bool,
}

fn convolution() -> impl Strategy<Value = Convolution> {
    (1usize..4).prop_flat_map(|rank| {
        let extent = [90, 20, 9][rank - 1];
        // Depthwise and dense layers are their own kernels.
        let channels =
            prop_oneof![(Just(1usize), 1usize..18, 1usize..20), (1usize..4, 1usize..5, 1usize..9), (2usize..12, Just(1usize), 1usize..3)];
        let shape = (1usize..4, channels, per_axis(rank, 1..extent), per_axis(rank, 1..6));
        let attributes = (per_axis(rank, 1..4), per_axis(rank, 1..4), padding(rank, 4));
        (shape, attributes, float(), any::<bool>(), any::<bool>(), any::<u64>()).prop_map(
            |((n, (groups, c, m), extents, kernel), (stride, dilation, padding), dtype, bias, constant, seed)| {
                let op = Conv { stride: Some(stride), dilation: Some(dilation), padding, groups };
                let dims = |first: usize, second: usize, rest: &[usize]| [&[first, second], rest].concat();
                let tensor = |seed, shape: Vec<usize>| to_dtype(&random(seed, shape, -1.0..1.0), dtype);
                Convolution {
                    op,
                    x: tensor(seed, dims(n, groups * c, &extents)),
                    w: tensor(seed ^ 1, dims(groups * m, c, &kernel)),
                    b: bias.then(|| tensor(seed ^ 2, vec![groups * m])),
                    constant,
                }
            },
        )
    })
}

impl Convolution {
    fn case(self) -> Case {
        let op = self.op;
        self.case_of(op)
    }

    /// The same tensors under another operator.
    fn case_of(self, op: impl Into<Op>) -> Case {
        let Self { x, w, b, constant, .. } = self;
        let case = case(op).runtime(x);
        match (constant, b) {
            (true, Some(b)) => case.constant(w).constant(b),
            (true, None) => case.constant(w),
            (false, Some(b)) => case.runtime(w).runtime(b),
            (false, None) => case.runtime(w),
        }
    }
}

/// A transposed convolution with the same ranges of attributes: its weight is `[groups · C, M, …]`.
fn transposed() -> impl Strategy<Value = (ConvTranspose, Convolution)> {
    let output_padding = prop::option::of(prop::collection::vec(0usize..3, 3));
    (convolution(), output_padding).prop_map(|(convolution, extra)| {
        let Conv { stride, dilation, padding, groups } = convolution.op;
        let [rows, columns, kernel @ ..] = convolution.w.shape().dims() else { panic!("a weight has at least two axes") };
        let output_padding = extra.and_then(|extra| Spatial::from_slice(&extra[..kernel.len()]));
        let w = [&[groups * columns, rows / groups], kernel].concat();
        let w = convolution.w.reshape(w).unwrap();
        let op = ConvTranspose { stride, dilation, padding, output_padding, output_size: None, groups };
        (op, Convolution { w, ..convolution })
    })
}

/// Normalization of a tensor `[N, C, …]` far from zero, with a scale and a bias for each channel.
fn norm() -> impl Strategy<Value = (usize, usize, Vec<usize>, DType, u64)> {
    let extents = prop::collection::vec(1usize..24, 1..4);
    (1usize..4, 1usize..5, 1usize..5, extents, float(), any::<u64>()).prop_map(|(n, groups, per_group, extents, dtype, seed)| {
        let shape = [vec![n, groups * per_group], extents].concat();
        (groups, groups * per_group, shape, dtype, seed)
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn convolutions(convolution in convolution().prop_filter("fits", |c| fits(c.op, &[&c.x, &c.w]))) {
        convolution.case().check();
    }

    #[test]
    fn transposed_convolutions((op, c) in transposed().prop_filter("fits", |(op, c)| fits(*op, &[&c.x, &c.w]))) {
        c.case_of(op).check();
    }

    #[test]
    fn integer_convolutions(c in convolution().prop_filter("fits", |c| fits(c.op, &[&c.x, &c.w])),
                            signed in any::<[bool; 2]>(), zero_points in prop::option::of(any::<[u8; 2]>())) {
        let bytes = |tensor: &Tensor, signed: bool| {
            let values = tensor.to_f64().iter().map(|v| (v * 127.0).round() + if signed { 0.0 } else { 128.0 }).collect();
            Tensor::from_f64(if signed { DType::I8 } else { DType::U8 }, tensor.shape(), values).unwrap()
        };
        let zero = |value: u8, signed: bool| if signed { Tensor::scalar(value as i8) } else { Tensor::scalar(value) };
        let case = case(ConvInteger { conv: c.op }).runtime(bytes(&c.x, signed[0]));
        let w = bytes(&c.w, signed[1]);
        let case = if c.constant { case.constant(w) } else { case.runtime(w) };
        match zero_points {
            Some([x, w]) => case.constant(zero(x, signed[0])).constant(zero(w, signed[1])).check(),
            None => case.check(),
        }
    }

    #[test]
    fn max_pools((window, x) in window().prop_filter("fits", |(w, x)| fits(MaxPool { window: *w, column_major: false }, &[x])),
                 indices in any::<bool>(), column_major in any::<bool>(), half in any::<bool>()) {
        let x = if half { to_dtype(&x, DType::F16) } else { x };
        case(MaxPool { window, column_major }).runtime(x).outputs(1 + usize::from(indices)).check();
    }

    #[test]
    fn average_pools((window, x) in window().prop_filter("fits", |(w, x)| fits(AveragePool { window: *w, count_include_pad: false }, &[x])),
                     count_include_pad in any::<bool>()) {
        case(AveragePool { window, count_include_pad }).runtime(x).check();
    }

    #[test]
    fn norms((groups, channels, shape, dtype, seed) in norm(), which in 0..4usize, large in any::<bool>(), axis in 1..3i64) {
        let offset = if large && dtype == DType::F32 { 1e4 } else { 0.0 };
        let x = to_dtype(&random(seed, shape.clone(), offset - 2.0..offset + 2.0), dtype);
        let vector = |at: u64, low: f32| to_dtype(&random(seed ^ at, [channels], low..2.0), dtype);
        let (scale, bias, mean, var) = (vector(1, -2.0), vector(2, -2.0), vector(3, -2.0), vector(4, 0.1));
        match which {
            0 => {
                let op = BatchNormalization { eps: 1e-5, momentum: 0.9, training: false };
                case(op).runtime(x).constant(scale).constant(bias).constant(mean).constant(var).check();
            }
            1 => case(InstanceNormalization { eps: 1e-5 }).runtime(x).runtime(scale).constant(bias).check(),
            2 => case(GroupNormalization { groups, eps: 1e-5 }).runtime(x).constant(scale).constant(bias).check(),
            _ => {
                let rest = shape[axis as usize..].to_vec();
                let (scale, bias) = (random(seed ^ 5, rest.clone(), -2.0..2.0), random(seed ^ 6, rest, -2.0..2.0));
                let (scale, bias) = (to_dtype(&scale, dtype), to_dtype(&bias, dtype));
                case(LayerNormalization { axis, eps: 1e-5 }).runtime(x).constant(scale).constant(bias).check();
            }
        }
    }
}
