//! Transposed convolution.

use super::kernels::{TRANSPOSE_DIRECT, TRANSPOSE_TILED, TransposeDirectParams, TransposeTiledParams};
use super::lower::{check_extents, kernels_or_host};
use super::{Convolution, check_bias};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::tile::{Tile, workgroup_size};
use crate::ops::window::MAX_EXTENT;
use crate::ops::{AxisReach, FLOATS, Operands, Operator, Padding, Placement, Reach, ReachContext, Spatial, Stencil, Tolerance};
use crate::plan::{Arg, Elem, LowerContext, Lowered, Lowering, Packing, Variant, WORKGROUP_SIZE, workgroups_1d};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// `ConvTranspose`: the transpose of [`Conv`](super::Conv) as a linear map. Each input adds its multiple of the kernel to the output, `stride` apart.
///
/// Inputs: `X [N, C, (D, (H,)) W]`, `W [C, M/groups, (kD, (kH,)) kW]`, optional `B [M]`. Output `[N, M, …]`, whose extents are
/// `stride·(in − 1) + dilation·(kernel − 1) + 1 + output_padding` less the padding, which is cut off both ends.
/// Under `SameUpper` and `SameLower` they are `in · stride`. Where they are given, the padding follows from them and its odd element
/// is cut off the end (`SameUpper`) or the start; what they ask for beyond the windows is added at the end.
/// `None` stands for 1 on every axis of strides and dilations. Source: ONNX `ConvTranspose`, opset 22.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ConvTranspose {
    /// Distance of the outputs of neighbouring inputs.
    pub stride: Option<Spatial>,
    /// Step between the taps of one window.
    pub dilation: Option<Spatial>,
    /// What is cut off the output.
    pub padding: Padding,
    /// Elements added at the end of the output, less than stride or dilation.
    pub output_padding: Option<Spatial>,
    /// The output's extents; the padding then follows from them.
    pub output_size: Option<Spatial>,
    /// Number of groups that input and output channels are split into.
    pub groups: usize,
}

impl Default for ConvTranspose {
    fn default() -> Self {
        Self { stride: None, dilation: None, padding: Padding::Valid, output_padding: None, output_size: None, groups: 1 }
    }
}

