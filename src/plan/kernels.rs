//! The list of every kernel, which the shader tests walk.

use super::Kernel;
use crate::ops::{activation, conv, matmul};

/// Every kernel of this crate.
pub static KERNELS: &[&Kernel] = &[
    &activation::UNARY,
    &conv::DEPTHWISE,
    &conv::DIRECT,
    &conv::IMPLICIT_GEMM,
    &conv::POINTWISE,
    &matmul::DIRECT,
    &matmul::TILED,
    &matmul::VECTOR,
];
