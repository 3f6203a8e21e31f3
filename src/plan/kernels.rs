//! The list of every kernel, which the shader tests walk.

use super::Kernel;
use crate::ops::{activation, conv, movement};

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
];
