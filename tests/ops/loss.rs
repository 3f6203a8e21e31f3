//! Losses of classifications.

use macula::ops::{LossReduction, NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss};
use macula::{DType, Device, Error, GraphBuilder, Tensor};

use crate::support::{Case, case, gpu, random, to_dtype, to_f16};

const REDUCTIONS: [LossReduction; 3] = [LossReduction::None, LossReduction::Mean, LossReduction::Sum];

fn likelihood(reduction: LossReduction, ignore_index: Option<i64>) -> NegativeLogLikelihoodLoss {
    NegativeLogLikelihoodLoss { reduction, ignore_index }
}

fn entropy(reduction: LossReduction, ignore_index: Option<i64>) -> SoftmaxCrossEntropyLoss {
    SoftmaxCrossEntropyLoss { reduction, ignore_index }
}

/// Targets for an input of `shape`, every fourth of them `ignored`.
fn targets(shape: &[usize], ignored: Option<i64>) -> Tensor {
    let dims: Vec<usize> = shape.iter().enumerate().filter(|(axis, _)| *axis != 1).map(|(_, &extent)| extent).collect();
    let classes = random(9, dims.as_slice(), 0.0..shape[1] as f32).to_f64();
    let class = |(at, class): (usize, &f64)| ignored.filter(|_| at % 4 == 1).unwrap_or(*class as i64);
    Tensor::new(dims, classes.iter().enumerate().map(class).collect()).unwrap()
}

fn weights(classes: usize) -> Tensor {
    random(8, [classes], 0.2..2.0)
}

/// A likelihood, and a cross entropy with either count of outputs.
fn both(reduction: LossReduction, ignored: Option<i64>, inputs: impl Fn(Case) -> Case) {
    inputs(case(likelihood(reduction, ignored))).check();
    inputs(case(entropy(reduction, ignored))).check();
    inputs(case(entropy(reduction, ignored))).outputs(2).check();
}

/// The loss of targets that are given at run time.
fn run(device: &Device, op: NegativeLogLikelihoodLoss, x: &Tensor, t: &Tensor) -> Result<Tensor, Error> {
    let mut b = GraphBuilder::new("loss");
    let inputs = [b.input("x", x.dtype(), x.shape().to_vec()), b.input("t", t.dtype(), t.shape().to_vec())];
    let loss = b.node("node", op, &inputs)?;
    b.output("loss", loss);
    Ok(device.compile(b.finish()?)?.run(&[("x", x.view()), ("t", t.view())])?[0].clone())
}

#[test]
fn inputs_of_every_rank() {
    for shape in [&[3, 5][..], &[1, 1], &[2, 7, 3], &[2, 3, 5, 9], &[2, 3, 2, 4, 3, 1, 5], &[300, 4], &[1, 150, 17, 33]] {
        let x = random(1, shape, -5.0..0.0);
        for reduction in REDUCTIONS {
            both(reduction, None, |case| case.runtime(x.clone()).runtime(targets(shape, None)));
            both(reduction, None, |case| case.runtime(x.clone()).runtime(targets(shape, None)).constant(weights(shape[1])));
        }
    }
}

#[test]
fn ignored_targets_in_and_out_of_the_classes() {
    let shape = [2, 5, 3, 7];
    let x = random(2, shape, -5.0..0.0);
    for ignored in [0, 3, 5, 255, -1, -100, 1 << 40] {
        for reduction in REDUCTIONS {
            let t = targets(&shape, Some(ignored));
            both(reduction, Some(ignored), |case| case.runtime(x.clone()).runtime(t.clone()));
            both(reduction, Some(ignored), |case| case.runtime(x.clone()).runtime(t.clone()).runtime(weights(5)));
            both(reduction, Some(ignored), |case| case.runtime(x.clone()).constant(t.clone()).constant(weights(5)));
        }
    }
}

#[test]
fn targets_of_32_bits() {
    let shape = [3, 4, 5];
    let x = random(3, shape, -5.0..0.0);
    for reduction in REDUCTIONS {
        for ignored in [Some(2), Some(-100)] {
            let t = to_dtype(&targets(&shape, ignored), DType::I32);
            both(reduction, ignored, |case| case.runtime(x.clone()).runtime(t.clone()).runtime(weights(4)));
        }
        // No target can be beyond its type.
        let t = to_dtype(&targets(&shape, None), DType::I32);
        both(reduction, Some(1 << 40), |case| case.runtime(x.clone()).runtime(t.clone()));
    }
}

#[test]
fn halves_are_added_in_single_precision() {
    // The sum of the losses exceeds the largest half, their mean does not.
    let shape = [2, 3, 120, 130];
    let x = to_f16(&random(4, shape, -9.0..-3.0));
    let (t, w) = (targets(&shape, Some(1)), to_f16(&weights(3)));
    both(LossReduction::Mean, Some(1), |case| case.runtime(x.clone()).runtime(t.clone()).runtime(w.clone()));
    both(LossReduction::Mean, None, |case| case.runtime(x.clone()).runtime(t.clone()));
    both(LossReduction::None, Some(1), |case| case.runtime(x.clone()).runtime(t.clone()).runtime(w.clone()));
    let few = to_f16(&random(5, [5, 11], -5.0..0.0));
    both(LossReduction::Sum, None, |case| case.runtime(few.clone()).runtime(targets(&[5, 11], None)));
}

