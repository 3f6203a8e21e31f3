//! The list of every kernel, which the shader tests walk.

use super::Kernel;
use crate::ops::activation;

/// Every kernel of this crate.
pub static KERNELS: &[&Kernel] = &[&activation::UNARY];
