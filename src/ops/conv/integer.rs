//! Convolution of eight-bit integers.

use super::kernels::{INTEGER, IntegerParams, REQUANTIZATION, RequantizationParams};
use super::lower::{check_extents, kernels_or_host};
use super::{Conv, Convolution, check_bias, flops, packed};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::tile::{Tile, workgroup_size};
use crate::ops::{Operand, Operands, Operator, Reach, ReachContext, Tolerance};
use crate::plan::{Arg, Dispatch, LowerContext, Lowered, Lowering, Variant, WORKGROUP_SIZE};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// The element types of quantized inputs, weights and outputs.
const BYTES: &[DType] = &[DType::U8, DType::I8];

/// `ConvInteger`: the convolution of input and weight, each less its zero point, in 32-bit integers.
///
/// Inputs: `x [N, C, …]` and `w [M, C/groups, …]`, each `u8` or `i8`; optional `x_zero_point []`, `w_zero_point []` or `[M]`, 0 by
/// default. Output `[N, M, …]` in `i32`. Padding counts as the zero point. Source: ONNX `ConvInteger`, opset 10.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct ConvInteger {
    /// Strides, dilations, padding and groups.
    pub conv: Conv,
}

/// `QLinearConv`: the convolution of quantized numbers `scale · (q − zero_point)`, quantized again.
///
/// Inputs: `x [N, C, …]`, `x_scale []`, `x_zero_point []`, `w [M, C/groups, …]`, `w_scale` and `w_zero_point`, each `[]` or `[M]`,
/// `y_scale []`, `y_zero_point []`, optional `B [M]` in `i32`. `x`, `w` and `y` are `u8` or `i8`, each with its zero point. Output `[N, M, …]`:
/// the exact sum times `x_scale · w_scale / y_scale`, in `f32`, rounded to the nearest, ties to even, plus `y_zero_point`, saturated.
/// Source: ONNX `QLinearConv`, opset 10.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct QLinearConv {
    /// Strides, dilations, padding and groups.
    pub conv: Conv,
}

/// Where the zero points are among a node's inputs, or `usize::MAX` for none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ZeroPoints {
    pub x: usize,
    pub w: usize,
}

/// How the two operators order their inputs.
pub(crate) trait Quantized {
    /// Strides, dilations, padding and groups.
    fn conv(&self) -> &Conv;
    /// The index of the weight; the input is the first.
    const W: usize;
    /// The index of the bias.
    const BIAS: usize;
    /// The indices of the zero points.
    const ZERO_POINTS: ZeroPoints;
    /// The indices of the scales of `x`, `w` and `y`, and of `y`'s zero point.
    const SCALES: Option<[usize; 4]>;
}

impl Quantized for ConvInteger {
    fn conv(&self) -> &Conv {
        &self.conv
    }
    const W: usize = 1;
    const BIAS: usize = usize::MAX;
    const ZERO_POINTS: ZeroPoints = ZeroPoints { x: 2, w: 3 };
    const SCALES: Option<[usize; 4]> = None;
}

impl Quantized for QLinearConv {
    fn conv(&self) -> &Conv {
        &self.conv
    }
    const W: usize = 3;
    const BIAS: usize = 8;
    const ZERO_POINTS: ZeroPoints = ZeroPoints { x: 2, w: 5 };
    const SCALES: Option<[usize; 4]> = Some([1, 4, 6, 7]);
}

/// That an input holds one element.
fn expect_one(operand: Operand<'_>, name: &str) -> Result<(), OpError> {
    if operand.shape.elements() == 1 && operand.shape.rank() <= 1 {
        return Ok(());
    }
    Err(OpError::invalid(format!("`{name}` has shape {}, expected one element", operand.shape)))
}

/// That an input holds one element, or one for each output channel.
fn expect_per_channel(operand: Operand<'_>, name: &str, channels: usize) -> Result<(), OpError> {
    if operand.shape.dims() == [channels] {
        return Ok(());
    }
    expect_one(operand, name)
        .map_err(|_| OpError::invalid(format!("`{name}` has shape {}, expected one element or {channels}", operand.shape)))
}

