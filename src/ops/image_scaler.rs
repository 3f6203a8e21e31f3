//! `ImageScaler`, which models of the first opsets normalise their images with.

use crate::error::OpError;
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::{Binary, FLOATS, Operands, Operator, Reach, ReachContext};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::tensor::Tensor;

/// `ImageScaler`: `scale · x + bias[c]`. Input and output `[N, C, H, W]`. Source: ONNX `ImageScaler`, experimental until opset 9.
#[derive(Clone, PartialEq, Debug)]
pub struct ImageScaler {
    /// Factor of all.
    pub scale: f32,
    /// Offset of each channel.
    pub bias: Vec<f32>,
}

impl Operator for ImageScaler {
    fn name(&self) -> &'static str {
        "ImageScaler"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "input", FLOATS)?;
        if x.shape.rank() != 4 || x.shape[1] != self.bias.len() {
            return Err(OpError::invalid(format!("bias has {} channels, the input is {}", self.bias.len(), x.shape)));
        }
        Ok(vec![x.tensor_type()])
    }

    fn flops(&self, _inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        outputs.first().map_or(0, |y| 2 * y.shape.elements() as u64)
    }

    fn decompose(&self, parts: &mut Parts<'_>) -> crate::Result<Option<Vec<ValueId>>> {
        let Some(x) = parts.input(0) else { return Ok(None) };
        let values = |shape: &[usize], values: &[f32]| Tensor::from_f64(parts.dtype(x), shape, values.iter().map(|&v| v.into()).collect());
        let (scale, bias) = (values(&[], &[self.scale])?, values(&[self.bias.len(), 1, 1], &self.bias)?);
        let (scale, bias) = (parts.constant("scale", scale), parts.constant("bias", bias));
        let scaled = if self.scale == 1.0 { x } else { parts.node("scaled", Binary::Mul, &[x, scale])? };
        Ok(Some(vec![parts.node("moved", Binary::Add, &[scaled, bias])?]))
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        context.elementwise()
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs as Mul and Add".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![reference::activation::image_scaler(reference::input(inputs, 0), self.scale, &self.bias)])
    }
}
