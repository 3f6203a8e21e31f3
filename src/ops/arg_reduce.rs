//! Where along an axis the largest or the smallest element is.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::binary::NUMBERS;
use crate::ops::reduce::{along_axis, deal_rows};
use crate::ops::{Operands, Operator, Reach, ReachContext, Tolerance};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, Elem, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, TypeRole, Variant, element_count, params,
    part,
};
use crate::reference;
use crate::shape::{Shape, resolve_axis};
use crate::tensor::{DType, Tensor};

/// `ArgMax`, `ArgMin`: the index of the largest or smallest element along one axis, as `i64`; a NaN beats every number.
///
/// The output loses the axis, or keeps it with extent 1. Source: ONNX `ArgMax` and `ArgMin`, opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArgReduce {
    /// Whether the largest element is wanted.
    pub largest: bool,
    /// The axis; negative counts from the end.
    pub axis: i64,
    /// Whether the axis stays, with extent 1.
    pub keep_dims: bool,
    /// Whether the last of equals counts, rather than the first.
    pub select_last_index: bool,
}

params! {
    struct ArgReduceParams {
        outputs: u32,
        columns: u32,
        inner: u32,
    }
}

pub(crate) static ARG_REDUCE: Kernel = Kernel {
    name: "arg_reduce",
    body: part!("arg_reduce.wgsl"),
    parts: &[INDEX],
    types: &[ANY_ELEMENT, TypeRole { role: "Index", allowed: &[Elem::I64] }],
    tiles: &[],
    overrides: &[
        Override { name: "LARGEST", values: &[0, 1] },
        Override { name: "LAST", values: &[0, 1] },
        Override { name: "COOPERATIVE", values: &[0, 1] },
        Override { name: "WORKGROUP_SIZE", values: &[64, 256] },
    ],
    params: ArgReduceParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

/// Outputs that keep a device busy with one invocation each.
const ENOUGH: usize = 4096;

fn lower_arg_reduce(op: &ArgReduce, context: &LowerContext<'_>) -> Result<Lowering, String> {
    let data = context.inputs.required(0, "data").map_err(|e| e.to_string())?;
    let types = vec![context.elem(data.dtype)?, context.elem(DType::I64)?];
    element_count(data.shape)?;
    let [outer, columns, inner] = along_axis(op.axis, data.shape).map_err(|e| e.to_string())?;
    let outputs = outer * inner;
    let ([cooperative, size], workgroups) = deal_rows(outputs, columns, ENOUGH, context.capabilities.max_workgroups)?;
    context.capabilities.check_iterations(columns.div_ceil(if cooperative == 1 { size as usize } else { 1 }) + 32)?;
    let params = ArgReduceParams { outputs: outputs as u32, columns: columns as u32, inner: inner as u32 };
    let overrides = vec![op.largest.into(), op.select_last_index.into(), cooperative, size];
    let variant = Variant::new(&ARG_REDUCE, types, None, overrides);
    Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Output(0)], workgroups))
}

impl Operator for ArgReduce {
    fn name(&self) -> &'static str {
        if self.largest { "ArgMax" } else { "ArgMin" }
    }

    fn output_dtype(&self, _inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        Some(DType::I64)
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let data = inputs.expect_dtype(0, "data", NUMBERS)?;
        let [outer, columns, inner] = along_axis(self.axis, data.shape)?;
        if columns == 0 && outer * inner > 0 {
            return Err(OpError::invalid(format!("axis {} of {} is empty: it has no extremum", self.axis, data.shape)));
        }
        let at = resolve_axis(self.axis, data.shape.rank());
        let kept = |(axis, &extent): (usize, &usize)| match Some(axis) == at {
            true => self.keep_dims.then_some(1),
            false => Some(extent),
        };
        Ok(vec![TensorType::new(DType::I64, data.shape.iter().enumerate().filter_map(kept).collect::<Shape>())])
    }

    fn flops(&self, inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        inputs.get(0).map_or(0, |data| data.shape.elements() as u64)
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        let rank = context.x().rank();
        let reduced: Vec<bool> = (0..rank).map(|axis| Some(axis) == resolve_axis(self.axis, rank)).collect();
        context.reduction(&reduced, self.keep_dims)
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(lower_arg_reduce(self, context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let data = reference::input(inputs, 0);
        let shape = self.infer(&Operands::of(inputs, outputs))?.remove(0).shape;
        let split = along_axis(self.axis, data.shape())?;
        Ok(vec![reference::arg_reduce::arg_reduce(data, split, self.largest, self.select_last_index, &shape)])
    }

    fn tolerance(&self, _dtype: DType) -> Tolerance {
        Tolerance::EXACT
    }
}