/// The shape of the output, once inputs and zero points are right.
fn infer<Q: Quantized>(op: &Q, inputs: &Operands<'_>, output: DType) -> Result<Vec<TensorType>, OpError> {
    let x = inputs.expect_dtype(0, "x", BYTES)?;
    let w = inputs.expect_dtype(Q::W, "w", BYTES)?;
    let convolution = op.conv().place(x.shape, w.shape)?;
    if inputs.get(Q::ZERO_POINTS.x).is_some() {
        expect_one(inputs.expect_dtype(Q::ZERO_POINTS.x, "x_zero_point", &[x.dtype])?, "x_zero_point")?;
    }
    if inputs.get(Q::ZERO_POINTS.w).is_some() {
        expect_per_channel(inputs.expect_dtype(Q::ZERO_POINTS.w, "w_zero_point", &[w.dtype])?, "w_zero_point", w.shape[0])?;
    }
    check_bias(inputs, Q::BIAS, DType::I32, w.shape[0])?;
    Ok(vec![TensorType::new(output, convolution.output_shape())])
}

impl Operator for ConvInteger {
    fn name(&self) -> &'static str {
        "ConvInteger"
    }

    fn output_dtype(&self, _inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        Some(DType::I32)
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        infer(self, inputs, DType::I32)
    }

    fn flops(&self, inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        flops(inputs, outputs, Self::W, Self::BIAS)
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        let (x, w) = (context.inputs.get(0), context.inputs.get(Self::W));
        let placed = x.zip(w).and_then(|(x, w)| self.conv.place(x.shape, w.shape).ok());
        match placed {
            Some(convolution) if context.input == 0 => context.windows(&convolution.place, true),
            _ => context.whole(),
        }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        lower(self, context)
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let convolution = self.conv.place(reference::input(inputs, 0).shape(), reference::input(inputs, Self::W).shape())?;
        Ok(vec![reference::conv_integer::conv_integer(&convolution, inputs, Self::W, Self::ZERO_POINTS)])
    }

    fn tolerance(&self, _dtype: DType) -> Tolerance {
        Tolerance::EXACT
    }
}

impl Operator for QLinearConv {
    fn name(&self) -> &'static str {
        "QLinearConv"
    }

    fn output_dtype(&self, inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        inputs.get(7).copied().flatten()
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let y_zero_point = inputs.expect_dtype(7, "y_zero_point", BYTES)?;
        let types = infer(self, inputs, y_zero_point.dtype)?;
        for (index, name) in [(2, "x_zero_point"), (5, "w_zero_point")] {
            inputs.required(index, name)?;
        }
        expect_one(y_zero_point, "y_zero_point")?;
        for (index, name) in [(1, "x_scale"), (6, "y_scale")] {
            expect_one(inputs.expect_dtype(index, name, &[DType::F32])?, name)?;
        }
        let channels = inputs.required(Self::W, "w")?.shape[0];
        expect_per_channel(inputs.expect_dtype(4, "w_scale", &[DType::F32])?, "w_scale", channels)?;
        Ok(types)
    }

    fn flops(&self, inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        flops(inputs, outputs, Self::W, Self::BIAS)
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        let (x, w) = (context.inputs.get(0), context.inputs.get(Self::W));
        let placed = x.zip(w).and_then(|(x, w)| self.conv.place(x.shape, w.shape).ok());
        match placed {
            Some(convolution) if context.input == 0 => context.windows(&convolution.place, true),
            _ => context.whole(),
        }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        lower(self, context)
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let convolution = self.conv.place(reference::input(inputs, 0).shape(), reference::input(inputs, Self::W).shape())?;
        Ok(vec![reference::conv_integer::qlinear_conv(&convolution, inputs)])
    }

    fn tolerance(&self, _dtype: DType) -> Tolerance {
        Tolerance::EXACT
    }
}