impl ConvTranspose {
    /// Lays the weight's windows, which are on the output here, on an input of shape `x`.
    pub(crate) fn place(&self, x: &Shape, w: &Shape) -> Result<Convolution, OpError> {
        let kernel = w
            .dims()
            .get(2..)
            .and_then(Spatial::from_slice)
            .ok_or_else(|| OpError::invalid(format!("weight {w} needs 3 to 5 axes [C, M/groups, …, width]")))?;
        let rank = kernel.len();
        if x.rank() != rank + 2 {
            return Err(OpError::invalid(format!(
                "weight {w} has {rank} spatial axes, so the input needs {} axes [N, C, …], got {x}",
                rank + 2
            )));
        }
        let (groups, channels) = (self.groups, x[1]);
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(OpError::invalid(format!("{channels} input channels do not divide into {groups} groups")));
        }
        if w[0] != channels {
            return Err(OpError::invalid(format!("weight has {} input channels, input has {channels}", w[0])));
        }
        let attributes = Attributes::new(self, kernel)?;
        let mut place = Placement {
            rank,
            input: [1; 3],
            output: [1; 3],
            kernel: kernel.to_3d(1),
            stride: attributes.stride.to_3d(1),
            dilation: attributes.dilation.to_3d(1),
            before: [0; 3],
            after: [0; 3],
        };
        for axis in 0..rank {
            let at = 3 - rank + axis;
            place.input[at] = x[2 + axis];
            (place.output[at], place.before[at], place.after[at]) = self.line(&attributes, axis, x[2 + axis])?;
        }
        if w[1].checked_mul(groups).is_none() {
            return Err(OpError::invalid(format!("{} output channels × {groups} groups are too many", w[1])));
        }
        Ok(Convolution { batch: x[0], groups, in_channels: channels / groups, out_channels: w[1], place })
    }

    /// Output extent of an axis, and what is cut off before and after.
    fn line(&self, attributes: &Attributes, axis: usize, extent: usize) -> Result<(usize, usize, usize), OpError> {
        let (stride, kernel, dilation) = (attributes.stride[axis], attributes.kernel[axis], attributes.dilation[axis]);
        let number = axis + 2;
        if extent == 0 {
            return Err(OpError::invalid(format!("axis {number} of the input is empty")));
        }
        let reach = dilation.checked_mul(kernel - 1);
        let full = (extent - 1).checked_mul(stride).zip(reach).and_then(|(a, b)| a.checked_add(b)?.checked_add(1));
        let full = full.and_then(|n| n.checked_add(attributes.output_padding[axis])).filter(|&n| n <= MAX_EXTENT).ok_or_else(|| {
            let spread = format!("stride {stride}, dilation {dilation} and kernel {kernel}");
            OpError::invalid(format!("axis {number} of {extent} elements with {spread} gives more than {MAX_EXTENT}"))
        })?;
        let given = self.output_size.map(|size| size[axis]);
        let same = matches!(self.padding, Padding::SameUpper | Padding::SameLower);
        let (output, before, after) = match (given.or_else(|| same.then(|| extent.saturating_mul(stride))), self.padding) {
            (Some(output), padding) => {
                let total = full.saturating_sub(output);
                let less = total / 2;
                let before = if padding == Padding::SameUpper { less } else { total - less };
                (output, before, total - before)
            }
            (None, Padding::Explicit { before, after }) => {
                let (before, after) = (before[axis], after[axis]);
                let output = full.checked_sub(before).and_then(|n| n.checked_sub(after)).unwrap_or(0);
                (output, before, after)
            }
            (None, _) => (full, 0, 0),
        };
        if output == 0 || output.checked_add(before).is_none_or(|n| n > MAX_EXTENT) {
            return Err(OpError::invalid(format!(
                "axis {number} has {full} elements before padding {before} + {after} is cut off, {output} after; 1 to {MAX_EXTENT} can be"
            )));
        }
        Ok((output, before, after))
    }
}

/// The attributes with their defaults, one number for each axis of the kernel.
struct Attributes {
    kernel: Spatial,
    stride: Spatial,
    dilation: Spatial,
    output_padding: Spatial,
}

impl Attributes {
    fn new(op: &ConvTranspose, kernel: Spatial) -> Result<Self, OpError> {
        let rank = kernel.len();
        let [ones, zeros] = [1, 0].map(|value| Spatial::splat(rank, value));
        let attributes = Self {
            kernel,
            stride: op.stride.unwrap_or(ones),
            dilation: op.dilation.unwrap_or(ones),
            output_padding: op.output_padding.unwrap_or(zeros),
        };
        let Self { stride, dilation, output_padding, .. } = attributes;
        let mut named = vec![("stride", stride), ("dilation", dilation), ("output padding", output_padding)];
        named.extend(op.output_size.map(|size| ("output size", size)));
        if let Padding::Explicit { before, after } = op.padding {
            named.extend([("padding", before), ("padding", after)]);
        }
        if let Some((name, values)) = named.into_iter().find(|(_, values)| values.len() != rank) {
            return Err(OpError::invalid(format!("{name} {values:?} has {} axes, kernel {kernel:?} has {rank}", values.len())));
        }
        for (name, values) in [("kernel size", kernel), ("stride", stride), ("dilation", dilation)] {
            if values.iter().any(|&v| v == 0 || v > MAX_EXTENT) {
                return Err(OpError::invalid(format!("{name} {values:?} must be 1 to {MAX_EXTENT} on every axis")));
            }
        }
        if let Some(axis) = (0..rank).find(|&axis| output_padding[axis] >= stride[axis].max(dilation[axis])) {
            return Err(OpError::invalid(format!(
                "output padding {output_padding:?} must be less than stride {stride:?} or dilation {dilation:?}, axis {} is not",
                axis + 2
            )));
        }
        Ok(attributes)
    }
}

