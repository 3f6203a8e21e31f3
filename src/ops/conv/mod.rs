//! Convolution in one, two and three dimensions, its transpose, and its integer and deformable kin.

mod deform;
mod depthwise;
mod integer;
mod kernels;
mod lower;
mod packed;
mod subgroup;
mod tiled;
mod transpose;
mod winograd;

pub use deform::DeformConv;
pub(crate) use deform::of_columns;
pub(crate) use depthwise::{DEPTHWISE, DEPTHWISE_PLANES, DEPTHWISE_ROWS, DEPTHWISE_STRIPS};
pub use integer::{ConvInteger, QLinearConv};
pub(crate) use integer::{Quantized, ZeroPoints};
pub(crate) use kernels::{
    DEFORM_COLUMNS, DIRECT, IMPLICIT_GEMM, INTEGER, INTEGER_COLUMNS, INTEGER_PACKED, POINTWISE, REQUANTIZATION, TRANSPOSE_DIRECT,
    TRANSPOSE_TILED,
};
pub(crate) use subgroup::{IMPLICIT_GEMM_SUBGROUP, POINTWISE_SUBGROUP, SAME_SUBGROUP};
pub(crate) use tiled::{IMPLICIT_GEMM_FOLDED, IMPLICIT_GEMM_TILED, POINTWISE_TILED, SLICE_SUM};
pub use transpose::ConvTranspose;
pub(crate) use winograd::{WINOGRAD_INPUT, WINOGRAD_OUTPUT, WINOGRAD_OUTPUT_VECTORS};

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{FLOATS, Operands, Operator, Padding, Placement, Reach, ReachContext, Spatial, Tolerance, Window};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// `Conv`: cross-correlation of the input with the weight, in groups, plus a bias.
///
/// Inputs: `X [N, C, (D, (H,)) W]`, `W [M, C/groups, (kD, (kH,)) kW]`, optional `B [M]`. Output `[N, M, …]`.
/// The kernel size is the weight's. `None` stands for 1 on every axis. Source: ONNX `Conv`, opset 22.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Conv {
    /// Step between windows.
    pub stride: Option<Spatial>,
    /// Step between the taps of one window.
    pub dilation: Option<Spatial>,
    /// Padding of the input with zeros.
    pub padding: Padding,
    /// Number of groups that input and output channels are split into.
    pub groups: usize,
}

impl Default for Conv {
    fn default() -> Self {
        Self { stride: None, dilation: None, padding: Padding::Valid, groups: 1 }
    }
}

/// A convolution laid on its input: every extent known and consistent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convolution {
    /// Images in the batch.
    pub batch: usize,
    /// Number of groups.
    pub groups: usize,
    /// Input channels of one group.
    pub in_channels: usize,
    /// Output channels of one group.
    pub out_channels: usize,
    /// The windows on three axes.
    pub place: Placement,
}

impl Convolution {
    /// The output `[N, M, …]`.
    pub fn output_shape(&self) -> Shape {
        [self.batch, self.groups * self.out_channels].iter().chain(self.place.output_dims()).copied().collect()
    }
}

impl Conv {
    /// Lays the weight's windows on an input of shape `x`.
    pub(crate) fn place(&self, x: &Shape, w: &Shape) -> Result<Convolution, OpError> {
        let kernel_size = w
            .dims()
            .get(2..)
            .and_then(Spatial::from_slice)
            .ok_or_else(|| OpError::invalid(format!("weight {w} needs 3 to 5 axes [M, C/groups, …, width]")))?;
        let ones = Spatial::splat(kernel_size.len(), 1);
        let window = Window {
            kernel_size,
            stride: self.stride.unwrap_or(ones),
            dilation: self.dilation.unwrap_or(ones),
            padding: self.padding,
            ceil_mode: false,
        };
        let place = window.place(x)?;
        let (groups, in_channels) = (self.groups, w[1]);
        if groups == 0 || !w[0].is_multiple_of(groups) {
            return Err(OpError::invalid(format!("{} output channels do not divide into {groups} groups", w[0])));
        }
        if in_channels.checked_mul(groups) != Some(x[1]) {
            return Err(OpError::invalid(format!(
                "weight has {in_channels} input channels per group × {groups} groups, input has {}",
                x[1]
            )));
        }
        Ok(Convolution { batch: x[0], groups, in_channels, out_channels: w[0] / groups, place })
    }
}

/// That the bias at `index`, if there is one, has an element of type `dtype` for each of so many output channels.
fn check_bias(inputs: &Operands<'_>, index: usize, dtype: DType, channels: usize) -> Result<(), OpError> {
    if inputs.get(index).is_some() {
        let b = inputs.expect_dtype(index, "B", &[dtype])?;
        if b.shape.dims() != [channels] {
            return Err(OpError::invalid(format!("bias has shape {}, the weight has {channels} output channels", b.shape)));
        }
    }
    Ok(())
}

/// A multiply-add for each tap of each output, the weight and the bias being inputs `w` and `bias`.
fn flops(inputs: &Operands<'_>, outputs: &[TensorType], w: usize, bias: usize) -> u64 {
    let (Some(w), Some(y)) = (inputs.get(w), outputs.first()) else { return 0 };
    let taps: usize = w.shape[1..].iter().product();
    let per_output = 2 * taps as u64 + u64::from(inputs.get(bias).is_some());
    (y.shape.elements() as u64).saturating_mul(per_output)
}

impl Operator for Conv {
    fn name(&self) -> &'static str {
        "Conv"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", FLOATS)?;
        let w = inputs.expect_dtype(1, "W", &[x.dtype])?;
        let convolution = self.place(x.shape, w.shape)?;
        check_bias(inputs, 2, x.dtype, w.shape[0])?;
        Ok(vec![TensorType::new(x.dtype, convolution.output_shape())])
    }

    /// A multiply-add for each tap of each output, taps in the padding included; the bias one addition more.
    fn flops(&self, inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        flops(inputs, outputs, 1, 2)
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        let (x, w) = (context.inputs.get(0), context.inputs.get(1));
        let placed = x.zip(w).and_then(|(x, w)| self.place(x.shape, w.shape).ok());
        match placed {
            Some(convolution) if context.input == 0 => context.windows(&convolution.place, true),
            _ => context.whole(),
        }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        lower::lower(self, context)
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let (x, w) = (reference::input(inputs, 0), reference::input(inputs, 1));
        let convolution = self.place(x.shape(), w.shape())?;
        Ok(vec![reference::conv::conv(&convolution, x, w, reference::optional(inputs, 2))])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}
