//! Copies that turn rows into columns: by blocks of four vectors in registers, or by tiles through workgroup memory.

use super::strided_copy::Unbound;
use super::{AXES, axes_override};
use crate::ops::tile::{WORKGROUPS, workgroup_size};
use crate::plan::{
    ANY_ELEMENT, Access, Collapsed, Dispatch, Elem, INDEX, Kernel, Override, Variant, dims_array, params, part, workgroups_1d,
};

params! {
    pub(crate) struct TransposeBlocksParams {
        dims: [[u32; 4]; 2],
        input_strides: [[u32; 4]; 2],
        output_strides: [[u32; 4]; 2],
        batches: u32,
        rows: u32,
        columns: u32,
        row: u32,
        column: u32,
        run: u32,
        runs: u32,
        input_offset: u32,
        output_offset: u32,
    }
}

pub(crate) static TRANSPOSE_BLOCKS: Kernel = Kernel {
    name: "transpose_blocks",
    body: part!("transpose_blocks.wgsl"),
    parts: &[INDEX],
    types: &[ANY_ELEMENT],
    overrides: &[AXES, Override { name: "WORKGROUP_SIZE", values: WORKGROUPS }],
    params: TransposeBlocksParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

params! {
    pub(crate) struct TransposeTilesParams {
        dims: [[u32; 4]; 2],
        input_strides: [[u32; 4]; 2],
        output_strides: [[u32; 4]; 2],
        rows: u32,
        columns: u32,
        row: u32,
        column: u32,
        input_offset: u32,
        output_offset: u32,
    }
}

pub(crate) static TRANSPOSE_TILES: Kernel = Kernel {
    name: "transpose_tiles",
    body: part!("transpose_tiles.wgsl"),
    types: &[ANY_ELEMENT],
    overrides: &[AXES],
    params: TransposeTilesParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

/// Rows and columns of a tile, `TILE` of the shader.
const TILE: usize = 32;

/// Rows and columns from which a tile is worth its barrier.
const WIDE: usize = 8;

/// Blocks side by side that one invocation owns at most.
const RUN: usize = 64;

/// Invocations that keep a software device busy.
const ENOUGH: usize = 128;

/// How many elements a dispatch of a kernel that turns rows into columns copies; `None` for other kernels.
pub(super) fn turned<B>(dispatch: &Dispatch<B>) -> Option<u64> {
    let product = |dims: [[u32; 4]; 2], extents: [u32; 2]| dims.iter().flatten().chain(&extents).map(|&n| u64::from(n)).product::<u64>();
    if dispatch.variant.kernel == &TRANSPOSE_BLOCKS {
        let params: TransposeBlocksParams = bytemuck::try_pod_read_unaligned(&dispatch.params).ok()?;
        return Some(16 * product(params.dims, [params.rows, params.columns]));
    }
    if dispatch.variant.kernel == &TRANSPOSE_TILES {
        let params: TransposeTilesParams = bytemuck::try_pod_read_unaligned(&dispatch.params).ok()?;
        return Some(product(params.dims, [params.rows, params.columns]));
    }
    None
}

/// A copy whose innermost axis is another one in its input.
pub(super) struct Turned<'a> {
    pub space: &'a Collapsed,
    /// The axis that is contiguous in the input.
    pub row: usize,
    /// The axis that is contiguous in the output, the last one.
    pub column: usize,
    /// The axes beside these.
    pub others: Vec<usize>,
    /// Where input and output begin, in elements.
    pub offsets: [usize; 2],
}

impl<'a> Turned<'a> {
    pub fn of(space: &'a Collapsed, offsets: [usize; 2]) -> Option<Self> {
        let column = space.dims.len() - 1;
        let row = space.strides[0].iter().position(|&stride| stride == 1);
        let row = row.filter(|&row| row != column && space.strides[1][column] == 1)?;
        Some(Self { space, row, column, others: (0..column).filter(|&axis| axis != row).collect(), offsets })
    }

    /// The extents of the axes beside rows and columns.
    pub fn dims(&self) -> Option<[[u32; 4]; 2]> {
        dims_array(self.others.iter().map(|&axis| self.space.dims[axis] as i64), 1)
    }

    /// The strides of an operand along these axes, in units of so many elements.
    pub fn strides(&self, operand: usize, unit: i64) -> Option<[[u32; 4]; 2]> {
        dims_array(self.others.iter().map(|&axis| self.space.strides[operand][axis] / unit), 0)
    }

    pub fn batches(&self) -> usize {
        self.others.iter().map(|&axis| self.space.dims[axis]).product()
    }

    /// Whether all strides of an operand but the one along `unit` are multiples of four.
    pub fn whole(&self, operand: usize, unit: usize) -> bool {
        let strides = &self.space.strides[operand];
        (0..strides.len()).all(|axis| axis == unit || strides[axis] % 4 == 0)
    }

    pub fn axes(&self) -> Option<u32> {
        axes_override(self.others.len().max(1)).ok()
    }
}

/// By blocks, where everything is a multiple of four elements: what a software device is best at.
pub(super) fn blocks(space: &Collapsed, offsets: [usize; 2], elem: Elem, max_workgroups: u32) -> Option<Unbound> {
    let turned = Turned::of(space, offsets)?;
    let (row, column) = (turned.row, turned.column);
    let [input, output] = [&space.strides[0], &space.strides[1]];
    let fours = [space.dims[row], space.dims[column], offsets[0], offsets[1]].iter().all(|n| n.is_multiple_of(4));
    if !fours || !turned.whole(0, row) || !turned.whole(1, column) {
        return None;
    }
    let (batches, rows, columns) = (turned.batches(), space.dims[row] / 4, space.dims[column] / 4);
    let run = (batches * rows * columns / ENOUGH).clamp(1, RUN).min(columns);
    let runs = columns.div_ceil(run);
    let params = TransposeBlocksParams {
        dims: turned.dims()?,
        input_strides: turned.strides(0, 4)?,
        output_strides: turned.strides(1, 4)?,
        batches: batches as u32,
        rows: rows as u32,
        columns: columns as u32,
        row: (output[row] / 4) as u32,
        column: (input[column] / 4) as u32,
        run: run as u32,
        runs: runs as u32,
        input_offset: (offsets[0] / 4) as u32,
        output_offset: (offsets[1] / 4) as u32,
    };
    let size = workgroup_size(true);
    let workgroups = workgroups_1d(batches * rows * runs, size as usize, max_workgroups)?;
    let variant = Variant::new(&TRANSPOSE_BLOCKS, vec![elem], None, vec![turned.axes()?, size]);
    Some((variant, bytemuck::bytes_of(&params).to_vec(), workgroups))
}

/// By tiles, where there are enough rows and columns: what a GPU is best at.
pub(super) fn tiles(space: &Collapsed, offsets: [usize; 2], elem: Elem) -> Option<Unbound> {
    let turned = Turned::of(space, offsets)?;
    let (rows, columns) = (space.dims[turned.row], space.dims[turned.column]);
    if rows < WIDE || columns < WIDE {
        return None;
    }
    let params = TransposeTilesParams {
        dims: turned.dims()?,
        input_strides: turned.strides(0, 1)?,
        output_strides: turned.strides(1, 1)?,
        rows: rows as u32,
        columns: columns as u32,
        row: space.strides[1][turned.row] as u32,
        column: space.strides[0][turned.column] as u32,
        input_offset: turned.offsets[0] as u32,
        output_offset: turned.offsets[1] as u32,
    };
    let workgroups = [rows.div_ceil(TILE) as u32, columns.div_ceil(TILE) as u32, u32::try_from(turned.batches()).ok()?];
    let variant = Variant::new(&TRANSPOSE_TILES, vec![elem], None, vec![turned.axes()?]);
    Some((variant, bytemuck::bytes_of(&params).to_vec(), workgroups))
}
