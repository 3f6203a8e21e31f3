//! Normalizations: batch, layer, instance, group, by root mean square, by norms, across channels.

mod batch;
mod group;
mod layer;
mod local;
mod lp;

pub use batch::BatchNormalization;
pub(crate) use batch::{BATCH_NORM, BATCH_NORM_TRAINING, RUNNING_STATISTICS};
pub(crate) use group::GROUP_NORM;
pub use group::{GroupNormalization, InstanceNormalization};
pub(crate) use layer::{LAYER_NORM, LAYER_NORM_ANY_SUBGROUP, LAYER_NORM_STATISTICS, LAYER_NORM_SUBGROUP};
pub use layer::{LayerNormalization, RmsNormalization};
pub(crate) use local::LRN;
pub use local::LocalResponseNormalization;
pub use lp::{LpNormalization, MeanVarianceNormalization};

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::Operand;
use crate::plan::{Capabilities, INDEX, Override, Part, part};

/// The sum over a workgroup, and mean and variance of a row by it.
const ROW_STATISTICS: &[Part] = &[INDEX, part!("shared/workgroup_sum.wgsl"), part!("shared/row_statistics.wgsl")];

/// One workgroup owns a row: as many invocations as it keeps busy; on a software device one SIMD vector, which barriers cost nothing.
const ROW_WORKGROUP: Override = Override { name: "WORKGROUP_SIZE", values: &[8, 64, 256] };

const FLAG: &[u32] = &[0, 1];

/// Invocations for a row of so many elements, each of which takes `turns` iterations of loops in the three passes together.
fn row_workgroup(row_elements: usize, turns: usize, capabilities: &Capabilities) -> Result<u32, String> {
    let preferred = match row_elements {
        ..=SHORT_ROW if capabilities.software => 8,
        ..=512 => 64,
        _ => 256,
    };
    // Two of the passes have a loop of blocks of 64 around, and a tree after.
    let share = row_elements.div_ceil(preferred as usize);
    capabilities.check_iterations(turns * share + 2 * (share.div_ceil(64) + 8))?;
    Ok(preferred)
}

/// The longest row whose elements one SIMD vector of a software device goes through alone.
const SHORT_ROW: usize = 1 << 14;

/// A count that shaders hold in 32 bits.
fn count(n: usize) -> Result<u32, String> {
    u32::try_from(n).map_err(|_| "too many elements".into())
}

/// That an input is a vector of one of the `lengths`, with the meaning of each.
fn vector(operand: &Operand<'_>, name: &str, lengths: &[(usize, &str)]) -> Result<(), OpError> {
    if operand.shape.rank() == 1 && lengths.iter().any(|&(n, _)| operand.shape[0] == n) {
        return Ok(());
    }
    let lengths: Vec<_> = lengths.iter().map(|(n, meaning)| format!("[{n}] ({meaning})")).collect();
    Err(OpError::invalid(format!("`{name}` has shape {}, expected {}", operand.shape, lengths.join(" or "))))
}

/// That `X` has batch, channels and `spatial` more axes, or more; gives its channels.
fn channels(x: &Operand<'_>, spatial: usize) -> Result<usize, OpError> {
    if x.shape.rank() < 2 + spatial {
        return Err(OpError::invalid(format!("the input needs at least {} axes [N, C, …], got {}", 2 + spatial, x.shape)));
    }
    Ok(x.shape[1])
}

/// A mean and a subtraction, a variance as a multiply-add on the difference, a correction, a scale and a shift.
fn row_flops(outputs: &[TensorType]) -> u64 {
    outputs.first().map_or(0, |y| (y.shape.elements() as u64).saturating_mul(7))
}
