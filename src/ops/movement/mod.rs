//! Operators that move elements and compute nothing: exact for every element type.

mod concat;
mod expand;
mod gather;
mod pad;
mod slice;
mod split;
mod strided_copy;
mod transpose;

pub use concat::Concat;
pub use expand::Expand;
pub(crate) use gather::GATHER;
pub use gather::Gather;
pub(crate) use pad::{PAD, PadAxis};
pub use pad::{Pad, PadMode};
pub use slice::Slice;
pub(crate) use slice::SliceAxis;
pub use split::Split;
pub(crate) use strided_copy::STRIDED_COPY;
pub use transpose::Transpose;

use crate::ops::Operand;
use crate::plan::{LowerContext, Override, Part, part};
use crate::shape::Shape;

/// `Unit`, what one invocation moves: an element, or four.
const UNITS: &[Part] = &[part!("tiles/unit_element.wgsl"), part!("tiles/unit_element4.wgsl")];

/// How many of the innermost axes a kernel walks; the arrays in `Params` serve every larger number too.
const AXES: Override = Override { name: "AXES", values: &[1, 2, 3, 4, 8] };

/// The smallest value of [`AXES`] that serves `axes` axes.
fn axes_override(axes: usize) -> Result<u32, String> {
    let serves = |&&value: &&u32| value as usize >= axes;
    AXES.values.iter().find(serves).copied().ok_or_else(|| format!("{axes} axes are left after collapsing, the kernel takes 8"))
}

/// The tile header and the unit's number of elements.
fn unit(four: bool) -> (Option<Part>, usize) {
    (Some(UNITS[usize::from(four)]), if four { 4 } else { 1 })
}

/// Input 0 of a node whose shape rule has asked for it.
fn data<'a>(context: &LowerContext<'a>) -> Result<Operand<'a>, String> {
    context.inputs.required(0, "data").map_err(|error| error.to_string())
}

/// That kernels can count the elements of `shape` in 32 bits.
fn addressable(shape: &Shape) -> Result<(), String> {
    match u32::try_from(shape.elements()) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{shape} has 2^32 elements or more, which the kernel cannot count")),
    }
}

/// Row-major strides as the kernels' signed numbers.
fn strides(shape: &Shape) -> Vec<i64> {
    shape.strides().into_iter().map(|stride| stride as i64).collect()
}

macro_rules! moves_only {
    () => {
        fn flops(&self, _inputs: &$crate::ops::Operands<'_>, _outputs: &[$crate::graph::TensorType]) -> u64 {
            0
        }

        fn tolerance(&self, _dtype: $crate::tensor::DType) -> $crate::ops::Tolerance {
            $crate::ops::Tolerance::EXACT
        }
    };
}
use moves_only;
