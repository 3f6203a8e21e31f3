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

    /// How many times the best tile's instructions another may take to be worth a measurement.
    const RIVAL: f64 = 1.4;

    /// The tiles worth a measurement, the one that takes the fewest instructions first: tall and wide ones load less for each product, and
    /// pad more.
    pub fn ranked(&self) -> Vec<&'static Tile> {
        const ALL: &[Tile] = &SUBGROUP_TILES;
        let large = self.rows * self.columns * self.steps >= Self::LARGE;
        let mut tiles: Vec<_> = ALL.iter().filter(|t| large || t.rows * t.vectors <= 32).collect();
        tiles.sort_by_key(|tile| self.cost(tile, 1));
        let most = Self::RIVAL * self.cost(tiles[0], 1) as f64;
        tiles.retain(|tile| self.cost(tile, 1) as f64 <= most);
        tiles
    }

    /// The tile that takes the fewest instructions.
    pub fn best(&self) -> &'static Tile {
        self.ranked()[0]
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

    /// What a workgroup of a GPU owns: each load of a vector serves the rows of one invocation only.
    pub fn block(&self) -> Block {
        let invocations = WORKGROUP_SIZE as usize;
        Block { header: self.header, rows: self.rows, columns: 4 * self.vectors * invocations, depth: 1, invocations }
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

/// A tile of a matrix product that a workgroup of a GPU brings into workgroup memory, some steps of the inner dimension at a time.
#[derive(Debug)]
pub(crate) struct Block {
    pub header: Part,
    pub rows: usize,
    pub columns: usize,
    /// Steps of the inner dimension that are in workgroup memory; 1 for a tile that needs none.
    pub depth: usize,
    pub invocations: usize,
}

impl Block {
    /// The rows of the tallest block.
    pub const TALLEST: usize = 128;
}

/// The blocks; the last one leaves a kernel few registers for addresses.
pub(crate) const BLOCKS: [Block; 6] = [
    Block { header: part!("tiles/block_128x128x16.wgsl"), rows: 128, columns: 128, depth: 16, invocations: 256 },
    Block { header: part!("tiles/block_128x64x16.wgsl"), rows: 128, columns: 64, depth: 16, invocations: 128 },
    Block { header: part!("tiles/block_64x64x8.wgsl"), rows: 64, columns: 64, depth: 8, invocations: 64 },
    Block { header: part!("tiles/block_64x32x32.wgsl"), rows: 64, columns: 32, depth: 32, invocations: 64 },
    Block { header: part!("tiles/block_32x256x8.wgsl"), rows: 32, columns: 256, depth: 8, invocations: 128 },
    Block { header: part!("tiles/block_64x64x16.wgsl"), rows: 64, columns: 64, depth: 16, invocations: 64 },
];

/// The headers of [`BLOCKS`], for a kernel's table.
pub(crate) const BLOCK_HEADERS: &[Part] =
    &[BLOCKS[0].header, BLOCKS[1].header, BLOCKS[2].header, BLOCKS[3].header, BLOCKS[4].header, BLOCKS[5].header];

/// A matrix product on a GPU, for the choice of a block: what it costs by the number of instructions.
///
/// Where too few workgroups fill the device, a product costs as if they did; it may be cut into slices of its inner dimension then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockedProduct {
    pub rows: usize,
    pub columns: usize,
    /// Products of this kind.
    pub products: usize,
    /// Runs that the inner dimension is made of, each padded to whole steps of a block.
    pub runs: usize,
    /// Steps of a run.
    pub run: usize,
}

impl BlockedProduct {
    /// Invocations that keep a GPU busy, of which its API tells nothing: 64 compute units of 256. Ones with 16 to 130 are in use.
    const WIDTH: usize = 64 * 256;
    /// An element on its way to registers, through workgroup memory or not.
    const LOAD: usize = 8;
    /// An element of the output.
    const STORE: usize = 8;
    /// The barriers between two turns of a block.
    const BARRIERS: usize = 64;
    /// A dispatch that waits for another: some three microseconds.
    const DISPATCH: usize = 8192;
    /// The turns that a slice has at least.
    const SLICE_TURNS: usize = 4;

    /// Turns that bring whole blocks into workgroup memory.
    pub fn turns(&self, block: &Block) -> usize {
        self.runs * self.run.div_ceil(block.depth)
    }

    /// Blocks of a product, along its rows and its columns.
    pub fn blocks(&self, block: &Block) -> [usize; 2] {
        [self.rows.div_ceil(block.rows), self.columns.div_ceil(block.columns)]
    }

    /// What all invocations take, in instructions, the sum over several slices included.
    pub fn cost(&self, block: &Block, slices: usize) -> usize {
        let outputs = block.rows * block.columns / block.invocations;
        let loads = (Self::LOAD * (block.rows + block.columns)).div_ceil(block.invocations);
        let turn = block.depth * (outputs + loads) + if block.depth > 1 { Self::BARRIERS } else { 0 };
        let instructions = self.turns(block).div_ceil(slices).saturating_mul(turn) + Self::STORE * outputs;
        let [rows, columns] = self.blocks(block);
        let invocations = [rows, columns, self.products, slices].into_iter().fold(block.invocations, usize::saturating_mul);
        let elements = self.rows.saturating_mul(self.columns).saturating_mul(self.products);
        let sum = if slices > 1 { Self::following(elements, slices + 1) } else { 0 };
        invocations.max(Self::WIDTH).saturating_mul(instructions).saturating_add(sum)
    }

    /// What a dispatch that waits for another takes, of so many invocations that load and store so many elements or vectors each.
    pub fn following(invocations: usize, moved: usize) -> usize {
        Self::WIDTH * Self::DISPATCH + invocations.max(Self::WIDTH).saturating_mul(Self::LOAD * moved)
    }

    /// The block that costs least.
    pub fn best(&self) -> &'static Block {
        const ALL: &[Block] = &BLOCKS;
        ALL.iter().min_by_key(|block| self.cost(block, 1)).unwrap_or(&ALL[0])
    }

    /// The number of slices, each of several turns, that costs least; 1 where the blocks keep half the device busy as they are.
    pub fn slices(&self, block: &Block) -> usize {
        let turns = self.turns(block);
        let [rows, columns] = self.blocks(block);
        let few = [rows, columns, self.products, 2].into_iter().fold(block.invocations, usize::saturating_mul) <= Self::WIDTH;
        let several = [2, 4, 8, 16, 32].into_iter().filter(|slices| few && turns >= Self::SLICE_TURNS * slices);
        // Slices of whole turns, none of them empty.
        let even = several.map(|slices| turns.div_ceil(turns.div_ceil(slices)));
        even.chain([1]).min_by_key(|&slices| (self.cost(block, slices), slices)).unwrap_or(1)
    }
}
