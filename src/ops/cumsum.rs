//! Running sums.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::binary::NUMBERS;
use crate::ops::reduce::along_axis;
use crate::ops::{Operands, Operator, Reach, ReachContext, Tolerance};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Variant, WORKGROUP_SIZE, element_count, params,
    part, workgroups_1d,
};
use crate::reference;
use crate::shape::resolve_axis;
use crate::tensor::{DType, Tensor};

/// `CumSum`: the sums of all elements up to each along one axis.
///
/// Inputs: `x`, and `axis`, one integer. Output like `x`; integers wrap. Source: ONNX `CumSum`, opset 14.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CumSum {
    /// Whether an element's own value is left out of its sum.
    pub exclusive: bool,
    /// Whether sums run from the end.
    pub reverse: bool,
}

params! {
    struct CumSumParams {
        positions: u32,
        columns: u32,
        inner: u32,
    }
}

pub(crate) static CUMSUM: Kernel = Kernel {
    name: "cumsum",
    body: part!("cumsum.wgsl"),
    parts: &[INDEX],
    types: &[ANY_ELEMENT],
    tiles: &[],
    overrides: &[
        Override { name: "EXCLUSIVE", values: &[0, 1] },
        Override { name: "REVERSE", values: &[0, 1] },
        Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] },
    ],
    params: CumSumParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

/// `x` as `[outer, columns, inner]`, sums running along the columns.
fn split(inputs: &Operands<'_>) -> Result<[usize; 3], OpError> {
    let x = inputs.required(0, "x")?;
    inputs.required(1, "axis")?;
    match inputs.integers(1, "axis")?.as_deref() {
        Some([axis]) => along_axis(*axis, x.shape),
        other => Err(OpError::invalid(format!("`axis` must hold one integer, got {:?}", other.unwrap_or_default()))),
    }
}

fn lower_cumsum(op: &CumSum, context: &LowerContext<'_>) -> Result<Lowering, String> {
    let y = &context.outputs[0];
    let types = vec![context.elem(y.dtype)?];
    if y.dtype.is_integer() && y.dtype.size() < 4 {
        return Err(format!("{} wraps at {} bits, shaders at 32", y.dtype, 8 * y.dtype.size()));
    }
    element_count(&y.shape)?;
    let [outer, columns, inner] = split(&context.inputs).map_err(|e| e.to_string())?;
    context.capabilities.check_iterations(columns)?;
    let positions = outer * inner;
    let workgroups = workgroups_1d(positions, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
    let params = CumSumParams { positions: positions as u32, columns: columns as u32, inner: inner as u32 };
    let overrides = vec![op.exclusive.into(), op.reverse.into(), WORKGROUP_SIZE];
    let variant = Variant::new(&CUMSUM, types, None, overrides);
    Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Output(0)], workgroups))
}

impl Operator for CumSum {
    fn name(&self) -> &'static str {
        "CumSum"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "x", NUMBERS)?;
        split(inputs)?;
        Ok(vec![x.tensor_type()])
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        let along = context.inputs.integers(1, "axis").ok().flatten().and_then(|axis| resolve_axis(*axis.first()?, context.x().rank()));
        match along {
            Some(summed) if context.input == 0 => context.mixing(|axis| axis == summed),
            _ => context.whole(),
        }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(lower_cumsum(self, context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let split = split(&Operands::of(inputs, outputs))?;
        Ok(vec![reference::cumsum::cumsum(reference::input(inputs, 0), split, self.exclusive, self.reverse)])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}