impl Operator for ConvTranspose {
    fn name(&self) -> &'static str {
        "ConvTranspose"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", FLOATS)?;
        let w = inputs.expect_dtype(1, "W", &[x.dtype])?;
        let convolution = self.place(x.shape, w.shape)?;
        check_bias(inputs, 2, x.dtype, convolution.groups * convolution.out_channels)?;
        Ok(vec![TensorType::new(x.dtype, convolution.output_shape())])
    }

    /// A multiply-add for each tap of each input, taps that are cut off included; the bias one addition for each output.
    fn flops(&self, inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        let (Some(x), Some(w), Some(y)) = (inputs.get(0), inputs.get(1), outputs.first()) else { return 0 };
        let per_input = 2 * w.shape[1..].iter().product::<usize>() as u64;
        let bias = if inputs.get(2).is_some() { y.shape.elements() as u64 } else { 0 };
        (x.shape.elements() as u64).saturating_mul(per_input).saturating_add(bias)
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        let (x, w) = (context.inputs.get(0), context.inputs.get(1));
        match x.zip(w).and_then(|(x, w)| self.place(x.shape, w.shape).ok()) {
            Some(convolution) if context.input == 0 => transposed_reach(&convolution.place, context),
            _ => context.whole(),
        }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let (x, w) = (context.inputs.required(0, "X"), context.inputs.required(1, "W"));
        let convolution = x.and_then(|x| self.place(x.shape, w?.shape)).map_err(|e| e.to_string());
        kernels_or_host(convolution.and_then(|convolution| candidates(&convolution, context)))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let (x, w) = (reference::input(inputs, 0), reference::input(inputs, 1));
        let convolution = self.place(x.shape(), w.shape())?;
        Ok(vec![reference::conv_transpose::conv_transpose(&convolution, x, w, reference::optional(inputs, 2))])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}

/// Output `i` adds up the inputs `j` of which a tap `t` lies on it: `i + before = stride · j + dilation · t`.
fn transposed_reach(place: &Placement, context: &ReachContext<'_>) -> Reach {
    context.each_axis(|axis, extent| {
        let Some(at) = axis.checked_sub(2).map(|spatial| 3 - place.rank + spatial) else {
            return if axis == 1 { AxisReach::whole(extent) } else { AxisReach::same(axis) };
        };
        let [stride, dilation, taps, before] = [place.stride[at], place.dilation[at], place.kernel[at], place.before[at]].map(|n| n as i64);
        // Which taps lie on an output repeats after `stride` of them.
        let input = |i: i64, t: i64| ((i + before - dilation * t) % stride == 0).then(|| (i + before - dilation * t).div_euclid(stride));
        let ends = |i: i64| {
            let first = (0..taps).rev().take(stride as usize).find_map(|t| input(i, t))?;
            Some([first, (0..taps).take(stride as usize).find_map(|t| input(i, t))?])
        };
        let few = stride <= 1 << 10;
        AxisReach::along(axis, few.then(|| (0..stride).map(ends).collect()).and_then(|phases| Stencil::periodic(1, phases)), extent)
    })
}

/// Every way to compute it on this device, best first.
fn candidates(c: &Convolution, context: &LowerContext<'_>) -> Result<Vec<Lowering>, String> {
    check_extents(c, context)?;
    let elem = context.elem(context.outputs[0].dtype)?;
    let mut all = vec![];
    if context.capabilities.check_iterations(c.place.taps() * (1 + c.in_channels)).is_ok() {
        if context.inputs.get(1).is_some_and(|w| w.constant.is_some()) {
            all.push(tiled(c, elem, context));
        }
        all.extend(direct(c, elem, context));
    }
    Ok(all)
}

