//! Matrix products on GPUs, in blocks that go through workgroup memory.

use super::kernels::{BATCH, BINDINGS, ElementParams, HAS_C};
use super::lower::Lowerer;
use crate::ops::fused::ELEMENT_EPILOGUE;
use crate::ops::tile::{BLOCK_HEADERS, BLOCKS, Block, BlockedProduct, ROLLED, TILE_ROWS, Tile};
use crate::plan::{Arg, FLOAT_ELEMENT, Kernel, Lowering, OPAQUE, Override, Variant, part};

pub(crate) static BLOCK: Kernel = Kernel {
    name: "matmul_block",
    body: part!("matmul_block.wgsl"),
    parts: &[BATCH, OPAQUE, TILE_ROWS],
    types: &[FLOAT_ELEMENT],
    tiles: BLOCK_HEADERS,
    overrides: &[HAS_C, Override { name: "A_INNER", values: &[0, 1] }, Override { name: "B_INNER", values: &[0, 1] }, ROLLED],
    params: ElementParams::LAYOUT,
    bindings: BINDINGS,
    epilogue: ELEMENT_EPILOGUE,
    in_place: Some(4),
    ..Kernel::BASE
};

/// How often the least cost a block may cost to be worth a try.
const MOST_COST: usize = 4;

impl Lowerer<'_> {
    fn blocked(&self) -> BlockedProduct {
        let p = &self.product;
        BlockedProduct { rows: p.rows, columns: p.columns, products: self.batches(), runs: 1, run: p.inner }
    }

    /// What the kernel without workgroup memory costs on a tile.
    pub(super) fn register_cost(&self, tile: &Tile) -> usize {
        self.blocked().cost(&tile.block(), 1)
    }

    /// Every block that a product is large enough for, and what it costs a GPU; the cheapest first.
    pub(super) fn blocks(&self) -> Vec<(usize, Lowering)> {
        const ALL: &[Block] = &BLOCKS;
        let p = &self.product;
        // Inside a turn of a block are loops that a software device may count as well.
        if !self.is_float() || self.context.capabilities.check_iterations(10 * p.inner).is_err() {
            return vec![];
        }
        let product = self.blocked();
        let mut all: Vec<_> = ALL.iter().filter(|block| p.inner >= block.depth).map(|block| (product.cost(block, 1), block)).collect();
        all.sort_by_key(|(cost, _)| *cost);
        let least = all.first().map_or(0, |(cost, _)| *cost);
        let worth = all.into_iter().take_while(|(cost, _)| *cost <= least.saturating_mul(MOST_COST));
        worth.map(|(cost, block)| (cost, self.block(&product, block))).collect()
    }

    fn block(&self, product: &BlockedProduct, block: &Block) -> Lowering {
        let p = &self.product;
        // Neighbours read along the inner axis where its elements are closer than those of the other one.
        let along_inner = [p.a.column < p.a.row, p.b.row < p.b.column].map(u32::from);
        let overrides = vec![p.c.is_some().into(), along_inner[0], along_inner[1], self.software().into()];
        let variant = Variant::new(&BLOCK, vec![self.elem], Some(block.header), overrides);
        let [rows, columns] = product.blocks(block);
        let workgroups = [rows, columns, self.batches()].map(|n| n as u32);
        Lowering::single(variant, &self.element_params(), self.bindings(Arg::Input(1)), workgroups)
    }
}
