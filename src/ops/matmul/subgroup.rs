//! Matrix products on software devices, whose subgroups share their loads.

use super::kernels::{BATCH, BINDINGS};
use super::lower::{Columns, Lowerer};
use crate::ops::fused::{COLUMN_EPILOGUE, ELEMENT_EPILOGUE};
use crate::ops::tile::{LANE_TILE, SUBGROUP, SUBGROUP_DEPTH, SubgroupTiles, Tile};
use crate::plan::{Arg, Dispatch, FLOAT_ELEMENT, Kernel, Lowering, OPAQUE, Override, Packing, Part, Subgroups, Variant, params, part};

const LANE_MATRICES: Part = part!("shared/lane_matrices.wgsl");

const A_SHIFTED: Override = Override { name: "A_SHIFTED", values: &[0, 1] };
const ADDENDS: Override = Override { name: "ADDENDS", values: &[0, 1, 2] };

params! {
    pub(crate) struct SubgroupParams {
        batch: [u32; 4],
        a_batch: [u32; 4],
        b_batch: [u32; 4],
        rows: u32,
        columns: u32,
        inner: u32,
        a_row: u32,
        a_vectors: u32,
        b_row: u32,
        b_panel: u32,
        b_vectors: u32,
        c_row: u32,
        c_column: u32,
        y_row: u32,
        first_column: u32,
        alpha: f32,
        beta: f32,
    }
}

pub(crate) static SUBGROUP_VECTORS: Kernel = Kernel {
    name: "matmul_subgroup",
    body: part!("matmul_subgroup.wgsl"),
    parts: &[BATCH, OPAQUE, LANE_TILE, LANE_MATRICES],
    types: &[FLOAT_ELEMENT],
    tiles: HEADERS,
    overrides: &[A_SHIFTED, Override { name: "B_LAYOUT", values: &[Layout::Vectors as u32, Layout::Transposed as u32] }, ADDENDS],
    params: SubgroupParams::LAYOUT,
    bindings: BINDINGS,
    subgroups: Subgroups::Exactly(SUBGROUP),
    epilogue: COLUMN_EPILOGUE,
    in_place: Some(4),
    ..Kernel::BASE
};

pub(crate) static SUBGROUP_ELEMENTS: Kernel = Kernel {
    name: "matmul_subgroup_elements",
    body: part!("matmul_subgroup_elements.wgsl"),
    overrides: &[
        A_SHIFTED,
        Override { name: "B_LAYOUT", values: &[Layout::Vectors as u32, Layout::Shifted as u32, Layout::Transposed as u32] },
        ADDENDS,
    ],
    epilogue: ELEMENT_EPILOGUE,
    ..SUBGROUP_VECTORS
};

/// The tiles, tallest first.
const TILES: [Tile; 5] = [
    Tile { header: part!("tiles/rows_64_vectors_1.wgsl"), rows: 64, vectors: 1 },
    Tile { header: part!("tiles/rows_32_vectors_2.wgsl"), rows: 32, vectors: 2 },
    Tile { header: part!("tiles/rows_32_vectors_1.wgsl"), rows: 32, vectors: 1 },
    Tile { header: part!("tiles/rows_16_vectors_2.wgsl"), rows: 16, vectors: 2 },
    Tile { header: part!("tiles/rows_8_vectors_2.wgsl"), rows: 8, vectors: 2 },
];
const HEADERS: &[Part] = &[TILES[0].header, TILES[1].header, TILES[2].header, TILES[3].header, TILES[4].header];

/// The multiply-adds from which a tile of more than 32 vectors, a third of a second to compile, pays in few runs.
const LARGE: usize = 1 << 25;

/// `B_LAYOUT` of `shared/lane_matrices.wgsl`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Layout {
    Vectors = 0,
    Shifted = 1,
    Transposed = 2,
}

