use macula::ops::{
    BatchNormalization, GroupNormalization, InstanceNormalization, LayerNormalization, LocalResponseNormalization, LpNormalization,
    MeanVarianceNormalization, RmsNormalization,
};
use macula::{DType, Shape, Tensor};

use crate::support::{case, random, to_dtype, to_f16};

const EPS: f32 = 1e-5;

fn batch() -> BatchNormalization {
    BatchNormalization { eps: EPS, momentum: 0.9, training: false }
}

fn group(groups: usize) -> GroupNormalization {
    GroupNormalization { groups, eps: EPS }
}

fn layer(axis: i64) -> LayerNormalization {
    LayerNormalization { axis, eps: EPS }
}

const INSTANCE: InstanceNormalization = InstanceNormalization { eps: EPS };

/// Mean 1e4, variance 1: uniform over √12.
fn far_from_zero(seed: u64, shape: impl Into<Shape>) -> Tensor {
    random(seed, shape, 9998.268..10001.732)
}

fn vectors(channels: usize) -> [Tensor; 4] {
    [random(1, [channels], -2.0..2.0), random(2, [channels], -1.0..1.0), random(3, [channels], -1.0..1.0), random(4, [channels], 0.1..3.0)]
}

#[test]
fn batch_norm() {
    for (seed, shape) in [
        vec![2, 3, 5, 7],
        vec![3, 5, 4, 8],
        vec![2, 7],
        vec![5],
        vec![2, 3, 1],
        vec![2, 3, 2, 3, 5],
        vec![1, 9, 1, 2],
        vec![2, 5, 20, 28],
        vec![3, 4, 23, 25],
        vec![1, 70, 5, 9],
        vec![3, 1, 1, 5],
    ]
    .into_iter()
    .enumerate()
    {
        let [scale, bias, mean, var] = vectors(if shape.len() == 1 { 1 } else { shape[1] });
        let x = random(seed as u64, shape, -4.0..4.0);
        let constants = case(batch()).runtime(x.clone());
        constants.constant(scale.clone()).constant(bias.clone()).constant(mean.clone()).constant(var.clone()).check();
        let halves = [&x, &scale, &bias, &mean, &var].map(to_f16);
        halves.into_iter().fold(case(batch()), |c, t| c.runtime(t)).check();
        [x, scale, bias, mean, var].into_iter().fold(case(batch()), |c, t| c.runtime(t)).check();
    }
}

#[test]
fn batch_norm_far_from_zero_and_without_variance() {
    let [scale, bias, ..] = vectors(3);
    let mean = random(5, [3], 9999.0..10001.0);
    let var = Tensor::new([3], vec![1.0, 0.0, 1e-12f32]).unwrap();
    let x = far_from_zero(6, [2, 3, 5, 7]);
    [x, scale, bias, mean, var].into_iter().fold(case(batch()), |c, t| c.runtime(t)).check();
}

#[test]
fn batch_norm_of_mixed_types_is_on_the_cpu() {
    let mixed = case(batch()).runtime(to_f16(&random(7, [3, 4, 5, 7], -4.0..4.0)));
    vectors(4).into_iter().fold(mixed, |c, t| c.runtime(t)).check_on_cpu();
}

#[test]
fn batch_norm_in_training() {
    let training = BatchNormalization { training: true, momentum: 0.75, ..batch() };
    for (seed, shape) in
        [vec![3, 4, 5, 7], vec![2, 3, 17], vec![70, 2], vec![5], vec![2, 3, 2, 3, 5], vec![1, 2, 40, 67]].into_iter().enumerate()
    {
        let channels = if shape.len() == 1 { 1 } else { shape[1] };
        let x = random(seed as u64, shape.clone(), -4.0..4.0);
        for outputs in 1..=3 {
            let inputs = [&[x.clone()][..], &vectors(channels)].concat();
            inputs.iter().fold(case(training).outputs(outputs), |c, t| c.runtime(to_f16(t))).check();
            inputs.into_iter().fold(case(training).outputs(outputs), |c, t| c.runtime(t)).check();
        }
        let far = case(training).runtime(far_from_zero(seed as u64, shape)).outputs(3);
        vectors(channels).into_iter().fold(far, |c, t| c.constant(t)).check();
    }
}

