//! `NonMaxSuppression`.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator, Tolerance};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// `NonMaxSuppression`: inputs `boxes [N, B, 4]`, `scores [N, classes, B]`, and optionally the most boxes of a class (0 without
/// it), the overlap above which a box hides another of lower score (0), and the score that a box must exceed; output `i64[count, 3]`
/// of batch, class and box. It is part of a plan, and needs its inputs known. Source: ONNX `NonMaxSuppression`, opset 11.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NonMaxSuppression {
    /// Whether boxes are centre and size, `x, y, width, height`, rather than two opposite corners, `y1, x1, y2, x2`.
    pub center_point_box: bool,
}

impl NonMaxSuppression {
    fn selected(&self, inputs: &Operands<'_>) -> Result<Tensor, OpError> {
        let (boxes, scores) = (inputs.constant(0, "boxes")?, inputs.constant(1, "scores")?);
        let fits = match (boxes.shape().dims(), scores.shape().dims()) {
            (&[n, count, 4], &[batch, _, scored]) => n == batch && count == scored,
            _ => false,
        };
        if !fits {
            return Err(OpError::invalid(format!(
                "boxes {} and scores {} must be [N, B, 4] and [N, classes, B]",
                boxes.shape(),
                scores.shape()
            )));
        }
        let number = |at, name| match inputs.get(at) {
            None => Ok(None),
            Some(_) => match inputs.constant(at, name)?.to_f64()[..] {
                [value] => Ok(Some(value)),
                ref other => Err(OpError::invalid(format!("`{name}` must be one number, got {other:?}"))),
            },
        };
        let most = number(2, "max_output_boxes_per_class")?.unwrap_or(0.0);
        let overlap = number(3, "iou_threshold")?.unwrap_or(0.0);
        let score = number(4, "score_threshold")?;
        Ok(reference::sampling::non_max_suppression(self.center_point_box, boxes, scores, most as usize, overlap, score))
    }
}

impl Operator for NonMaxSuppression {
    fn name(&self) -> &'static str {
        "NonMaxSuppression"
    }

    fn output_dtype(&self, _inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        Some(DType::I64)
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        Ok(vec![TensorType::new(DType::I64, self.selected(inputs)?.shape())])
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("its output's extent follows from its inputs' elements".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![self.selected(&Operands::of(inputs, outputs))?])
    }

    fn tolerance(&self, _dtype: DType) -> Tolerance {
        Tolerance::EXACT
    }
}
