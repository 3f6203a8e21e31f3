//! `OneHot`.

use super::{addressable, index, moves_only};
use crate::error::{OpError, Result};
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::layout::outside;
use crate::ops::{Cast, Operands, Operator};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, Elem, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, TypeRole, Variant, WORKGROUP_SIZE, params,
    part, workgroups_1d,
};
use crate::reference;
use crate::shape::{Shape, resolve_axis};
use crate::tensor::{DType, Tensor};

/// `OneHot`: inputs `indices` of any number type, `depth`, `values [off, on]`; a new axis of extent `depth`, along which the
/// element at the index is `on`. Negative indices count from the end; others outside mark nothing. Numbers that are not whole
/// are cut toward zero. Source: ONNX `OneHot`, opset 11.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OneHot {
    /// Where the axis goes in the output; negative counts from its end.
    pub axis: i64,
}

params! {
    pub(crate) struct OneHotParams {
        elements: u32,
        inner: u32,
        depth: i32,
    }
}

pub(crate) static ONE_HOT: Kernel = Kernel {
    name: "one_hot",
    body: part!("one_hot.wgsl"),
    parts: &[INDEX],
    types: &[ANY_ELEMENT, TypeRole { role: "Index", allowed: &[Elem::I32, Elem::I64] }],
    tiles: &[],
    overrides: &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: OneHotParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

impl OneHot {
    /// The axis in the output of indices of `shape`, and the output's shape.
    pub(crate) fn output(&self, shape: &Shape, inputs: &Operands<'_>) -> Result<(usize, Shape), OpError> {
        let rank = shape.rank() + 1;
        let axis = resolve_axis(self.axis, rank).ok_or_else(|| outside(self.axis, rank))?;
        let depth = inputs.constant(1, "depth")?.to_f64();
        let count = match depth[..] {
            [depth] if (0.0..2147483648.0).contains(&depth) => depth as usize,
            _ => return Err(OpError::invalid(format!("depth must be one number from 0 to 2^31, got {depth:?}"))),
        };
        Ok((axis, [&shape[..axis], &[count], &shape[axis..]].concat().into()))
    }

    fn rule(&self, context: &LowerContext<'_>) -> Result<Lowering, String> {
        let indices = context.inputs.required(0, "indices").map_err(|error| error.to_string())?;
        let (axis, shape) = self.output(indices.shape, &context.inputs).map_err(|error| error.to_string())?;
        addressable(&shape)?;
        let (index, index_type) = index(context, 0)?;
        let inner = Shape::from(&shape[axis + 1..]).elements();
        let params = OneHotParams { elements: shape.elements() as u32, inner: inner as u32, depth: shape[axis] as i32 };
        let types = vec![context.elem(context.outputs[0].dtype)?, index_type];
        let variant = Variant::new(&ONE_HOT, types, None, vec![WORKGROUP_SIZE]);
        let workgroups =
            workgroups_1d(shape.elements(), WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
        Ok(Lowering::single(variant, &params, vec![index, Arg::Input(2), Arg::Output(0)], workgroups))
    }
}

impl Operator for OneHot {
    moves_only!();

    fn name(&self) -> &'static str {
        "OneHot"
    }

    fn output_dtype(&self, inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        inputs.get(2).copied().flatten()
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let (indices, values) = (inputs.required(0, "indices")?, inputs.required(2, "values")?);
        if indices.dtype == DType::Bool || values.shape.elements() != 2 {
            return Err(OpError::invalid(format!(
                "indices are {} and values {}, expected numbers and two elements",
                indices.tensor_type(),
                values.tensor_type()
            )));
        }
        Ok(vec![TensorType::new(values.dtype, self.output(indices.shape, inputs)?.1)])
    }

    /// Indices of other types are converted first, to a type that holds all that can be below the depth.
    fn decompose(&self, parts: &mut Parts<'_>) -> Result<Option<Vec<ValueId>>> {
        let (Some(indices), Some(depth), Some(values)) = (parts.input(0), parts.input(1), parts.input(2)) else { return Ok(None) };
        let to = match parts.dtype(indices) {
            DType::I32 | DType::I64 => return Ok(None),
            DType::U32 | DType::U64 => DType::I64,
            _ => DType::I32,
        };
        let indices = parts.node("indices", Cast { to }, &[indices])?;
        Ok(Some(vec![parts.node("one_hot", *self, &[indices, depth, values])?]))
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(self.rule(context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let indices = reference::input(inputs, 0);
        let (axis, shape) = self.output(indices.shape(), &Operands::of(inputs, outputs))?;
        Ok(vec![reference::rearrange::one_hot(axis, &shape, indices, reference::input(inputs, 2))])
    }
}
