//! `TensorScatter`.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::layout::outside;
use crate::ops::movement::{UNITS, addressable, data, index, moves_only, unit};
use crate::ops::{Operands, Operator};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, Elem, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, TypeRole, Variant, WORKGROUP_SIZE, params,
    part, workgroups_1d,
};
use crate::reference;
use crate::shape::{Shape, resolve_axis};
use crate::tensor::{DType, Tensor};

/// `TensorScatter`: inputs `past_cache [batch, …]`, `update` with fewer steps along `axis`, optional `write_indices i64[batch]`;
/// the steps of each element of the batch replace those of the cache from its index on.
/// Source: ONNX `TensorScatter`, opset 24.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TensorScatter {
    /// The axis of steps, not the first; negative counts from the end.
    pub axis: i64,
    /// Whether steps beyond the cache's end go on at its start, rather than being an error.
    pub circular: bool,
}

params! {
    pub(crate) struct TensorScatterParams {
        units: u32,
        inner: u32,
        lines: u32,
        steps: i32,
        update_steps: i32,
    }
}

pub(crate) static TENSOR_SCATTER: Kernel = Kernel {
    name: "tensor_scatter",
    body: part!("tensor_scatter.wgsl"),
    parts: &[INDEX],
    types: &[ANY_ELEMENT, TypeRole { role: "Index", allowed: &[Elem::I32, Elem::I64] }],
    tiles: UNITS,
    overrides: &[Override { name: "CIRCULAR", values: &[0, 1] }, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: TensorScatterParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

impl TensorScatter {
    fn axis(&self, rank: usize) -> Result<usize, OpError> {
        resolve_axis(self.axis, rank).filter(|&axis| axis > 0).ok_or_else(|| outside(self.axis, rank))
    }

    fn rule(&self, context: &LowerContext<'_>) -> Result<Lowering, String> {
        let data = data(context)?;
        let update = context.inputs.required(1, "update").map_err(|error| error.to_string())?;
        let axis = self.axis(data.shape.rank()).map_err(|error| error.to_string())?;
        addressable(data.shape)?;
        let steps = i32::try_from(data.shape[axis]).map_err(|_| format!("axis {axis} of {} is beyond i32", data.shape))?;
        let (indices, index_type) = match context.inputs.get(2) {
            Some(_) => index(context, 2)?,
            None => (Arg::Table(Tensor::full([data.shape[0]], 0i32)), Elem::I32),
        };
        let inner = Shape::from(&data.shape[axis + 1..]).elements();
        let (tile, per_unit) = unit(inner.is_multiple_of(4));
        let units = data.shape.elements() / per_unit;
        let params = TensorScatterParams {
            units: units as u32,
            inner: (inner / per_unit) as u32,
            lines: Shape::from(&data.shape[1..axis]).elements() as u32,
            steps,
            update_steps: update.shape[axis] as i32,
        };
        let types = vec![context.elem(data.dtype)?, index_type];
        let variant = Variant::new(&TENSOR_SCATTER, types, tile, vec![self.circular.into(), WORKGROUP_SIZE]);
        let workgroups = workgroups_1d(units, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
        Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Input(1), indices, Arg::Output(0)], workgroups))
    }
}

impl Operator for TensorScatter {
    moves_only!();

    fn name(&self) -> &'static str {
        "TensorScatter"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let (data, update) = (inputs.required(0, "past_cache")?, inputs.required(1, "update")?);
        let axis = self.axis(data.shape.rank())?;
        let fits = |(at, (update, extent)): (usize, (&usize, &usize))| update == extent || at == axis && update < extent;
        let shapes_fit = update.shape.rank() == data.shape.rank() && update.shape.iter().zip(data.shape.iter()).enumerate().all(fits);
        if update.dtype != data.dtype || !shapes_fit {
            return Err(OpError::invalid(format!(
                "update {} does not go in {} along axis {axis}",
                update.tensor_type(),
                data.tensor_type()
            )));
        }
        if inputs.get(2).is_some() {
            let indices = inputs.expect_dtype(2, "write_indices", &[DType::I32, DType::I64])?;
            if indices.shape.dims() != [data.shape[0]] {
                return Err(OpError::invalid(format!("write_indices are {}, expected {}", indices.tensor_type(), data.shape[0])));
            }
            let last = data.shape[axis] - update.shape[axis];
            let inside = |&index: &i64| index >= 0 && (self.circular || index <= last as i64);
            if let Some(wrong) = indices.constant.and_then(Tensor::to_i64).unwrap_or_default().iter().find(|index| !inside(index)) {
                return Err(OpError::invalid(format!("write index {wrong} is outside 0..={last} of axis {axis} of {}", data.shape)));
            }
        }
        Ok(vec![data.tensor_type()])
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(self.rule(context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        self.infer(&Operands::of(inputs, outputs))?;
        let (data, update) = (reference::input(inputs, 0), reference::input(inputs, 1));
        let axis = self.axis(data.shape().rank())?;
        Ok(vec![reference::scatter::tensor_scatter(axis, data, update, reference::optional(inputs, 2))])
    }
}
