//! `DepthToSpace` and `SpaceToDepth`.

use super::strided_copy::{StridedCopy, Walk};
use super::{data, moves_only, strides};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{AxisReach, Operands, Operator, Reach, ReachContext, Stencil};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// `DepthToSpace`: `[N, C·b², H, W]` to `[N, C, H·b, W·b]`. Source: ONNX `DepthToSpace`, opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DepthToSpace {
    /// Rows and columns that one pixel becomes.
    pub block_size: usize,
    /// How channels are numbered.
    pub mode: DepthOrder,
}

/// How the channels that become a block of pixels are numbered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DepthOrder {
    /// Row, column, channel: TensorFlow's order.
    DepthColumnRow,
    /// Channel, row, column: PyTorch's pixel shuffle.
    ColumnRowDepth,
}

/// `SpaceToDepth`: `[N, C, H·b, W·b]` to `[N, C·b², H, W]`, channels numbered by row, column, channel.
/// Source: ONNX `SpaceToDepth`, opset 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpaceToDepth {
    /// Rows and columns that become one pixel.
    pub block_size: usize,
}

/// A transposition: the input seen with six axes, and which of them each axis of the output shows.
pub(crate) struct Rearrangement {
    pub input: Shape,
    pub permutation: [usize; 6],
    pub output: Shape,
}

impl DepthToSpace {
    /// Which positions of a spatial axis each position of the output's reads.
    fn stencil(&self) -> Option<Stencil> {
        (self.block_size <= 1 << 10).then(|| Stencil::periodic(1, vec![Some([0, 0]); self.block_size])).flatten()
    }

    /// The transposition of an input of `shape`.
    pub(crate) fn rearrangement(&self, shape: &Shape) -> Result<Rearrangement, OpError> {
        let (b, invalid) = (self.block_size, |what: &str| OpError::invalid(format!("{shape} {what} with block_size {}", self.block_size)));
        let &[n, channels, h, w] = shape.dims() else { return Err(invalid("has not four axes")) };
        let (blocks, overflow) = (b.checked_mul(b).filter(|&n| n > 0), || invalid("is too large"));
        let blocks = blocks.ok_or_else(|| invalid("cannot be rearranged"))?;
        if !channels.is_multiple_of(blocks) {
            return Err(invalid(&format!("has {channels} channels, not a multiple of {blocks},")));
        }
        let c = channels / blocks;
        let output = [n, c, h.checked_mul(b).ok_or_else(overflow)?, w.checked_mul(b).ok_or_else(overflow)?].into();
        Ok(match self.mode {
            DepthOrder::DepthColumnRow => Rearrangement { input: [n, b, b, c, h, w].into(), permutation: [0, 3, 4, 1, 5, 2], output },
            DepthOrder::ColumnRowDepth => Rearrangement { input: [n, c, b, b, h, w].into(), permutation: [0, 1, 4, 2, 5, 3], output },
        })
    }
}

impl SpaceToDepth {
    /// Which positions of a spatial axis each position of the output's reads.
    fn stencil(&self) -> Option<Stencil> {
        let block = i64::try_from(self.block_size).ok()?;
        Stencil::window(block, 0, block - 1)
    }

    /// The transposition of an input of `shape`.
    pub(crate) fn rearrangement(&self, shape: &Shape) -> Result<Rearrangement, OpError> {
        let (b, invalid) = (self.block_size, |what: &str| OpError::invalid(format!("{shape} {what} with block_size {}", self.block_size)));
        let &[n, c, height, width] = shape.dims() else { return Err(invalid("has not four axes")) };
        if b == 0 || !height.is_multiple_of(b) || !width.is_multiple_of(b) {
            return Err(invalid("cannot be cut in blocks"));
        }
        let (h, w) = (height / b, width / b);
        let channels = b.checked_mul(b).and_then(|blocks| blocks.checked_mul(c)).ok_or_else(|| invalid("is too large"))?;
        Ok(Rearrangement { input: [n, c, h, b, w, b].into(), permutation: [0, 3, 5, 1, 2, 4], output: [n, channels, h, w].into() })
    }
}

impl Rearrangement {
    /// The extents of the output with six axes, and the input's strides along them.
    pub(crate) fn walk(&self) -> (Shape, Vec<i64>) {
        let own = strides(&self.input);
        (self.permutation.iter().map(|&axis| self.input[axis]).collect(), self.permutation.iter().map(|&axis| own[axis]).collect())
    }

    fn lower(&self, context: &LowerContext<'_>) -> Result<Lowered, String> {
        let (space, strides) = self.walk();
        StridedCopy { dims: space.to_vec(), input: Walk { offset: 0, strides }, output: Walk::dense(&space) }.lower(context)
    }

    fn reference(&self, x: &Tensor) -> Tensor {
        let seen = reference::layout::relabel(x, self.input.clone());
        reference::layout::relabel(&reference::movement::transpose(&self.permutation, &seen), self.output.clone())
    }
}

macro_rules! rearranges {
    ($($op:ident),*) => {
        $(impl Operator for $op {
            moves_only!();

            fn name(&self) -> &'static str {
                stringify!($op)
            }

            fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
                let data = inputs.required(0, "input")?;
                Ok(vec![TensorType::new(data.dtype, self.rearrangement(data.shape)?.output)])
            }

            fn reach(&self, context: &ReachContext<'_>) -> Reach {
                let stencil = self.stencil();
                context.each_axis(|axis, extent| match axis {
                    0 => AxisReach::same(0),
                    1 => AxisReach::whole(extent),
                    _ => AxisReach::along(axis, stencil.clone(), extent),
                })
            }

            fn lower(&self, context: &LowerContext<'_>) -> Lowered {
                let rule = || self.rearrangement(data(context)?.shape).map_err(|error| error.to_string())?.lower(context);
                rule().unwrap_or_else(Lowered::Host)
            }

            fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
                let x = reference::input(inputs, 0);
                Ok(vec![self.rearrangement(x.shape())?.reference(x)])
            }
        })*
    };
}

rearranges!(DepthToSpace, SpaceToDepth);
