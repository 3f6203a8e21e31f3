//! What kind of number a float is.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{FLOATS, Operands, Operator};
use crate::plan::{
    Access, Arg, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Variant, WORKGROUP_SIZE, params, part,
    workgroups_1d,
};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// Whether each float is of a kind. Output: `bool`, the shape the same. Source: ONNX `IsNaN` and `IsInf`, opset 20.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Classify {
    /// Not a number
    Nan,
    /// Infinite
    Infinite {
        /// Whether `∞` counts.
        positive: bool,
        /// Whether `−∞` counts.
        negative: bool,
    },
}

params! {
    struct ClassifyParams {
        vectors: u32,
        nan: u32,
        positive: u32,
        negative: u32,
    }
}

pub(crate) static CLASSIFY: Kernel = Kernel {
    name: "classify",
    body: part!("classify.wgsl"),
    parts: &[INDEX],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: ClassifyParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

impl Classify {
    fn lower_classify(self, context: &LowerContext<'_>) -> Result<Lowering, String> {
        let x = context.inputs.required(0, "X").map_err(|e| e.to_string())?;
        let vectors = x.shape.elements().div_ceil(4);
        let workgroups = workgroups_1d(vectors, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
        let (nan, positive, negative) = match self {
            Classify::Nan => (1, 0, 0),
            Classify::Infinite { positive, negative } => (0, positive.into(), negative.into()),
        };
        let params = ClassifyParams { vectors: vectors as u32, nan, positive, negative };
        let variant = Variant::new(&CLASSIFY, vec![context.elem(x.dtype)?], None, vec![WORKGROUP_SIZE]);
        Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Output(0)], workgroups))
    }
}

impl Operator for Classify {
    fn name(&self) -> &'static str {
        match self {
            Classify::Nan => "IsNaN",
            Classify::Infinite { .. } => "IsInf",
        }
    }

    fn output_dtype(&self, _inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        Some(DType::Bool)
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        Ok(vec![TensorType::new(DType::Bool, inputs.expect_dtype(0, "X", FLOATS)?.shape)])
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(self.lower_classify(context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![reference::activation::classify(*self, reference::input(inputs, 0))])
    }
}
