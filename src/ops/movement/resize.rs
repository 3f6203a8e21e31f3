//! `Resize` to the nearest neighbour.

use super::strided_copy::{StridedCopy, Walk};
use super::{data, moves_only};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operand, Operands, Operator};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// `Resize` by whole factors to the nearest neighbour: every element as often along an axis as its factor says.
///
/// Inputs: `X`, `roi` (not read), and one of `scales f32[rank(X)]` and `sizes i64[rank(X)]`.
/// Source: ONNX `Resize`, opset 19.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Resize;

impl Resize {
    /// The factor of each axis of `x`.
    fn factors(inputs: &Operands<'_>, x: Operand<'_>) -> Result<Vec<usize>, OpError> {
        let given = |at| inputs.get(at).is_some_and(|operand| operand.shape.elements() > 0);
        let of_axes = |name, count: usize| match count == x.shape.rank() {
            true => Ok(()),
            false => Err(OpError::invalid(format!("{count} {name} for {} axes of {}", x.shape.rank(), x.shape))),
        };
        let unsupported = |what: String| OpError::Unsupported(format!("{what}, not a whole number of times larger,"));
        match (given(2), given(3)) {
            (true, false) => {
                let scales = inputs.constant(2, "scales")?.to_f64();
                of_axes("scales", scales.len())?;
                let whole = |&scale: &f64| (1.0..=65_536.0).contains(&scale) && scale.fract() == 0.0;
                match scales.iter().all(whole) {
                    true => Ok(scales.iter().map(|&scale| scale as usize).collect()),
                    false => Err(unsupported(format!("scales {scales:?}"))),
                }
            }
            (false, true) => {
                let sizes = inputs.integers(3, "sizes")?.unwrap_or_default();
                of_axes("sizes", sizes.len())?;
                let factor = |(&size, &extent): (&i64, &usize)| {
                    let size = usize::try_from(size).ok()?;
                    (extent > 0 && size >= extent && size.is_multiple_of(extent)).then(|| size / extent)
                };
                let factors = sizes.iter().zip(x.shape.iter()).map(factor).collect::<Option<_>>();
                factors.ok_or_else(|| unsupported(format!("sizes {sizes:?} of {}", x.shape)))
            }
            _ => Err(OpError::invalid("takes one of inputs 2 (`scales`) and 3 (`sizes`)")),
        }
    }
}

impl Operator for Resize {
    moves_only!();

    fn name(&self) -> &'static str {
        "Resize"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.required(0, "X")?;
        let factors = Self::factors(inputs, x)?;
        let larger = |(&extent, &factor): (&usize, &usize)| extent.checked_mul(factor);
        let shape = x.shape.iter().zip(&factors).map(larger).collect::<Option<Shape>>();
        let shape = shape.ok_or_else(|| OpError::invalid(format!("{} times {factors:?} is too large", x.shape)))?;
        Ok(vec![TensorType::new(x.dtype, shape)])
    }

    /// A copy of the space `[…, extent, factor, …]`, along whose factors the input does not move.
    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let rule = || {
            let x = data(context)?;
            let factors = Self::factors(&context.inputs, x).map_err(|error| error.to_string())?;
            let space: Shape = x.shape.iter().zip(&factors).flat_map(|(&extent, &factor)| [extent, factor]).collect();
            let strides = x.shape.strides().into_iter().flat_map(|stride| [stride as i64, 0]).collect();
            StridedCopy { dims: space.to_vec(), input: Walk { offset: 0, strides }, output: Walk::dense(&space) }.lower(context)
        };
        rule().unwrap_or_else(Lowered::Host)
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let operands = Operands::of(inputs, outputs);
        let factors = Self::factors(&operands, operands.required(0, "X")?)?;
        Ok(vec![reference::movement::resize(&factors, reference::input(inputs, 0))])
    }
}
