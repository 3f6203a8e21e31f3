//! The list of every kernel, which the shader tests walk.

use super::Kernel;
use crate::ops::{activation, binary, cast, classify, conv, matmul, movement, norm, pool, quantize, reduce, softmax};

/// Every kernel of this crate.
#[rustfmt::skip]
pub static KERNELS: &[&Kernel] = &[
    &activation::CLIP,
    &activation::UNARY,
    &binary::BINARY,
    &binary::BINARY_BROADCAST,
    &binary::COMPARE_BROADCAST,
    &binary::INTEGER_BROADCAST,
    &binary::WHERE,
    &cast::CAST,
    &classify::CLASSIFY,
    &conv::DEPTHWISE,
    &conv::DIRECT,
    &conv::IMPLICIT_GEMM,
    &conv::POINTWISE,
    &matmul::DIRECT,
    &matmul::TILED,
    &matmul::VECTOR,
    &movement::GATHER,
    &movement::PAD,
    &movement::STRIDED_COPY,
    &norm::BATCH_NORM,
    &norm::GROUP_NORM,
    &norm::LAYER_NORM,
    &pool::AVERAGE_POOL,
    &pool::GLOBAL_AVERAGE_POOL,
    &pool::GLOBAL_MAX_POOL,
    &pool::MAX_POOL,
    &pool::MAX_POOL_INDICES,
    &quantize::DEQUANTIZE,
    &quantize::QUANTIZE,
    &reduce::REDUCE_ROWS,
    &reduce::REDUCE_STRIDED,
    &softmax::SOFTMAX_ROWS,
    &softmax::SOFTMAX_STRIDED,
];
