//! Normalization across neighbouring channels.

use super::{channels, count};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{FLOATS, Operands, Operator, Reach, ReachContext, Tolerance};
use crate::plan::{
    Access, Arg, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Variant, WORKGROUP_SIZE, params, part,
    workgroups_1d,
};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// `LRN`: `x ÷ (bias + alpha ÷ size · Σ x²)^beta`, the sum over `size` neighbouring channels.
///
/// Input and output `[N, C, …]`. Source: ONNX `LRN`, opset 13; A. Krizhevsky et al., "ImageNet Classification with Deep
/// Convolutional Neural Networks", 2012, section 3.3.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LocalResponseNormalization {
    /// Factor of the mean square.
    pub alpha: f32,
    /// Exponent of the divisor.
    pub beta: f32,
    /// Added to the scaled mean square.
    pub bias: f32,
    /// How many channels the sum is over, the own one in the middle; of an even number one more follows.
    pub size: usize,
}

params! {
    pub(crate) struct LrnParams {
        elements: u32,
        channels: u32,
        map_elements: u32,
        before: u32,
        after: u32,
        factor: f32,
        bias: f32,
        beta: f32,
    }
}

pub(crate) static LRN: Kernel = Kernel {
    name: "lrn",
    body: part!("lrn.wgsl"),
    parts: &[INDEX],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: LrnParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

impl LocalResponseNormalization {
    /// How many channels before and after its own an element is normalized by.
    pub(crate) fn neighbours(&self) -> [usize; 2] {
        [(self.size - 1) / 2, self.size / 2]
    }
}

fn lower_lrn(op: &LocalResponseNormalization, context: &LowerContext<'_>) -> Result<Lowering, String> {
    let y = &context.outputs[0];
    let types = vec![context.elem(y.dtype)?];
    let channels = y.shape[1];
    let [before, after] = op.neighbours().map(|count| count.min(channels));
    context.capabilities.check_iterations(before + 1 + after)?;
    let params = LrnParams {
        elements: count(y.shape.elements())?,
        channels: count(channels)?,
        map_elements: count(y.shape[2..].iter().product())?,
        before: count(before)?,
        after: count(after)?,
        factor: op.alpha / op.size as f32,
        bias: op.bias,
        beta: op.beta,
    };
    let max = context.capabilities.max_workgroups;
    let workgroups = workgroups_1d(y.shape.elements(), WORKGROUP_SIZE as usize, max).ok_or("too many elements")?;
    let variant = Variant::new(&LRN, types, None, vec![WORKGROUP_SIZE]);
    Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Output(0)], workgroups))
}

impl Operator for LocalResponseNormalization {
    fn name(&self) -> &'static str {
        "LRN"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", FLOATS)?;
        channels(&x, 0)?;
        if self.size == 0 {
            return Err(OpError::invalid("size must be at least 1, got 0"));
        }
        Ok(vec![x.tensor_type()])
    }

    fn flops(&self, _inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        outputs.first().map_or(0, |y| (y.shape.elements() as u64).saturating_mul(2 * self.size as u64 + 4))
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        context.mixing(|axis| axis == 1)
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(lower_lrn(self, context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![reference::norm::lrn(reference::input(inputs, 0), self)])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}
