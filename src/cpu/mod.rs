//! The CPU device: operators as fast as plain Rust makes them, the reference for the rest.

mod execute;

pub(crate) use execute::{run, run_node};

use crate::error::OpError;
use crate::ops::Op;
use crate::tensor::Tensor;

/// All outputs of a node whose inputs its shape rule accepted.
pub(crate) fn evaluate(op: &Op, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
    op.operator().reference(inputs, outputs)
}
