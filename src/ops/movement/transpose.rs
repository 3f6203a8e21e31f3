//! `Transpose`.

use super::strided_copy::{StridedCopy, Walk};
use super::{data, moves_only, strides};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{AxisReach, Operands, Operator, Reach, ReachContext};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::tensor::Tensor;

/// `Transpose`: output axis `i` is input axis `permutation[i]`; empty reverses all axes. Source: ONNX `Transpose`, opset 21.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Transpose {
    /// The input axis that each output axis shows.
    pub permutation: Vec<usize>,
}

impl Transpose {
    /// The input axis that each of `rank` output axes shows.
    pub(crate) fn axes(&self, rank: usize) -> Result<Vec<usize>, OpError> {
        if self.permutation.is_empty() {
            return Ok((0..rank).rev().collect());
        }
        let mut sorted = self.permutation.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..rank) {
            return Err(OpError::invalid(format!("permutation {:?} must name each of {rank} axes once", self.permutation)));
        }
        Ok(self.permutation.clone())
    }
}

impl Operator for Transpose {
    moves_only!();

    fn name(&self) -> &'static str {
        "Transpose"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let data = inputs.required(0, "data")?;
        let axes = self.axes(data.shape.rank())?;
        Ok(vec![TensorType::new(data.dtype, axes.iter().map(|&axis| data.shape[axis]).collect::<Vec<_>>())])
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        let Ok(axes) = self.axes(context.x().rank()) else { return context.whole() };
        context.each_axis(|axis, extent| match axes.iter().position(|&shown| shown == axis) {
            Some(at) => AxisReach::same(at),
            None => AxisReach::whole(extent),
        })
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let rule = || {
            let data = data(context)?;
            let axes = self.axes(data.shape.rank()).map_err(|error| error.to_string())?;
            let (own, output) = (strides(data.shape), &context.outputs[0].shape);
            let input = Walk { offset: 0, strides: axes.iter().map(|&axis| own[axis]).collect() };
            StridedCopy { dims: output.to_vec(), input, output: Walk::dense(output) }.lower(context)
        };
        rule().unwrap_or_else(Lowered::Host)
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let data = reference::input(inputs, 0);
        Ok(vec![reference::movement::transpose(&self.axes(data.shape().rank())?, data)])
    }
}
