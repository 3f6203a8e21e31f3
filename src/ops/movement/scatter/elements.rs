//! `ScatterElements`.

use super::{REDUCE, REDUCTION, ScatterReduction};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::layout::outside;
use crate::ops::movement::{AXES, addressable, axes_override, data, index};
use crate::ops::{Operands, Operator, Reach, ReachContext, Tolerance};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, Elem, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, TypeRole, Variant, WORKGROUP_SIZE,
    dims_array, params, part, workgroups_1d,
};
use crate::reference;
use crate::shape::resolve_axis;
use crate::tensor::{DType, Tensor};

/// `ScatterElements`: inputs `data`, `indices` (i32 or i64), `updates` of their shape, nowhere larger than `data` but along
/// `axis`; each update falls on the element at its own position, with the index for the coordinate along `axis`.
/// Indices out of range are an error wherever the host sees them, and mean nothing on the GPU.
/// Source: ONNX `ScatterElements`, opset 18.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScatterElements {
    /// The axis; negative counts from the end.
    pub axis: i64,
    /// What an update does.
    pub reduction: ScatterReduction,
}

params! {
    pub(crate) struct ScatterElementsParams {
        dims: [[u32; 4]; 2],
        index_dims: [[u32; 4]; 2],
        index_strides: [[u32; 4]; 2],
        elements: u32,
        axis: u32,
    }
}

pub(crate) static SCATTER_ELEMENTS: Kernel = Kernel {
    name: "scatter_elements",
    body: part!("scatter_elements.wgsl"),
    parts: &[INDEX, REDUCE],
    types: &[ANY_ELEMENT, TypeRole { role: "Index", allowed: &[Elem::I32, Elem::I64] }],
    tiles: &[],
    overrides: &[REDUCTION, AXES, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: ScatterElementsParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

impl ScatterElements {
    fn axis(&self, rank: usize) -> Result<usize, OpError> {
        resolve_axis(self.axis, rank).ok_or_else(|| outside(self.axis, rank))
    }

    fn rule(&self, context: &LowerContext<'_>) -> Result<Lowering, String> {
        let data = data(context)?;
        let indices = context.inputs.required(1, "indices").map_err(|error| error.to_string())?;
        let axis = self.axis(data.shape.rank()).map_err(|error| error.to_string())?;
        self.reduction.on_gpu(data.dtype)?;
        addressable(data.shape)?;
        addressable(indices.shape)?;
        i32::try_from(data.shape[axis]).map_err(|_| format!("axis {axis} of {} is beyond i32", data.shape))?;
        context.capabilities.check_iterations(indices.shape[axis] + data.shape.rank())?;
        let (index, index_type) = index(context, 1)?;
        let array = |values: &[usize], fill| dims_array(values.iter().map(|&v| v as i64), fill).ok_or("more than 8 axes");
        let elements = data.shape.elements();
        let params = ScatterElementsParams {
            dims: array(data.shape, 1)?,
            index_dims: array(indices.shape, 1)?,
            index_strides: array(&indices.shape.strides(), 0)?,
            elements: elements as u32,
            axis: (8 - data.shape.rank() + axis) as u32,
        };
        let types = vec![context.elem(data.dtype)?, index_type];
        let overrides = vec![self.reduction as u32, axes_override(data.shape.rank())?, WORKGROUP_SIZE];
        let variant = Variant::new(&SCATTER_ELEMENTS, types, None, overrides);
        let workgroups =
            workgroups_1d(elements, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
        Ok(Lowering::single(variant, &params, vec![Arg::Input(0), index, Arg::Input(2), Arg::Output(0)], workgroups))
    }
}

impl Operator for ScatterElements {
    fn name(&self) -> &'static str {
        "ScatterElements"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let (data, updates) = (inputs.required(0, "data")?, inputs.required(2, "updates")?);
        let indices = inputs.expect_dtype(1, "indices", &[DType::I32, DType::I64])?;
        let axis = self.axis(data.shape.rank())?;
        let fits = |(at, (index, extent)): (usize, (&usize, &usize))| at == axis || index <= extent;
        if indices.shape.rank() != data.shape.rank() || !indices.shape.iter().zip(data.shape.iter()).enumerate().all(fits) {
            return Err(OpError::invalid(format!("indices {} exceed data {} along another axis than {axis}", indices.shape, data.shape)));
        }
        if updates.dtype != data.dtype || updates.shape != indices.shape {
            return Err(OpError::invalid(format!("updates are {}, expected {}{}", updates.tensor_type(), data.dtype, indices.shape)));
        }
        if let Some(values) = indices.constant {
            reference::movement::positions(data.shape, axis, values)?;
        }
        Ok(vec![data.tensor_type()])
    }

    fn flops(&self, inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        match self.reduction {
            ScatterReduction::None => 0,
            _ => inputs.get(2).map_or(0, |updates| updates.shape.elements() as u64),
        }
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        if context.input == 0 { context.elementwise() } else { context.whole() }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let no_updates = context.inputs.get(2).is_some_and(|updates| updates.shape.elements() == 0);
        if no_updates { Lowered::View } else { Lowered::from_rule(self.rule(context)) }
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let (data, indices, updates) = (reference::input(inputs, 0), reference::input(inputs, 1), reference::input(inputs, 2));
        let axis = self.axis(data.shape().rank())?;
        Ok(vec![reference::scatter::scatter_elements(axis, self.reduction, data, indices, updates)?])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        self.reduction.tolerance(dtype)
    }
}
