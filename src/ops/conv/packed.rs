//! Convolution of eight-bit integers, four to a word.

use super::Convolution;
use super::integer::Quantized;
use super::kernels::{INTEGER_COLUMNS, INTEGER_PACKED, IntegerColumnsParams, IntegerPackedParams};
use crate::ops::tile::{Tile, workgroup_size};
use crate::plan::{Arg, Dispatch, LowerContext, Packing, Variant};
use crate::tensor::DType;

/// Bytes of a vector.
const VECTOR: usize = 16;

/// Invocations of a workgroup that own neighbouring pixels.
const LANES: usize = 8;

/// Outputs from which a GPU is filled by tiles of eight by eight.
const MANY_OUTPUTS: usize = 1 << 20;

/// What eight-bit integers of this type are less as signed bytes.
fn shift(dtype: DType) -> i32 {
    if dtype == DType::U8 { 128 } else { 0 }
}

/// The columns of the input in scratch 1, then the products, and the size of the scratch; scratch 0 is what `REQUANTIZATION` writes.
///
/// For one group and a constant weight; `None` elsewhere, and where loops or columns are too long.
pub(super) fn products<Q: Quantized>(c: &Convolution, context: &LowerContext<'_>, bias: Arg) -> Option<([Dispatch<Arg>; 2], u64)> {
    let (x, w) = (context.inputs.get(0)?, context.inputs.get(Q::W)?);
    if c.groups != 1 || w.constant.is_none() {
        return None;
    }
    let place = &c.place;
    let columns = c.in_channels * place.taps();
    let vectors = columns.div_ceil(VECTOR);
    let outputs = place.output_elements();
    let tile = if c.batch * c.out_channels * outputs < MANY_OUTPUTS { Tile::smallest() } else { Tile::square() };
    let pixels = 4 * tile.vectors;
    context.capabilities.check_iterations(vectors * (1 + 2 * pixels + tile.rows * (1 + tile.vectors))).ok()?;
    let bytes = [vectors, outputs, VECTOR].into_iter().try_fold(c.batch, usize::checked_mul);
    let bytes = bytes.filter(|&bytes| bytes <= i32::MAX as usize)?;

    let workgroup = workgroup_size(context.capabilities.software);
    let [in_depth, in_height, in_width] = place.input.map(|n| n as u32);
    let [_, out_height, out_width] = place.output.map(|n| n as u32);
    let [kernel_depth, kernel_height, kernel_width] = place.kernel.map(|n| n as u32);
    let [stride_z, stride_y, stride_x] = place.stride.map(|n| n as u32);
    let [dilation_z, dilation_y, dilation_x] = place.dilation.map(|n| n as u32);
    let [front, top, left] = place.before.map(|n| n as u32);
    let params = IntegerColumnsParams {
        channels: c.in_channels as u32,
        in_depth,
        in_height,
        in_width,
        out_height,
        out_width,
        out_pixels: outputs as u32,
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
        shift: shift(x.dtype),
    };
    let first = Dispatch {
        variant: Variant::new(&INTEGER_COLUMNS, vec![], None, vec![workgroup]),
        params: bytemuck::bytes_of(&params).to_vec(),
        bindings: vec![Arg::Input(0), Arg::Scratch(0), Arg::Scratch(1)],
        workgroups: [outputs.div_ceil(workgroup as usize), vectors, c.batch].map(|n| n as u32),
    };

    let (lowest, highest) = if context.outputs[0].dtype == DType::I8 { (-128, 127) } else { (0, 255) };
    let w_shift = shift(w.dtype);
    let params = IntegerPackedParams {
        columns: columns as u32,
        vectors: vectors as u32,
        out_channels: c.out_channels as u32,
        out_pixels: outputs as u32,
        x_shift: shift(x.dtype),
        w_shift,
        lowest,
        highest,
    };
    // Of signed weights without a zero point nothing is left to be corrected.
    let zero_points = context.inputs.get(Q::ZERO_POINTS.w).map(|zero| zero.constant.and_then(|zero| zero.to_i64()));
    let symmetric = match zero_points {
        None => w_shift == 0,
        Some(known) => known.is_some_and(|zeros| zeros.iter().all(|&zero| zero == i64::from(w_shift))),
    };
    let has_bias = u32::from(bias != Arg::Unused);
    let overrides = vec![u32::from(!symmetric), has_bias, Q::SCALES.is_some().into(), workgroup];
    let rows = tile.rows * workgroup as usize / LANES;
    let second = Dispatch {
        variant: Variant::new(&INTEGER_PACKED, vec![], Some(tile.header), overrides),
        params: bytemuck::bytes_of(&params).to_vec(),
        bindings: vec![Arg::Scratch(1), Arg::Packed(Q::W, Packing::Bytes { columns }), Arg::Scratch(0), bias, Arg::Output(0)],
        workgroups: [c.out_channels.div_ceil(rows), outputs.div_ceil(LANES * pixels), c.batch].map(|n| n as u32),
    };
    Some(([first, second], bytes as u64))
}
