//! The kernels that measure a device: no operator's.

use super::kernel::{Access, INDEX, Kernel, Override, WORKGROUP_SIZE, params, part};

params! {
    pub(crate) struct MultiplyAddParams {
        rounds: u32,
        scale: f32,
        offset: f32,
    }
}

params! {
    pub(crate) struct CopyParams {
        vectors: u32,
    }
}

/// The multiply-adds of one invocation in one round.
pub(crate) const MULTIPLY_ADDS: usize = 32 * 2 * 4;

pub(crate) static MULTIPLY_ADD: Kernel = Kernel {
    name: "roofline_multiply_add",
    body: part!("roofline_multiply_add.wgsl"),
    parts: &[INDEX],
    overrides: &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: MultiplyAddParams::LAYOUT,
    bindings: &[Access::Write],
    ..Kernel::BASE
};

pub(crate) static COPY: Kernel = Kernel {
    name: "roofline_copy",
    body: part!("roofline_copy.wgsl"),
    parts: &[INDEX],
    overrides: &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: CopyParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};
