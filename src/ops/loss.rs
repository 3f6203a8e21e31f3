//! Losses of classifications.

use crate::error::{OpError, Result};
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::build::{cast, reshape, scalar};
use crate::ops::{
    Binary, Comparison, FLOATS, Gather, GatherElements, Operands, Operator, Reduce, ReduceFunction, Softmax, Tolerance, Unary, Where,
};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// What the losses of all targets become.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LossReduction {
    /// One loss for each target.
    None,
    /// Their sum over the sum of the weights of the targets that count; NaN where none counts.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

/// `NegativeLogLikelihoodLoss`: `−weight[t] · input[n, t, i]` for each class `t = target[n, i]`.
///
/// Inputs: `input [N, C, d1, …]`, `target [N, d1, …]` (i32 or i64), optional `weight [C]`, 1 without it. The output is like
/// `target`, or a scalar where it is reduced. Halves are computed in `f32`.
///
/// A target outside `[0, C)` that is not `ignore_index` is an error wherever the host sees the targets: in constants, and on
/// the CPU. Those that only the GPU sees mean the nearest class. Source: ONNX `NegativeLogLikelihoodLoss`, opset 22.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NegativeLogLikelihoodLoss {
    /// What the losses become.
    pub reduction: LossReduction,
    /// The target, a class or none, whose loss and weight are 0.
    pub ignore_index: Option<i64>,
}

/// `SoftmaxCrossEntropyLoss`: the [`NegativeLogLikelihoodLoss`] of the logarithm of the softmax over the classes.
///
/// Inputs: `scores [N, C, d1, …]`, `labels [N, d1, …]`, optional `weights [C]`. Outputs: the loss, and `log_prob` like `scores`.
/// Labels outside `[0, C)` are treated as targets are there. Source: ONNX `SoftmaxCrossEntropyLoss`, opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SoftmaxCrossEntropyLoss {
    /// What the losses become.
    pub reduction: LossReduction,
    /// The label, a class or none, whose loss and weight are 0.
    pub ignore_index: Option<i64>,
}

const LOG_SOFTMAX: Softmax = Softmax { axis: 1, log: true, flatten: false };

/// The shape of the targets for this input: without the axis of classes.
fn targets(input: &Shape) -> Shape {
    input.iter().enumerate().filter(|(axis, _)| *axis != 1).map(|(_, &extent)| extent).collect()
}

/// A scalar of the targets' type; none where the type has no such value.
fn class(dtype: DType, value: i64) -> Option<Tensor> {
    match dtype {
        DType::I32 => i32::try_from(value).ok().map(Tensor::scalar),
        _ => Some(Tensor::scalar(value)),
    }
}

/// The sum or the mean of all elements.
fn total(parts: &mut Parts<'_>, name: &str, function: ReduceFunction, value: ValueId) -> Result<ValueId> {
    parts.node(name, Reduce { function, keep_dims: false, noop_with_empty_axes: false }, &[value])
}

impl NegativeLogLikelihoodLoss {
    /// The type of the loss, for inputs of these names.
    fn loss_type(&self, inputs: &Operands<'_>, [input, target, weight]: [&'static str; 3]) -> Result<TensorType, OpError> {
        let x = inputs.expect_dtype(0, input, FLOATS)?;
        let t = inputs.expect_dtype(1, target, &[DType::I32, DType::I64])?;
        let &[_, classes, ..] = x.shape.dims() else {
            return Err(OpError::invalid(format!("{input} {} has no axis of classes: it must be [N,C,d1,…]", x.shape)));
        };
        let expected = targets(x.shape);
        if *t.shape != expected {
            return Err(OpError::invalid(format!("{target} {} must be {expected} for {input} {}", t.shape, x.shape)));
        }
        if classes == 0 && expected.elements() > 0 {
            return Err(OpError::invalid(format!("{input} {} has no classes", x.shape)));
        }
        if inputs.get(2).is_some() {
            let w = inputs.expect_dtype(2, weight, &[x.dtype])?;
            if w.shape.dims() != [classes] {
                return Err(OpError::invalid(format!("{weight} {} must be [{classes}] for {input} {}", w.shape, x.shape)));
            }
        }
        if let Some(values) = t.constant {
            reference::loss::classes(values, classes, self.ignore_index)?;
        }
        Ok(match self.reduction {
            LossReduction::None => TensorType::new(x.dtype, expected),
            LossReduction::Mean | LossReduction::Sum => TensorType::new(x.dtype, Shape::scalar()),
        })
    }

    /// Where the targets are ignored, if any can be.
    fn ignored(&self, parts: &mut Parts<'_>, target: ValueId) -> Result<Option<ValueId>> {
        let Some(index) = self.ignore_index.and_then(|index| class(parts.dtype(target), index)) else { return Ok(None) };
        let index = parts.constant("ignore_index", index);
        Ok(Some(parts.node("ignored", Comparison::Equal, &[target, index])?))
    }

    /// The targets as indices: a negative one, which would count from the last class, is outside; one that is ignored, the first.
    fn indices(parts: &mut Parts<'_>, target: ValueId, ignored: Option<ValueId>) -> Result<ValueId> {
        let dtype = parts.dtype(target);
        let lowest = if dtype == DType::I32 { Tensor::scalar(i32::MIN) } else { Tensor::scalar(i64::MIN) };
        let first = parts.constant("first", class(dtype, 0).expect("0 is a value of every type"));
        let lowest = parts.constant("lowest", lowest);
        let negative = parts.node("negative", Comparison::Less, &[target, first])?;
        let indices = parts.node("indices", Where, &[negative, lowest, target])?;
        ignored.map_or(Ok(indices), |ignored| parts.node("indices_counted", Where, &[ignored, first, indices]))
    }

    /// The reference's loss as a tensor of `x`'s type: like `target`, or a scalar.
    fn shaped(&self, loss: Vec<f64>, x: &Tensor, target: &Tensor) -> Tensor {
        let scalar = Shape::scalar();
        reference::rounded(x, if self.reduction == LossReduction::None { target.shape() } else { &scalar }, loss)
    }
}

