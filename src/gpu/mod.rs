//! Everything that names wgpu: adapters, the context, pipelines, prepared programs and their execution.

mod adapters;
mod arena;
mod cache_folder;
mod context;
mod execute;
mod guards;
mod known_roofline;
mod pipeline_file;
#[allow(unsafe_code)]
mod pipelines;
mod precompile;
mod program;
mod roofline;
#[cfg(test)]
mod sharing;
mod timing;
mod transfer;
mod tuning;
mod weights;

pub use adapters::{AdapterReport, DeviceKind};
pub(crate) use adapters::{Candidate, candidates, describe};
#[cfg(test)]
pub(crate) use cache_folder::tests::Folder;
pub(crate) use context::Context;
pub use context::DeviceStatistics;
pub(crate) use execute::{Trace, Wait};
pub(crate) use program::Program;
pub use roofline::Roofline;
pub(crate) use weights::WeightStore;
