//! The list of every kernel, which the shader tests walk.

use super::Kernel;
use crate::ops::{activation, binary, cast, reduce, softmax};

/// Every kernel of this crate.
pub static KERNELS: &[&Kernel] = &[
    &activation::CLIP,
    &activation::UNARY,
    &binary::BINARY,
    &binary::BINARY_BROADCAST,
    &cast::CAST,
    &reduce::REDUCE_ROWS,
    &reduce::REDUCE_STRIDED,
    &softmax::SOFTMAX_ROWS,
    &softmax::SOFTMAX_STRIDED,
];
