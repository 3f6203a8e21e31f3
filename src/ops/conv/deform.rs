//! Deformable convolution.

use super::kernels::{DEFORM_COLUMNS, DeformColumnsParams};
use super::lower::{self, Lowerer, kernels_or_host};
use super::{Conv, Convolution, check_bias, flops};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::tile::workgroup_size;
use crate::ops::{FLOATS, Operand, Operands, Operator, Placement, Tolerance};
use crate::plan::{Arg, LowerContext, Lowered, Lowering, Variant};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// `DeformConv`: convolution whose taps are moved by offsets, between elements too, and weighed by a mask.
///
/// Inputs: `X [N, C, (D, (H,)) W]`, `W [M, C/groups, (kD, (kH,)) kW]`, `offset [N, offset_groups · taps · axes, …]` with the output's
/// extents, its numbers those of the axes from the outermost for each tap; optional `B [M]`, `mask [N, offset_groups · taps, …]`.
/// Output `[N, M, …]`. Values between elements are interpolated linearly on every axis; elements outside count zero.
/// Source: Zhu et al., *Deformable ConvNets v2*, 2018; ONNX `DeformConv`, opset 22.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct DeformConv {
    /// Strides, dilations, padding and groups.
    pub conv: Conv,
    /// Number of groups of input channels that share offsets.
    pub offset_groups: usize,
}

impl Default for DeformConv {
    fn default() -> Self {
        Self { conv: Conv::default(), offset_groups: 1 }
    }
}

impl DeformConv {
    /// Lays the weight's windows on the input, and checks that offsets and mask fit them.
    fn place(&self, inputs: &Operands<'_>) -> Result<Convolution, OpError> {
        let (x, w, offset) = (inputs.required(0, "X")?, inputs.required(1, "W")?, inputs.required(2, "offset")?);
        let convolution = self.conv.place(x.shape, w.shape)?;
        if self.offset_groups == 0 || !x.shape[1].is_multiple_of(self.offset_groups) {
            return Err(OpError::invalid(format!("{} input channels do not divide into {} offset groups", x.shape[1], self.offset_groups)));
        }
        let place = &convolution.place;
        let check = |operand: Operand<'_>, name: &str, per_tap: usize| {
            let channels = place.taps().checked_mul(self.offset_groups).and_then(|n| n.checked_mul(per_tap));
            let expected: Vec<usize> =
                [convolution.batch, channels.unwrap_or(usize::MAX)].iter().chain(place.output_dims()).copied().collect();
            if operand.shape.dims() == expected {
                return Ok(());
            }
            Err(OpError::invalid(format!("`{name}` has shape {}, expected {expected:?}", operand.shape)))
        };
        check(offset, "offset", place.rank)?;
        if let Some(mask) = inputs.get(4) {
            check(mask, "mask", 1)?;
        }
        Ok(convolution)
    }

    /// The convolution of known tensors.
    pub(crate) fn place_tensors(&self, inputs: &[Option<&Tensor>]) -> Result<Convolution, OpError> {
        self.place(&Operands::of(inputs, 1))
    }
}

/// The 1×1 convolution that multiplies the weight with the columns `[N, C · taps, P]`.
pub(crate) fn of_columns(c: &Convolution) -> Convolution {
    let pixels = [1, 1, c.place.output_elements()];
    let [ones, zeros] = [[1; 3], [0; 3]];
    let place =
        Placement { rank: 1, input: pixels, output: pixels, kernel: ones, stride: ones, dilation: ones, before: zeros, after: zeros };
    Convolution { in_channels: c.in_channels * c.place.taps(), place, ..*c }
}

