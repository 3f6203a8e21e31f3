//! Every operator on the GPU, by every kernel that can serve it, and on the CPU device, against the reference.

#[path = "../support/mod.rs"]
mod support;

mod activation;
mod arg_reduce;
mod binary;
mod cast;
mod constant;
mod conv;
mod cumsum;
mod dropout;
mod layout;
mod matmul;
mod movement;
mod norm;
mod pool;
mod reduce;
mod resize;
mod softmax;
mod top_k;
