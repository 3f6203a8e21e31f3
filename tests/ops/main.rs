//! Every operator on the GPU, by every kernel that can serve it, and on the CPU device, against the reference.

#[path = "../support/mod.rs"]
mod support;

mod activation;
mod attention;
mod binary;
mod cast;
mod constant;
mod conv;
mod conv_integer;
mod conv_properties;
mod conv_transpose;
mod deform_conv;
mod einsum;
mod layout;
mod matmul;
mod movement;
mod norm;
mod pool;
mod quantized;
mod random;
mod reduce;
mod resize;
mod softmax;
