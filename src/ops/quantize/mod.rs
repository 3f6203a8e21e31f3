//! Real numbers as small integers: `scale · (q − zero_point)`.

mod dequantize;
mod dynamic;
mod linear;
mod qlinear;

pub use dequantize::DequantizeLinear;
pub use dynamic::DynamicQuantizeLinear;
pub use linear::QuantizeLinear;
pub use qlinear::{QLinear, QLinearFunction};

use crate::error::OpError;
use crate::ops::layout::outside;
use crate::ops::{Operand, Operands};
use crate::plan::{
    Access, Arg, Elem, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowering, Override, Part, TypeRole, Variant, WORKGROUP_SIZE,
    element_count, params, part, workgroups_1d,
};
use crate::shape::{Shape, resolve_axis};
use crate::tensor::DType;

/// The element types of real numbers and their scales.
const REALS: &[DType] = &[DType::F32, DType::F16];

/// The integers that real numbers become.
const QUANTIZED: &[DType] = &[DType::U8, DType::I8, DType::U16, DType::I16];

/// `scale_index`, `Params`, and the override `SCALES`.
const QUANTIZATION: Part = part!("shared/quantization.wgsl");

params! {
    struct QuantizationParams {
        elements: u32,
        inner: u32,
        extent: u32,
        block: u32,
        outer_stride: u32,
        block_stride: u32,
        inner_stride: u32,
        low: f32,
        high: f32,
    }
}

pub(crate) static QUANTIZE: Kernel = Kernel {
    name: "quantize",
    body: part!("quantize.wgsl"),
    parts: &[INDEX, QUANTIZATION],
    types: &[FLOAT_ELEMENT, TypeRole { role: "Quantized", allowed: &[Elem::I32, Elem::U32] }],
    tiles: &[],
    overrides: &[
        Override { name: "SCALES", values: &[0, 1] },
        Override { name: "HAS_ZERO_POINT", values: &[0, 1] },
        Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] },
    ],
    params: QuantizationParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

pub(crate) static DEQUANTIZE: Kernel = Kernel { name: "dequantize", body: part!("dequantize.wgsl"), ..QUANTIZE };

/// Which scale belongs to which element of a tensor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Granularity {
    /// Elements behind the axis.
    pub inner: usize,
    /// The axis's extent.
    pub extent: usize,
    /// Slices along the axis that share a scale.
    pub block: usize,
    /// Strides of the scales: before the axis, along it, behind it. All 0 where there is one scale.
    pub strides: [usize; 3],
}

impl Granularity {
    /// For `x` of a shape and its scales: one element; a vector along `axis`; or, where `block_size` is not 0, the shape of `x`
    /// with as many blocks along `axis`.
    pub fn new(x: &Shape, scale: &Shape, axis: i64, block_size: usize) -> Result<Self, OpError> {
        if scale.elements() == 1 {
            return Ok(Self { inner: x.elements().max(1), extent: 1, block: 1, strides: [0; 3] });
        }
        let axis = resolve_axis(axis, x.rank()).ok_or_else(|| outside(axis, x.rank()))?;
        let (inner, extent) = (x[axis + 1..].iter().product(), x[axis]);
        if block_size == 0 {
            if scale.dims() != [extent] {
                return Err(OpError::invalid(format!("the scale must be a scalar or [{extent}], the extent of axis {axis}, got {scale}")));
            }
            return Ok(Self { inner, extent, block: 1, strides: [0, 1, 0] });
        }
        let mut blocks = x.to_vec();
        blocks[axis] = extent.div_ceil(block_size);
        if scale.dims() != blocks {
            let expected = Shape::from(blocks);
            return Err(OpError::invalid(format!("blocks of {block_size} along axis {axis} of {x} need scales {expected}, got {scale}")));
        }
        Ok(Self { inner, extent, block: block_size, strides: [blocks[axis] * inner, inner, 1] })
    }

    /// The position of the scale of element `i`.
    pub fn scale_of(&self, i: usize) -> usize {
        let slice = i / self.inner;
        let (outer, block) = (slice / self.extent, slice % self.extent / self.block);
        outer * self.strides[0] + block * self.strides[1] + i % self.inner * self.strides[2]
    }
}

/// Scale and zero point of a node, inputs 1 and 2: checked against each other, and the type of the zero point, if it is given.
fn scale_and_zero_point<'a>(inputs: &Operands<'a>) -> Result<(Operand<'a>, Option<DType>), OpError> {
    let scale = inputs.expect_dtype(1, "scale", REALS)?;
    let Some(zero_point) = inputs.get(2) else { return Ok((scale, None)) };
    if zero_point.shape != scale.shape && (zero_point.shape.elements(), scale.shape.elements()) != (1, 1) {
        return Err(OpError::invalid(format!(
            "the zero point is {}, the scale {}; both must have one shape",
            zero_point.shape, scale.shape
        )));
    }
    Ok((scale, Some(zero_point.dtype)))
}

/// The least and the largest number of an integer type of at most 16 bits.
pub(crate) fn range(dtype: DType) -> (f64, f64) {
    let values = 2f64.powi(8 * dtype.size() as i32);
    if dtype.is_signed() { (-values / 2.0, values / 2.0 - 1.0) } else { (0.0, values - 1.0) }
}

/// The dispatch of one of the two kernels, whose integers are of the type `integer`.
fn lower_quantization(
    context: &LowerContext<'_>,
    kernel: &'static Kernel,
    (real, integer): (DType, DType),
    granularity: Granularity,
) -> Result<Lowering, String> {
    let elements = element_count(&context.outputs[0].shape)?;
    let workgroups = workgroups_1d(elements.div_ceil(4) as usize, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups);
    let (low, high) = range(integer);
    let Granularity { inner, extent, block, strides } = granularity;
    let params = QuantizationParams {
        elements,
        inner: inner as u32,
        extent: extent as u32,
        block: u32::try_from(block).unwrap_or(u32::MAX),
        outer_stride: strides[0] as u32,
        block_stride: strides[1] as u32,
        inner_stride: strides[2] as u32,
        low: low as f32,
        high: high as f32,
    };
    let has_zero_point = context.inputs.get(2).is_some();
    let overrides = vec![(strides != [0; 3]).into(), has_zero_point.into(), WORKGROUP_SIZE];
    let variant = Variant::new(kernel, vec![context.elem(real)?, context.elem(integer)?], None, overrides);
    let zero_point = if has_zero_point { Arg::Input(2) } else { Arg::Unused };
    let bindings = vec![Arg::Input(0), Arg::Input(1), zero_point, Arg::Output(0)];
    Ok(Lowering::single(variant, &params, bindings, workgroups.ok_or("too many elements")?))
}
