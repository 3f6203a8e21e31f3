//! Looking inside a network: how far its results are from the reference, node by node, what each node costs, and what it sees.

mod bisect;
mod compare;
mod parameters;
mod profile;
mod receptive_field;
mod summary;
mod verify;

pub use bisect::{Bisection, Probe, Verdict};
pub(crate) use bisect::{bisect, run_reference};
pub use compare::{Comparison, Worst};
pub(crate) use parameters::Parameters;
pub use profile::{Bound, Clock, DispatchProfile, LayerProfile, Profile};
pub(crate) use profile::{Times, layers, median};
pub use receptive_field::{AxisField, ReceptiveField, ReceptiveFields};
pub use summary::{Layer, Memory, Summary};
pub(crate) use verify::Verifier;
pub use verify::{KernelCheck, NodeCheck, VerifyReport, WorstValues};
