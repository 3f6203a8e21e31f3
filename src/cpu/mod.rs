//! The CPU device: the operators that networks spend their time in, fast on all cores; the reference for the rest.
//!
//! In what order an output is summed depends on shapes alone, never on the number of threads, so results do not depend on the
//! machine's load and two runs are equal bit for bit.

mod activation;
mod arg_reduce;
mod binary;
mod cast;
mod conv;
mod conv_integer;
mod conv_transpose;
mod deform_conv;
mod depthwise;
mod execute;
mod fused;
#[allow(unsafe_code)]
mod gemm;
mod kernel;
mod matmul;
mod movement;
mod norm;
mod numbers;
mod pool;
mod quantize;
mod reduce;
mod resize;
mod roofline;
mod sampling;
mod scratch;
mod softmax;
mod strided;
mod window;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use execute::run;
pub(crate) use execute::{WeightStore, Weights, run_node, run_prepared};
pub(crate) use roofline::roofline;

use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use self::kernel::Packed;
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Op, Operands};
use crate::tensor::{DType, Tensor};

/// Elements that one task of an elementwise operator handles: enough to outweigh starting it, few enough for its caches.
const CHUNK: usize = 1 << 14;

/// What is done to elements of an output right after they were computed: the elements, and the index of the first.
type Finish<'a> = &'a (dyn Fn(&mut [f32], usize) + Sync);

/// All outputs of a node whose inputs its shape rule accepted.
///
/// # Errors
/// What the reference finds wrong with the elements, such as an index out of range.
pub(crate) fn evaluate(op: &Op, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
    evaluate_packed(op, inputs, outputs, None)
}

/// As [`evaluate`], with the node's weight packed where it was packed before.
fn evaluate_packed(op: &Op, inputs: &[Option<&Tensor>], outputs: usize, packed: Option<&Packed>) -> Result<Vec<Tensor>, OpError> {
    let half = inputs.iter().flatten().any(|t| t.dtype() == DType::F16);
    let fast = match movement::evaluate(op, inputs, outputs)? {
        Some(tensors) => Some(tensors),
        None if matches!(op, Op::Cast(_)) => cast::cast(op, inputs),
        None if matches!(op, Op::Where(_)) => binary::select(inputs),
        None if !computes(op) => None,
        // A quotient of halves is one before it is quantized.
        None if half && matches!(op, Op::QuantizeLinear(_)) => None,
        None if half => compute_f16(op, inputs, outputs)?,
        None => compute(op, inputs, outputs, packed)?,
    };
    match fast {
        Some(tensors) => Ok(tensors),
        None => op.operator().reference(inputs, outputs),
    }
}

/// Whether an operator does arithmetic, rather than move, convert or rename elements.
fn computes(op: &Op) -> bool {
    !matches!(
        op,
        Op::Cast(_)
            | Op::CastLike(_)
            | Op::Compress(_)
            | Op::Concat(_)
            | Op::ConstantOfShape(_)
            | Op::EyeLike(_)
            | Op::Flatten(_)
            | Op::Gather(_)
            | Op::GatherElements(_)
            | Op::GatherNd(_)
            | Op::Identity(_)
            | Op::NonZero(_)
            | Op::OneHot(_)
            | Op::Reshape(_)
            | Op::ReverseSequence(_)
            | Op::ScatterElements(_)
            | Op::ScatterNd(_)
            | Op::ShapeOf(_)
            | Op::Size(_)
            | Op::Squeeze(_)
            | Op::TensorScatter(_)
            | Op::Trilu(_)
            | Op::Unique(_)
            | Op::Unsqueeze(_)
    )
}