impl Operator for DeformConv {
    fn name(&self) -> &'static str {
        "DeformConv"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", FLOATS)?;
        let w = inputs.expect_dtype(1, "W", &[x.dtype])?;
        inputs.expect_dtype(2, "offset", &[x.dtype])?;
        if inputs.get(4).is_some() {
            inputs.expect_dtype(4, "mask", &[x.dtype])?;
        }
        let convolution = self.place(inputs)?;
        check_bias(inputs, 3, x.dtype, w.shape[0])?;
        Ok(vec![TensorType::new(x.dtype, convolution.output_shape())])
    }

    fn flops(&self, inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        flops(inputs, outputs, 1, 3)
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let convolution = self.place(&context.inputs).map_err(|e| e.to_string());
        kernels_or_host(convolution.and_then(|c| self.candidates(&c, context)))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let convolution = self.place_tensors(inputs)?;
        Ok(vec![reference::deform_conv::deform_conv(&convolution, self.offset_groups, inputs)])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}

impl DeformConv {
    /// The moved taps in columns, then the product by every kernel that convolution has for it.
    fn candidates(&self, c: &Convolution, context: &LowerContext<'_>) -> Result<Vec<Lowering>, String> {
        lower::check_extents(c, context)?;
        let place = &c.place;
        let group_channels = c.groups * c.in_channels / self.offset_groups;
        context.capabilities.check_iterations(32 + group_channels * (1 + (1 << place.rank)))?;
        let elem = context.elem(context.outputs[0].dtype)?;
        let columns = [c.groups * c.in_channels, place.taps(), place.output_elements()].into_iter().try_fold(c.batch, usize::checked_mul);
        let columns = columns.filter(|&n| n <= i32::MAX as usize).ok_or("the columns are too many for a shader's 32-bit arithmetic")?;
        let operands = lower::Operands { x: Arg::Scratch(0), w: 1, bias: context.inputs.get(3).map(|_| 3) };
        let mut all = Lowerer::new(of_columns(c), operands, context)?.candidates(context);
        let first = self.columns(c, context);
        for lowering in &mut all {
            lowering.dispatches.splice(0..0, first.dispatches.iter().cloned());
            lowering.scratch.push((columns * elem.size()) as u64);
        }
        Ok(all)
    }

    fn columns(&self, c: &Convolution, context: &LowerContext<'_>) -> Lowering {
        let place = &c.place;
        let elem = context.elem(context.outputs[0].dtype).expect("checked by candidates");
        let [in_depth, in_height, in_width] = place.input.map(|n| n as u32);
        let [_, out_height, out_width] = place.output.map(|n| n as u32);
        let [_, kernel_height, kernel_width] = place.kernel.map(|n| n as u32);
        let [stride_z, stride_y, stride_x] = place.stride.map(|n| n as u32);
        let [dilation_z, dilation_y, dilation_x] = place.dilation.map(|n| n as u32);
        let [front, top, left] = place.before.map(|n| n as u32);
        let params = DeformColumnsParams {
            group_channels: (c.groups * c.in_channels / self.offset_groups) as u32,
            offset_groups: self.offset_groups as u32,
            taps: place.taps() as u32,
            rank: place.rank as u32,
            in_depth,
            in_height,
            in_width,
            out_height,
            out_width,
            out_pixels: place.output_elements() as u32,
            kernel_height,
            kernel_width,
            stride_z,
            stride_y,
            stride_x,
            dilation_z,
            dilation_y,
            dilation_x,
            front,
            top,
            left,
        };
        let mask = context.inputs.get(4).map_or(Arg::Unused, |_| Arg::Input(4));
        let workgroup = workgroup_size(context.capabilities.software);
        let overrides = vec![u32::from(mask != Arg::Unused), workgroup];
        let variant = Variant::new(&DEFORM_COLUMNS, vec![elem], None, overrides);
        let workgroups = [place.output_elements().div_ceil(workgroup as usize), self.offset_groups * place.taps(), c.batch];
        let bindings = vec![Arg::Input(0), Arg::Input(2), mask, Arg::Scratch(0)];
        Lowering::single(variant, &params, bindings, workgroups.map(|n| n as u32))
    }
}
