//! `Gather`.

use std::cmp::Ordering;

use super::strided_copy::{StridedCopy, Walk};
use super::{UNITS, addressable, data, index, moves_only, unit};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::layout::outside;
use crate::ops::{AxisReach, Operands, Operator, Reach, ReachContext};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, Elem, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, TypeRole, Variant, WORKGROUP_SIZE, params,
    part, workgroups_1d,
};
use crate::reference;
use crate::shape::{Shape, resolve_axis};
use crate::tensor::{DType, Tensor};

/// `Gather`: slices of `data` along `axis` at `indices` (i32 or i64), negative ones counting from the end. Output rank is
/// `rank(data) + rank(indices) − 1`. Source: ONNX `Gather`, opset 13.
///
/// An index out of range is an error wherever the host sees the indices: in constants, and on the CPU. Indices that are
/// computed on the GPU are clamped there to the nearest element, and nothing outside `data` is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gather {
    /// The axis; negative counts from the end.
    pub axis: i64,
}

params! {
    pub(crate) struct GatherParams {
        units: u32,
        inner: u32,
        index_count: u32,
        extent: i32,
    }
}

pub(crate) static GATHER: Kernel = Kernel {
    name: "gather",
    body: part!("gather.wgsl"),
    parts: &[INDEX],
    types: &[ANY_ELEMENT, TypeRole { role: "Index", allowed: &[Elem::I32, Elem::I64] }],
    tiles: UNITS,
    overrides: &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: GatherParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

impl Gather {
    pub(crate) fn axis(&self, rank: usize) -> Result<usize, OpError> {
        resolve_axis(self.axis, rank).ok_or_else(|| outside(self.axis, rank))
    }

    fn rule(&self, context: &LowerContext<'_>) -> Result<Lowering, String> {
        let (data, output) = (data(context)?, &context.outputs[0]);
        let indices = context.inputs.required(1, "indices").map_err(|error| error.to_string())?;
        let axis = self.axis(data.shape.rank()).map_err(|error| error.to_string())?;
        for shape in [data.shape, indices.shape, &output.shape] {
            addressable(shape)?;
        }
        let extent = i32::try_from(data.shape[axis]).map_err(|_| format!("axis {axis} of {} is beyond i32", data.shape))?;
        let (index, elem) = index(context, 1)?;
        let inner = Shape::from(&data.shape[axis + 1..]).elements();
        let (tile, per_unit) = unit(inner.is_multiple_of(4));
        let units = output.shape.elements() / per_unit;
        let params =
            GatherParams { units: units as u32, inner: (inner / per_unit) as u32, index_count: indices.shape.elements() as u32, extent };
        let workgroups = workgroups_1d(units, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
        let types = vec![context.elem(output.dtype)?, elem];
        let variant = Variant::new(&GATHER, types, tile, vec![WORKGROUP_SIZE]);
        Ok(Lowering::single(variant, &params, vec![Arg::Input(0), index, Arg::Output(0)], workgroups))
    }
}

impl Gather {
    /// The copy that does the same where the indices are constant and follow one another, as a slice.
    fn range(&self, context: &LowerContext<'_>) -> Option<Lowered> {
        let (data, indices) = (data(context).ok()?, context.inputs.get(1)?.constant?);
        let axis = self.axis(data.shape.rank()).ok()?;
        let positions = reference::movement::positions(data.shape, axis, indices).ok()?;
        let first = *positions.first()?;
        if positions.iter().enumerate().any(|(i, &position)| position != first + i) {
            return None;
        }
        let extent = |dims: &[usize]| Shape::from(dims).elements();
        let (outer, inner) = (extent(&data.shape[..axis]), extent(&data.shape[axis + 1..]));
        let output = Shape::from([outer, positions.len(), inner]);
        let input = Walk { offset: first * inner, strides: vec![(data.shape[axis] * inner) as i64, inner as i64, 1] };
        StridedCopy { dims: output.to_vec(), input, output: Walk::dense(&output) }.lower(context).ok()
    }
}

impl Operator for Gather {
    moves_only!();

    fn name(&self) -> &'static str {
        "Gather"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let data = inputs.required(0, "data")?;
        let indices = inputs.expect_dtype(1, "indices", &[DType::I32, DType::I64])?;
        let axis = self.axis(data.shape.rank())?;
        if let Some(values) = indices.constant {
            reference::movement::positions(data.shape, axis, values)?;
        }
        let dims = [&data.shape[..axis], indices.shape, &data.shape[axis + 1..]].concat();
        Ok(vec![TensorType::new(data.dtype, dims)])
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        let (Ok(along), Some(indices)) = (self.axis(context.x().rank()), context.inputs.get(1)) else { return context.whole() };
        if context.input != 0 {
            return context.whole();
        }
        context.each_axis(|axis, extent| match axis.cmp(&along) {
            Ordering::Less => AxisReach::same(axis),
            Ordering::Greater => AxisReach::same(axis + indices.shape.rank() - 1),
            Ordering::Equal => {
                let places = indices.constant.and_then(|values| reference::movement::positions(context.x(), along, values).ok());
                let ends = places.and_then(|places| Some([*places.iter().min()? as i64, *places.iter().max()? as i64]));
                ends.map_or_else(|| AxisReach::whole(extent), AxisReach::Fixed)
            }
        })
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let gathered = Lowered::from_rule(self.rule(context));
        match (self.range(context), gathered) {
            (Some(Lowered::Kernels(copy)), Lowered::Kernels(gather)) => Lowered::Kernels(copy.into_iter().chain(gather).collect()),
            (Some(Lowered::View), _) => Lowered::View,
            (_, gathered) => gathered,
        }
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let (data, indices) = (reference::input(inputs, 0), reference::input(inputs, 1));
        Ok(vec![reference::movement::gather(self.axis(data.shape().rank())?, data, indices)?])
    }
}
