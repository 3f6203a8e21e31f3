//! Operators that change a shape and move nothing: on the GPU and on the host the output shares the input's elements.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator, Reach, ReachContext, Tolerance};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::shape::{Shape, resolve_axis};
use crate::tensor::{DType, Tensor};

/// `Reshape`: inputs `data`, `shape i64[rank]` (0 copies an extent, −1 infers one). Source: ONNX `Reshape`, opset 21.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reshape {
    /// Whether 0 means an empty axis rather than "copy".
    pub allow_zero: bool,
}

/// `Flatten`: `[…, …]` to a matrix whose rows are the axes before `axis`. Source: ONNX `Flatten`, opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flatten {
    /// First axis of the columns, up to the rank; negative counts from the end.
    pub axis: i64,
}

/// `Squeeze`: drops axes of extent 1: those that input 1 (`axes`) names, or all. Source: ONNX `Squeeze`, opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Squeeze;

/// `Unsqueeze`: inserts axes of extent 1 where input 1 (`axes`) says, counted in the output. Source: ONNX `Unsqueeze`,
/// opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Unsqueeze;

/// `Identity`, and `Dropout` outside training: the input itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Identity;

/// The operators of this family differ in the shape of their output alone.
trait Relabel {
    const NAME: &'static str;

    fn output_shape(&self, data: &Shape, inputs: &Operands<'_>) -> Result<Shape, OpError>;
}

impl Relabel for Reshape {
    const NAME: &'static str = "Reshape";

    fn output_shape(&self, data: &Shape, inputs: &Operands<'_>) -> Result<Shape, OpError> {
        inputs.required(1, "shape")?;
        let target = inputs.integers(1, "shape")?.unwrap_or_default();
        if self.allow_zero && target.contains(&0) && target.contains(&-1) {
            return Err(OpError::invalid(format!("shape {target:?} has both 0 and -1, which allowzero forbids")));
        }
        let mut dims = Vec::with_capacity(target.len());
        let mut inferred = None;
        for (axis, &extent) in target.iter().enumerate() {
            dims.push(match extent {
                -1 if inferred.replace(axis).is_some() => {
                    return Err(OpError::invalid(format!("shape {target:?} has more than one -1")));
                }
                -1 => 1,
                0 if !self.allow_zero => *data.get(axis).ok_or_else(|| {
                    OpError::invalid(format!("shape {target:?} copies axis {axis} of an input that has {} axes", data.rank()))
                })?,
                _ => {
                    usize::try_from(extent).map_err(|_| OpError::invalid(format!("shape {target:?} has extent {extent} on axis {axis}")))?
                }
            });
        }
        let elements = data.elements();
        let known = Shape::from(dims.as_slice()).checked_elements();
        if let Some(axis) = inferred {
            dims[axis] = known.and_then(|known| elements.checked_div(known)).unwrap_or(0);
        }
        let shape = Shape::from(dims);
        if shape.checked_elements() != Some(elements) || inferred.is_some() && known == Some(0) {
            return Err(OpError::invalid(format!("cannot reshape {data} with {elements} elements to {target:?}")));
        }
        Ok(shape)
    }
}

impl Relabel for Flatten {
    const NAME: &'static str = "Flatten";

    fn output_shape(&self, data: &Shape, _inputs: &Operands<'_>) -> Result<Shape, OpError> {
        let rank = data.rank();
        // Axis `rank` is allowed: everything in one column.
        let axis = if self.axis == rank as i64 { Some(rank) } else { resolve_axis(self.axis, rank) };
        let axis = axis.ok_or_else(|| OpError::invalid(format!("axis {} is outside -{rank}..={rank} of {data}", self.axis)))?;
        let extent = |dims: &[usize]| {
            Shape::from(dims).checked_elements().ok_or_else(|| OpError::invalid(format!("cannot flatten {data}: its extents overflow")))
        };
        Ok(Shape::from([extent(&data[..axis])?, extent(&data[axis..])?]))
    }
}

impl Relabel for Squeeze {
    const NAME: &'static str = "Squeeze";

    fn output_shape(&self, data: &Shape, inputs: &Operands<'_>) -> Result<Shape, OpError> {
        let Some(axes) = inputs.integers(1, "axes")? else {
            return Ok(data.iter().copied().filter(|&extent| extent != 1).collect());
        };
        let dropped = distinct_axes(&axes, data.rank())?;
        if let Some(&axis) = dropped.iter().find(|&&axis| data[axis] != 1) {
            return Err(OpError::invalid(format!("cannot squeeze axis {axis} of {data}: its extent is {}, not 1", data[axis])));
        }
        Ok(data.iter().enumerate().filter(|(axis, _)| !dropped.contains(axis)).map(|(_, &extent)| extent).collect())
    }
}

impl Relabel for Unsqueeze {
    const NAME: &'static str = "Unsqueeze";

    fn output_shape(&self, data: &Shape, inputs: &Operands<'_>) -> Result<Shape, OpError> {
        inputs.required(1, "axes")?;
        let axes = inputs.integers(1, "axes")?.unwrap_or_default();
        let rank = data.rank() + axes.len();
        let inserted = distinct_axes(&axes, rank)?;
        let mut kept = data.iter();
        Ok((0..rank).filter_map(|axis| if inserted.contains(&axis) { Some(1) } else { kept.next().copied() }).collect())
    }
}

impl Relabel for Identity {
    const NAME: &'static str = "Identity";

    fn output_shape(&self, data: &Shape, _inputs: &Operands<'_>) -> Result<Shape, OpError> {
        Ok(data.clone())
    }
}

/// A list of axes, negative ones counting from the end, each at most once.
pub(super) fn distinct_axes(axes: &[i64], rank: usize) -> Result<Vec<usize>, OpError> {
    let mut seen = vec![false; rank];
    let resolve = |&axis: &i64| {
        let resolved = resolve_axis(axis, rank).ok_or_else(|| outside(axis, rank))?;
        if std::mem::replace(&mut seen[resolved], true) {
            return Err(OpError::invalid(format!("axes {axes:?} name axis {resolved} twice")));
        }
        Ok(resolved)
    };
    axes.iter().map(resolve).collect()
}

/// The error for an axis that a tensor does not have.
pub(super) fn outside(axis: i64, rank: usize) -> OpError {
    OpError::invalid(format!("axis {axis} is outside -{rank}..{rank} of a tensor with {rank} axes"))
}

macro_rules! relabel {
    ($($op:ty),*) => {
        $(impl Operator for $op {
            fn name(&self) -> &'static str {
                Self::NAME
            }

            fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
                let data = inputs.required(0, "data")?;
                Ok(vec![TensorType::new(data.dtype, self.output_shape(data.shape, inputs)?)])
            }

            fn flops(&self, _inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
                0
            }

            fn reach(&self, context: &ReachContext<'_>) -> Reach {
                if context.input == 0 { context.regrouped() } else { Reach::Nothing }
            }

            fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
                Lowered::View
            }

            fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
                let shape = self.output_shape(reference::input(inputs, 0).shape(), &Operands::of(inputs, outputs))?;
                Ok(vec![reference::layout::relabel(reference::input(inputs, 0), shape)])
            }

            fn tolerance(&self, _dtype: DType) -> Tolerance {
                Tolerance::EXACT
            }
        })*
    };
}

relabel!(Reshape, Flatten, Squeeze, Unsqueeze, Identity);
