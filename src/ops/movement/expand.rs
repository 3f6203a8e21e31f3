//! `Expand`.

use super::strided_copy::{StridedCopy, Walk};
use super::{data, moves_only};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator, Reach, ReachContext};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// `Expand`: inputs `data`, `shape`; broadcasts `data` both ways. Source: ONNX `Expand`, opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Expand;

impl Operator for Expand {
    moves_only!();

    fn name(&self) -> &'static str {
        "Expand"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let data = inputs.required(0, "data")?;
        inputs.required(1, "shape")?;
        let extents = inputs.integers(1, "shape")?.unwrap_or_default();
        let target = extents.iter().map(|&extent| usize::try_from(extent).ok()).collect::<Option<Shape>>();
        let target = target.ok_or_else(|| OpError::invalid(format!("shape {extents:?} has an extent below 0")))?;
        let shape = data.shape.broadcast(&target);
        let shape = shape.ok_or_else(|| OpError::invalid(format!("{} and {target} do not broadcast", data.shape)))?;
        Ok(vec![TensorType::new(data.dtype, shape)])
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        if context.input == 0 { context.elementwise() } else { context.whole() }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let rule = || {
            let output = &context.outputs[0].shape;
            let strides = data(context)?.shape.broadcast_strides(output).into_iter().map(|stride| stride as i64).collect();
            StridedCopy { dims: output.to_vec(), input: Walk { offset: 0, strides }, output: Walk::dense(output) }.lower(context)
        };
        rule().unwrap_or_else(Lowered::Host)
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let output = self.infer(&Operands::of(inputs, outputs))?.remove(0);
        Ok(vec![reference::movement::expand(&output.shape, reference::input(inputs, 0))])
    }
}