#[test]
fn instance_norm() {
    for (seed, shape) in [vec![2, 3, 5, 7], vec![3, 2, 17], vec![1, 5, 1], vec![2, 3, 2, 3, 5], vec![2, 2, 23, 25]].into_iter().enumerate()
    {
        let [scale, bias, ..] = vectors(shape[1]);
        let x = random(seed as u64, shape, -4.0..4.0);
        case(INSTANCE).runtime(to_f16(&x)).constant(to_f16(&scale)).constant(to_f16(&bias)).check();
        case(INSTANCE).runtime(x).runtime(scale).runtime(bias).check();
    }
}

#[test]
fn group_norm() {
    for (seed, (shape, groups)) in [
        (vec![2, 6, 5, 7], 2),
        (vec![3, 6, 5, 7], 3),
        (vec![2, 6, 3, 5], 1),
        (vec![2, 6, 3, 5], 6),
        (vec![3, 8, 13], 4),
        (vec![3, 8], 2),
        (vec![2, 4, 2, 3, 5], 2),
    ]
    .into_iter()
    .enumerate()
    {
        let x = random(seed as u64, shape.clone(), -4.0..4.0);
        // A scale for each channel, and, as opset 18 had it, for each group.
        for scales in [shape[1], groups] {
            let [scale, bias, ..] = vectors(scales);
            case(group(groups)).runtime(to_f16(&x)).constant(to_f16(&scale)).constant(to_f16(&bias)).check();
            case(group(groups)).runtime(x.clone()).runtime(scale).constant(bias).check();
        }
    }
}

#[test]
fn layer_norm() {
    for (seed, (shape, axis)) in [
        (vec![3, 5, 7], -1),
        (vec![2, 3, 5, 7], 1),
        (vec![2, 3, 5, 7], 2),
        (vec![2, 5, 4], 0),
        (vec![9], -1),
        (vec![4, 1], 1),
        (vec![7, 96], -1),
    ]
    .into_iter()
    .enumerate()
    {
        let at = if axis < 0 { shape.len() - 1 } else { axis as usize };
        let normalized = shape[at..].to_vec();
        let (x, scale) = (random(seed as u64, shape, -4.0..4.0), random(1, normalized.clone(), -2.0..2.0));
        let bias = random(2, normalized, -1.0..1.0);
        case(layer(axis)).runtime(x.clone()).constant(scale.clone()).check();
        case(layer(axis)).runtime(x.clone()).constant(scale.clone()).absent().check();
        case(layer(axis)).runtime(to_f16(&x)).constant(to_f16(&scale)).constant(to_f16(&bias)).check();
        case(layer(axis)).runtime(x.clone()).runtime(scale.clone()).runtime(bias.clone()).check();
        case(layer(axis)).runtime(x).runtime(scale).runtime(bias).outputs(3).check();
    }
}

/// Rows of whole vectors that a subgroup holds in registers, in groups of which the last may have fewer.
#[test]
fn layer_norm_of_groups_of_rows() {
    for (rows, columns) in [(1, 4), (3, 28), (63, 36), (65, 32), (300, 8), (5, 1020), (2, 1024), (3, 1028)] {
        let x = far_from_zero(21, [rows, columns]);
        let (scale, bias) = (random(22, [columns], -2.0..2.0), random(23, [columns], -1.0..1.0));
        case(layer(-1)).runtime(x.clone()).constant(scale.clone()).check();
        case(layer(-1)).runtime(x.clone()).constant(scale.clone()).constant(bias.clone()).outputs(3).check();
        case(RmsNormalization { axis: -1, eps: 1e-5 }).runtime(x).constant(scale.clone()).check();
        let half = to_f16(&random(24, [rows, columns], -4.0..4.0));
        case(layer(-1)).runtime(half).constant(to_f16(&scale)).constant(to_f16(&bias)).check();
    }
    let mut x = random(25, [20, 64], -4.0..4.0);
    let values = x.data_mut::<f32>().unwrap();
    values[3 * 64 + 5] = f32::NAN;
    values[17 * 64] = f32::INFINITY;
    case(layer(-1)).runtime(x).constant(random(26, [64], 1.0..2.0)).check();
}

