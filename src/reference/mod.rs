//! The definition of right: every operator as plain loops with `f64` arithmetic, one file per family of `ops/`.

pub(crate) mod activation;
pub(crate) mod arg_reduce;
pub(crate) mod attention;
pub(crate) mod binary;
pub(crate) mod cast;
pub(crate) mod constant;
pub(crate) mod conv;
pub(crate) mod conv_integer;
pub(crate) mod conv_transpose;
pub(crate) mod cumsum;
pub(crate) mod deform_conv;
pub(crate) mod det;
pub(crate) mod einsum;
pub(crate) mod gather;
pub(crate) mod layout;
pub(crate) mod loss;
pub(crate) mod matmul;
pub(crate) mod movement;
pub(crate) mod norm;
pub(crate) mod pool;
pub(crate) mod quantize;
pub(crate) mod rearrange;
pub(crate) mod reduce;
pub(crate) mod resize;
pub(crate) mod sampling;
pub(crate) mod scatter;
pub(crate) mod select;
pub(crate) mod softmax;
pub(crate) mod top_k;

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
