//! Operators that read a map at positions which another tensor holds, and boxes.

mod affine_grid;
mod col2im;
mod grid_sample;
mod non_max_suppression;
mod roi_align;

pub use affine_grid::AffineGrid;
pub use col2im::Col2Im;
pub(crate) use col2im::{COL2IM, Columns};
pub(crate) use grid_sample::{GRID_SAMPLE, Sampled};
pub use grid_sample::{GridPadding, GridSample, Interpolation};
pub use non_max_suppression::NonMaxSuppression;
pub(crate) use roi_align::{MAX_SAMPLES, ROI_ALIGN};
pub use roi_align::{RoiAlign, RoiPool};

use crate::shape::Shape;

/// That kernels can count the elements of `shape` in signed 32 bits.
fn addressable(shape: &Shape) -> Result<(), String> {
    match i32::try_from(shape.elements()) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{shape} has 2^31 elements or more, which the kernel cannot count")),
    }
}

/// Extents of one to three axes as `[D, H, W]`, leading ones 1.
fn spatial(dims: &[usize]) -> Option<[u32; 4]> {
    let missing = 3usize.checked_sub(dims.len())?;
    let mut out = [1, 1, 1, 0];
    for (to, &extent) in out[missing..].iter_mut().zip(dims) {
        *to = u32::try_from(extent).ok()?;
    }
    Some(out)
}
