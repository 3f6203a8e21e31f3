//! `DynamicQuantizeLinear`.

use super::QuantizeLinear;
use crate::error::OpError;
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::{Binary, Cast, Clip, Operands, Operator, Reduce, ReduceFunction, Unary};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// `DynamicQuantizeLinear`: quantized to `u8` with the scale and the zero point that its own range, 0 included, asks for.
///
/// Input: `x` (`f32`). Outputs: `u8`, the shape of `x`; the scale, `f32[]`; the zero point, `u8[]`. A tensor of zeros has the scale 0.
/// Source: ONNX `DynamicQuantizeLinear`, opset 11.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DynamicQuantizeLinear;

impl Operator for DynamicQuantizeLinear {
    fn name(&self) -> &'static str {
        "DynamicQuantizeLinear"
    }

    fn output_dtype(&self, _inputs: &[Option<DType>], index: usize) -> Option<DType> {
        Some(if index == 1 { DType::F32 } else { DType::U8 })
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "x", &[DType::F32])?;
        Ok(vec![TensorType::new(DType::U8, x.shape), TensorType::new(DType::F32, []), TensorType::new(DType::U8, [])])
    }

    fn flops(&self, inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        inputs.get(0).map_or(0, |x| 4 * x.shape.elements() as u64)
    }

    fn decompose(&self, parts: &mut Parts<'_>) -> crate::Result<Option<Vec<ValueId>>> {
        let Some(x) = parts.input(0) else { return Ok(None) };
        let maximum = Reduce { function: ReduceFunction::Max, keep_dims: false, noop_with_empty_axes: false };
        let zero = parts.constant("zero", Tensor::scalar(0f32));
        let steps = parts.constant("steps", Tensor::scalar(255f32));
        let largest = parts.node("largest", maximum, &[x])?;
        let above = parts.node("above", Binary::Max, &[largest, zero])?;
        let negated = parts.node("negated", Unary::Neg, &[x])?;
        let least = parts.node("least", maximum, &[negated])?;
        let below = parts.node("below", Binary::Max, &[least, zero])?;
        let range = parts.node("range", Binary::Add, &[above, below])?;
        let scale = parts.node("scale", Binary::Div, &[range, steps])?;
        let offset = parts.node("offset", Binary::Div, &[below, scale])?;
        let clipped = parts.node("clipped", Clip, &[offset, zero, steps])?;
        let rounded = parts.node("rounded", Unary::Round, &[clipped])?;
        let zero_point = parts.node("zero_point", Cast { to: DType::U8 }, &[rounded])?;
        let y = parts.node("quantized", QuantizeLinear::default(), &[x, scale, zero_point])?;
        Ok(Some(vec![y, scale, zero_point]))
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs as several operators".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(reference::quantize::dynamic(reference::input(inputs, 0)))
    }
}
