//! Rows that invocations hold in registers, shared by softmax, normalizations and reductions.

use crate::ops::tile::SUBGROUP;
use crate::plan::{Capabilities, Override, Part, part};

/// How a subgroup of a software device goes through rows that it holds in registers.
pub(crate) struct SubgroupRows {
    /// Rows of a workgroup, one after the other; together they are whole vectors.
    pub group: usize,
    /// The value of [`SubgroupRows::STEPS`].
    pub steps: u32,
    /// Whether the work is large enough for the time that so many steps take to compile.
    pub pays: bool,
}

impl SubgroupRows {
    /// The vectors of a row that a lane holds.
    pub const STEPS: Override = Override { name: "STEPS", values: &STEPS };

    /// For rows of so many elements; `None` where they are too long, or the device is no such one.
    pub fn of(rows: usize, columns: usize, capabilities: &Capabilities) -> Option<Self> {
        let aligned = columns.is_multiple_of(4);
        let steps = (columns + if aligned { 0 } else { 3 }).div_ceil(4).div_ceil(SUBGROUP as usize);
        let steps = u32::try_from(steps).ok().filter(|steps| STEPS.contains(steps))?;
        let served = capabilities.software && capabilities.subgroup == SUBGROUP;
        let group = if aligned && rows < 64 {
            1
        } else if rows < 256 {
            4
        } else {
            16
        };
        served.then_some(Self { group, steps, pays: rows * columns >= (steps as usize) << 12 })
    }
}

/// How a workgroup goes through a row that it holds in registers, its sums by subgroups of any size.
pub(crate) struct WorkgroupRow {
    /// The value of [`WorkgroupRow::WORKGROUP`].
    pub invocations: u32,
    /// The value of [`WorkgroupRow::STEPS`].
    pub steps: u32,
}

impl WorkgroupRow {
    /// The elements of a row that an invocation holds.
    pub const STEPS: Override = Override { name: "STEPS", values: &[1, 2, 3, 4, 6, 8, 12, 16] };

    /// The invocations of a workgroup.
    pub const WORKGROUP: Override = Override { name: "WORKGROUP_SIZE", values: &[64, 256] };

    /// For rows of so many elements; `None` where they are too long, or the device has no subgroups.
    pub fn of(columns: usize, capabilities: &Capabilities) -> Option<Self> {
        let invocations: u32 = if columns <= 512 { 64 } else { 256 };
        let least = u32::try_from(columns.div_ceil(invocations as usize)).ok()?;
        let steps = Self::STEPS.values.iter().copied().find(|&steps| steps >= least)?;
        capabilities.subgroups.then_some(Self { invocations, steps })
    }
}

/// Sums and maxima of a workgroup by its subgroups.
pub(crate) const SUBGROUP_REDUCE: Part = part!("shared/subgroup_reduce.wgsl");

const STEPS: [u32; 32] = {
    let mut steps = [0; 32];
    let mut i = 0;
    while i < steps.len() {
        steps[i] = i as u32 + 1;
        i += 1;
    }
    steps
};
