//! Looking inside a network: how far its results are from the reference, node by node.

mod compare;
mod verify;

pub use compare::{Comparison, Worst};
pub(crate) use verify::Verifier;
pub use verify::{NodeCheck, VerifyReport};
