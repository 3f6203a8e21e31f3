//! `Tile`.

use super::strided_copy::{StridedCopy, Walk};
use super::{data, moves_only};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{AxisReach, Operands, Operator, Reach, ReachContext, Stencil};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// `Tile`: inputs `input`, `repeats i64[rank]`; the whole input as often along each axis. Source: ONNX `Tile`, opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tile;

impl Tile {
    /// How often the input is repeated along each axis.
    pub(crate) fn repeats(&self, shape: &Shape, inputs: &Operands<'_>) -> Result<Vec<usize>, OpError> {
        inputs.required(1, "repeats")?;
        let repeats = inputs.integers(1, "repeats")?.unwrap_or_default();
        let counts = repeats.iter().map(|&count| usize::try_from(count).ok()).collect::<Option<Vec<_>>>();
        match counts {
            Some(counts) if counts.len() == shape.rank() => Ok(counts),
            _ => Err(OpError::invalid(format!(
                "repeats {repeats:?} must be {} numbers from 0 on, one for each axis of {shape}",
                shape.rank()
            ))),
        }
    }

    /// The space of copies and elements `[…, repeat, extent, …]`, and the strides of the input in it.
    pub(crate) fn walk(shape: &Shape, repeats: &[usize]) -> (Shape, Vec<i64>) {
        let space = shape.iter().zip(repeats).flat_map(|(&extent, &repeat)| [repeat, extent]).collect();
        (space, shape.strides().into_iter().flat_map(|stride| [0, stride as i64]).collect())
    }
}

impl Operator for Tile {
    moves_only!();

    fn name(&self) -> &'static str {
        "Tile"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let data = inputs.required(0, "input")?;
        let repeats = self.repeats(data.shape, inputs)?;
        let shape = data.shape.iter().zip(&repeats).map(|(&extent, &count)| extent.checked_mul(count)).collect::<Option<Shape>>();
        let shape = shape.ok_or_else(|| OpError::invalid(format!("{} times {repeats:?} is too large", data.shape)))?;
        Ok(vec![TensorType::new(data.dtype, shape)])
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        if context.input != 0 {
            return context.whole();
        }
        context.each_axis(|axis, extent| {
            let again = || (0..extent as i64).map(|at| Some([at, at])).collect();
            match context.y()[axis] == extent {
                true => AxisReach::same(axis),
                false => AxisReach::along(axis, (extent <= 1 << 12).then(again).and_then(|phases| Stencil::periodic(0, phases)), extent),
            }
        })
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let rule = || {
            let data = data(context)?;
            let repeats = self.repeats(data.shape, &context.inputs).map_err(|error| error.to_string())?;
            let (space, strides) = Self::walk(data.shape, &repeats);
            StridedCopy { dims: space.to_vec(), input: Walk { offset: 0, strides }, output: Walk::dense(&space) }.lower(context)
        };
        rule().unwrap_or_else(Lowered::Host)
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let data = reference::input(inputs, 0);
        let repeats = self.repeats(data.shape(), &Operands::of(inputs, outputs))?;
        Ok(vec![reference::rearrange::tile(&repeats, data)])
    }
}
