//! Operators of any number of operands.

use super::{Binary, NUMBERS};
use crate::error::OpError;
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::{FLOATS, Operands, Operator, Reach, ReachContext, Tolerance};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// An elementwise operator of one or more inputs that broadcast against each other (NumPy's rule).
///
/// Inputs of one element type: numbers for `Max` and `Min`, floats for `Sum` and `Mean`. Output: their common shape.
/// Source: ONNX `Max`, `Min`, `Sum` and `Mean`, opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Variadic {
    /// The largest; NaN where any is
    Max,
    /// The smallest; NaN where any is
    Min,
    /// The sum
    Sum,
    /// The sum, divided by the number of inputs
    Mean,
}

impl Operator for Variadic {
    fn name(&self) -> &'static str {
        match self {
            Variadic::Max => "Max",
            Variadic::Min => "Min",
            Variadic::Sum => "Sum",
            Variadic::Mean => "Mean",
        }
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let allowed = if matches!(self, Variadic::Max | Variadic::Min) { NUMBERS } else { FLOATS };
        let first = inputs.expect_dtype(0, "data_0", allowed)?;
        let mut shape = first.shape.clone();
        for index in 1..inputs.inputs.len() {
            let next = inputs.required(index, "data")?;
            if next.dtype != first.dtype {
                return Err(OpError::invalid(format!(
                    "input 0 is {}, input {index} is {}; all must have one type",
                    first.dtype, next.dtype
                )));
            }
            let common = shape.broadcast(next.shape);
            shape = common.ok_or_else(|| OpError::invalid(format!("input {index} {} does not broadcast with {shape}", next.shape)))?;
        }
        Ok(vec![TensorType::new(first.dtype, shape)])
    }

    fn flops(&self, inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        let operations = if *self == Variadic::Mean { inputs.inputs.len() } else { inputs.inputs.len().saturating_sub(1) };
        outputs.first().map_or(0, |y| (y.shape.elements() as u64).saturating_mul(operations as u64))
    }

    fn decompose(&self, parts: &mut Parts<'_>) -> crate::Result<Option<Vec<ValueId>>> {
        let inputs: Vec<ValueId> = (0..).map_while(|index| parts.input(index)).collect();
        let Some((&first, rest)) = inputs.split_first() else { return Ok(None) };
        let step = match self {
            Variadic::Max => Binary::Max,
            Variadic::Min => Binary::Min,
            Variadic::Sum | Variadic::Mean => Binary::Add,
        };
        let mut result = first;
        for (index, &next) in rest.iter().enumerate() {
            result = parts.node(&format!("{}_{index}", step.name()), step, &[result, next])?;
        }
        if *self == Variadic::Mean && !rest.is_empty() {
            let count = Tensor::from_f64(parts.dtype(first), [], vec![inputs.len() as f64])?;
            let count = parts.constant("count", count);
            result = parts.node("mean", Binary::Div, &[result, count])?;
        }
        Ok(Some(vec![result]))
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        context.elementwise()
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs as operators of two operands".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![reference::binary::variadic(*self, &inputs.iter().copied().flatten().collect::<Vec<_>>())])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        match self {
            Variadic::Max | Variadic::Min => Tolerance::EXACT,
            Variadic::Sum | Variadic::Mean => Tolerance::accumulation(dtype),
        }
    }
}
