//! `Trilu`.

use super::{addressable, data, moves_only};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator, Reach, ReachContext};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Variant, WORKGROUP_SIZE, params, part,
    workgroups_1d,
};
use crate::reference;
use crate::tensor::Tensor;

/// `Trilu`: input `[…, rows, columns]` and optionally `k`; zeros below (`upper`) or above the `k`-th diagonal.
/// Source: ONNX `Trilu`, opset 14.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trilu {
    /// Whether the upper triangle stays, rather than the lower.
    pub upper: bool,
}

params! {
    pub(crate) struct TriluParams {
        elements: u32,
        rows: u32,
        columns: u32,
        diagonal: i32,
    }
}

pub(crate) static TRILU: Kernel = Kernel {
    name: "trilu",
    body: part!("trilu.wgsl"),
    parts: &[INDEX],
    types: &[ANY_ELEMENT],
    tiles: &[],
    overrides: &[Override { name: "UPPER", values: &[0, 1] }, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: TriluParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

/// The kernel's signed coordinates stay in range below this.
const MAX_EXTENT: usize = 1 << 30;

impl Trilu {
    fn diagonal(inputs: &Operands<'_>) -> Result<i64, OpError> {
        match inputs.integers(1, "k")?.as_deref() {
            None => Ok(0),
            Some(&[k]) => Ok(k),
            Some(other) => Err(OpError::invalid(format!("k must be one number, got {other:?}"))),
        }
    }

    fn rule(&self, context: &LowerContext<'_>) -> Result<Lowering, String> {
        let data = data(context)?;
        addressable(data.shape)?;
        let &[.., rows, columns] = data.shape.dims() else { return Err("not a matrix".into()) };
        if rows.max(columns) >= MAX_EXTENT {
            return Err(format!("a matrix of {rows} rows and {columns} columns is beyond the kernel's coordinates"));
        }
        let k = Self::diagonal(&context.inputs).map_err(|error| error.to_string())?;
        let elements = data.shape.elements();
        let params = TriluParams {
            elements: elements as u32,
            rows: rows as u32,
            columns: columns as u32,
            diagonal: k.clamp(-(MAX_EXTENT as i64), MAX_EXTENT as i64) as i32,
        };
        let types = vec![context.elem(data.dtype)?];
        let variant = Variant::new(&TRILU, types, None, vec![self.upper.into(), WORKGROUP_SIZE]);
        let workgroups =
            workgroups_1d(elements, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
        Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Output(0)], workgroups))
    }
}

impl Operator for Trilu {
    moves_only!();

    fn name(&self) -> &'static str {
        "Trilu"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let data = inputs.required(0, "input")?;
        if data.shape.rank() < 2 {
            return Err(OpError::invalid(format!("{} has no rows and columns", data.shape)));
        }
        Self::diagonal(inputs)?;
        Ok(vec![data.tensor_type()])
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        if context.input == 0 { context.elementwise() } else { context.whole() }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(self.rule(context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let k = Self::diagonal(&Operands::of(inputs, outputs))?;
        Ok(vec![reference::rearrange::trilu(self.upper, k, reference::input(inputs, 0))])
    }
}
