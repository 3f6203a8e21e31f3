//! `QuantizeLinear`.

use super::{Granularity, QUANTIZE, QUANTIZED, lower_quantization, scale_and_zero_point};
use crate::error::OpError;
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::{Cast, Operands, Operator, Reach, ReachContext};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// `QuantizeLinear`: `saturate(round(x ÷ scale) + zero_point)`, rounded to the nearest, the even one of two; NaN gives the zero point.
///
/// Inputs: `x` (`f32`, `f16`, `i32`), `scale` (a scalar, a vector along `axis`, or one for each block), `zero_point` (optional, of
/// the output's type and the scale's shape). Output: 8 or 16 bits, `u8` where nothing says otherwise, the shape of `x`.
/// Source: ONNX `QuantizeLinear`, opset 24.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuantizeLinear {
    /// The axis that scales go along; negative counts from the end.
    pub axis: i64,
    /// How many slices along the axis share a scale; 0 where scales are no blocks.
    pub block_size: usize,
    /// The type of the output, where the zero point does not say it.
    pub output: Option<DType>,
    /// The type that is divided in; `None` for the scale's.
    pub precision: Option<DType>,
}

impl Default for QuantizeLinear {
    fn default() -> Self {
        Self { axis: 1, block_size: 0, output: None, precision: None }
    }
}

impl QuantizeLinear {
    fn output(&self, zero_point: Option<DType>) -> Result<DType, OpError> {
        let output = match (self.output, zero_point) {
            (Some(output), Some(zero_point)) if output != zero_point => {
                return Err(OpError::invalid(format!("the output is to be {output}, the zero point is {zero_point}")));
            }
            (output, zero_point) => zero_point.or(output).unwrap_or(DType::U8),
        };
        if QUANTIZED.contains(&output) {
            return Ok(output);
        }
        Err(OpError::invalid(format!("the output is to be {output}, expected u8, i8, u16, i16")))
    }
}

impl Operator for QuantizeLinear {
    fn name(&self) -> &'static str {
        "QuantizeLinear"
    }

    fn output_dtype(&self, inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        match inputs.get(2) {
            Some(zero_point) => zero_point.or(self.output),
            None => Some(self.output.unwrap_or(DType::U8)),
        }
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "x", &[DType::F32, DType::F16, DType::I32])?;
        let (scale, zero_point) = scale_and_zero_point(inputs)?;
        Granularity::new(x.shape, scale.shape, self.axis, self.block_size)?;
        Ok(vec![TensorType::new(self.output(zero_point)?, x.shape)])
    }

    /// The kernel divides numbers of one type.
    fn decompose(&self, parts: &mut Parts<'_>) -> crate::Result<Option<Vec<ValueId>>> {
        let (Some(x), Some(scale), zero_point) = (parts.input(0), parts.input(1), parts.input(2)) else { return Ok(None) };
        let to = self.precision.unwrap_or(parts.dtype(scale));
        if parts.dtype(x) == to && parts.dtype(scale) == to {
            return Ok(None);
        }
        let x = parts.node("x", Cast { to }, &[x])?;
        let scale = parts.node("scale", Cast { to }, &[scale])?;
        Ok(Some(parts.nodes("quantized", Self { precision: None, ..*self }, &[Some(x), Some(scale), zero_point], 1)?))
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        if context.input == 0 { context.elementwise() } else { context.whole() }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let rule = || {
            let (x, scale) = (context.inputs.required(0, "x"), context.inputs.required(1, "scale"));
            let (x, scale) = (x.map_err(|e| e.to_string())?, scale.map_err(|e| e.to_string())?);
            let granularity = Granularity::new(x.shape, scale.shape, self.axis, self.block_size).map_err(|e| e.to_string())?;
            lower_quantization(context, &QUANTIZE, (x.dtype, context.outputs[0].dtype), granularity)
        };
        Lowered::from_rule(rule())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let (x, scale, zero_point) = (reference::input(inputs, 0), reference::input(inputs, 1), reference::optional(inputs, 2));
        let granularity = Granularity::new(x.shape(), scale.shape(), self.axis, self.block_size)?;
        let output = self.output(zero_point.map(Tensor::dtype))?;
        let precision = self.precision.unwrap_or(scale.dtype());
        Ok(vec![reference::quantize::quantize(x, (scale, zero_point), granularity, precision, output)])
    }
}