#[test]
fn doubles_are_on_the_cpu() {
    let x = to_dtype(&random(5, [3, 7, 2], -5.0..0.0), DType::F64);
    for reduction in REDUCTIONS {
        let t = targets(&[3, 7, 2], Some(-1));
        case(likelihood(reduction, Some(-1))).runtime(x.clone()).constant(t.clone()).check_on_cpu();
        case(entropy(reduction, Some(-1))).runtime(x.clone()).constant(t).outputs(2).check_on_cpu();
    }
}

#[test]
fn a_mean_over_nothing_is_nan() {
    let x = random(6, [2, 3, 4], -5.0..0.0);
    let t = Tensor::full([2, 4], -1i64);
    for reduction in REDUCTIONS {
        both(reduction, Some(-1), |case| case.runtime(x.clone()).runtime(t.clone()));
        both(reduction, Some(-1), |case| case.runtime(x.clone()).runtime(t.clone()).runtime(weights(3)));
    }
    let weightless = Tensor::full([3], 0f32);
    both(LossReduction::Mean, None, |case| case.runtime(x.clone()).runtime(targets(&[2, 3, 4], None)).constant(weightless.clone()));
}

#[test]
fn no_targets() {
    for shape in [[0, 3, 4], [2, 3, 0], [2, 0, 0]] {
        let (x, t) = (random(1, shape, -5.0..0.0), targets(&shape, None));
        for device in [&Device::cpu(), gpu()] {
            for ignored in [None, Some(1)] {
                let of = |reduction| run(device, likelihood(reduction, ignored), &x, &t).unwrap().to_f64();
                assert_eq!((of(LossReduction::None), of(LossReduction::Sum)), (vec![], vec![0.0]));
                assert!(matches!(of(LossReduction::Mean)[..], [mean] if mean.is_nan()));
            }
        }
    }
}

#[test]
fn nan_counts_where_its_class_is_the_target() {
    let shape = [4, 3];
    let mut x = random(7, shape, -5.0..0.0);
    x.data_mut::<f32>().unwrap()[1] = f32::NAN;
    x.data_mut::<f32>().unwrap()[6] = f32::NEG_INFINITY;
    for t in [[1i64, 0, 2, 1], [0, 0, 0, 1], [2, 1, 1, 1], [-1, 2, -1, 0]] {
        for reduction in REDUCTIONS {
            both(reduction, Some(-1), |case| case.runtime(x.clone()).runtime(Tensor::vector(t.to_vec())));
        }
    }
}

#[test]
fn bad_targets_fail_where_the_host_sees_them() {
    let x = random(1, [1, 3, 2], -5.0..0.0);
    for (bad, nearest) in [(-1i64, 0), (-3, 0), (3, 2), (i64::MAX, 2)] {
        let t = Tensor::new([1, 2], vec![1, bad]).unwrap();
        let op = likelihood(LossReduction::None, Some(-2));
        case(op).runtime(x.clone()).constant(t.clone()).fails_with(&format!("target {bad} at [0, 1] is none of 3 classes"));
        let error = run(&Device::cpu(), op, &x, &t).unwrap_err().to_string();
        assert!(error.contains("at [0, 0, 1] is outside axis 1 of [1,3,2], whose extent is 3"), "{error}");
        let values = x.to_f64();
        assert_eq!(run(gpu(), op, &x, &t).unwrap().to_f64(), [-values[2], -values[2 * nearest + 1]]);
    }
}

#[test]
fn losses_refuse_in_numbers() {
    let x = |shape: &[usize]| random(1, shape, -5.0..0.0);
    let t = |shape: &[usize]| Tensor::full(shape, 0i64);
    let op = likelihood(LossReduction::Mean, None);
    case(op).runtime(x(&[3])).runtime(t(&[3])).fails_with("input [3] has no axis of classes");
    case(op).runtime(x(&[3, 4, 5])).runtime(t(&[3, 4])).fails_with("target [3,4] must be [3,5] for input [3,4,5]");
    case(op).runtime(x(&[3, 0])).runtime(t(&[3])).fails_with("input [3,0] has no classes");
    case(op).runtime(x(&[3, 4])).runtime(t(&[3])).runtime(x(&[3])).fails_with("weight [3] must be [4]");
    case(op).runtime(x(&[3, 4])).runtime(t(&[3])).runtime(to_f16(&x(&[4]))).fails_with("input 2 (`weight`) is f16");
    case(op).runtime(x(&[3, 4])).runtime(x(&[3])).fails_with("input 1 (`target`) is f32");
    let op = entropy(LossReduction::Mean, None);
    case(op).runtime(x(&[3, 4, 5])).runtime(t(&[3, 4])).fails_with("labels [3,4] must be [3,5] for scores [3,4,5]");
}
