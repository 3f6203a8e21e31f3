//! Everything that names wgpu: adapters, the context, pipelines, prepared programs and their execution.

mod adapters;
mod context;
mod execute;
#[allow(unsafe_code)]
mod pipelines;
mod program;
#[cfg(test)]
mod sharing;
mod transfer;

pub use adapters::{AdapterReport, DeviceKind};
pub(crate) use adapters::{Candidate, candidates, describe};
pub(crate) use context::Context;
pub(crate) use execute::{Trace, Wait};
pub(crate) use program::{Program, WeightStore};
