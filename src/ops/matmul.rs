//! Matrix products.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator};
use crate::plan::{LowerContext, Lowered};
use crate::tensor::Tensor;

/// `Gemm`: `alpha · A' · B' + beta · C`, `A'` and `B'` transposed on request.
///
/// Inputs: `A [M, K]`, `B [K, N]`, optional `C` broadcast to `[M, N]`. Output `[M, N]`. Source: ONNX `Gemm`, opset 13.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Gemm {
    /// Factor of the product.
    pub alpha: f32,
    /// Factor of `C`.
    pub beta: f32,
    /// Whether `A` is given as `[K, M]`.
    pub transpose_a: bool,
    /// Whether `B` is given as `[N, K]`.
    pub transpose_b: bool,
}

impl Default for Gemm {
    fn default() -> Self {
        Self { alpha: 1.0, beta: 1.0, transpose_a: false, transpose_b: false }
    }
}

/// `MatMul`: NumPy's `matmul`, leading axes broadcast. Inputs `[…, M, K]`, `[…, K, N]`. Source: ONNX `MatMul`, opset 13.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct MatMul;

super::unfinished!(Gemm, "Gemm");

super::unfinished!(MatMul, "MatMul");