#[test]
fn layer_norm_statistics() {
    for (seed, columns) in [1, 7, 8, 9, 63, 65, 1000, 20_011].into_iter().enumerate() {
        let x = random(seed as u64, [3, 2, columns], -4.0..4.0);
        let scale = random(1, [columns], -2.0..2.0);
        for outputs in 1..=3 {
            case(layer(-1)).runtime(to_f16(&x)).constant(to_f16(&scale)).outputs(outputs).check();
            case(layer(-1)).runtime(x.clone()).constant(scale.clone()).outputs(outputs).check();
        }
        case(layer(2)).runtime(far_from_zero(seed as u64, [3, 2, columns])).constant(scale).outputs(3).check();
        case(layer(-2)).runtime(to_dtype(&x, DType::F64)).constant(Tensor::scalar(2f64)).outputs(3).check_on_cpu();
    }
}

#[test]
fn rms_norm() {
    let rms = |axis| RmsNormalization { axis, eps: EPS };
    for (seed, (shape, axis)) in
        [(vec![3, 5, 7], -1), (vec![2, 3, 5, 7], 1), (vec![2, 3, 5, 7], -2), (vec![2, 5, 4], 0), (vec![9], -1), (vec![5, 1025], 1)]
            .into_iter()
            .enumerate()
    {
        let at = if axis < 0 { (shape.len() as i64 + axis) as usize } else { axis as usize };
        let scale = random(1, shape[at..].to_vec(), -2.0..2.0);
        let x = random(seed as u64, shape, -4.0..4.0);
        case(rms(axis)).runtime(to_f16(&x)).constant(to_f16(&scale)).check();
        case(rms(axis)).runtime(to_f16(&x)).constant(scale.clone()).check_on_cpu();
        case(rms(axis)).runtime(x.clone()).runtime(scale).check();
        case(rms(axis)).runtime(x.clone()).constant(random(2, [1], 1.0..2.0)).check();
        case(rms(axis)).runtime(to_dtype(&x, DType::F64)).constant(Tensor::scalar(2f64)).check_on_cpu();
    }
    let x = || random(3, [2, 3, 5], -1.0..1.0);
    case(rms(1)).runtime(x()).constant(random(4, [3, 1], -2.0..2.0)).check();
    case(rms(3)).runtime(x()).runtime(random(4, [5], 0.0..1.0)).fails_with("axis 3 is out of range for [2,3,5]");
    case(rms(2)).runtime(x()).runtime(random(4, [4], 0.0..1.0)).fails_with("`scale` of shape [4] does not broadcast to [2,3,5]");
}

#[test]
fn local_response_norm() {
    for size in [1, 2, 3, 4, 5, 9, 40] {
        let op = LocalResponseNormalization { alpha: 0.3, beta: 0.75, bias: 1.5, size };
        for (seed, shape) in [vec![2, 7, 5, 3], vec![3, 4, 17], vec![2, 65], vec![2, 5, 2, 3, 4]].into_iter().enumerate() {
            let x = random(seed as u64, shape, -4.0..4.0);
            case(op).runtime(to_f16(&x)).check();
            case(op).runtime(to_dtype(&x, DType::F64)).check_on_cpu();
            case(op).runtime(x).check();
        }
    }
    let op = LocalResponseNormalization { alpha: 1e-4, beta: 0.5, bias: 2.0, size: 3 };
    let mut x = random(5, [1, 5, 2, 3], -4.0..4.0);
    x.data_mut::<f32>().unwrap()[7] = f32::NAN;
    case(op).runtime(x.clone()).check();
    case(LocalResponseNormalization { size: 0, ..op }).runtime(x).fails_with("size must be at least 1, got 0");
    case(op).runtime(random(5, [3], 0.0..1.0)).fails_with("at least 2 axes [N, C, …], got [3]");
}

#[test]
fn lp_norm() {
    for l1 in [false, true] {
        for axis in -4..4 {
            let x = random(6, [2, 3, 5, 7], -4.0..4.0);
            case(LpNormalization { axis, l1 }).runtime(to_f16(&x)).check();
            case(LpNormalization { axis, l1 }).runtime(to_dtype(&x, DType::F64)).check_on_cpu();
            case(LpNormalization { axis, l1 }).runtime(x).check();
        }
        let mut x = random(7, [3, 500], -200.0..200.0);
        x.data_mut::<f32>().unwrap()[500..1000].fill(0.0);
        case(LpNormalization { axis: 1, l1 }).runtime(to_f16(&x)).check();
        case(LpNormalization { axis: 1, l1 }).runtime(x).check();
        case(LpNormalization { axis: 2, l1 }).runtime(random(8, [2, 3], 0.0..1.0)).fails_with("axis 2 is out of range for [2,3]");
    }
}

