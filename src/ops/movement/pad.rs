//! `Pad`.

use super::strided_copy::{StridedCopy, Walk};
use super::{AXES, addressable, axes_override, data, moves_only, strides};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::layout::distinct_axes;
use crate::ops::{AxisReach, Operands, Operator, Reach, ReachContext, Stencil};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Variant, WORKGROUP_SIZE, dims_array, params, part,
    workgroups_1d,
};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// How `Pad` fills what it adds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PadMode {
    /// With input 2 (`constant_value`), 0 without it.
    Constant,
    /// Mirrored about the edge element, which is not repeated.
    Reflect,
    /// With the edge element.
    Edge,
    /// As if the tensor repeated.
    Wrap,
}

/// `Pad`: inputs `data`, `pads` (all starts, then all ends; negative crops), optional `constant_value`, optional `axes`.
/// Source: ONNX `Pad`, opset 21.
///
/// What negative padding crops is gone before anything is mirrored or repeated; padding beyond one extent mirrors or repeats
/// again, as NumPy's `pad` does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pad {
    /// How the padding is filled.
    pub mode: PadMode,
}

/// What becomes of one axis: `kept` elements from `start` on, `before` and `after` more around them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PadAxis {
    pub start: usize,
    pub kept: usize,
    pub before: usize,
    pub after: usize,
}

impl PadAxis {
    fn new(extent: usize, before: i64, after: i64) -> Option<Self> {
        let crop = |pad: i64| usize::try_from(pad.min(0).unsigned_abs()).ok();
        let add = |pad: i64| usize::try_from(pad.max(0)).ok();
        let kept = extent.checked_sub(crop(before)?)?.checked_sub(crop(after)?)?;
        let axis = Self { start: crop(before)?, kept, before: add(before)?, after: add(after)? };
        kept.checked_add(axis.before)?.checked_add(axis.after)?;
        Some(axis)
    }

    /// The extent of the output.
    pub(crate) fn extent(&self) -> usize {
        self.before + self.kept + self.after
    }

    fn is_padded(&self) -> bool {
        self.before != 0 || self.after != 0
    }
}

params! {
    pub(crate) struct PadParams {
        dims: [[u32; 4]; 2],
        kept: [[u32; 4]; 2],
        before: [[u32; 4]; 2],
        input_strides: [[u32; 4]; 2],
        elements: u32,
        input_offset: u32,
    }
}