impl Operator for NegativeLogLikelihoodLoss {
    fn name(&self) -> &'static str {
        "NegativeLogLikelihoodLoss"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        Ok(vec![self.loss_type(inputs, ["input", "target", "weight"])?])
    }

    /// Negate, weigh and add for each target.
    fn flops(&self, inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        inputs.get(1).map_or(0, |target| 3 * target.shape.elements() as u64)
    }

    fn decompose(&self, parts: &mut Parts<'_>) -> Result<Option<Vec<ValueId>>> {
        let (Some(input), Some(target)) = (parts.input(0), parts.input(1)) else { return Ok(None) };
        let (dtype, shape) = (parts.dtype(input), parts.shape(input));
        let work = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
        let targets = targets(&shape);
        let mut column = shape.to_vec();
        column[1] = 1;

        let ignored = self.ignored(parts, target)?;
        let indices = Self::indices(parts, target, ignored)?;
        let columns = reshape(parts, "indices_column", indices, &column)?;
        let picked = parts.node("picked", GatherElements { axis: 1 }, &[input, columns])?;
        let picked = reshape(parts, "picked_targets", picked, targets.dims())?;
        let picked = cast(parts, "picked_cast", picked, work)?;
        let mut losses = parts.node("negated", Unary::Neg, &[picked])?;
        let mut weights = None;
        if let Some(weight) = parts.input(2) {
            let weight = parts.node("weights", Gather { axis: 0 }, &[weight, indices])?;
            let weight = cast(parts, "weights_cast", weight, work)?;
            losses = parts.node("weighted", Binary::Mul, &[losses, weight])?;
            weights = Some(weight);
        }
        if let Some(ignored) = ignored {
            let (zero, one) = (parts.constant("zero", scalar(work, 0.0)), parts.constant("one", scalar(work, 1.0)));
            losses = parts.node("losses", Where, &[ignored, zero, losses])?;
            if self.reduction == LossReduction::Mean {
                weights = Some(parts.node("weights_counted", Where, &[ignored, zero, weights.unwrap_or(one)])?);
            }
        }
        let loss = match (self.reduction, weights) {
            (LossReduction::None, _) => losses,
            (LossReduction::Sum, _) => total(parts, "sum", ReduceFunction::Sum, losses)?,
            (LossReduction::Mean, None) => total(parts, "mean", ReduceFunction::Mean, losses)?,
            (LossReduction::Mean, Some(weights)) => {
                let sum = total(parts, "sum", ReduceFunction::Sum, losses)?;
                let weight = total(parts, "weight", ReduceFunction::Sum, weights)?;
                parts.node("mean", Binary::Div, &[sum, weight])?
            }
        };
        Ok(Some(vec![cast(parts, "output_cast", loss, dtype)?]))
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs as its parts".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let (x, target) = (reference::input(inputs, 0), reference::input(inputs, 1));
        let loss = reference::loss::negative_log_likelihood(self, x, target, reference::optional(inputs, 2))?;
        Ok(vec![self.shaped(loss, x, target)])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}

impl SoftmaxCrossEntropyLoss {
    /// What follows the softmax.
    fn likelihood(&self) -> NegativeLogLikelihoodLoss {
        NegativeLogLikelihoodLoss { reduction: self.reduction, ignore_index: self.ignore_index }
    }
}

impl Operator for SoftmaxCrossEntropyLoss {
    fn name(&self) -> &'static str {
        "SoftmaxCrossEntropyLoss"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let loss = self.likelihood().loss_type(inputs, ["scores", "labels", "weights"])?;
        Ok(vec![loss, inputs.required(0, "scores")?.tensor_type()])
    }

    /// A softmax, then a likelihood.
    fn flops(&self, inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        let softmax = inputs.get(0).map_or(0, |scores| 5 * scores.shape.elements() as u64);
        softmax + self.likelihood().flops(inputs, outputs)
    }

    fn decompose(&self, parts: &mut Parts<'_>) -> Result<Option<Vec<ValueId>>> {
        let Some(scores) = parts.input(0) else { return Ok(None) };
        let log_prob = parts.node("log_prob", LOG_SOFTMAX, &[scores])?;
        let loss = parts.nodes("loss", self.likelihood(), &[Some(log_prob), parts.input(1), parts.input(2)], 1)?[0];
        Ok(Some([loss, log_prob].into_iter().take(parts.outputs()).collect()))
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs as its parts".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let (x, labels) = (reference::input(inputs, 0), reference::input(inputs, 1));
        let likelihood = self.likelihood();
        let exact = Tensor::of(x.shape(), x.to_f64());
        let log_prob = reference::softmax::softmax(&exact, LOG_SOFTMAX.split(x.shape())?, true);
        let loss = reference::loss::negative_log_likelihood(&likelihood, &log_prob, labels, reference::optional(inputs, 2))?;
        Ok(vec![likelihood.shaped(loss, x, labels), reference::rounded(x, x.shape(), log_prob.to_f64())])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}