fn bias(context: &LowerContext<'_>) -> (u32, Arg) {
    if context.inputs.get(2).is_some() { (1, Arg::Input(2)) } else { (0, Arg::Unused) }
}

fn tiled(c: &Convolution, elem: Elem, context: &LowerContext<'_>) -> Lowering {
    let place = &c.place;
    let tile = Tile::for_rows(c.out_channels);
    let workgroup = workgroup_size(context.capabilities.software);
    let [in_depth, in_height, in_width] = place.input.map(|n| n as u32);
    let [out_depth, out_height, out_width] = place.output.map(|n| n as u32);
    let [kernel_depth, kernel_height, kernel_width] = place.kernel.map(|n| n as i32);
    let [stride_z, stride_y, stride_x] = place.stride.map(|n| n as i32);
    let [dilation_z, dilation_y, dilation_x] = place.dilation.map(|n| n as i32);
    let [front, top, left] = place.before.map(|n| n as i32);
    let [_, phases_y, phases_x] = [0, 1, 2].map(|axis| place.stride[axis].min(place.output[axis]));
    // W is [groups · C] matrices [M, taps], each of which is transposed.
    let matrices = c.groups * c.in_channels;
    let packing = Packing::Transposed { groups: matrices, rows: c.out_channels, columns: place.taps(), multiple: tile.rows };
    let params = TransposeTiledParams {
        in_channels: c.in_channels as u32,
        in_depth,
        in_height,
        in_width,
        out_channels: c.out_channels as u32,
        out_depth,
        out_height,
        out_width,
        phases_y: phases_y as u32,
        phases_x: phases_x as u32,
        groups: c.groups as u32,
        weight_vectors: (c.out_channels.next_multiple_of(tile.rows) / 4) as u32,
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
    };
    let (has_bias, bias) = bias(context);
    let pixels = place.output[1].div_ceil(place.stride[1]) * place.output[2].div_ceil(place.stride[2]);
    let workgroups = [
        c.out_channels.div_ceil(tile.rows),
        pixels.div_ceil(4 * workgroup as usize * tile.vectors),
        [c.groups, place.output[0], phases_y, phases_x].into_iter().fold(c.batch, usize::saturating_mul),
    ];
    let variant =
        Variant::new(&TRANSPOSE_TILED, vec![elem], Some(tile.header), vec![has_bias, context.capabilities.software.into(), workgroup]);
    let bindings = vec![Arg::Input(0), Arg::Packed(1, packing), bias, Arg::Output(0)];
    Lowering::single(variant, &params, bindings, workgroups.map(|n| n.min(u32::MAX as usize) as u32))
}

fn direct(c: &Convolution, elem: Elem, context: &LowerContext<'_>) -> Option<Lowering> {
    let place = &c.place;
    let outputs = context.outputs[0].shape.elements();
    let [in_depth, in_height, in_width] = place.input.map(|n| n as u32);
    let [out_depth, out_height, out_width] = place.output.map(|n| n as u32);
    let [kernel_depth, kernel_height, kernel_width] = place.kernel.map(|n| n as i32);
    let [stride_z, stride_y, stride_x] = place.stride.map(|n| n as i32);
    let [dilation_z, dilation_y, dilation_x] = place.dilation.map(|n| n as i32);
    let [front, top, left] = place.before.map(|n| n as i32);
    let params = TransposeDirectParams {
        outputs: outputs as u32,
        groups: c.groups as u32,
        in_channels: c.in_channels as u32,
        out_channels: c.out_channels as u32,
        in_depth,
        in_height,
        in_width,
        out_depth,
        out_height,
        out_width,
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
    };
    let (has_bias, bias) = bias(context);
    let workgroups = workgroups_1d(outputs, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups)?;
    let variant = Variant::new(&TRANSPOSE_DIRECT, vec![elem], None, vec![has_bias, WORKGROUP_SIZE]);
    Some(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Input(1), bias, Arg::Output(0)], workgroups))
}
