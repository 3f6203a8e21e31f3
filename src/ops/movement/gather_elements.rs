//! `GatherElements`.

use super::{AXES, addressable, axes_override, data, index, moves_only, strides};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::layout::outside;
use crate::ops::{Operands, Operator};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, Elem, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, TypeRole, Variant, WORKGROUP_SIZE, collapse,
    dims_array, params, part, workgroups_1d,
};
use crate::reference;
use crate::shape::resolve_axis;
use crate::tensor::{DType, Tensor};

/// `GatherElements`: inputs `data`, `indices` (i32 or i64) of the output's shape, which is nowhere larger than `data` but along
/// `axis`; each output element is the one of `data` at its own position, with the index for the coordinate along `axis`.
/// Indices out of range are treated as [`Gather`](super::Gather) does. Source: ONNX `GatherElements`, opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GatherElements {
    /// The axis; negative counts from the end.
    pub axis: i64,
}

params! {
    pub(crate) struct GatherElementsParams {
        dims: [[u32; 4]; 2],
        strides: [[u32; 4]; 2],
        elements: u32,
        axis_stride: u32,
        extent: i32,
    }
}

pub(crate) static GATHER_ELEMENTS: Kernel = Kernel {
    name: "gather_elements",
    body: part!("gather_elements.wgsl"),
    parts: &[INDEX],
    types: &[ANY_ELEMENT, TypeRole { role: "Index", allowed: &[Elem::I32, Elem::I64] }],
    tiles: &[],
    overrides: &[AXES, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: GatherElementsParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

impl GatherElements {
    fn axis(&self, rank: usize) -> Result<usize, OpError> {
        resolve_axis(self.axis, rank).ok_or_else(|| outside(self.axis, rank))
    }

    fn rule(&self, context: &LowerContext<'_>) -> Result<Lowering, String> {
        let (data, output) = (data(context)?, &context.outputs[0]);
        let axis = self.axis(data.shape.rank()).map_err(|error| error.to_string())?;
        addressable(data.shape)?;
        addressable(&output.shape)?;
        let extent = i32::try_from(data.shape[axis]).map_err(|_| format!("axis {axis} of {} is beyond i32", data.shape))?;
        let (index, index_type) = index(context, 1)?;
        let mut own = strides(data.shape);
        let axis_stride = std::mem::take(&mut own[axis]);
        let space = collapse(&output.shape, &[own]);
        let elements = output.shape.elements();
        let array = |values: Vec<i64>, fill| dims_array(values.into_iter(), fill).ok_or("too many axes");
        let axes = axes_override(space.dims.len())?;
        let params = GatherElementsParams {
            dims: array(space.dims.iter().map(|&extent| extent as i64).collect(), 1)?,
            strides: array(space.strides[0].clone(), 0)?,
            elements: elements as u32,
            axis_stride: axis_stride as u32,
            extent,
        };
        let types = vec![context.elem(data.dtype)?, index_type];
        let variant = Variant::new(&GATHER_ELEMENTS, types, None, vec![axes, WORKGROUP_SIZE]);
        let workgroups =
            workgroups_1d(elements, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
        Ok(Lowering::single(variant, &params, vec![Arg::Input(0), index, Arg::Output(0)], workgroups))
    }
}

impl Operator for GatherElements {
    moves_only!();

    fn name(&self) -> &'static str {
        "GatherElements"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let data = inputs.required(0, "data")?;
        let indices = inputs.expect_dtype(1, "indices", &[DType::I32, DType::I64])?;
        let axis = self.axis(data.shape.rank())?;
        let fits = |(at, (index, extent)): (usize, (&usize, &usize))| at == axis || index <= extent;
        if indices.shape.rank() != data.shape.rank() || !indices.shape.iter().zip(data.shape.iter()).enumerate().all(fits) {
            return Err(OpError::invalid(format!("indices {} exceed data {} along another axis than {axis}", indices.shape, data.shape)));
        }
        if let Some(values) = indices.constant {
            reference::movement::positions(data.shape, axis, values)?;
        }
        Ok(vec![TensorType::new(data.dtype, indices.shape)])
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(self.rule(context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let (data, indices) = (reference::input(inputs, 0), reference::input(inputs, 1));
        Ok(vec![reference::gather::gather_elements(self.axis(data.shape().rank())?, data, indices)?])
    }
}
