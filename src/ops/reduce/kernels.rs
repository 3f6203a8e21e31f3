//! The kernels of reductions, as data.

use crate::ops::rows::{SUBGROUP_REDUCE, WorkgroupRow};
use crate::plan::{
    ANY_ELEMENT, Access, Elem, FLOAT_ELEMENT, INDEX, Kernel, Override, Part, Subgroups, TypeRole, WORKGROUP_SIZE, params, part,
};

params! {
    pub(crate) struct ReduceRowsParams {
        rows: u32,
        columns: u32,
        lowest: f32,
        mask: u32,
        sign: u32,
    }
}

params! {
    pub(crate) struct ReduceColumnsParams {
        outputs: u32,
        columns: u32,
        inner: u32,
        lowest: f32,
        mask: u32,
        sign: u32,
    }
}

params! {
    pub(crate) struct ReduceStridedParams {
        kept: [[u32; 4]; 2],
        kept_strides: [[u32; 4]; 2],
        reduced: [[u32; 4]; 2],
        reduced_strides: [[u32; 4]; 2],
        outputs: u32,
        count: u32,
        lowest: f32,
        mask: u32,
        sign: u32,
    }
}

params! {
    pub(crate) struct ReduceMeanIntegersParams {
        kept: [[u32; 4]; 2],
        kept_strides: [[u32; 4]; 2],
        reduced: [[u32; 4]; 2],
        reduced_strides: [[u32; 4]; 2],
        outputs: u32,
        count: u32,
    }
}

const REDUCE: Part = part!("shared/reduce.wgsl");

/// Where the elements of each output lie.
const REDUCE_AXES: Part = part!("shared/reduce_axes.wgsl");

const OVERRIDES: &[Override] = &[
    Override { name: "FUNCTION", values: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9] },
    Override { name: "COOPERATIVE", values: &[0, 1] },
    Override { name: "WORKGROUP_SIZE", values: &[64, 256] },
];

pub(crate) static REDUCE_ROWS: Kernel = Kernel {
    name: "reduce_rows",
    body: part!("reduce_rows.wgsl"),
    parts: &[INDEX, REDUCE],
    types: &[ANY_ELEMENT],
    tiles: &[],
    overrides: OVERRIDES,
    params: ReduceRowsParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

pub(crate) static REDUCE_ROWS_ANY_SUBGROUP: Kernel = Kernel {
    name: "reduce_rows_any_subgroup",
    body: part!("reduce_rows_any_subgroup.wgsl"),
    parts: &[INDEX, REDUCE, SUBGROUP_REDUCE],
    types: &[FLOAT_ELEMENT],
    overrides: &[Override { name: "FUNCTION", values: &[0, 1, 5, 6, 7, 9] }, WorkgroupRow::WORKGROUP],
    subgroups: Subgroups::Any,
    ..REDUCE_ROWS
};

pub(crate) static REDUCE_COLUMNS: Kernel = Kernel {
    name: "reduce_columns",
    body: part!("reduce_columns.wgsl"),
    overrides: &[OVERRIDES[0], Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: ReduceColumnsParams::LAYOUT,
    ..REDUCE_ROWS
};

pub(crate) static REDUCE_STRIDED: Kernel = Kernel {
    name: "reduce_strided",
    body: part!("reduce_strided.wgsl"),
    parts: &[INDEX, REDUCE, REDUCE_AXES],
    types: &[ANY_ELEMENT],
    tiles: &[],
    overrides: OVERRIDES,
    params: ReduceStridedParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

pub(crate) static REDUCE_MEAN_INTEGERS: Kernel = Kernel {
    name: "reduce_mean_integers",
    body: part!("reduce_mean_integers.wgsl"),
    parts: &[INDEX, REDUCE_AXES],
    types: &[TypeRole { role: "Element", allowed: &[Elem::I32, Elem::U32, Elem::I64] }],
    tiles: &[],
    overrides: &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: ReduceMeanIntegersParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};
