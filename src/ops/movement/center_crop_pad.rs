//! `CenterCropPad`.

use super::{Pad, PadMode, moves_only};
use crate::error::{OpError, Result};
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::layout::distinct_axes;
use crate::ops::{Operands, Operator};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// `CenterCropPad`: inputs `input_data`, `shape` with the extents of `axes`; what is larger is cropped, what is smaller padded
/// with zeros, both about the centre. It runs as a [`Pad`]. Source: ONNX `CenterCropPad`, opset 18.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CenterCropPad {
    /// The axes that `shape` speaks of, negative ones counting from the end; `None` for all.
    pub axes: Option<Vec<i64>>,
}

impl CenterCropPad {
    /// The padding of all starts, then all ends; negative crops.
    fn pads(&self, shape: &Shape, inputs: &Operands<'_>) -> Result<Vec<i64>, OpError> {
        let axes = match &self.axes {
            Some(axes) => distinct_axes(axes, shape.rank())?,
            None => (0..shape.rank()).collect(),
        };
        inputs.required(1, "shape")?;
        let target = inputs.integers(1, "shape")?.unwrap_or_default();
        if target.len() != axes.len() {
            return Err(OpError::invalid(format!("shape {target:?} has {} extents for {} axes of {shape}", target.len(), axes.len())));
        }
        let mut pads = vec![0; 2 * shape.rank()];
        for (&axis, &extent) in axes.iter().zip(&target) {
            if extent < 0 {
                return Err(OpError::invalid(format!("shape {target:?} has an extent below 0")));
            }
            let more = extent - shape[axis] as i64;
            // Rounded toward zero, which cuts one less, and adds one less, at the start.
            pads[axis] = more / 2;
            pads[shape.rank() + axis] = more - more / 2;
        }
        Ok(pads)
    }
}

impl Operator for CenterCropPad {
    moves_only!();

    fn name(&self) -> &'static str {
        "CenterCropPad"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let data = inputs.required(0, "input_data")?;
        let pads = self.pads(data.shape, inputs)?;
        let (before, after) = pads.split_at(data.shape.rank());
        let extent = |((&extent, before), after): ((&usize, &i64), &i64)| (extent as i64 + before + after) as usize;
        let shape: Shape = data.shape.iter().zip(before).zip(after).map(extent).collect();
        Ok(vec![TensorType::new(data.dtype, shape)])
    }

    fn decompose(&self, parts: &mut Parts<'_>) -> Result<Option<Vec<ValueId>>> {
        let (Some(data), Some(shape)) = (parts.input(0), parts.input(1)) else { return Ok(None) };
        let given = Tensor::vector(parts.constant_value(shape).and_then(Tensor::to_i64).unwrap_or_default());
        let extents = parts.shape(data);
        let operand = crate::ops::Operand { dtype: given.dtype(), shape: given.shape(), constant: Some(&given) };
        let Ok(pads) = self.pads(&extents, &Operands { inputs: vec![None, Some(operand)], outputs: 1 }) else { return Ok(None) };
        let pads = parts.constant("pads", Tensor::vector(pads));
        Ok(Some(vec![parts.node("pad", Pad { mode: PadMode::Constant }, &[data, pads])?]))
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs as a Pad".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let data = reference::input(inputs, 0);
        let pads = self.pads(data.shape(), &Operands::of(inputs, outputs))?;
        Ok(vec![reference::rearrange::center_crop_pad(&pads, data)])
    }
}
