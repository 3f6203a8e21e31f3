//! Every operator on the GPU, by every kernel that can serve it, and on the CPU device, against the reference.

#[path = "../support/mod.rs"]
mod support;

mod activation;
mod binary;
mod cast;
mod constant;
mod conv;
mod layout;
mod matmul;
mod movement;
mod norm;
mod pool;
mod quantize;
mod random;
mod reduce;
mod resize;
mod softmax;
