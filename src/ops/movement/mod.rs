//! Operators that move elements and compute nothing: exact for every element type.

mod blocks;
mod center_crop_pad;
mod concat;
mod expand;
mod gather;
mod gather_elements;
mod gather_nd;
mod one_hot;
mod pad;
mod resize;
mod reverse_sequence;
mod runs;
mod scatter;
mod select;
mod slice;
mod space;
mod split;
mod strided_copy;
mod tile;
mod transpose;
mod trilu;

pub(crate) use blocks::{TRANSPOSE_BLOCKS, TRANSPOSE_TILES};
pub use center_crop_pad::CenterCropPad;
pub use concat::Concat;
pub use expand::Expand;
pub(crate) use gather::GATHER;
pub use gather::Gather;
pub(crate) use gather_elements::GATHER_ELEMENTS;
pub use gather_elements::GatherElements;
pub use gather_nd::GatherNd;
pub(crate) use gather_nd::{GATHER_ND, Tuples};
pub(crate) use one_hot::ONE_HOT;
pub use one_hot::OneHot;
pub(crate) use pad::{PAD, PadAxis};
pub use pad::{Pad, PadMode};
pub use resize::{AspectRatio, NearestMode, Resize, ResizeCoordinates, ResizeMode};
pub(crate) use resize::{RESIZE, RESIZE_NEAREST, ResizeAxis};
pub(crate) use reverse_sequence::REVERSE_SEQUENCE;
pub use reverse_sequence::ReverseSequence;
pub(crate) use runs::{STRIDED_COPY_ROWS, STRIDED_COPY_RUNS};
pub(crate) use scatter::{SCATTER_ELEMENTS, SCATTER_LISTED, SCATTER_SEARCH, TENSOR_SCATTER};
pub use scatter::{ScatterElements, ScatterNd, ScatterReduction, TensorScatter};
pub use select::{Compress, NonZero, Unique};
pub use slice::Slice;
pub(crate) use slice::SliceAxis;
pub(crate) use space::Rearrangement;
pub use space::{DepthOrder, DepthToSpace, SpaceToDepth};
pub use split::Split;
pub(crate) use strided_copy::{STRIDED_COPY, StridedCopy, Walk, copied};
pub use tile::Tile;
pub use transpose::Transpose;
pub(crate) use trilu::TRILU;
pub use trilu::Trilu;

use crate::ops::Operand;
use crate::plan::{Arg, Elem, LowerContext, Override, Packing, Part, part};
use crate::shape::Shape;
use crate::tensor::DType;

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

/// The binding of an input of indices, and their type there: constant ones fit in i32, or mean nothing in either type.
fn index(context: &LowerContext<'_>, at: usize) -> Result<(Arg, Elem), String> {
    let indices = context.inputs.required(at, "indices").map_err(|error| error.to_string())?;
    match indices.constant.is_some() && indices.dtype == DType::I64 {
        true => Ok((Arg::Packed(at, Packing::Narrow), Elem::I32)),
        false => Ok((Arg::Input(at), context.elem(indices.dtype)?)),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphBuilder;
    use crate::ops::Op;
    use crate::plan::{Capabilities, LowerOptions, Placed, lower};
    use crate::tensor::Tensor;

    /// Where a node with one runtime input of extents `x` goes on a device without optional features.
    fn placed(op: impl Into<Op>, x: &[usize], constants: &[Tensor], outputs: usize) -> Placed {
        placed_as(DType::F32, op, x, constants, outputs)
    }

    fn placed_as(dtype: DType, op: impl Into<Op>, x: &[usize], constants: &[Tensor], outputs: usize) -> Placed {
        let mut b = GraphBuilder::new("one node");
        let mut inputs = vec![Some(b.input("x", dtype, x.to_vec()))];
        inputs.extend(constants.iter().enumerate().map(|(i, c)| Some(b.constant(format!("c{i}"), c.clone()))));
        for (i, y) in b.nodes("node", op, &inputs, outputs).unwrap().into_iter().enumerate() {
            b.output(format!("y{i}"), y);
        }
        lower(b.finish().unwrap(), Some(&Capabilities::default()), &LowerOptions::default()).unwrap().placed.remove(0)
    }

    fn copies(variants: &[&str]) -> Placed {
        let name = |v: &&str| format!("strided_copy f32 {v} WORKGROUP_SIZE=64");
        Placed::Gpu(variants.iter().map(name).collect())
    }

    fn list(values: &[i64]) -> Tensor {
        Tensor::vector(values.to_vec())
    }

    #[test]
    fn what_moves_nothing_is_a_view() {
        assert_eq!(placed(Transpose { permutation: vec![0, 2, 1, 3] }, &[2, 1, 3, 5], &[], 1), Placed::View);
        assert_eq!(placed(Slice, &[2, 3], &[list(&[0]), list(&[i64::MAX])], 1), Placed::View);
        assert_eq!(placed(Expand, &[2, 3], &[list(&[1, 2, 3])], 1), Placed::View);
        assert_eq!(placed(Pad { mode: PadMode::Wrap }, &[2, 3], &[list(&[0; 4])], 1), Placed::View);
        assert_eq!(placed(Split { axis: 1 }, &[2, 3], &[], 1), Placed::View);
        assert_eq!(placed(Concat { axis: 1 }, &[2, 3], &[], 1), Placed::View);
        // The first rows lie in order too; the second begin where no binding may.
        assert_eq!(placed(Slice, &[2, 3], &[list(&[0]), list(&[1])], 1), Placed::View);
        assert_eq!(placed(Slice, &[2, 3], &[list(&[1]), list(&[2])], 1), copies(&["unit_element AXES=1"]));
    }

    #[test]
    fn rows_divisible_by_four_move_as_vectors() {
        let transposed = |order: &[usize]| placed(Transpose { permutation: order.to_vec() }, &[2, 3, 5, 8], &[], 1);
        assert_eq!(transposed(&[0, 2, 1, 3]), copies(&["unit_element4 AXES=4"]));
        assert_eq!(transposed(&[0, 2, 3, 1]), copies(&["unit_element AXES=3"]));
        let parts = [list(&[1, 2])];
        assert_eq!(placed(Split { axis: 1 }, &[7, 3, 4], &parts, 2), copies(&["unit_element4 AXES=2", "unit_element4 AXES=2"]));
        assert_eq!(placed(Split { axis: 1 }, &[7, 3, 2], &parts, 2), copies(&["unit_element AXES=2", "unit_element AXES=2"]));
        // A reversed innermost axis is not contiguous.
        let reversed = [list(&[-1]), list(&[i64::MIN]), list(&[1]), list(&[-1])];
        assert_eq!(placed(Slice, &[3, 8], &reversed, 1), copies(&["unit_element AXES=2"]));
    }

    #[test]
    fn constant_indices_need_no_64_bit_integers() {
        let kernel = "gather f32 i32 unit_element4 WORKGROUP_SIZE=64".to_owned();
        assert_eq!(placed(Gather { axis: 0 }, &[3, 8], &[list(&[2, -1])], 1), Placed::Gpu(vec![kernel]));
    }

    #[test]
    fn what_32_bits_cannot_count_stays_on_the_host() {
        let reason = "[65536,65537] has 2^32 elements or more, which the kernel cannot count".to_owned();
        assert_eq!(placed_as(DType::U8, Transpose::default(), &[1 << 16, (1 << 16) + 1], &[], 1), Placed::Cpu(reason));
    }
}
