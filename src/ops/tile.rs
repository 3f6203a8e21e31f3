//! Register tiles, shared by the kernels of convolution and matrix products.

use crate::plan::{Override, Part, WORKGROUP_SIZE, part};

/// A register tile: its header, rows, and columns in vectors of four.
pub(crate) struct Tile {
    pub header: Part,
    pub rows: usize,
    pub vectors: usize,
}

/// The tiles, tallest first.
const TILES: [Tile; 3] = [
    Tile { header: part!("tiles/rows_16_vectors_2.wgsl"), rows: 16, vectors: 2 },
    Tile { header: part!("tiles/rows_8_vectors_2.wgsl"), rows: 8, vectors: 2 },
    Tile { header: part!("tiles/rows_4_vectors_1.wgsl"), rows: 4, vectors: 1 },
];

/// The tiles of kernels whose subgroup shares its loads, tallest first.
const SUBGROUP_TILES: [Tile; 4] = [
    Tile { header: part!("tiles/rows_64_vectors_1.wgsl"), rows: 64, vectors: 1 },
    Tile { header: part!("tiles/rows_32_vectors_2.wgsl"), rows: 32, vectors: 2 },
    Tile { header: part!("tiles/rows_32_vectors_1.wgsl"), rows: 32, vectors: 1 },
    Tile { header: part!("tiles/rows_16_vectors_2.wgsl"), rows: 16, vectors: 2 },
];

/// The headers of [`SubgroupTiles`], for a kernel's table.
pub(crate) const SUBGROUP_TILE_HEADERS: &[Part] =
    &[SUBGROUP_TILES[0].header, SUBGROUP_TILES[1].header, SUBGROUP_TILES[2].header, SUBGROUP_TILES[3].header];

/// Register tiles of a subgroup whose lanes share their loads.
pub(crate) const LANE_TILE: Part = part!("shared/lane_tile.wgsl");

/// The lanes of `shared/lane_tile.wgsl`.
pub(crate) const SUBGROUP: u32 = 8;

/// The steps of the inner dimension that `shared/lane_tile.wgsl` has in registers.
pub(crate) const SUBGROUP_DEPTH: usize = 4;

/// The headers of all tiles, for a kernel's table.
pub(crate) const TILE_HEADERS: &[Part] = &[TILES[0].header, TILES[1].header, TILES[2].header];

/// The SIMD width of a software device.
const SOFTWARE_WORKGROUP: u32 = 8;

/// `tile_vector`, and the override [`ROLLED`].
pub(crate) const TILE_ROWS: Part = part!("shared/tile_rows.wgsl");

/// Whether the rows of a tile go through one copy of the epilogue: on a software device, whose compiler is slow.
pub(crate) const ROLLED: Override = Override { name: "ROLLED", values: &[0, 1] };

/// The sizes that a workgroup of a tiled kernel may have.
pub(crate) const WORKGROUPS: &[u32] = &[SOFTWARE_WORKGROUP, WORKGROUP_SIZE];

/// Invocations of a workgroup: the SIMD width of a software device, a few subgroups of a GPU.
pub(crate) fn workgroup_size(software: bool) -> u32 {
    if software { SOFTWARE_WORKGROUP } else { WORKGROUP_SIZE }
}

/// How a kernel whose subgroup shares its loads fills its tiles, for the choice of one.
pub(crate) struct SubgroupTiles {
    /// Rows of the product.
    pub rows: usize,
    /// Columns of the product.
    pub columns: usize,
    /// Steps of the inner dimension, of all products of this kind together.
    pub steps: usize,
    /// Columns of a tile that only lend what they have loaded.
    pub lent: usize,
    /// What a vector of columns costs to load, in instructions of Mesa's software driver.
    pub vector_cost: usize,
}

impl SubgroupTiles {
    /// A vector that is loaded at once.
    pub const VECTOR: usize = 290;
    /// A vector of four single loads.
    pub const SCALARS: usize = 800;
    /// A vector that is put together of two.
    pub const SHIFTED: usize = Self::VECTOR + 25;

    /// The columns that a tile owns.
    pub fn columns_of(&self, tile: &Tile) -> usize {
        4 * tile.vectors * SUBGROUP as usize - self.lent
    }

    /// What a vector of products costs a subgroup, with its part of the load, the store and the mask of its sum.
    pub const PRODUCT: usize = 11;

    /// The instructions of a product with so many steps.
    pub fn cost(&self, tile: &Tile, inner: usize) -> usize {
        let loads = tile.rows * SUBGROUP_DEPTH / 32 * Self::VECTOR + SUBGROUP_DEPTH * tile.vectors * self.vector_cost;
        let products = SUBGROUP_DEPTH * tile.rows * tile.vectors * Self::PRODUCT;
        let workgroups = self.rows.div_ceil(tile.rows) * self.columns.div_ceil(self.columns_of(tile));
        inner.div_ceil(SUBGROUP_DEPTH) * workgroups * (loads + products)
    }

    /// The multiply-adds from which a tile of more than 32 vectors, a third of a second to compile, pays in few runs.
    const LARGE: usize = 1 << 25;

    /// The tile that takes the fewest instructions: tall and wide ones load less for each product, and pad more.
    pub fn best(&self) -> &'static Tile {
        const ALL: &[Tile] = &SUBGROUP_TILES;
        let large = self.rows * self.columns * self.steps >= Self::LARGE;
        ALL.iter().filter(|t| large || t.rows * t.vectors <= 32).min_by_key(|t| self.cost(t, 1)).unwrap_or(&ALL[0])
    }

    /// The lowest tile that has all rows, where there is one.
    pub fn single(&self) -> Option<&'static Tile> {
        const ALL: &[Tile] = &SUBGROUP_TILES;
        ALL.iter().filter(|t| t.rows >= self.rows).min_by_key(|t| self.cost(t, 1))
    }
}

impl Tile {
    /// The rows of the tallest tile.
    pub const TALLEST: usize = 64;

    /// The tallest tile that so many rows fill at least half, else the lowest.
    pub fn for_rows(rows: usize) -> &'static Tile {
        const LOWEST: &Tile = &TILES[TILES.len() - 1];
        const ALL: &[Tile] = &TILES;
        ALL.iter().find(|t| t.rows < 2 * rows).unwrap_or(LOWEST)
    }

    /// Eight rows by eight columns.
    pub fn square() -> &'static Tile {
        const SQUARE: &Tile = &TILES[1];
        SQUARE
    }

    /// Four rows by four columns.
    pub fn smallest() -> &'static Tile {
        const SMALLEST: &Tile = &TILES[2];
        SMALLEST
    }
}
