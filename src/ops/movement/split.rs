//! `Split`.

use super::strided_copy::{StridedCopy, Walk};
use super::{data, moves_only, strides};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::layout::outside;
use crate::ops::{AxisReach, Operands, Operator, Reach, ReachContext, Stencil};
use crate::plan::{Arg, LowerContext, Lowered, Lowering};
use crate::reference;
use crate::shape::{Shape, resolve_axis};
use crate::tensor::Tensor;

/// `Split`: input `data`, optional `split` with the extents of the parts; without it equal parts, as many as the node has
/// outputs, the last one smaller where they do not divide the axis. Source: ONNX `Split`, opset 18.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Split {
    /// The axis that is cut; negative counts from the end.
    pub axis: i64,
}

impl Split {
    /// The axis, and the extent of each part along it.
    pub(crate) fn parts(&self, shape: &Shape, inputs: &Operands<'_>) -> Result<(usize, Vec<usize>), OpError> {
        let axis = resolve_axis(self.axis, shape.rank()).ok_or_else(|| outside(self.axis, shape.rank()))?;
        let (extent, outputs) = (shape[axis], inputs.outputs);
        let Some(split) = inputs.integers(1, "split")? else {
            let part = extent.div_ceil(outputs.max(1));
            let last = part.checked_mul(outputs.saturating_sub(1)).and_then(|before| extent.checked_sub(before));
            let last =
                last.ok_or_else(|| OpError::invalid(format!("axis {axis} of {shape} cannot be cut in {outputs} parts of {part}")))?;
            let mut parts = vec![part; outputs];
            if let Some(end) = parts.last_mut() {
                *end = last;
            }
            return Ok((axis, parts));
        };
        if split.len() != outputs {
            return Err(OpError::invalid(format!("split {split:?} has {} parts, the node has {outputs} outputs", split.len())));
        }
        let parts = split.iter().map(|&part| usize::try_from(part).ok()).collect::<Option<Vec<_>>>();
        let total = parts.as_ref().and_then(|parts| parts.iter().try_fold(0usize, |sum, &part| sum.checked_add(part)));
        match parts {
            Some(parts) if total == Some(extent) => Ok((axis, parts)),
            _ => Err(OpError::invalid(format!("split {split:?} must add up to {extent}, the extent of axis {axis} of {shape}"))),
        }
    }
}

impl Operator for Split {
    moves_only!();

    fn name(&self) -> &'static str {
        "Split"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let data = inputs.required(0, "data")?;
        let (axis, parts) = self.parts(data.shape, inputs)?;
        let part = |extent: usize| {
            let mut dims = data.shape.to_vec();
            dims[axis] = extent;
            TensorType::new(data.dtype, dims)
        };
        Ok(parts.into_iter().map(part).collect())
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        match self.parts(context.x(), context.inputs) {
            Ok((along, parts)) if context.input == 0 => {
                let start = parts[..context.output].iter().sum::<usize>() as i64;
                context.each_axis(|axis, extent| match axis == along {
                    true => AxisReach::along(axis, Stencil::window(1, start, start), extent),
                    false => AxisReach::same(axis),
                })
            }
            _ => context.whole(),
        }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let rule = || {
            let data = data(context)?;
            let (axis, parts) = self.parts(data.shape, &context.inputs).map_err(|error| error.to_string())?;
            if parts.len() == 1 {
                return Ok(Lowered::View);
            }
            let own = strides(data.shape);
            let (mut dispatches, mut start) = (vec![], 0);
            for (index, (output, part)) in context.outputs.iter().zip(parts).enumerate() {
                let input = Walk { offset: start * own[axis] as usize, strides: own.clone() };
                let copy = StridedCopy { dims: output.shape.to_vec(), input, output: Walk::dense(&output.shape) };
                dispatches.push(copy.dispatch(context, Arg::Input(0), Arg::Output(index))?);
                start += part;
            }
            Ok(Lowered::Kernels(vec![Lowering { dispatches, scratch: vec![] }]))
        };
        rule().unwrap_or_else(Lowered::Host)
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let data = reference::input(inputs, 0);
        let (axis, parts) = self.parts(data.shape(), &Operands::of(inputs, outputs))?;
        Ok(reference::movement::split(axis, &parts, data))
    }
}
