//! Losses of classifications.

use crate::error::OpError;
use crate::ops::loss::{LossReduction, NegativeLogLikelihoodLoss};
use crate::tensor::Tensor;

/// The class that each target means, `None` where it is `ignore_index`; or which target means none of `count` classes.
pub(crate) fn classes(target: &Tensor, count: usize, ignore_index: Option<i64>) -> Result<Vec<Option<usize>>, OpError> {
    let class = |(at, &class): (usize, &i64)| {
        if Some(class) == ignore_index {
            return Ok(None);
        }
        let found = usize::try_from(class).ok().filter(|&class| class < count);
        found.map(Some).ok_or_else(|| {
            let at = target.shape().coordinates(at);
            OpError::invalid(format!("target {class} at {at:?} is none of {count} classes"))
        })
    };
    target.to_i64().unwrap_or_default().iter().enumerate().map(class).collect()
}

/// `loss[n, i] = −w[t] · x[n, t, i]` with `t = target[n, i]`, for `x` as `[N, C, inner]`; their sum; or that sum over `Σ w[t]`.
/// Where `t` is `ignore_index`, both the loss and `w[t]` are 0.
pub(crate) fn negative_log_likelihood(
    op: &NegativeLogLikelihoodLoss,
    x: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
) -> Result<Vec<f64>, OpError> {
    let (values, weights) = (x.to_f64(), weight.map(Tensor::to_f64));
    let (count, inner) = (x.shape()[1], x.shape()[2..].iter().product::<usize>());
    let (mut losses, mut total) = (vec![], 0.0);
    for (position, class) in classes(target, count, op.ignore_index)?.into_iter().enumerate() {
        let (n, i) = (position / inner, position % inner);
        losses.push(match class {
            Some(class) => {
                let weight = weights.as_ref().map_or(1.0, |weights| weights[class]);
                total += weight;
                -values[(n * count + class) * inner + i] * weight
            }
            None => 0.0,
        });
    }
    let sum: f64 = losses.iter().sum();
    Ok(match op.reduction {
        LossReduction::None => losses,
        LossReduction::Sum => vec![sum],
        LossReduction::Mean => vec![sum / total],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Op, Operands, SoftmaxCrossEntropyLoss};

    fn run(op: impl Into<Op>, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let op = op.into();
        let types = op.operator().infer(&Operands::of(inputs, 2))?;
        let outputs = op.operator().reference(inputs, 2)?;
        for (tensor, ty) in outputs.iter().zip(&types) {
            assert_eq!((tensor.dtype(), tensor.shape()), (ty.dtype, &ty.shape));
        }
        Ok(outputs)
    }

    fn likelihood(reduction: LossReduction, ignore_index: Option<i64>, target: &Tensor, weight: Option<&Tensor>) -> Vec<f64> {
        // Two samples, three classes, two positions.
        let x = Tensor::new([2, 3, 2], vec![1f64, 2.0, 2.0, 2.0, 3.0, 2.0, 0.0, 1.0, 2.0, 2.0, 1.0, 2.0]).unwrap();
        let op = NegativeLogLikelihoodLoss { reduction, ignore_index };
        run(op, &[Some(&x), Some(target), weight]).unwrap()[0].to_f64()
    }

    #[test]
    fn the_examples_of_the_specification() {
        let target = Tensor::new([2, 2], vec![2i64, 1, 0, 2]).unwrap();
        let weight = Tensor::vector(vec![0.2f64, 0.3, 0.1]);
        assert_eq!(likelihood(LossReduction::None, None, &target, None), [-3.0, -2.0, 0.0, -2.0]);
        assert_eq!(likelihood(LossReduction::Mean, None, &target, None), [-1.75]);
        let close = |reduction, expected: f64| {
            let loss = likelihood(reduction, None, &target, Some(&weight));
            assert!(loss.len() == 1 && (loss[0] - expected).abs() < 1e-15, "{loss:?}");
        };
        close(LossReduction::Sum, -1.1);
        // Over the weights 0.1 + 0.3 + 0.2 + 0.1.
        close(LossReduction::Mean, -1.1 / 0.7);
    }

    #[test]
    fn ignored_targets_count_nothing() {
        let weight = Tensor::vector(vec![4f64, 2.0, 0.5]);
        for ignored in [-7i32, 1, 300] {
            let target = Tensor::new([2, 2], vec![2, ignored, 0, 2]).unwrap();
            let of = |reduction, weight| likelihood(reduction, Some(ignored.into()), &target, weight);
            assert_eq!(of(LossReduction::None, Some(&weight)), [-1.5, 0.0, 0.0, -1.0]);
            assert_eq!(of(LossReduction::Sum, Some(&weight)), [-2.5]);
            assert_eq!(of(LossReduction::Mean, Some(&weight)), [-0.5]);
            assert_eq!(of(LossReduction::Mean, None), [-5.0 / 3.0]);
        }
        let none = Tensor::full([2, 2], 9i64);
        assert_eq!(likelihood(LossReduction::Sum, Some(9), &none, None), [0.0]);
        assert!(likelihood(LossReduction::Mean, Some(9), &none, None)[0].is_nan());
    }

    #[test]
    fn cross_entropy_of_known_probabilities() {
        // exp of the scores is 1, 3 and 1, 1: the probabilities are ¼, ¾ and ½, ½.
        let scores = Tensor::new([2, 2], vec![0f64, 3f64.ln(), 5.0, 5.0]).unwrap();
        let (labels, weights) = (Tensor::vector(vec![1i32, 0]), Tensor::vector(vec![2f64, 1.0]));
        let outputs = run(SoftmaxCrossEntropyLoss::default(), &[Some(&scores), Some(&labels), Some(&weights)]).unwrap();
        let expected = [vec![((4f64 / 3.0).ln() + 2.0 * 2f64.ln()) / 3.0], vec![-4f64.ln(), 0.75f64.ln(), -2f64.ln(), -2f64.ln()]];
        for (output, expected) in outputs.iter().zip(expected) {
            let output = output.to_f64();
            assert!(output.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-15), "{output:?} {expected:?}");
            assert_eq!(output.len(), expected.len());
        }
    }

    #[test]
    fn targets_that_mean_no_class() {
        let x = Tensor::full([1, 3, 2], 1f32);
        for bad in [-1i64, 3] {
            let target = Tensor::new([1, 2], vec![0, bad]).unwrap();
            let op = NegativeLogLikelihoodLoss { ignore_index: Some(-2), ..NegativeLogLikelihoodLoss::default() };
            let error = run(op, &[Some(&x), Some(&target)]).unwrap_err().to_string();
            assert!(error.contains(&format!("target {bad} at [0, 1] is none of 3 classes")), "{error}");
        }
    }
}
