//! Dropout that drops nothing.

use crate::error::{OpError, Result};
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::{FLOATS, Identity, Operands, Operator, Reach, ReachContext, Tolerance};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// `Dropout` outside training, or with ratio 0: the input itself, and on request a mask of what was kept, everything.
///
/// Inputs: `data`, optional `ratio` (0.5) and `training_mode` (false), one element each. Outputs: like `data`, and the mask of the
/// same shape. Source: ONNX `Dropout`, opset 22.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Dropout {
    /// Whether the mask has the type of `data`, as before opset 10, rather than `bool`.
    pub typed_mask: bool,
}

impl Operator for Dropout {
    fn name(&self) -> &'static str {
        "Dropout"
    }

    fn output_dtype(&self, inputs: &[Option<DType>], index: usize) -> Option<DType> {
        if index == 0 || self.typed_mask { inputs.first().copied().flatten() } else { Some(DType::Bool) }
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let data = inputs.expect_dtype(0, "data", FLOATS)?;
        let training = inputs.integers(2, "training_mode")?.unwrap_or_default();
        if training.iter().any(|&flag| flag != 0) {
            let ratio = match inputs.get(1) {
                Some(_) => inputs.constant(1, "ratio")?.to_f64(),
                None => vec![0.5],
            };
            if ratio != [0.0] {
                return Err(OpError::Unsupported(format!("training with ratio {ratio:?}, which drops at random,")));
            }
        }
        let mask = if self.typed_mask { data.dtype } else { DType::Bool };
        let mut outputs = vec![data.tensor_type()];
        outputs.resize(inputs.outputs.clamp(1, 2), TensorType::new(mask, data.shape));
        Ok(outputs)
    }

    fn flops(&self, _inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        0
    }

    fn decompose(&self, parts: &mut Parts<'_>) -> Result<Option<Vec<ValueId>>> {
        let Some(data) = parts.input(0) else { return Ok(None) };
        let kept = parts.node("data", Identity, &[data])?;
        let mask = reference::constant::mask(self.typed_mask.then(|| parts.dtype(data)), &parts.shape(data));
        Ok(Some(vec![kept, parts.constant("mask", mask)]))
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        if context.input == 0 { context.elementwise() } else { context.whole() }
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs as its parts".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let data = reference::input(inputs, 0);
        let mask = reference::constant::mask(self.typed_mask.then(|| data.dtype()), data.shape());
        Ok([data.clone(), mask].into_iter().take(outputs.max(1)).collect())
    }

    fn tolerance(&self, _dtype: DType) -> Tolerance {
        Tolerance::EXACT
    }
}
