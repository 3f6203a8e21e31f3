//! The list of every kernel, which the shader tests walk.

use super::Kernel;
use crate::ops::activation;
use crate::ops::movement;

/// Every kernel of this crate.
pub static KERNELS: &[&Kernel] = &[&activation::UNARY, &movement::GATHER, &movement::PAD, &movement::STRIDED_COPY];
