//! `DequantizeLinear`.

use super::{DEQUANTIZE, Granularity, REALS, lower_quantization, scale_and_zero_point};
use crate::error::OpError;
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::{Cast, Operands, Operator, Reach, ReachContext};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// `DequantizeLinear`: `(x − zero_point) · scale`.
///
/// Inputs: `x` (8 or 16 bits, or `i32`), `scale` (a scalar, a vector along `axis`, or one for each block), `zero_point` (optional,
/// of the type of `x` and the scale's shape). Output: `f32` or `f16`, the shape of `x`.
/// Source: ONNX `DequantizeLinear`, opset 24.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DequantizeLinear {
    /// The axis that scales go along; negative counts from the end.
    pub axis: i64,
    /// How many slices along the axis share a scale; 0 where scales are no blocks.
    pub block_size: usize,
    /// The type of the output; `None` for the scale's.
    pub output: Option<DType>,
}

impl Default for DequantizeLinear {
    fn default() -> Self {
        Self { axis: 1, block_size: 0, output: None }
    }
}

impl Operator for DequantizeLinear {
    fn name(&self) -> &'static str {
        "DequantizeLinear"
    }

    fn output_dtype(&self, inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        self.output.or(inputs.get(1).copied().flatten())
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "x", &[DType::U8, DType::I8, DType::U16, DType::I16, DType::I32])?;
        let (scale, zero_point) = scale_and_zero_point(inputs)?;
        if let Some(zero_point) = zero_point.filter(|&dtype| dtype != x.dtype) {
            return Err(OpError::invalid(format!("the input is {}, the zero point {zero_point}; both must have one type", x.dtype)));
        }
        Granularity::new(x.shape, scale.shape, self.axis, self.block_size)?;
        let output = self.output.unwrap_or(scale.dtype);
        if !REALS.contains(&output) {
            return Err(OpError::invalid(format!("the output is to be {output}, expected f32, f16")));
        }
        Ok(vec![TensorType::new(output, x.shape)])
    }

    /// The kernel multiplies numbers of one type: the output's, or the scale's where that is wider.
    fn decompose(&self, parts: &mut Parts<'_>) -> crate::Result<Option<Vec<ValueId>>> {
        let (Some(x), Some(scale), zero_point) = (parts.input(0), parts.input(1), parts.input(2)) else { return Ok(None) };
        let from = parts.dtype(scale);
        let Some(to) = self.output.filter(|&to| to != from) else { return Ok(None) };
        let op = Self { output: None, ..*self };
        if from == DType::F32 {
            let y = parts.nodes("dequantized", op, &[Some(x), Some(scale), zero_point], 1)?;
            return Ok(Some(vec![parts.node("narrow", Cast { to }, &y)?]));
        }
        let scale = parts.node("scale", Cast { to }, &[scale])?;
        Ok(Some(parts.nodes("dequantized", op, &[Some(x), Some(scale), zero_point], 1)?))
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        if context.input == 0 { context.elementwise() } else { context.whole() }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let rule = || {
            let (x, scale) = (context.inputs.required(0, "x"), context.inputs.required(1, "scale"));
            let (x, scale) = (x.map_err(|e| e.to_string())?, scale.map_err(|e| e.to_string())?);
            if x.dtype == DType::I32 && context.inputs.get(2).is_some() {
                return Err("differences of i32 may outgrow it".into());
            }
            let granularity = Granularity::new(x.shape, scale.shape, self.axis, self.block_size).map_err(|e| e.to_string())?;
            lower_quantization(context, &DEQUANTIZE, (scale.dtype, x.dtype), granularity)
        };
        Lowered::from_rule(rule())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let (x, scale, zero_point) = (reference::input(inputs, 0), reference::input(inputs, 1), reference::optional(inputs, 2));
        let granularity = Granularity::new(x.shape(), scale.shape(), self.axis, self.block_size)?;
        Ok(vec![reference::quantize::dequantize(x, (scale, zero_point), granularity, self.output.unwrap_or(scale.dtype()))])
    }
}