/// The operators that compute, on `f32`; `None` for those, and those types, that only the reference knows.
fn compute(op: &Op, inputs: &[Option<&Tensor>], outputs: usize, packed: Option<&Packed>) -> Result<Option<Vec<Tensor>>, OpError> {
    Ok(match op {
        Op::ArgReduce(arg) => arg_reduce::arg_reduce(arg, inputs, &infer(op, inputs, outputs)?)?,
        Op::AveragePool(op) => pool::average_pool(op, inputs)?,
        Op::BatchNormalization(op) => norm::batch(op, inputs, outputs),
        Op::Binary(op) => binary::binary(*op, inputs),
        Op::Clip(_) => activation::clip(inputs),
        Op::Comparison(op) => binary::compare(*op, inputs),
        Op::Conv(op) => conv::conv(op, inputs, packed, &|_, _| ())?,
        Op::ConvInteger(op) => conv_integer::conv_integer(op, inputs)?,
        Op::ConvTranspose(op) => conv_transpose::conv_transpose(op, inputs)?,
        Op::DeformConv(op) => deform_conv::deform_conv(op, inputs)?,
        Op::Fused(op) => fused::fused(op, inputs, packed)?,
        Op::Gemm(op) => matmul::gemm(op, inputs).or_else(|| numbers::gemm(op, inputs)),
        Op::GlobalPool(op) => pool::global_pool(op, inputs),
        Op::GridSample(op) => sampling::grid_sample(op, inputs)?,
        Op::GroupNormalization(op) => norm::group(op, inputs),
        Op::InstanceNormalization(op) => norm::instance(op, inputs),
        Op::LayerNormalization(layer) => norm::layer(layer, inputs, &infer(op, inputs, outputs)?),
        Op::LocalResponseNormalization(op) => norm::lrn(op, inputs),
        Op::LpPool(op) => pool::lp_pool(op, inputs)?,
        Op::MatMul(_) => matmul::matmul(inputs).or_else(|| numbers::matmul(inputs)),
        Op::MaxPool(op) => pool::max_pool(op, inputs, outputs)?,
        Op::PRelu(_) => binary::prelu(inputs),
        Op::DequantizeLinear(op) => quantize::dequantize(op, inputs),
        Op::QLinearConv(op) => conv_integer::qlinear_conv(op, inputs)?,
        Op::QuantizeLinear(quantize) => quantize::quantize(quantize, inputs, infer(op, inputs, outputs)?[0].dtype),
        Op::Reduce(reduce) => reduce::reduce(reduce, inputs, &infer(op, inputs, outputs)?)?,
        Op::Resize(op) => resize::interpolate(op, inputs, &Operands::of(inputs, outputs))?,
        Op::RmsNormalization(op) => norm::rms(op, inputs),
        Op::Softmax(op) => softmax::softmax(op, inputs)?,
        Op::Unary(op) => activation::unary(op, inputs),
        _ => None,
    })
}

/// `compute` for operands in half precision: computed in `f32` and rounded once.
fn compute_f16(op: &Op, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Option<Vec<Tensor>>, OpError> {
    let widened: Vec<Option<Tensor>> = inputs.iter().map(|t| t.map(widen)).collect();
    let widened: Vec<Option<&Tensor>> = widened.iter().map(Option::as_ref).collect();
    let Some(tensors) = compute(op, &widened, outputs, None)? else { return Ok(None) };
    let types = infer(op, inputs, outputs)?;
    Ok(Some(tensors.into_iter().zip(types).map(|(tensor, ty)| if ty.dtype == DType::F16 { narrow(tensor) } else { tensor }).collect()))
}

fn widen(tensor: &Tensor) -> Tensor {
    let Some(halves) = tensor.data::<f16>() else { return tensor.clone() };
    let mut values = vec![0f32; halves.len()];
    values.par_chunks_mut(CHUNK).zip(halves.par_chunks(CHUNK)).for_each(|(to, from)| from.convert_to_f32_slice(to));
    Tensor::of(tensor.shape(), values)
}

fn narrow(tensor: Tensor) -> Tensor {
    let Some(values) = tensor.data::<f32>() else { return tensor };
    let mut halves = vec![f16::ZERO; values.len()];
    halves.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK)).for_each(|(to, from)| to.convert_from_f32_slice(from));
    Tensor::of(tensor.shape(), halves)
}

/// The output types, from the operator's own shape rule.
fn infer(op: &Op, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<TensorType>, OpError> {
    op.operator().infer(&Operands::of(inputs, outputs))
}

/// The elements of a required input, where they are `f32`.
fn floats<'a>(inputs: &[Option<&'a Tensor>], index: usize) -> Option<&'a [f32]> {
    inputs.get(index).copied().flatten()?.data::<f32>()
}
