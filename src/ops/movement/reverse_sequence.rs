//! `ReverseSequence`.

use super::{UNITS, addressable, data, index, moves_only, unit};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, Elem, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, TypeRole, Variant, WORKGROUP_SIZE, params,
    part, workgroups_1d,
};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// `ReverseSequence`: inputs `[time, batch, …]` or `[batch, time, …]`, and `sequence_lens i64[batch]`; of each sequence so many
/// steps are reversed, the rest stays. Lengths that the GPU has computed are clamped to the steps there are.
/// Source: ONNX `ReverseSequence`, opset 10.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReverseSequence {
    /// Whether the first axis is the batch and the second time, rather than the other way round.
    pub batch_first: bool,
}

params! {
    pub(crate) struct ReverseSequenceParams {
        units: u32,
        inner: u32,
        columns: u32,
        steps: i32,
    }
}

pub(crate) static REVERSE_SEQUENCE: Kernel = Kernel {
    name: "reverse_sequence",
    body: part!("reverse_sequence.wgsl"),
    parts: &[INDEX],
    types: &[ANY_ELEMENT, TypeRole { role: "Index", allowed: &[Elem::I32, Elem::I64] }],
    tiles: UNITS,
    overrides: &[Override { name: "BATCH_FIRST", values: &[0, 1] }, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: ReverseSequenceParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

impl ReverseSequence {
    /// The extents of batch and time.
    fn batch_and_time(&self, shape: &Shape) -> Result<(usize, usize), OpError> {
        match (shape.dims(), self.batch_first) {
            (&[batch, time, ..], true) | (&[time, batch, ..], false) => Ok((batch, time)),
            _ => Err(OpError::invalid(format!("{shape} has no axes for batch and time"))),
        }
    }

    fn rule(&self, context: &LowerContext<'_>) -> Result<Lowering, String> {
        let data = data(context)?;
        addressable(data.shape)?;
        let (_, time) = self.batch_and_time(data.shape).map_err(|error| error.to_string())?;
        let steps = i32::try_from(time).map_err(|_| format!("{time} steps are beyond i32"))?;
        let (lengths, index_type) = index(context, 1)?;
        let inner = Shape::from(&data.shape[2..]).elements();
        let (tile, per_unit) = unit(inner.is_multiple_of(4));
        let units = data.shape.elements() / per_unit;
        let params = ReverseSequenceParams { units: units as u32, inner: (inner / per_unit) as u32, columns: data.shape[1] as u32, steps };
        let types = vec![context.elem(data.dtype)?, index_type];
        let overrides = vec![self.batch_first.into(), WORKGROUP_SIZE];
        let variant = Variant::new(&REVERSE_SEQUENCE, types, tile, overrides);
        let workgroups = workgroups_1d(units, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
        Ok(Lowering::single(variant, &params, vec![Arg::Input(0), lengths, Arg::Output(0)], workgroups))
    }
}

impl Operator for ReverseSequence {
    moves_only!();

    fn name(&self) -> &'static str {
        "ReverseSequence"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let data = inputs.required(0, "input")?;
        let (batch, time) = self.batch_and_time(data.shape)?;
        let lengths = inputs.expect_dtype(1, "sequence_lens", &[DType::I64])?;
        if lengths.shape.dims() != [batch] {
            return Err(OpError::invalid(format!("sequence_lens is {}, expected {batch} lengths", lengths.tensor_type())));
        }
        if let Some(values) = lengths.constant.and_then(Tensor::to_i64)
            && let Some(wrong) = values.iter().find(|&&length| !(0..=time as i64).contains(&length))
        {
            return Err(OpError::invalid(format!("a sequence of {wrong} steps is not in {} with {time} steps", data.shape)));
        }
        Ok(vec![data.tensor_type()])
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(self.rule(context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        self.infer(&Operands::of(inputs, outputs))?;
        Ok(vec![reference::rearrange::reverse_sequence(self.batch_first, reference::input(inputs, 0), reference::input(inputs, 1))])
    }
}
