//! Copies of rows on software devices: by runs of vectors where rows are whole vectors, else shifted in registers.

use super::strided_copy::Unbound;
use super::{AXES, axes_override, strides};
use crate::ops::tile::{WORKGROUPS, workgroup_size};
use crate::plan::{
    ANY_ELEMENT, Access, Collapsed, Dispatch, Elem, INDEX, Kernel, Override, Variant, dims_array, params, part, workgroups_1d,
};

params! {
    pub(crate) struct StridedCopyRunsParams {
        dims: [[u32; 4]; 2],
        input_strides: [[u32; 4]; 2],
        output_strides: [[u32; 4]; 2],
        rows: u32,
        run: u32,
        runs: u32,
        input_offset: u32,
        output_offset: u32,
    }
}

/// How many axes before the innermost [`STRIDED_COPY_RUNS`] walks.
const OUTER_AXES: Override = Override { name: "AXES", values: &[1, 2, 3, 7] };

/// Vectors of a run at most.
const RUN: usize = 64;

pub(crate) static STRIDED_COPY_RUNS: Kernel = Kernel {
    name: "strided_copy_runs",
    body: part!("strided_copy_runs.wgsl"),
    parts: &[INDEX],
    types: &[ANY_ELEMENT],
    overrides: &[OUTER_AXES, Override { name: "WORKGROUP_SIZE", values: WORKGROUPS }],
    params: StridedCopyRunsParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

params! {
    pub(crate) struct StridedCopyRowsParams {
        dims: [[u32; 4]; 2],
        input_strides: [[u32; 4]; 2],
        rows: u32,
        columns: u32,
        last: u32,
        input_offset: u32,
    }
}

pub(crate) static STRIDED_COPY_ROWS: Kernel = Kernel {
    name: "strided_copy_rows",
    body: part!("strided_copy_rows.wgsl"),
    parts: &[INDEX],
    types: &[ANY_ELEMENT],
    overrides: &[AXES, Override { name: "WORKGROUP_SIZE", values: WORKGROUPS }],
    params: StridedCopyRowsParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

/// How many elements a dispatch of this file's kernels copies; `None` for other kernels.
pub(super) fn moved_by_rows<B>(dispatch: &Dispatch<B>) -> Option<u64> {
    if dispatch.variant.kernel == &STRIDED_COPY_RUNS {
        let params: StridedCopyRunsParams = bytemuck::try_pod_read_unaligned(&dispatch.params).ok()?;
        return Some(4 * u64::from(params.rows) * u64::from(params.dims[1][3]));
    }
    if dispatch.variant.kernel == &STRIDED_COPY_ROWS {
        let params: StridedCopyRowsParams = bytemuck::try_pod_read_unaligned(&dispatch.params).ok()?;
        return Some(u64::from(params.rows) * u64::from(params.columns));
    }
    None
}

/// The shortest rows that are worth the search for their place.
const SHORTEST_ROW: usize = 8;

/// By runs of vectors, counted in vectors: what a software device is best at. Whole ranges are left to the kernel whose copies may be elided.
pub(super) fn runs(space: &Collapsed, offsets: [usize; 2], elem: Elem, max_workgroups: u32) -> Option<Unbound> {
    let (&vectors, outer) = space.dims.split_last()?;
    let axes = OUTER_AXES.values.iter().copied().find(|&axes| !outer.is_empty() && axes as usize >= outer.len())?;
    let rows: usize = outer.iter().product();
    let runs = vectors.div_ceil(RUN);
    let array = |values: &[i64], fill| dims_array(values.iter().copied(), fill);
    let dims: Vec<i64> = space.dims.iter().map(|&extent| extent as i64).collect();
    let params = StridedCopyRunsParams {
        dims: array(&dims, 1)?,
        input_strides: array(&space.strides[0], 0)?,
        output_strides: array(&space.strides[1], 0)?,
        rows: rows as u32,
        run: vectors.div_ceil(runs) as u32,
        runs: runs as u32,
        input_offset: offsets[0] as u32,
        output_offset: offsets[1] as u32,
    };
    let size = workgroup_size(true);
    let workgroups = workgroups_1d(rows * runs, size as usize, max_workgroups)?;
    let variant = Variant::new(&STRIDED_COPY_RUNS, vec![elem], None, vec![axes, size]);
    Some((variant, bytemuck::bytes_of(&params).to_vec(), workgroups))
}

/// By groups of four rows that begin anywhere, into a dense output. Whole ranges are left to the kernel whose copies may be elided.
pub(super) fn rows(space: &Collapsed, [input_offset, output_offset]: [usize; 2], elem: Elem, max_workgroups: u32) -> Option<Unbound> {
    let (&columns, outer) = space.dims.split_last()?;
    let [input, output] = [&space.strides[0], &space.strides[1]];
    let dense = output.iter().copied().eq(strides(&space.dims.as_slice().into()));
    if outer.is_empty() || columns < SHORTEST_ROW || input[outer.len()] != 1 || !dense || output_offset != 0 {
        return None;
    }
    let furthest = |(&extent, &stride): (&usize, &i64)| (extent as i64 - 1) * stride.max(0);
    let last = input_offset as i64 + space.dims.iter().zip(input).map(furthest).sum::<i64>();
    let rows: usize = outer.iter().product();
    let params = StridedCopyRowsParams {
        dims: dims_array(outer.iter().map(|&extent| extent as i64), 1)?,
        input_strides: dims_array(input[..outer.len()].iter().copied(), 0)?,
        rows: rows as u32,
        columns: columns as u32,
        last: (last / 4) as u32,
        input_offset: input_offset as u32,
    };
    let size = workgroup_size(true);
    let workgroups = workgroups_1d(rows.div_ceil(4), size as usize, max_workgroups)?;
    let variant = Variant::new(&STRIDED_COPY_ROWS, vec![elem], None, vec![axes_override(outer.len()).ok()?, size]);
    Some((variant, bytemuck::bytes_of(&params).to_vec(), workgroups))
}
