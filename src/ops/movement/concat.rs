//! `Concat`.

use super::strided_copy::{StridedCopy, Walk};
use super::{data, moves_only, strides};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::layout::outside;
use crate::ops::{AxisReach, Operands, Operator, Reach, ReachContext, Stencil};
use crate::plan::{Arg, LowerContext, Lowered, Lowering};
use crate::reference;
use crate::shape::resolve_axis;
use crate::tensor::Tensor;

/// `Concat`: all inputs one after the other along `axis`; they differ in that extent alone. Source: ONNX `Concat`, opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Concat {
    /// The axis; negative counts from the end.
    pub axis: i64,
}

impl Concat {
    fn axis(&self, rank: usize) -> Result<usize, OpError> {
        resolve_axis(self.axis, rank).ok_or_else(|| outside(self.axis, rank))
    }
}

impl Operator for Concat {
    moves_only!();

    fn name(&self) -> &'static str {
        "Concat"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let first = inputs.required(0, "inputs")?;
        let axis = self.axis(first.shape.rank())?;
        let mut dims = first.shape.to_vec();
        for index in 1..inputs.inputs.len() {
            let next = inputs.required(index, "inputs")?;
            let fits = |(at, (a, b)): (usize, (&usize, &usize))| at == axis || a == b;
            let shapes_fit = next.shape.rank() == dims.len() && next.shape.iter().zip(first.shape.iter()).enumerate().all(fits);
            if next.dtype != first.dtype || !shapes_fit {
                return Err(OpError::invalid(format!(
                    "input {index} is {}, input 0 is {}; they may differ only in the extent of axis {axis}",
                    next.tensor_type(),
                    first.tensor_type()
                )));
            }
            dims[axis] = dims[axis]
                .checked_add(next.shape[axis])
                .ok_or_else(|| OpError::invalid(format!("the extents of axis {axis} add up to more than {}", usize::MAX)))?;
        }
        Ok(vec![TensorType::new(first.dtype, dims)])
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        let Ok(along) = self.axis(context.y().rank()) else { return context.whole() };
        let given: Vec<_> = context.inputs.inputs.iter().flatten().collect();
        let shift = -(given[..context.input].iter().map(|x| x.shape[along]).sum::<usize>() as i64);
        // Where several parts may see something, one regular rule cannot tell whose turn it is.
        let alone = given.iter().enumerate().all(|(at, x)| at == context.input || x.constant.is_some());
        context.each_axis(|axis, extent| match axis == along {
            true if alone => AxisReach::along(axis, Stencil::window(1, shift, shift), extent),
            true => AxisReach::whole(extent),
            false => AxisReach::same(axis),
        })
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let rule = || {
            let axis = self.axis(data(context)?.shape.rank()).map_err(|error| error.to_string())?;
            if context.inputs.inputs.len() == 1 {
                return Ok(Lowered::View);
            }
            let whole = strides(&context.outputs[0].shape);
            let (mut dispatches, mut start) = (vec![], 0);
            for (index, input) in context.inputs.inputs.iter().flatten().enumerate() {
                let output = Walk { offset: start * whole[axis] as usize, strides: whole.clone() };
                let copy = StridedCopy { dims: input.shape.to_vec(), input: Walk::dense(input.shape), output };
                dispatches.push(copy.dispatch(context, Arg::Input(index), Arg::Output(0))?);
                start += input.shape[axis];
            }
            Ok(Lowered::Kernels(vec![Lowering { dispatches, scratch: vec![] }]))
        };
        rule().unwrap_or_else(Lowered::Host)
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let axis = self.axis(reference::input(inputs, 0).shape().rank())?;
        Ok(vec![reference::movement::concat(axis, &inputs.iter().copied().flatten().collect::<Vec<_>>())])
    }
}
