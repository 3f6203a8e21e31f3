//! The list of every kernel, which the shader tests walk.

use super::Kernel;
use crate::ops::{activation, arg_reduce, binary, cast, conv, cumsum, matmul, movement, norm, pool, reduce, softmax, top_k};

/// Every kernel of this crate.
#[rustfmt::skip]
pub static KERNELS: &[&Kernel] = &[
    &activation::CLIP,
    &activation::UNARY,
    &arg_reduce::ARG_REDUCE,
    &binary::BINARY,
    &binary::BINARY_BROADCAST,
    &cast::CAST,
    &conv::DEPTHWISE,
    &conv::DIRECT,
    &conv::IMPLICIT_GEMM,
    &conv::POINTWISE,
    &cumsum::CUMSUM,
    &matmul::DIRECT,
    &matmul::TILED,
    &matmul::VECTOR,
    &movement::GATHER,
    &movement::PAD,
    &movement::STRIDED_COPY,
    &norm::BATCH_NORM,
    &norm::BATCH_NORM_TRAINING,
    &norm::GROUP_NORM,
    &norm::LAYER_NORM,
    &norm::LAYER_NORM_STATISTICS,
    &norm::LRN,
    &norm::RUNNING_STATISTICS,
    &pool::AVERAGE_POOL,
    &pool::GLOBAL_AVERAGE_POOL,
    &pool::GLOBAL_MAX_POOL,
    &pool::LP_POOL,
    &pool::MAX_POOL,
    &pool::MAX_POOL_INDICES,
    &pool::MAX_UNPOOL,
    &reduce::REDUCE_MEAN_INTEGERS,
    &reduce::REDUCE_ROWS,
    &reduce::REDUCE_STRIDED,
    &softmax::HARDMAX,
    &softmax::SOFTMAX_ROWS,
    &softmax::SOFTMAX_STRIDED,
    &top_k::TOP_K,
];