#[test]
fn mean_variance_norm() {
    for (seed, axes) in [vec![0, 2, 3], vec![-1], vec![2, 3], vec![1], vec![], vec![0, 1, 2, 3]].into_iter().enumerate() {
        let op = MeanVarianceNormalization { axes };
        let x = random(seed as u64, [2, 3, 5, 7], -4.0..4.0);
        case(op.clone()).runtime(to_f16(&x)).check();
        case(op.clone()).runtime(x).check();
        case(op).runtime(far_from_zero(seed as u64, [2, 3, 5, 7])).check();
    }
    let op = MeanVarianceNormalization { axes: vec![0, 2, 3] };
    case(op).runtime(random(9, [2, 3, 5], 0.0..1.0)).fails_with("axis 3 is out of range for 3 axes");
}

#[test]
fn layer_norm_broadcasts_scale_and_bias() {
    let x = random(3, [2, 3, 5, 7], -4.0..4.0);
    for (scale, bias) in [
        (vec![7], vec![5, 7]),
        (vec![1], vec![3, 1, 7]),
        (vec![3, 5, 7], vec![1]),
        (vec![3, 1, 1], vec![]),
        (vec![1, 3, 5, 7], vec![5, 1]),
        (vec![2, 1, 5, 1], vec![2, 3, 5, 7]),
    ] {
        let (scale, bias) = (random(4, scale, -2.0..2.0), random(5, bias, -1.0..1.0));
        case(layer(1)).runtime(x.clone()).runtime(scale).constant(bias).check();
    }
}

#[test]
fn statistics_hold_far_from_zero() {
    let [scale, bias, ..] = vectors(6);
    // Rows below, at and above the workgroup's size, and long ones.
    for (seed, shape) in [[2, 6, 1, 2], [2, 6, 7, 9], [2, 6, 8, 32], [1, 6, 100, 103]].into_iter().enumerate() {
        let x = far_from_zero(seed as u64, shape);
        case(INSTANCE).runtime(x.clone()).constant(scale.clone()).constant(bias.clone()).check();
        case(group(2)).runtime(x.clone()).constant(scale.clone()).constant(bias.clone()).check();
        let whole = random(5, [6, shape[2], shape[3]], -2.0..2.0);
        case(layer(1)).runtime(x.clone()).constant(whole).check();
        // The outputs have mean 0 and variance 1 whatever the inputs had.
        let op = macula::ops::Op::from(group(1));
        let ones = [Tensor::full([6], 1f32), Tensor::full([6], 0f32)];
        let y = op.operator().reference(&[Some(&x), Some(&ones[0]), Some(&ones[1])], 1).unwrap()[0].to_f64();
        let n = y.len() as f64;
        let mean = y.iter().sum::<f64>() / n;
        let var = y.iter().map(|v| v * v).sum::<f64>() / n;
        assert!(mean.abs() < 1e-6 && (var - 1.0).abs() < 1e-4, "{shape:?}: {mean} {var}");
    }
}

#[test]
fn large_maps() {
    let x = far_from_zero(6, [1, 2, 181, 190]);
    let [scale, bias, ..] = vectors(2);
    case(INSTANCE).runtime(x.clone()).constant(scale.clone()).constant(bias.clone()).check();
    case(group(1)).runtime(x).constant(scale.clone()).constant(bias.clone()).check();
    case(INSTANCE).runtime(random(7, [1, 2, 1024, 1025], -1.0..3.0)).constant(scale).constant(bias).check();
}

#[test]
fn no_variance_is_the_bias() {
    let [scale, bias, ..] = vectors(6);
    for value in [0.0, 0.1f32, -7e4] {
        let x = Tensor::full([2, 6, 37, 41], value);
        case(group(3)).runtime(x.clone()).constant(scale.clone()).constant(bias.clone()).check();
        case(INSTANCE).runtime(x.clone()).constant(scale.clone()).constant(bias.clone()).check();
        case(layer(-1)).runtime(x).constant(random(8, [41], -1.0..1.0)).constant(random(9, [41], 0.5..1.0)).check();
    }
}