impl Lowerer<'_> {
    /// For rows of `A` and rows or columns of `B` that are dense; `None` for others and for integers.
    pub(super) fn subgroup(&self) -> Option<Lowering> {
        let p = &self.product;
        if !self.is_float() || p.a.column != 1 && p.inner > 1 {
            return None;
        }
        let whole = p.columns.is_multiple_of(4);
        let layout = match (self.constant_b, p.b.column == 1, p.b.row == 1) {
            (true, _, _) => Layout::Vectors,
            (false, true, _) if whole && p.b.row == p.columns => Layout::Vectors,
            (false, true, _) => Layout::Shifted,
            (false, false, true) if multiple_of_four(p.b.column, self.b_batch) && p.inner.is_multiple_of(4) => Layout::Transposed,
            _ => return None,
        };
        let tile = self.subgroup_tile(layout);
        let width = 4 * tile.vectors * SUBGROUP as usize;
        let parts = match self.constant_b {
            true => self.panels_of_b(width),
            false => vec![Columns { b: Arg::Input(1), first: 0, count: p.columns }],
        };
        let dispatches = parts.iter().map(|columns| self.subgroup_dispatch(columns, layout, tile)).collect();
        Some(Lowering { dispatches, scratch: vec![] })
    }

    /// The constant `B` in panels of columns, split where no binding holds it whole.
    pub(super) fn panels_of_b(&self, width: usize) -> Vec<Columns> {
        let p = &self.product;
        let groups = self.matrices_of_b();
        let panel = (groups * p.inner * width * self.elem.size()).max(1);
        let most = (self.context.capabilities.max_binding as usize / panel).max(1) * width;
        // Matrices of a batch are not split: a part would have some columns of each.
        let most = if groups == 1 { most } else { p.columns };
        let part = |first| {
            let count = most.min(p.columns - first);
            let packing = Packing::Panels { groups, rows: p.inner, columns: p.columns, transposed: p.b.column != 1, first, count, width };
            Columns { b: Arg::Packed(1, packing), first, count }
        };
        (0..p.columns).step_by(most).map(part).collect()
    }

    /// The matrices in input 1.
    pub(super) fn matrices_of_b(&self) -> usize {
        let p = &self.product;
        self.context.inputs.get(1).map_or(1, |b| b.shape.elements() / (p.inner * p.columns).max(1))
    }

    /// The tile that takes the fewest instructions.
    fn subgroup_tile(&self, layout: Layout) -> &'static Tile {
        const ALL: &[Tile] = &TILES;
        let p = &self.product;
        let products = self.batches() * p.rows * p.columns * p.inner;
        let vector = if layout == Layout::Shifted { SubgroupTiles::SHIFTED } else { SubgroupTiles::VECTOR };
        let store = if p.columns.is_multiple_of(4) { SubgroupTiles::VECTOR } else { SubgroupTiles::SCALARS };
        let cost = |tile: &Tile| {
            let loads = tile.rows.div_ceil(SUBGROUP as usize) * SubgroupTiles::VECTOR + SUBGROUP_DEPTH * tile.vectors * vector;
            let sums = SUBGROUP_DEPTH * tile.rows * tile.vectors * SubgroupTiles::PRODUCT;
            let workgroups = p.rows.div_ceil(tile.rows) * p.columns.div_ceil(panel(tile, layout));
            workgroups * p.inner.div_ceil(SUBGROUP_DEPTH) * (loads + sums) + p.rows * p.columns.div_ceil(4 * SUBGROUP as usize) * store
        };
        // What is shifted leaves no registers for the largest tiles.
        let large = products >= LARGE && layout != Layout::Shifted;
        ALL.iter().filter(|t| large || t.rows * t.vectors <= 32).min_by_key(|t| cost(t)).unwrap_or(&ALL[0])
    }

    fn subgroup_dispatch(&self, columns: &Columns, layout: Layout, tile: &Tile) -> Dispatch<Arg> {
        let p = &self.product;
        let [c_row, c_column] = p.c.unwrap_or([0, 0]).map(|s| s as u32);
        let width = 4 * tile.vectors * SUBGROUP as usize;
        let elements = |input: usize| self.context.inputs.get(input).map_or(0, |o| o.shape.elements());
        let matrix = (p.inner * p.columns).max(1) as u32;
        let padded = columns.count.next_multiple_of(width);
        // Strides along the batch, of rows and of panels, and the vectors that there are.
        let (b_batch, b_row, b_panel, b_vectors) = match (self.constant_b, layout) {
            (true, _) => {
                let batch = self.b_batch.map(|stride| stride / matrix * (p.inner * padded / 4) as u32);
                (batch, width / 4, p.inner * width / 4, padded / 4)
            }
            (false, Layout::Vectors) => (self.b_batch.map(|s| s / 4), p.b.row / 4, width / 4, p.columns / 4),
            (false, Layout::Shifted) => (self.b_batch, p.b.row, 0, elements(1).div_ceil(4)),
            (false, Layout::Transposed) => (self.b_batch.map(|s| s / 4), p.b.column / 4, 0, 1),
        };
        let params = SubgroupParams {
            batch: self.batch,
            a_batch: self.a_batch,
            b_batch,
            rows: p.rows as u32,
            columns: columns.count as u32,
            inner: p.inner as u32,
            a_row: p.a.row as u32,
            a_vectors: elements(0).div_ceil(4) as u32,
            b_row: b_row as u32,
            b_panel: b_panel as u32,
            b_vectors: b_vectors as u32,
            c_row,
            c_column,
            y_row: p.columns as u32,
            first_column: columns.first as u32,
            alpha: p.alpha,
            beta: p.beta,
        };
        let kernel = if p.columns.is_multiple_of(4) { &SUBGROUP_VECTORS } else { &SUBGROUP_ELEMENTS };
        let addends = p.c.map_or(0, |[row, _]| if row == 0 { 1 } else { 2 });
        let shifted = !multiple_of_four(p.a.row, self.a_batch);
        let variant = Variant::new(kernel, vec![self.elem], Some(tile.header), vec![shifted.into(), layout as u32, addends]);
        let workgroups = [p.rows.div_ceil(tile.rows), columns.count.div_ceil(panel(tile, layout)), self.batches()].map(|n| n as u32);
        let params = bytemuck::bytes_of(&params).to_vec();
        Dispatch { variant, params, bindings: self.bindings(columns.b.clone()), workgroups }
    }
}

/// The columns that a workgroup owns.
fn panel(tile: &Tile, layout: Layout) -> usize {
    4 * (tile.vectors * SUBGROUP as usize - usize::from(layout == Layout::Shifted))
}

/// Whether every row begins with a vector.
fn multiple_of_four(row: usize, batch: [u32; 4]) -> bool {
    row.is_multiple_of(4) && batch.iter().all(|stride| stride.is_multiple_of(4))
}
