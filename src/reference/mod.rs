//! The definition of right: every operator as plain loops with `f64` arithmetic, one file per family of `ops/`.

pub(crate) mod activation;
pub(crate) mod binary;
pub(crate) mod cast;
pub(crate) mod constant;
pub(crate) mod conv;
pub(crate) mod layout;
pub(crate) mod matmul;
pub(crate) mod movement;
pub(crate) mod norm;
pub(crate) mod pool;
pub(crate) mod quantize;
pub(crate) mod reduce;
pub(crate) mod softmax;

use crate::tensor::Tensor;

/// A required input; shape rules have checked that it is there.
pub(crate) fn input<'a>(inputs: &[Option<&'a Tensor>], index: usize) -> &'a Tensor {
    inputs[index].expect("the shape rule requires this input")
}

/// An optional input.
pub(crate) fn optional<'a>(inputs: &[Option<&'a Tensor>], index: usize) -> Option<&'a Tensor> {
    inputs.get(index).copied().flatten()
}

/// A tensor of `like`'s type from the reference's `f64` values.
pub(crate) fn rounded(like: &Tensor, shape: impl Into<crate::shape::Shape>, values: Vec<f64>) -> Tensor {
    Tensor::from_f64(like.dtype(), shape, values).expect("a reference fills its output")
}