pub(crate) static PAD: Kernel = Kernel {
    name: "pad",
    body: part!("pad.wgsl"),
    parts: &[INDEX],
    types: &[ANY_ELEMENT],
    tiles: &[],
    overrides: &[Override { name: "MODE", values: &[0, 1, 2, 3] }, AXES, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: PadParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

/// The kernel's signed coordinates, and twice an extent for reflection, stay in range below this.
const MAX_EXTENT: usize = 1 << 30;

impl Pad {
    /// What becomes of each axis of `shape`.
    pub(crate) fn axes(&self, shape: &Shape, inputs: &Operands<'_>) -> Result<Vec<PadAxis>, OpError> {
        inputs.required(1, "pads")?;
        let pads = inputs.integers(1, "pads")?.unwrap_or_default();
        let axes = inputs.integers(3, "axes")?.unwrap_or_else(|| (0..shape.rank() as i64).collect());
        if Some(pads.len()) != axes.len().checked_mul(2) {
            return Err(OpError::invalid(format!("{} pads for {} axes, expected two for each", pads.len(), axes.len())));
        }
        let mut padded: Vec<_> = shape.iter().map(|&kept| PadAxis { start: 0, kept, before: 0, after: 0 }).collect();
        for (at, axis) in distinct_axes(&axes, shape.rank())?.into_iter().enumerate() {
            let (before, after, extent) = (pads[at], pads[axes.len() + at], shape[axis]);
            let invalid = |what: &str| OpError::invalid(format!("pads {before} and {after} of axis {axis} with extent {extent} {what}"));
            let result = PadAxis::new(extent, before, after).ok_or_else(|| invalid("crop more than there is or add too much"))?;
            if self.mode != PadMode::Constant && result.kept == 0 && result.is_padded() {
                return Err(invalid("leave no element to repeat"));
            }
            padded[axis] = result;
        }
        Ok(padded)
    }

    fn rule(&self, context: &LowerContext<'_>) -> Result<Lowered, String> {
        let data = data(context)?;
        let output = &context.outputs[0];
        let axes = self.axes(data.shape, &context.inputs).map_err(|error| error.to_string())?;
        let own = strides(data.shape);
        let offset = axes.iter().zip(&own).map(|(axis, &stride)| axis.start * stride as usize).sum();
        if !axes.iter().any(PadAxis::is_padded) {
            let input = Walk { offset, strides: own };
            return StridedCopy { dims: output.shape.to_vec(), input, output: Walk::dense(&output.shape) }.lower(context);
        }
        addressable(data.shape)?;
        addressable(&output.shape)?;
        let elem = context.elem(output.dtype)?;
        let mut walked: Vec<(PadAxis, i64)> = vec![];
        for (axis, stride) in axes.into_iter().zip(own) {
            match walked.last_mut() {
                // Neighbours that are not padded are walked as one axis where nothing lies between them.
                Some((outer, outer_stride)) if !outer.is_padded() && !axis.is_padded() && *outer_stride == stride * axis.kept as i64 => {
                    outer.kept *= axis.kept;
                    *outer_stride = stride;
                }
                _ => walked.push((axis, stride)),
            }
        }
        if let Some((axis, _)) = walked.iter().find(|(axis, _)| axis.extent() >= MAX_EXTENT) {
            return Err(format!("an axis of {} elements is beyond the kernel's coordinates", axis.extent()));
        }
        let axes = axes_override(walked.len())?;
        let array = |of: fn(&(PadAxis, i64)) -> i64, fill| dims_array(walked.iter().map(of), fill).ok_or("too many axes");
        let elements = output.shape.elements();
        let params = PadParams {
            dims: array(|(axis, _)| axis.extent() as i64, 1)?,
            kept: array(|(axis, _)| axis.kept as i64, 1)?,
            before: array(|(axis, _)| axis.before as i64, 0)?,
            input_strides: array(|&(_, stride)| stride, 0)?,
            elements: elements as u32,
            input_offset: offset as u32,
        };
        let workgroups =
            workgroups_1d(elements, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
        let variant = Variant::new(&PAD, vec![elem], None, vec![self.mode as u32, axes, WORKGROUP_SIZE]);
        let filled = self.mode == PadMode::Constant && context.inputs.get(2).is_some();
        let fill = if filled { Arg::Input(2) } else { Arg::Unused };
        Ok(Lowered::Kernels(vec![Lowering::single(variant, &params, vec![Arg::Input(0), fill, Arg::Output(0)], workgroups)]))
    }
}

impl Operator for Pad {
    moves_only!();

    fn name(&self) -> &'static str {
        "Pad"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let data = inputs.required(0, "data")?;
        let axes = self.axes(data.shape, inputs)?;
        if let Some(fill) = inputs.get(2)
            && (fill.dtype != data.dtype || fill.shape.elements() != 1)
        {
            return Err(OpError::invalid(format!("constant_value is {}, expected one {}", fill.tensor_type(), data.dtype)));
        }
        Ok(vec![TensorType::new(data.dtype, axes.iter().map(PadAxis::extent).collect::<Vec<_>>())])
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        let Ok(axes) = self.axes(context.x(), context.inputs) else { return context.whole() };
        if context.input != 0 {
            return context.whole();
        }
        context.each_axis(|axis, extent| {
            let PadAxis { start, before, .. } = axes[axis];
            let shift = start as i64 - before as i64;
            match self.mode {
                // Padding that shows the other end is as far as can be.
                PadMode::Wrap if axes[axis].is_padded() => AxisReach::whole(extent),
                _ => AxisReach::along(axis, Stencil::window(1, shift, shift), extent),
            }
        })
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        self.rule(context).unwrap_or_else(Lowered::Host)
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let data = reference::input(inputs, 0);
        let axes = self.axes(data.shape(), &Operands::of(inputs, outputs))?;
        Ok(vec![reference::movement::pad(self.mode, &axes, data, reference::optional(inputs, 2))])
    }
}
