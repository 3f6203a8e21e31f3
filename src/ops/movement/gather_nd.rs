//! `GatherND`.

use super::{UNITS, addressable, data, index, moves_only, unit};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, Elem, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, TypeRole, Variant, WORKGROUP_SIZE,
    dims_array, params, part, workgroups_1d,
};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// `GatherND`: inputs `data [batch…, D_0, …]`, `indices [batch…, …, k]` (i32 or i64); each tuple of `k` indices picks one slice
/// of the `k` axes after the batch. Indices out of range are treated as [`Gather`](super::Gather) does.
/// Source: ONNX `GatherND`, opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GatherNd {
    /// How many leading axes `data` and `indices` share.
    pub batch_dims: usize,
}

/// The extents that a gather by tuples works with.
pub(crate) struct Tuples {
    /// Slices in each element of the batch that tuples index, by axis.
    pub dims: Shape,
    /// Elements of the batch.
    pub batch: usize,
    /// Tuples for each element of the batch.
    pub rows: usize,
    /// Elements of a slice.
    pub inner: usize,
    pub output: Shape,
}

params! {
    pub(crate) struct GatherNdParams {
        dims: [[u32; 4]; 2],
        strides: [[u32; 4]; 2],
        units: u32,
        inner: u32,
        rows: u32,
        batch_stride: u32,
        tuple: u32,
    }
}

pub(crate) static GATHER_ND: Kernel = Kernel {
    name: "gather_nd",
    body: part!("gather_nd.wgsl"),
    parts: &[INDEX],
    types: &[ANY_ELEMENT, TypeRole { role: "Index", allowed: &[Elem::I32, Elem::I64] }],
    tiles: UNITS,
    overrides: &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: GatherNdParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

impl GatherNd {
    pub(crate) fn tuples(&self, data: &Shape, indices: &Shape) -> Result<Tuples, OpError> {
        let b = self.batch_dims;
        let invalid = || OpError::invalid(format!("indices {indices} cannot index {data} with batch_dims {b}"));
        let (&tuple, rows) = indices.split_last().ok_or_else(invalid)?;
        let inner = b.checked_add(tuple).and_then(|from| data.get(from..)).ok_or_else(invalid)?;
        if b > rows.len() || data[..b] != rows[..b] {
            return Err(invalid());
        }
        Ok(Tuples {
            dims: data[b..b + tuple].into(),
            batch: data[..b].iter().product(),
            rows: rows[b..].iter().product(),
            inner: inner.iter().product(),
            output: [rows, inner].concat().into(),
        })
    }

    fn rule(&self, context: &LowerContext<'_>) -> Result<Lowering, String> {
        let data = data(context)?;
        let indices = context.inputs.required(1, "indices").map_err(|error| error.to_string())?;
        let tuples = self.tuples(data.shape, indices.shape).map_err(|error| error.to_string())?;
        for shape in [data.shape, indices.shape, &tuples.output] {
            addressable(shape)?;
        }
        if let Some(extent) = tuples.dims.iter().find(|&&extent| i32::try_from(extent).is_err()) {
            return Err(format!("an axis of {extent} elements is beyond i32"));
        }
        let (index, index_type) = index(context, 1)?;
        let (tile, per_unit) = unit(tuples.inner.is_multiple_of(4));
        let (units, inner) = (tuples.output.elements() / per_unit, tuples.inner / per_unit);
        let array =
            |values: Vec<usize>, fill| dims_array(values.into_iter().map(|v| v as i64), fill).ok_or("tuples of more than 8 indices");
        let params = GatherNdParams {
            dims: array(tuples.dims.to_vec(), 1)?,
            strides: array(tuples.dims.strides().into_iter().map(|stride| stride * inner).collect(), 0)?,
            units: units as u32,
            inner: inner as u32,
            rows: tuples.rows as u32,
            batch_stride: (tuples.dims.elements() * inner) as u32,
            tuple: tuples.dims.rank() as u32,
        };
        let types = vec![context.elem(data.dtype)?, index_type];
        let variant = Variant::new(&GATHER_ND, types, tile, vec![WORKGROUP_SIZE]);
        let workgroups = workgroups_1d(units, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
        // A tuple of no indices picks the whole slice; there is nothing to bind then.
        let index = if tuples.dims.rank() == 0 { Arg::Unused } else { index };
        Ok(Lowering::single(variant, &params, vec![Arg::Input(0), index, Arg::Output(0)], workgroups))
    }
}

impl Operator for GatherNd {
    moves_only!();

    fn name(&self) -> &'static str {
        "GatherND"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let data = inputs.required(0, "data")?;
        let indices = inputs.expect_dtype(1, "indices", &[DType::I32, DType::I64])?;
        let tuples = self.tuples(data.shape, indices.shape)?;
        if let Some(values) = indices.constant {
            reference::gather::slices(&tuples.dims, values)?;
        }
        Ok(vec![TensorType::new(data.dtype, tuples.output)])
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(self.rule(context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let (data, indices) = (reference::input(inputs, 0), reference::input(inputs, 1));
        let tuples = self.tuples(data.shape(), indices.shape())?;
        Ok(vec![reference::gather::gather_nd(&tuples, data, indices)?])
    }
}
