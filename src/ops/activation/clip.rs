//! `Clip` and `PRelu`.

use super::lower_unary;
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::binary::{NUMBERS, PRELU, lower_binary};
use crate::ops::{Operands, Operator, Reach, ReachContext};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Variant, WORKGROUP_SIZE, params, part,
    workgroups_1d,
};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// `Clip`: between inputs 1 (`min`) and 2 (`max`), scalars, both optional; where they cross, `max` wins.
/// Source: ONNX `Clip`, opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Clip;

/// `PRelu`: inputs `X`, `slope` (broadcast to `X`); `x` where positive, else `slope · x`. Source: ONNX `PRelu`, opset 16.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PRelu;

/// The code of the clamp to `[alpha, beta]`.
pub(crate) const CLAMP: u32 = 12;

params! {
    struct ClipParams {
        vectors: u32,
    }
}

pub(crate) static CLIP: Kernel = Kernel {
    name: "clip",
    body: part!("clip.wgsl"),
    parts: &[INDEX],
    types: &[ANY_ELEMENT],
    tiles: &[],
    overrides: &[
        Override { name: "HAS_MINIMUM", values: &[0, 1] },
        Override { name: "HAS_MAXIMUM", values: &[0, 1] },
        Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] },
    ],
    params: ClipParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    in_place: Some(0),
    ..Kernel::BASE
};

impl Clip {
    /// The bound's position and the operator's name for it.
    const BOUNDS: [(usize, &'static str); 2] = [(1, "min"), (2, "max")];

    fn lower_any(context: &LowerContext<'_>) -> Result<Lowering, String> {
        let output = &context.outputs[0];
        let elem = context.elem(output.dtype)?;
        let vectors = output.shape.elements().div_ceil(4);
        let workgroups = workgroups_1d(vectors, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
        let given = Self::BOUNDS.map(|(index, _)| context.inputs.get(index).is_some());
        let bound = |at: usize| if given[at] { Arg::Input(at + 1) } else { Arg::Unused };
        let overrides = vec![given[0].into(), given[1].into(), WORKGROUP_SIZE];
        let variant = Variant::new(&CLIP, vec![elem], None, overrides);
        let bindings = vec![Arg::Input(0), bound(0), bound(1), Arg::Output(0)];
        Ok(Lowering::single(variant, &ClipParams { vectors: vectors as u32 }, bindings, workgroups))
    }

    /// Both bounds, where the planner knows them as floats.
    fn known_bounds(context: &LowerContext<'_>) -> Option<(f32, f32)> {
        let bound = |index: usize, missing: f32| match context.inputs.get(index) {
            None => Some(missing),
            Some(operand) => Some(*operand.constant?.to_f64().first()? as f32),
        };
        let float = matches!(context.outputs[0].dtype, DType::F32 | DType::F16);
        float.then_some((bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?))
    }
}

impl Operator for Clip {
    fn name(&self) -> &'static str {
        "Clip"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "input", NUMBERS)?;
        for (index, name) in Self::BOUNDS {
            let Some(bound) = inputs.get(index) else { continue };
            if bound.dtype != x.dtype {
                return Err(OpError::invalid(format!("input {index} (`{name}`) is {}, the input is {}", bound.dtype, x.dtype)));
            }
            if bound.shape.elements() != 1 {
                return Err(OpError::invalid(format!("input {index} (`{name}`) must be a scalar, got {}", bound.shape)));
            }
        }
        Ok(vec![x.tensor_type()])
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        if context.input == 0 { context.elementwise() } else { context.whole() }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let any = match Self::lower_any(context) {
            Ok(lowering) => lowering,
            Err(reason) => return Lowered::Host(reason),
        };
        let unary = Self::known_bounds(context).and_then(|(low, high)| lower_unary(context, (CLAMP, low, high)).ok());
        Lowered::Kernels(unary.into_iter().chain([any]).collect())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let bound = |index| reference::optional(inputs, index);
        Ok(vec![reference::activation::clip(reference::input(inputs, 0), bound(1), bound(2))])
    }
}

impl Operator for PRelu {
    fn name(&self) -> &'static str {
        "PRelu"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", NUMBERS)?;
        let slope = inputs.expect_dtype(1, "slope", &[x.dtype])?;
        if x.shape.broadcast(slope.shape).as_ref() != Some(x.shape) {
            return Err(OpError::invalid(format!("slope {} does not broadcast to the input's {}", slope.shape, x.shape)));
        }
        Ok(vec![x.tensor_type()])
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        context.elementwise()
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        lower_binary(context, PRELU)
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![reference::activation::prelu(reference::input(inputs, 0), reference::input(inputs, 1))])
    }
}
