//! Every operator on the GPU, by every kernel that can serve it, and on the CPU device, against the reference.

#[path = "../support/mod.rs"]
mod support;

mod activation;
mod arg_reduce;
mod attention;
mod binary;
mod cast;
mod constant;
mod conv;
mod conv_integer;
mod conv_properties;
mod conv_tiled;
mod conv_transpose;
mod cumsum;
mod deform_conv;
mod det;
mod dropout;
mod einsum;
mod fused;
mod index;
mod layout;
mod loss;
mod matmul;
mod movement;
mod norm;
mod pool;
mod quantize;
mod quantized;
mod random;
mod reach;
mod rearrange;
mod reduce;
mod resize;
mod sampling;
mod softmax;
mod top_k;
mod winograd;
