//! The kernels of matrix products, as data.

use crate::ops::fused::ELEMENT_EPILOGUE;
use crate::ops::tile::{ROLLED, SUBGROUP, TILE_HEADERS, TILE_ROWS, WORKGROUPS};
use crate::plan::{
    ANY_ELEMENT, Access, Elem, FLOAT_ELEMENT, INDEX, Kernel, OPAQUE, Override, Part, Subgroups, WORKGROUP_SIZE, params, part,
};

/// `batch_offset`
pub(super) const BATCH: Part = part!("shared/batch.wgsl");

pub(super) const HAS_C: Override = Override { name: "HAS_C", values: &[0, 1] };
pub(super) const BINDINGS: &[Access] = &[Access::Read, Access::Read, Access::Read, Access::Write];

/// Vectors of columns and slices of the inner axis in a workgroup of the vector kernel: `[COLUMNS, SLICES]`.
pub(super) const SOFTWARE_SLICES: [u32; 2] = [8, 1];
pub(super) const GPU_SLICES: [u32; 2] = [16, 16];

/// Rows of a tile, lowest first.
pub(super) const FEW_ROWS_TILES: [(usize, Part); 3] =
    [(1, part!("tiles/rows_1_vectors_1.wgsl")), (2, part!("tiles/rows_2_vectors_1.wgsl")), (4, part!("tiles/rows_4_vectors_1.wgsl"))];
const FEW_ROWS_HEADERS: &[Part] = &[FEW_ROWS_TILES[0].1, FEW_ROWS_TILES[1].1, FEW_ROWS_TILES[2].1];

params! {
    pub(crate) struct RowParams {
        batch: [u32; 4],
        a_batch: [u32; 4],
        b_batch: [u32; 4],
        rows: u32,
        columns: u32,
        inner: u32,
        a_row: u32,
        a_inner: u32,
        b_inner: u32,
        c_row: u32,
        c_column: u32,
        y_row: u32,
        first_column: u32,
        alpha: f32,
        beta: f32,
    }
}

pub(crate) static TILED: Kernel = Kernel {
    name: "matmul",
    body: part!("matmul.wgsl"),
    parts: &[BATCH, OPAQUE, TILE_ROWS],
    types: &[ANY_ELEMENT],
    tiles: TILE_HEADERS,
    too_large: &[(Elem::I64, TILE_HEADERS[0])],
    overrides: &[HAS_C, ROLLED, Override { name: "WORKGROUP_SIZE", values: WORKGROUPS }],
    params: RowParams::LAYOUT,
    bindings: BINDINGS,
    epilogue: ELEMENT_EPILOGUE,
    in_place: Some(4),
    ..Kernel::BASE
};

pub(crate) static VECTOR: Kernel = Kernel {
    name: "matmul_vector",
    body: part!("matmul_vector.wgsl"),
    parts: &[BATCH, OPAQUE],
    types: &[ANY_ELEMENT],
    tiles: FEW_ROWS_HEADERS,
    overrides: &[
        Override { name: "COLUMNS", values: &[SOFTWARE_SLICES[0], GPU_SLICES[0]] },
        Override { name: "SLICES", values: &[SOFTWARE_SLICES[1], GPU_SLICES[1]] },
        HAS_C,
    ],
    params: RowParams::LAYOUT,
    bindings: BINDINGS,
    epilogue: ELEMENT_EPILOGUE,
    in_place: Some(4),
    ..Kernel::BASE
};

pub(crate) static VECTOR_SUBGROUP: Kernel = Kernel {
    name: "matmul_vector_subgroup",
    body: part!("matmul_vector_subgroup.wgsl"),
    types: &[FLOAT_ELEMENT],
    overrides: &[HAS_C],
    subgroups: Subgroups::Exactly(SUBGROUP),
    ..VECTOR
};

params! {
    pub(crate) struct ElementParams {
        batch: [u32; 4],
        a_batch: [u32; 4],
        b_batch: [u32; 4],
        rows: u32,
        columns: u32,
        inner: u32,
        a_row: u32,
        a_inner: u32,
        b_inner: u32,
        b_column: u32,
        c_row: u32,
        c_column: u32,
        alpha: f32,
        beta: f32,
    }
}

pub(crate) static DIRECT: Kernel = Kernel {
    name: "matmul_direct",
    body: part!("matmul_direct.wgsl"),
    parts: &[BATCH, INDEX],
    types: &[ANY_ELEMENT],
    tiles: &[],
    overrides: &[HAS_C, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: ElementParams::LAYOUT,
    bindings: BINDINGS,
    epilogue: ELEMENT_EPILOGUE,
    in_place: Some(4),
    ..Kernel::BASE
};