#[test]
fn instances_are_groups_of_one_channel_and_layers_one_group() {
    let x = random(9, [2, 6, 5, 7], -4.0..4.0);
    let [scale, bias, ..] = vectors(6);
    let run = |op: macula::ops::Op, inputs: &[&Tensor]| {
        let mut b = macula::GraphBuilder::new("norm");
        let ids: Vec<_> = inputs.iter().enumerate().map(|(i, t)| b.input(format!("in{i}"), t.dtype(), t.shape().to_vec())).collect();
        let y = b.node("norm", op, &ids).unwrap();
        b.output("y", y);
        let session = crate::support::gpu().compile(b.finish().unwrap()).unwrap();
        let named: Vec<_> = ["in0", "in1", "in2"].into_iter().zip(inputs).map(|(n, t)| (n, t.view())).collect();
        session.run(&named).unwrap().into_tensors().remove(0)
    };
    let close = |a: &Tensor, b: &Tensor| a.to_f64().iter().zip(b.to_f64()).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(close(&run(INSTANCE.into(), &[&x, &scale, &bias]), &run(group(6).into(), &[&x, &scale, &bias])));
    let (ones, zeros) = (Tensor::full([6], 1f32), Tensor::full([6], 0f32));
    let layer = run(layer(1).into(), &[&x, &Tensor::full([6, 5, 7], 1f32)]);
    assert!(close(&layer, &run(group(1).into(), &[&x, &ones, &zeros])));
    assert!(!close(&layer, &run(group(2).into(), &[&x, &ones, &zeros])));
}

#[test]
fn shape_rules() {
    let x = random(10, [2, 6, 5, 7], -4.0..4.0);
    let v = |n: usize| random(11, [n], 0.0..1.0);
    case(batch())
        .runtime(x.clone())
        .runtime(v(6))
        .runtime(v(6))
        .runtime(v(5))
        .runtime(v(6))
        .fails_with("`input_mean` has shape [5], expected [6] (channels)");
    case(batch()).runtime(x.clone()).runtime(v(6)).runtime(v(6)).runtime(v(6)).fails_with("input 4 (`input_var`) is missing");
    case(batch())
        .runtime(x.clone())
        .runtime(v(6))
        .runtime(v(6))
        .runtime(v(6))
        .runtime(v(6))
        .outputs(2)
        .fails_with("has 1 outputs, the node names 2");
    case(INSTANCE).runtime(x.clone()).runtime(v(6)).runtime(v(7)).fails_with("`B` has shape [7], expected [6] (channels)");
    case(INSTANCE).runtime(random(12, [2, 6], 0.0..1.0)).runtime(v(6)).runtime(v(6)).fails_with("at least 3 axes [N, C, …], got [2,6]");
    case(group(4)).runtime(x.clone()).runtime(v(6)).runtime(v(6)).fails_with("6 channels do not divide into 4 groups");
    case(group(0)).runtime(x.clone()).runtime(v(6)).runtime(v(6)).fails_with("6 channels do not divide into 0 groups");
    case(group(3))
        .runtime(x.clone())
        .runtime(v(2))
        .runtime(v(2))
        .fails_with("`scale` has shape [2], expected [6] (channels) or [3] (groups)");
    case(group(3)).runtime(x.clone()).runtime(v(6)).runtime(v(3)).fails_with("`bias` has shape [3], expected [6] (as `scale`)");
    case(group(3))
        .runtime(x.clone())
        .runtime(to_dtype(&v(6), DType::F64))
        .runtime(v(6))
        .fails_with("input 1 (`scale`) is f64, expected f32");
    case(layer(4)).runtime(x.clone()).runtime(v(7)).fails_with("axis 4 is out of range for [2,6,5,7]");
    case(layer(1)).runtime(x.clone()).runtime(v(5)).fails_with("`Scale` of shape [5] does not broadcast to [2,6,5,7]");
    case(layer(1))
        .runtime(x)
        .runtime(v(7))
        .runtime(random(13, [1, 2, 6, 5, 7], 0.0..1.0))
        .fails_with("`B` of shape [1,2,6,5,7] does not broadcast");
}
