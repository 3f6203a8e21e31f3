//! Conversion between element types.

use crate::error::OpError;
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::{Operands, Operator, Reach, ReachContext};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, Elem, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, TypeRole, Variant, WORKGROUP_SIZE, params,
    part, workgroups_1d,
};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// `Cast`: every element as another type, the shape the same.
///
/// Floats become integers toward zero, saturated, NaN as 0; integers wrap at a narrower width; `bool` is `x ≠ 0`.
/// Source: ONNX `Cast`, opset 13, and Rust's `as` where that leaves the result open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cast {
    /// The type of the output.
    pub to: DType,
}

/// `CastLike`: [`Cast`] of input 0 to the element type of input 1 (`target_type`), whose elements do not matter.
/// Source: ONNX `CastLike`, opset 15.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CastLike;

params! {
    struct CastParams {
        vectors: u32,
        low: f32,
        high: f32,
        maximum_high: u32,
        maximum_low: u32,
        base: u32,
        mask: u32,
        sign: u32,
    }
}

pub(crate) static CAST: Kernel = Kernel {
    name: "cast",
    body: part!("cast.wgsl"),
    parts: &[INDEX],
    types: &[ANY_ELEMENT, TypeRole { role: "Target", allowed: ANY_ELEMENT.allowed }],
    tiles: &[],
    overrides: &[
        Override { name: "CONVERSION", values: &[CONVERT, TO_BOOL, SATURATE, WRAP, EXTEND] },
        Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] },
    ],
    params: CastParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

/// Values of `CONVERSION`.
const CONVERT: u32 = 0;
const TO_BOOL: u32 = 1;
const SATURATE: u32 = 2;
const WRAP: u32 = 3;
const EXTEND: u32 = 4;

impl Cast {
    fn conversion(self, from: DType) -> u32 {
        match self.to {
            DType::Bool => TO_BOOL,
            to if from.is_float() && to.is_integer() => SATURATE,
            to if to.is_integer() && to.size() < 4 => WRAP,
            DType::I64 if from == DType::U32 => EXTEND,
            _ => CONVERT,
        }
    }

    fn lower_cast(self, context: &LowerContext<'_>) -> Result<Lowering, String> {
        let input = context.inputs.required(0, "input").map_err(|e| e.to_string())?;
        let types = vec![context.elem(input.dtype)?, context.elem(self.to)?];
        let vectors = input.shape.elements().div_ceil(4);
        let workgroups = workgroups_1d(vectors, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
        let bits = 8 * self.to.size() as u32;
        let signed = types[1] != Elem::U32;
        let maximum = u64::MAX >> (64 - bits + u32::from(signed));
        let high = maximum as f32;
        let params = CastParams {
            vectors: vectors as u32,
            low: if signed { -(2f32.powi(bits as i32 - 1)) } else { 0.0 },
            // Rounded up to a power of two where f32 has not the bits: the float before it is the largest inside.
            high: if bits > 24 { high.next_down() } else { high },
            maximum_high: (maximum >> 32) as u32,
            maximum_low: maximum as u32,
            base: 1 << 16,
            mask: (u64::MAX >> (64 - bits)) as u32,
            sign: if signed { 1 << ((bits - 1) % 32) } else { 0 },
        };
        let variant = Variant::new(&CAST, types, None, vec![self.conversion(input.dtype), WORKGROUP_SIZE]);
        Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Output(0)], workgroups))
    }
}

impl Operator for Cast {
    fn name(&self) -> &'static str {
        "Cast"
    }

    fn output_dtype(&self, _inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        Some(self.to)
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        Ok(vec![TensorType::new(self.to, inputs.required(0, "input")?.shape)])
    }

    fn flops(&self, _inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        0
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        context.elementwise()
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        if context.inputs.get(0).is_some_and(|input| input.dtype == self.to) {
            return Lowered::View;
        }
        Lowered::from_rule(self.lower_cast(context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![reference::cast::cast(reference::input(inputs, 0), self.to)])
    }
}

impl Operator for CastLike {
    fn name(&self) -> &'static str {
        "CastLike"
    }

    fn output_dtype(&self, inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        inputs.get(1).copied().flatten()
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        Ok(vec![TensorType::new(inputs.required(1, "target_type")?.dtype, inputs.required(0, "input")?.shape)])
    }

    fn flops(&self, _inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        0
    }

    fn decompose(&self, parts: &mut Parts<'_>) -> crate::Result<Option<Vec<ValueId>>> {
        let (Some(x), Some(like)) = (parts.input(0), parts.input(1)) else { return Ok(None) };
        let to = parts.dtype(like);
        Ok(Some(vec![parts.node("cast", Cast { to }, &[x])?]))
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        if context.input == 0 { context.elementwise() } else { Reach::Nothing }
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs as Cast".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![reference::cast::cast(reference::input(inputs, 0), reference::input(inputs, 1).dtype())])
    }
}
