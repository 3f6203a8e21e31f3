//! Values that follow from shapes: folded before a plan is made, never dispatched.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator, Reach, ReachContext, Tolerance};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// `Shape`: the input's extents from `start` to `end` as `i64`; negative positions count from the end, and both are
/// clamped to the axes that there are. Source: ONNX `Shape`, opset 15.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShapeOf {
    /// First axis.
    pub start: i64,
    /// One past the last axis; `None` for all.
    pub end: Option<i64>,
}

/// `ConstantOfShape`: a tensor of the shape its input holds, one value everywhere. Source: ONNX `ConstantOfShape`, opset 9.
#[derive(Clone, PartialEq, Debug)]
pub struct ConstantOfShape {
    /// The value, a tensor with one element.
    pub value: Tensor,
}

/// `Size`: how many elements the input has, `i64[]`. Source: ONNX `Size`, opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Size;

/// `EyeLike`: a matrix of the input's shape, 1 on a diagonal and 0 elsewhere. Source: ONNX `EyeLike`, opset 9.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EyeLike {
    /// The element type; `None` for the input's.
    pub dtype: Option<DType>,
    /// Which diagonal, counted to the right from the main one.
    pub diagonal: i64,
}

/// `Range`: inputs `start`, `limit`, `delta`, one number each of one type; `start`, `start + delta`, … before `limit`.
/// Source: ONNX `Range`, opset 11.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Range;

impl ShapeOf {
    /// The extents from `start` to `end`.
    pub(crate) fn extents<'a>(&self, shape: &'a Shape) -> &'a [usize] {
        let rank = shape.rank() as i64;
        let position = |at: i64| if at < 0 { at.saturating_add(rank) } else { at }.clamp(0, rank) as usize;
        let (start, end) = (position(self.start), position(self.end.unwrap_or(rank)));
        &shape[start..end.max(start)]
    }
}

impl Operator for ShapeOf {
    fn name(&self) -> &'static str {
        "Shape"
    }

    fn output_dtype(&self, _inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        Some(DType::I64)
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let data = inputs.required(0, "data")?;
        Ok(vec![TensorType::new(DType::I64, [self.extents(data.shape).len()])])
    }

    fn flops(&self, _inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        0
    }

    fn fold(&self, inputs: &Operands<'_>) -> Option<Tensor> {
        inputs.get(0).map(|data| reference::constant::shape_of(self, data.shape))
    }

    fn reach(&self, _context: &ReachContext<'_>) -> Reach {
        Reach::Nothing
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it follows from the input's shape".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![reference::constant::shape_of(self, reference::input(inputs, 0).shape())])
    }

    fn tolerance(&self, _dtype: DType) -> Tolerance {
        Tolerance::EXACT
    }
}

impl Operator for ConstantOfShape {
    fn name(&self) -> &'static str {
        "ConstantOfShape"
    }

    fn output_dtype(&self, _inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        Some(self.value.dtype())
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        inputs.required(0, "input")?;
        let extents = inputs.integers(0, "input")?.unwrap_or_default();
        if self.value.len() != 1 {
            return Err(OpError::invalid(format!("value must hold one element, got {} of shape {}", self.value.len(), self.value.shape())));
        }
        let shape = extents.iter().map(|&extent| usize::try_from(extent).ok()).collect::<Option<Shape>>();
        let shape = shape.ok_or_else(|| OpError::invalid(format!("input {extents:?} has an extent below 0")))?;
        Ok(vec![TensorType::new(self.value.dtype(), shape)])
    }

    fn flops(&self, _inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        0
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it follows from a constant".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let output = self.infer(&Operands::of(inputs, outputs))?.remove(0);
        Ok(vec![reference::constant::constant_of_shape(self, output.shape)])
    }

    fn tolerance(&self, _dtype: DType) -> Tolerance {
        Tolerance::EXACT
    }
}

impl Operator for Size {
    fn name(&self) -> &'static str {
        "Size"
    }

    fn output_dtype(&self, _inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        Some(DType::I64)
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        inputs.required(0, "data")?;
        Ok(vec![TensorType::new(DType::I64, Shape::scalar())])
    }

    fn flops(&self, _inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        0
    }

    fn fold(&self, inputs: &Operands<'_>) -> Option<Tensor> {
        inputs.get(0).map(|data| Tensor::scalar(data.shape.elements() as i64))
    }

    fn reach(&self, _context: &ReachContext<'_>) -> Reach {
        Reach::Nothing
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it follows from the input's shape".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![Tensor::scalar(reference::input(inputs, 0).len() as i64)])
    }

    fn tolerance(&self, _dtype: DType) -> Tolerance {
        Tolerance::EXACT
    }
}

impl Operator for EyeLike {
    fn name(&self) -> &'static str {
        "EyeLike"
    }

    fn output_dtype(&self, inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        self.dtype.or(inputs.first().copied().flatten())
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let data = inputs.required(0, "input")?;
        if data.shape.rank() != 2 {
            return Err(OpError::invalid(format!("{} is not a matrix", data.shape)));
        }
        Ok(vec![TensorType::new(self.dtype.unwrap_or(data.dtype), data.shape)])
    }

    fn flops(&self, _inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        0
    }

    fn fold(&self, inputs: &Operands<'_>) -> Option<Tensor> {
        inputs.get(0).map(|data| reference::constant::eye(self.diagonal, self.dtype.unwrap_or(data.dtype), data.shape))
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it follows from the input's shape".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let data = reference::input(inputs, 0);
        Ok(vec![reference::constant::eye(self.diagonal, self.dtype.unwrap_or(data.dtype()), data.shape())])
    }

    fn tolerance(&self, _dtype: DType) -> Tolerance {
        Tolerance::EXACT
    }
}

impl Operator for Range {
    fn name(&self) -> &'static str {
        "Range"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let (start, limit, delta) = (inputs.constant(0, "start")?, inputs.constant(1, "limit")?, inputs.constant(2, "delta")?);
        let dtype = start.dtype();
        if [start, limit, delta].iter().any(|t| t.len() != 1 || t.dtype() != dtype) || dtype == DType::Bool {
            return Err(OpError::invalid(format!(
                "start {start:?}, limit {limit:?} and delta {delta:?} must be one number each, of one type"
            )));
        }
        let count = reference::constant::range_count(start, limit, delta);
        let count = count.ok_or_else(|| OpError::invalid(format!("a range from {start:?} to {limit:?} by {delta:?} has no end")))?;
        Ok(vec![TensorType::new(dtype, [count])])
    }

    fn flops(&self, _inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        0
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it follows from constants".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let output = self.infer(&Operands::of(inputs, outputs))?.remove(0);
        Ok(vec![reference::constant::range(output.shape[0], reference::input(inputs, 0), reference::input(inputs, 2))])
    }

    fn tolerance(&self, _dtype: DType) -> Tolerance {
        Tolerance::EXACT
    }
}
