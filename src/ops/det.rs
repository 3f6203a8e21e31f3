//! Determinants.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{FLOATS, Operands, Operator, Tolerance};
use crate::plan::{
    Access, Arg, Dispatch, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Variant, WORKGROUP_SIZE, params, part,
    workgroups_1d,
};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// `Det`: input `[…, M, M]`, output `[…]`, the determinant of each matrix. Source: ONNX `Det`, opset 22.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Det;

params! {
    pub(crate) struct DetParams {
        matrices: u32,
        n: u32,
    }
}

pub(crate) static DET: Kernel = Kernel {
    name: "det",
    body: part!("det.wgsl"),
    parts: &[INDEX],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: DetParams::LAYOUT,
    bindings: &[Access::Read, Access::Write, Access::Write],
    ..Kernel::BASE
};

impl Det {
    fn rule(self, context: &LowerContext<'_>) -> Result<Lowering, String> {
        let x = context.inputs.required(0, "X").map_err(|error| error.to_string())?;
        let elements = u32::try_from(x.shape.elements()).map_err(|_| format!("{} has 2^32 elements or more", x.shape))?;
        let (n, matrices) = (x.shape.last().copied().unwrap_or(1), context.outputs[0].shape.elements());
        context.capabilities.check_iterations(n.saturating_mul(n).saturating_mul(n + 4))?;
        let params = DetParams { matrices: matrices as u32, n: n as u32 };
        let variant = Variant::new(&DET, vec![context.elem(x.dtype)?], None, vec![WORKGROUP_SIZE]);
        let workgroups =
            workgroups_1d(matrices, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many matrices")?;
        let bindings = vec![Arg::Input(0), Arg::Scratch(0), Arg::Output(0)];
        let dispatch = Dispatch { variant, params: bytemuck::bytes_of(&params).to_vec(), bindings, workgroups };
        Ok(Lowering { dispatches: vec![dispatch], scratch: vec![4 * u64::from(elements)] })
    }
}

impl Operator for Det {
    fn name(&self) -> &'static str {
        "Det"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", FLOATS)?;
        match x.shape.dims() {
            [batch @ .., rows, columns] if rows == columns => Ok(vec![TensorType::new(x.dtype, batch)]),
            _ => Err(OpError::invalid(format!("{} is not a batch of square matrices", x.shape))),
        }
    }

    fn flops(&self, inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        let rows = inputs.get(0).and_then(|x| x.shape.last().copied()).unwrap_or(0) as u64;
        outputs.iter().map(|y| 2 * rows * rows * rows / 3 * y.shape.elements() as u64).sum()
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(self.rule(context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![reference::det::det(reference::input(inputs, 0))])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}
