//! Operators whose output's extent depends on elements: `Compress`, `NonZero`, `Unique`.

use super::{Gather, moves_only};
use crate::error::{OpError, Result};
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::layout::outside;
use crate::ops::{Operands, Operator, Reshape};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::shape::{Shape, resolve_axis};
use crate::tensor::{DType, Tensor};

/// `Compress`: inputs `input`, `condition bool[…]`; the slices along `axis` at which the condition, which may be shorter, holds.
/// Without an axis the input is one row. It runs as a [`Gather`]. Source: ONNX `Compress`, opset 11.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compress {
    /// The axis, negative ones counting from the end; `None` for the input as one row.
    pub axis: Option<i64>,
}

/// `NonZero`: the coordinates of the elements that are not 0, `i64[rank, count]`, in row-major order; it is part of a plan, and
/// needs its input known. Source: ONNX `NonZero`, opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NonZero;

/// `Unique`: the distinct slices along `axis`, or elements; and as `i64` where each first is, which of them each slice is, and
/// how often each is there. It is part of a plan, and needs its input known. Source: ONNX `Unique`, opset 11.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unique {
    /// The axis, negative ones counting from the end; `None` for the input as one row.
    pub axis: Option<i64>,
    /// Whether they are in ascending order, rather than in that of their first appearance.
    pub sorted: bool,
}

fn resolve(axis: Option<i64>, shape: &Shape) -> Result<Option<usize>, OpError> {
    axis.map(|axis| resolve_axis(axis, shape.rank()).ok_or_else(|| outside(axis, shape.rank()))).transpose()
}

impl Compress {
    /// The axis, and the positions along it that stay.
    fn kept(&self, shape: &Shape, condition: &Tensor) -> Result<(Option<usize>, Vec<i64>), OpError> {
        let axis = resolve(self.axis, shape)?;
        let extent = axis.map_or(shape.elements(), |axis| shape[axis]);
        let values = condition.data::<bool>().unwrap_or_default();
        if condition.shape().rank() != 1 || values.len() > extent {
            return Err(OpError::invalid(format!("condition bool{} is not a list of at most {extent} for {shape}", condition.shape())));
        }
        Ok((axis, (0..).zip(values).filter_map(|(at, &holds)| holds.then_some(at)).collect()))
    }
}

impl Operator for Compress {
    moves_only!();

    fn name(&self) -> &'static str {
        "Compress"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let data = inputs.required(0, "input")?;
        inputs.expect_dtype(1, "condition", &[DType::Bool])?;
        let (axis, kept) = self.kept(data.shape, inputs.constant(1, "condition")?)?;
        let mut dims = data.shape.to_vec();
        match axis {
            Some(axis) => dims[axis] = kept.len(),
            None => dims = vec![kept.len()],
        }
        Ok(vec![TensorType::new(data.dtype, dims)])
    }

    fn decompose(&self, parts: &mut Parts<'_>) -> Result<Option<Vec<ValueId>>> {
        let (Some(mut data), Some(condition)) = (parts.input(0), parts.input(1)) else { return Ok(None) };
        let shape = parts.shape(data);
        let Some(Ok((axis, kept))) = parts.constant_value(condition).map(|condition| self.kept(&shape, condition)) else { return Ok(None) };
        if axis.is_none() {
            let row = parts.constant("row", Tensor::vector(vec![shape.elements() as i64]));
            data = parts.node("flat", Reshape { allow_zero: true }, &[data, row])?;
        }
        let indices = parts.constant("indices", Tensor::vector(kept));
        Ok(Some(vec![parts.node("gather", Gather { axis: axis.unwrap_or(0) as i64 }, &[data, indices])?]))
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs as a Gather".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let (data, condition) = (reference::input(inputs, 0), reference::input(inputs, 1));
        let (axis, _) = self.kept(data.shape(), condition)?;
        Ok(vec![reference::select::compress(axis, data, condition)])
    }
}

impl Operator for NonZero {
    moves_only!();

    fn name(&self) -> &'static str {
        "NonZero"
    }

    fn output_dtype(&self, _inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        Some(DType::I64)
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.constant(0, "X")?;
        Ok(vec![TensorType::new(DType::I64, reference::select::non_zero(x).shape())])
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("its output's extent follows from its input's elements".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![reference::select::non_zero(reference::input(inputs, 0))])
    }
}

impl Operator for Unique {
    moves_only!();

    fn name(&self) -> &'static str {
        "Unique"
    }

    fn output_dtype(&self, inputs: &[Option<DType>], index: usize) -> Option<DType> {
        if index == 0 { inputs.first().copied().flatten() } else { Some(DType::I64) }
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.constant(0, "X")?;
        let axis = resolve(self.axis, x.shape())?;
        let outputs = reference::select::unique(axis, self.sorted, x);
        Ok(outputs.iter().map(|tensor| TensorType::new(tensor.dtype(), tensor.shape())).collect())
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("its outputs' extents follow from its input's elements".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let x = reference::input(inputs, 0);
        Ok(reference::select::unique(resolve(self.axis, x.shape())?, self.sorted, x))
    }
}
