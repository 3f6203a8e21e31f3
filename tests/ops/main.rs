//! Every operator on the GPU, by every kernel that can serve it, and on the CPU device, against the reference.

#[path = "../support/mod.rs"]
mod support;

mod activation;
mod constant;
mod layout;
mod movement;
mod norm;
mod pool;
