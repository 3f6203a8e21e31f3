//! Normalizations that run as reductions and elementwise operators: by a norm, and over any axes.

use crate::error::{OpError, Result};
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::build::{cast, scalar};
use crate::ops::reduce::{along_axis, reduced_axes};
use crate::ops::{Binary, FLOATS, Operands, Operator, Reduce, ReduceFunction, Tolerance};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// `LpNormalization`: `x ÷ ‖x‖` along one axis; a row of zeros gives NaN. Input and output have the same shape.
///
/// Source: ONNX `LpNormalization`, opset 22.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LpNormalization {
    /// The axis; negative counts from the end.
    pub axis: i64,
    /// Whether the norm is the sum of absolute values, rather than the root of the sum of squares.
    pub l1: bool,
}

/// `MeanVarianceNormalization`: `(x − mean) ÷ (√var + 1e-9)` over `axes`. Input and output have the same shape.
///
/// Source: ONNX `MeanVarianceNormalization`, opset 13.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MeanVarianceNormalization {
    /// The axes that mean and variance are over, all where there are none; negative ones count from the end.
    pub axes: Vec<i64>,
}

/// What the parts compute in: `f32` for half precision, which squares leave.
fn widened(parts: &mut Parts<'_>, x: ValueId) -> Result<ValueId> {
    let to = if parts.dtype(x) == DType::F16 { DType::F32 } else { parts.dtype(x) };
    cast(parts, "wide", x, to)
}

fn reduction(function: ReduceFunction) -> Reduce {
    Reduce { function, keep_dims: true, noop_with_empty_axes: false }
}

/// A constant of the type of `like`.
fn number(parts: &mut Parts<'_>, name: &str, like: ValueId, value: f64) -> ValueId {
    let tensor = scalar(parts.dtype(like), value);
    parts.constant(name, tensor)
}

impl Operator for LpNormalization {
    fn name(&self) -> &'static str {
        "LpNormalization"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "input", FLOATS)?;
        along_axis(self.axis, x.shape)?;
        Ok(vec![x.tensor_type()])
    }

    fn decompose(&self, parts: &mut Parts<'_>) -> Result<Option<Vec<ValueId>>> {
        let Some(input) = parts.input(0) else { return Ok(None) };
        let x = widened(parts, input)?;
        let axes = parts.constant("axes", Tensor::vector(vec![self.axis]));
        let function = if self.l1 { ReduceFunction::L1 } else { ReduceFunction::L2 };
        let norm = parts.node("norm", reduction(function), &[x, axes])?;
        let y = parts.node("quotient", Binary::Div, &[x, norm])?;
        let to = parts.dtype(input);
        Ok(Some(vec![cast(parts, "narrow", y, to)?]))
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs as its parts".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let x = reference::input(inputs, 0);
        Ok(vec![reference::norm::lp_norm(x, along_axis(self.axis, x.shape())?, self.l1)])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}

impl MeanVarianceNormalization {
    fn reduced(&self, rank: usize) -> Result<Vec<bool>, OpError> {
        reduced_axes(&reduction(ReduceFunction::Mean), rank, Some(&self.axes))
    }
}

impl Operator for MeanVarianceNormalization {
    fn name(&self) -> &'static str {
        "MeanVarianceNormalization"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", FLOATS)?;
        self.reduced(x.shape.rank())?;
        Ok(vec![x.tensor_type()])
    }

    /// The mean twice: a large one leaves too few digits for what it is beyond its rounding.
    fn decompose(&self, parts: &mut Parts<'_>) -> Result<Option<Vec<ValueId>>> {
        let Some(input) = parts.input(0) else { return Ok(None) };
        let mut x = widened(parts, input)?;
        let axes = parts.constant("axes", Tensor::vector(self.axes.clone()));
        for [mean, shifted] in [["mean", "shifted"], ["correction", "centered"]] {
            let mean = parts.node(mean, reduction(ReduceFunction::Mean), &[x, axes])?;
            x = parts.node(shifted, Binary::Sub, &[x, mean])?;
        }
        let norm = parts.node("norm", reduction(ReduceFunction::L2), &[x, axes])?;
        let count = parts.shape(x).elements() / parts.shape(norm).elements().max(1);
        let root = number(parts, "root", x, (count as f64).sqrt());
        let deviation = parts.node("deviation", Binary::Div, &[norm, root])?;
        let eps = number(parts, "eps", x, 1e-9);
        let divisor = parts.node("divisor", Binary::Add, &[deviation, eps])?;
        let y = parts.node("quotient", Binary::Div, &[x, divisor])?;
        let to = parts.dtype(input);
        Ok(Some(vec![cast(parts, "narrow", y, to)?]))
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs as its parts".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let x = reference::input(inputs, 0);
        Ok(vec![reference::norm::mean_variance_norm(x, &self.reduced(x.shape().rank())?)])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}
