//! The largest or smallest elements along an axis.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::binary::NUMBERS;
use crate::ops::reduce::along_axis;
use crate::ops::{Operands, Operator, Reach, ReachContext, Tolerance};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, Elem, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, TypeRole, Variant, WORKGROUP_SIZE,
    element_count, params, part, workgroups_1d,
};
use crate::reference;
use crate::shape::{Shape, resolve_axis};
use crate::tensor::{DType, Tensor};

/// `TopK`: the `k` largest or smallest elements along one axis, in order, and their indices, as `i64`.
///
/// Inputs: `X`, and `K`, one integer. Outputs: values and indices, shaped as `X` but for extent `k` along the axis. Of equals
/// the first goes first, and a NaN counts as the largest. Source: ONNX `TopK`, opset 24.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopK {
    /// The axis; negative counts from the end.
    pub axis: i64,
    /// Whether the largest elements are wanted.
    pub largest: bool,
}

params! {
    struct TopKParams {
        elements: u32,
        columns: u32,
        inner: u32,
        k: u32,
    }
}

pub(crate) static TOP_K: Kernel = Kernel {
    name: "top_k",
    body: part!("top_k.wgsl"),
    parts: &[INDEX],
    types: &[ANY_ELEMENT, TypeRole { role: "Index", allowed: &[Elem::I64] }],
    tiles: &[],
    overrides: &[Override { name: "LARGEST", values: &[0, 1] }, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: TopKParams::LAYOUT,
    bindings: &[Access::Read, Access::Write, Access::Write],
    ..Kernel::BASE
};

/// The kernel compares every two elements of a column: beyond this length sorting on the CPU is faster.
const MAX_COLUMNS: usize = 1 << 14;

/// `x` as `[outer, columns, inner]`, and `k`.
fn split(op: &TopK, inputs: &Operands<'_>) -> Result<([usize; 3], usize), OpError> {
    let x = inputs.required(0, "X")?;
    let split = along_axis(op.axis, x.shape)?;
    inputs.required(1, "K")?;
    let k = inputs.integers(1, "K")?.unwrap_or_default();
    match k[..] {
        [k] if (0..=split[1] as i64).contains(&k) => Ok((split, k as usize)),
        _ => Err(OpError::invalid(format!("`K` must hold one integer from 0 to {}, the extent of axis {}, got {k:?}", split[1], op.axis))),
    }
}

fn lower_top_k(op: &TopK, context: &LowerContext<'_>) -> Result<Lowering, String> {
    let x = context.inputs.required(0, "X").map_err(|e| e.to_string())?;
    let types = vec![context.elem(x.dtype)?, context.elem(DType::I64)?];
    let elements = element_count(x.shape)?;
    let ([_, columns, inner], k) = split(op, &context.inputs).map_err(|e| e.to_string())?;
    if columns > MAX_COLUMNS {
        return Err(format!("{columns} elements are sorted faster on the CPU, the kernel is for up to {MAX_COLUMNS}"));
    }
    let max = context.capabilities.max_workgroups;
    let workgroups = workgroups_1d(elements as usize, WORKGROUP_SIZE as usize, max).ok_or("too many elements")?;
    let params = TopKParams { elements, columns: columns as u32, inner: inner as u32, k: k as u32 };
    let variant = Variant::new(&TOP_K, types, None, vec![op.largest.into(), WORKGROUP_SIZE]);
    let indices = if context.outputs.len() > 1 { Arg::Output(1) } else { Arg::Scratch(0) };
    let lowering = Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Output(0), indices], workgroups);
    Ok(Lowering { scratch: vec![8 * context.outputs[0].shape.elements() as u64], ..lowering })
}

impl Operator for TopK {
    fn name(&self) -> &'static str {
        "TopK"
    }

    fn output_dtype(&self, inputs: &[Option<DType>], index: usize) -> Option<DType> {
        if index == 0 { inputs.first().copied().flatten() } else { Some(DType::I64) }
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", NUMBERS)?;
        let (_, k) = split(self, inputs)?;
        let at = resolve_axis(self.axis, x.shape.rank());
        let shape: Shape = x.shape.iter().enumerate().map(|(axis, &extent)| if Some(axis) == at { k } else { extent }).collect();
        let mut outputs = vec![TensorType::new(x.dtype, &shape)];
        if inputs.outputs > 1 {
            outputs.push(TensorType::new(DType::I64, shape));
        }
        Ok(outputs)
    }

    fn flops(&self, inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        inputs.get(0).map_or(0, |x| x.shape.elements() as u64)
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        let mixed = resolve_axis(self.axis, context.x().rank());
        if context.input == 0 { context.mixing(|axis| Some(axis) == mixed) } else { context.whole() }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(lower_top_k(self, context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let operands = Operands::of(inputs, outputs);
        let (split, k) = split(self, &operands)?;
        let shape = self.infer(&operands)?.remove(0).shape;
        let both = reference::top_k::top_k(reference::input(inputs, 0), split, k, self.largest, &shape);
        Ok(both.into_iter().take(outputs.max(1)).collect())
    }

    fn tolerance(&self, _dtype: DType) -> Tolerance {
        Tolerance::EXACT
    }
}
