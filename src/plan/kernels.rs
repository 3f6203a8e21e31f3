//! The list of every kernel, which the shader tests walk.

use super::Kernel;
use crate::ops::{activation, conv, movement, norm, pool};

/// Every kernel of this crate.
#[rustfmt::skip]
pub static KERNELS: &[&Kernel] = &[
    &activation::UNARY,
    &conv::DEPTHWISE,
    &conv::DIRECT,
    &conv::IMPLICIT_GEMM,
    &conv::POINTWISE,
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
];
