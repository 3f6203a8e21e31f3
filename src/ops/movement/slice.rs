//! `Slice`.

use super::strided_copy::{StridedCopy, Walk};
use super::{data, moves_only, strides};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::layout::distinct_axes;
use crate::ops::{AxisReach, Operands, Operator, Reach, ReachContext, Stencil};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// `Slice`: inputs `data`, `starts`, `ends`, optional `axes`, optional `steps`. Source: ONNX `Slice`, opset 13.
///
/// Positions count from the end where negative, then are clamped to the axis; a negative step walks backwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Slice;

/// What a slice takes of one axis: the positions `start`, `start + step`, …, `len` of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SliceAxis {
    pub start: usize,
    pub step: i64,
    pub len: usize,
}

impl SliceAxis {
    /// A start, an end and a step as the file gives them, clamped to `extent`; `step` is not 0.
    fn clamp(extent: usize, start: i64, end: i64, step: i64) -> Self {
        let n = extent as i64;
        let from_end = |at: i64| if at < 0 { at.saturating_add(n) } else { at };
        // Backwards, ONNX clamps a start before the axis to its first element, where Python takes nothing.
        let (start, distance) = if step > 0 {
            let start = from_end(start).clamp(0, n);
            (start, from_end(end).clamp(0, n) - start)
        } else {
            let start = from_end(start).clamp(0, (n - 1).max(0));
            (start, start - from_end(end).clamp(-1, n - 1))
        };
        let distance = if n == 0 { 0 } else { distance.max(0) as u64 };
        let len = distance.div_ceil(step.unsigned_abs()) as usize;
        Self { start: start as usize, step: if len > 1 { step } else { 1 }, len }
    }
}

impl Slice {
    /// What is taken of each axis of `shape`.
    pub(crate) fn axes(&self, shape: &Shape, inputs: &Operands<'_>) -> Result<Vec<SliceAxis>, OpError> {
        inputs.required(1, "starts")?;
        inputs.required(2, "ends")?;
        let starts = inputs.integers(1, "starts")?.unwrap_or_default();
        let ends = inputs.integers(2, "ends")?.unwrap_or_default();
        let axes = inputs.integers(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = inputs.integers(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return Err(OpError::invalid(format!(
                "{} starts, {} ends, {} axes and {} steps must be equally many",
                starts.len(),
                ends.len(),
                axes.len(),
                steps.len()
            )));
        }
        let mut sliced: Vec<_> = shape.iter().map(|&len| SliceAxis { start: 0, step: 1, len }).collect();
        for (at, axis) in distinct_axes(&axes, shape.rank())?.into_iter().enumerate() {
            if steps[at] == 0 {
                return Err(OpError::invalid(format!("steps {steps:?} step by 0 along axis {axis}")));
            }
            sliced[axis] = SliceAxis::clamp(shape[axis], starts[at], ends[at], steps[at]);
        }
        Ok(sliced)
    }
}

impl Operator for Slice {
    moves_only!();

    fn name(&self) -> &'static str {
        "Slice"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let data = inputs.required(0, "data")?;
        let axes = self.axes(data.shape, inputs)?;
        Ok(vec![TensorType::new(data.dtype, axes.iter().map(|axis| axis.len).collect::<Vec<_>>())])
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        match self.axes(context.x(), context.inputs) {
            Ok(axes) if context.input == 0 => context.each_axis(|axis, extent| {
                let start = axes[axis].start as i64;
                AxisReach::along(axis, Stencil::window(axes[axis].step, start, start), extent)
            }),
            _ => context.whole(),
        }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let rule = || {
            let data = data(context)?;
            let axes = self.axes(data.shape, &context.inputs).map_err(|error| error.to_string())?;
            let (own, output) = (strides(data.shape), &context.outputs[0].shape);
            let input = Walk {
                offset: axes.iter().zip(&own).map(|(axis, &stride)| axis.start * stride as usize).sum(),
                strides: axes.iter().zip(&own).map(|(axis, &stride)| axis.step * stride).collect(),
            };
            StridedCopy { dims: output.to_vec(), input, output: Walk::dense(output) }.lower(context)
        };
        rule().unwrap_or_else(Lowered::Host)
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let data = reference::input(inputs, 0);
        let axes = self.axes(data.shape(), &Operands::of(inputs, outputs))?;
        Ok(vec![reference::movement::slice(&axes, data)])
    }
}
