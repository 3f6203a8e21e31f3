//! `Where`.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator, Reach, ReachContext, Tolerance};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Variant, WORKGROUP_SIZE, collapse, dims_array,
    element_count, params, part, workgroups_1d,
};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// `Where`: inputs `condition` (`bool`), `X`, `Y` (of one type), all broadcast against each other (NumPy's rule); the element
/// of `X` where the condition holds, else that of `Y`. Source: ONNX `Where`, opset 16.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Where;

params! {
    struct WhereParams {
        extents: [[u32; 4]; 2],
        condition_strides: [[u32; 4]; 2],
        a_strides: [[u32; 4]; 2],
        b_strides: [[u32; 4]; 2],
        elements: u32,
        first_axis: u32,
    }
}

pub(crate) static WHERE: Kernel = Kernel {
    name: "where",
    body: part!("where.wgsl"),
    parts: &[INDEX],
    types: &[ANY_ELEMENT],
    tiles: &[],
    overrides: &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: WhereParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

impl Where {
    fn lower_where(context: &LowerContext<'_>) -> Result<Lowering, String> {
        let output = &context.outputs[0];
        let elem = context.elem(output.dtype)?;
        let elements = element_count(&output.shape)?;
        let strides = |index| -> Result<Vec<i64>, String> {
            let operand = context.inputs.required(index, "operand").map_err(|e| e.to_string())?;
            Ok(operand.shape.broadcast_strides(&output.shape).into_iter().map(|s| s as i64).collect())
        };
        let space = collapse(&output.shape, &[strides(0)?, strides(1)?, strides(2)?]);
        let many = || format!("{} axes broadcast differently", space.dims.len());
        let walk = |operand: usize| dims_array(space.strides[operand].iter().copied(), 0).ok_or_else(many);
        let params = WhereParams {
            extents: dims_array(space.dims.iter().map(|&d| d as i64), 1).ok_or_else(many)?,
            condition_strides: walk(0)?,
            a_strides: walk(1)?,
            b_strides: walk(2)?,
            elements,
            first_axis: 8 - space.dims.len() as u32,
        };
        let workgroups = workgroups_1d(elements.div_ceil(4) as usize, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups);
        let variant = Variant::new(&WHERE, vec![elem], None, vec![WORKGROUP_SIZE]);
        let bindings = vec![Arg::Input(0), Arg::Input(1), Arg::Input(2), Arg::Output(0)];
        Ok(Lowering::single(variant, &params, bindings, workgroups.ok_or("too many elements")?))
    }

    /// The shape of three operands together.
    pub(crate) fn shape(condition: &Shape, a: &Shape, b: &Shape) -> Option<Shape> {
        condition.broadcast(a)?.broadcast(b)
    }
}

impl Operator for Where {
    fn name(&self) -> &'static str {
        "Where"
    }

    fn output_dtype(&self, inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        inputs.get(1).copied().flatten()
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let condition = inputs.expect_dtype(0, "condition", &[DType::Bool])?;
        let a = inputs.required(1, "X")?;
        let b = inputs.expect_dtype(2, "Y", &[a.dtype])?;
        let shape = Self::shape(condition.shape, a.shape, b.shape);
        let shape = shape.ok_or_else(|| OpError::invalid(format!("{}, {} and {} do not broadcast", condition.shape, a.shape, b.shape)))?;
        Ok(vec![TensorType::new(a.dtype, shape)])
    }

    fn flops(&self, _inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        0
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        context.elementwise()
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(Self::lower_where(context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let input = |index| reference::input(inputs, index);
        Ok(vec![reference::binary::select(input(0), input(1), input(2))])
    }

    fn tolerance(&self, _dtype: DType) -> Tolerance {
        Tolerance::EXACT
    }
}