fn lower<Q: Quantized>(op: &Q, context: &LowerContext<'_>) -> Lowered {
    let (x, w) = (context.inputs.required(0, "x"), context.inputs.required(Q::W, "w"));
    let convolution = x.and_then(|x| op.conv().place(x.shape, w?.shape)).map_err(|e| e.to_string());
    kernels_or_host(convolution.and_then(|c| {
        check_extents(&c, context)?;
        let bias = context.inputs.get(Q::BIAS).map_or(Arg::Unused, |_| Arg::Input(Q::BIAS));
        let packed = packed::products::<Q>(&c, context, bias.clone()).map(|(dispatches, bytes)| {
            let mut lowering = requantization::<Q>(&c, context);
            lowering.dispatches.extend(dispatches);
            lowering.scratch.push(bytes);
            lowering
        });
        let widened = context.capabilities.check_iterations(c.place.taps() * (1 + c.in_channels)).map(|()| {
            let mut lowering = requantization::<Q>(&c, context);
            lowering.dispatches.push(products::<Q>(&c, context, bias));
            lowering
        });
        match widened {
            Err(reason) if packed.is_none() => Err(reason),
            widened => Ok(packed.into_iter().chain(widened.ok()).collect()),
        }
    }))
}

/// What each output channel is shifted and scaled by, in scratch 0.
fn requantization<Q: Quantized>(c: &Convolution, context: &LowerContext<'_>) -> Lowering {
    let channels = c.groups * c.out_channels;
    let arg = |index: usize| context.inputs.get(index).map_or(Arg::Unused, |_| Arg::Input(index));
    let step = |index: usize| u32::from(context.inputs.get(index).is_some_and(|o| o.shape.elements() > 1));
    let [x_scale, w_scale, y_scale, y_zero_point] = Q::SCALES.unwrap_or([usize::MAX; 4]);
    let ZeroPoints { x: x_zero_point, w: w_zero_point } = Q::ZERO_POINTS;
    let params = RequantizationParams { channels: channels as u32, w_scale_step: step(w_scale), w_zero_point_step: step(w_zero_point) };
    let mut bindings: Vec<Arg> = [x_scale, x_zero_point, w_scale, w_zero_point, y_scale, y_zero_point].map(arg).into();
    bindings.push(Arg::Scratch(0));
    let variant = Variant::new(&REQUANTIZATION, vec![], None, vec![WORKGROUP_SIZE]);
    let workgroups = [(channels as u32).div_ceil(WORKGROUP_SIZE), 1, 1];
    let mut lowering = Lowering::single(variant, &params, bindings, workgroups);
    lowering.scratch.push(16 * channels as u64);
    lowering
}

fn products<Q: Quantized>(c: &Convolution, context: &LowerContext<'_>, bias: Arg) -> Dispatch<Arg> {
    let place = &c.place;
    let tile = Tile::for_rows(c.out_channels);
    let workgroup = workgroup_size(context.capabilities.software);
    let [in_depth, in_height, in_width] = place.input.map(|n| n as u32);
    let [out_depth, out_height, out_width] = place.output.map(|n| n as u32);
    let [kernel_depth, kernel_height, kernel_width] = place.kernel.map(|n| n as u32);
    let [stride_z, stride_y, stride_x] = place.stride.map(|n| n as u32);
    let [dilation_z, dilation_y, dilation_x] = place.dilation.map(|n| n as u32);
    let [front, top, left] = place.before.map(|n| n as u32);
    let (lowest, highest) = if context.outputs[0].dtype == DType::I8 { (-128, 127) } else { (0, 255) };
    let out_pixels = out_height * out_width;
    let params = IntegerParams {
        in_channels: c.in_channels as u32,
        in_depth,
        in_height,
        in_width,
        out_channels: c.out_channels as u32,
        out_depth,
        out_width,
        out_pixels,
        kernel_depth,
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
        groups: c.groups as u32,
        lowest,
        highest,
    };
    let has_bias = u32::from(bias != Arg::Unused);
    let overrides = vec![has_bias, Q::SCALES.is_some().into(), workgroup];
    let workgroups = [
        c.out_channels.div_ceil(tile.rows),
        (out_pixels as usize).div_ceil(4 * workgroup as usize * tile.vectors),
        (c.batch * c.groups).saturating_mul(place.output[0]),
    ];
    Dispatch {
        variant: Variant::new(&INTEGER, vec![], Some(tile.header), overrides),
        params: bytemuck::bytes_of(&params).to_vec(),
        bindings: vec![Arg::Input(0), Arg::Input(Q::W), Arg::Scratch(0), bias, Arg::Output(0)],
        workgroups: workgroups.map(|n| n.min(u32::MAX as usize) as u32),
    }
}
