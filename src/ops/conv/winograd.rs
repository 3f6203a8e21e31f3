//! Winograd convolution: F(2×2, 3×3) and F(4×4, 3×3), as a matrix product for each plane of the transformed tiles.

use super::Convolution;
use super::kernels::{POINTWISE, PointwiseParams};
use super::subgroup::{POINTWISE_SUBGROUP, PointwiseSubgroupParams};
use super::tiled::{Costed, POINTWISE_TILED, PointwiseTiledParams};
use crate::ops::fused::{ELEMENT_EPILOGUE, VECTOR_EPILOGUE};
use crate::ops::tile::{Block, BlockedProduct, ROLLED, SUBGROUP, SubgroupTiles, Tile, WORKGROUPS, workgroup_size};
use crate::plan::{Access, Arg, Dispatch, Elem, Kernel, LowerContext, Lowering, Override, Packing, Part, TypeRole, Variant, params, part};

/// Storing tiles in half precision loses more than the operator's tolerance.
const ELEMENT: TypeRole = TypeRole { role: "Element", allowed: &[Elem::F32] };
const TILES: &[Part] = &[part!("tiles/winograd_2.wgsl"), part!("tiles/winograd_4.wgsl")];
const OUTPUT: Part = part!("shared/winograd_output.wgsl");
const HAS_BIAS: Override = Override { name: "HAS_BIAS", values: &[0, 1] };
const WORKGROUP_SIZE: Override = Override { name: "WORKGROUP_SIZE", values: WORKGROUPS };

params! {
    pub(crate) struct InputParams {
        channels: u32,
        in_height: u32,
        in_width: u32,
        top: u32,
        left: u32,
        tile_rows: u32,
        row_vectors: u32,
        first_row: u32,
        vectors: u32,
        pitch: u32,
    }
}

pub(crate) static WINOGRAD_INPUT: Kernel = Kernel {
    name: "conv2d_winograd_input",
    body: part!("conv2d_winograd_input.wgsl"),
    types: &[ELEMENT],
    tiles: TILES,
    overrides: &[Override { name: "VECTORS", values: &[0, 1] }, WORKGROUP_SIZE],
    params: InputParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

params! {
    pub(crate) struct OutputParams {
        channels: u32,
        out_height: u32,
        out_width: u32,
        tile_rows: u32,
        row_vectors: u32,
        first_row: u32,
        vectors: u32,
        pitch: u32,
        plane: u32,
        inputs: u32,
        outputs: u32,
    }
}

pub(crate) static WINOGRAD_OUTPUT: Kernel = Kernel {
    name: "conv2d_winograd_output",
    body: part!("conv2d_winograd_output.wgsl"),
    parts: &[OUTPUT],
    types: &[ELEMENT],
    tiles: TILES,
    overrides: &[Override { name: "CHANNELS", values: &[0, 1] }, HAS_BIAS, ROLLED, WORKGROUP_SIZE],
    params: OutputParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Write],
    epilogue: ELEMENT_EPILOGUE,
    in_place: Some(3),
    ..Kernel::BASE
};

pub(crate) static WINOGRAD_OUTPUT_VECTORS: Kernel = Kernel {
    name: "conv2d_winograd_output_vectors",
    body: part!("conv2d_winograd_output_vectors.wgsl"),
    parts: &[OUTPUT],
    types: &[ELEMENT],
    tiles: TILES,
    overrides: &[HAS_BIAS, ROLLED, WORKGROUP_SIZE],
    params: OutputParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Write],
    epilogue: VECTOR_EPILOGUE,
    in_place: Some(3),
    ..Kernel::BASE
};

/// Bytes of transformed tiles, before and after the products, that a band of rows of tiles may have.
const BAND: u64 = 32 << 20;

/// A convolution's tiles: `outputs × outputs` each, four neighbours of a row in a vector.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Tiling {
    outputs: usize,
    /// Rows of tiles of an image.
    rows: usize,
    /// Vectors of a row.
    row_vectors: usize,
    /// Whether the products' columns are output channels and their rows tiles, not the other way round: for few tiles.
    channels_inner: bool,
}

/// The ways to tile a convolution that Winograd's algorithm can serve: 3×3, stride 1, no dilation, one group.
fn tilings(c: &Convolution) -> impl Iterator<Item = Tiling> {
    let place = &c.place;
    let flat = place.input[0] == 1 && place.output[0] == 1;
    let serves = flat && place.kernel == [1, 3, 3] && place.stride == [1; 3] && place.dilation == [1; 3] && c.groups == 1;
    let [_, height, width] = place.output;
    let ways = [(4, false), (4, true), (2, false), (2, true)].into_iter().filter(move |_| serves);
    ways.map(move |(outputs, channels_inner)| Tiling {
        outputs,
        rows: height.div_ceil(outputs),
        row_vectors: width.div_ceil(4 * outputs),
        channels_inner,
    })
}

impl Tiling {
    /// Planes of the transformed tiles.
    fn planes(&self) -> usize {
        (self.outputs + 2).pow(2)
    }

    fn header(&self) -> Part {
        TILES[usize::from(self.outputs == 4)]
    }
}

/// Winograd's algorithm for a convolution in `f32` of `x` with the node's constant input `w`, where a software device can have it: its ways,
/// the best first, and whether that is the best of all.
pub(super) fn lower(c: &Convolution, x: &Arg, w: usize, bias: &Arg, context: &LowerContext<'_>) -> (Vec<Lowering>, bool) {
    let kind = if context.capabilities.subgroup == SUBGROUP { Products::Subgroups } else { Products::Registers };
    let mut passes = passes(c, kind, context);
    passes.sort_by_key(Pass::cost);
    let best = passes.first().is_some_and(|pass| pass.cost() < direct_cost(c, kind));
    (passes.iter().map(|pass| pass.lowering(x, w, bias)).collect(), best)
}

/// The same for GPUs, each way with its cost.
pub(super) fn blocked(c: &Convolution, x: &Arg, w: usize, bias: &Arg, context: &LowerContext<'_>) -> Vec<Costed> {
    let passes = passes(c, Products::Blocks, context);
    passes.iter().map(|pass| (pass.cost(), pass.lowering(x, w, bias))).collect()
}

fn passes<'a>(c: &'a Convolution, kind: Products, context: &LowerContext<'_>) -> Vec<Pass<'a>> {
    if context.elem(context.outputs[0].dtype) != Ok(Elem::F32) {
        return vec![];
    }
    tilings(c).filter_map(|tiling| Pass::new(c, tiling, kind, context)).collect()
}

/// The products of a plane: `[M, C] × [C, tiles]`, or `[tiles, C] × [C, M]`.
fn products_of(c: &Convolution, tiling: Tiling, vectors: usize) -> SubgroupTiles {
    let (rows, columns) =
        if tiling.channels_inner { (4 * vectors, c.out_channels.next_multiple_of(4)) } else { (c.out_channels, 4 * vectors) };
    SubgroupTiles { rows, columns, steps: tiling.planes() * c.in_channels, lent: 0, vector_cost: SubgroupTiles::VECTOR }
}

/// The same on a GPU.
fn blocked_products(c: &Convolution, tiling: Tiling, vectors: usize) -> BlockedProduct {
    let SubgroupTiles { rows, columns, .. } = products_of(c, tiling, vectors);
    BlockedProduct { rows, columns, products: tiling.planes(), runs: 1, run: c.in_channels }
}

/// What transforming a plane's vector of tiles costs, in multiply-adds of the products: it is loaded once and stored once.
const TRANSFORM: usize = 20;

/// What a direct convolution costs a software device, in multiply-adds of vectors in the products.
fn direct_cost(c: &Convolution, kind: Products) -> usize {
    let pixels = c.place.output_elements();
    let cost = if kind == Products::Subgroups {
        let (rows, steps) = (c.out_channels, 9 * c.in_channels);
        let tiles = SubgroupTiles { rows, columns: pixels, steps, lent: 4, vector_cost: SubgroupTiles::SHIFTED };
        tiles.cost(tiles.best(), steps) * SUBGROUP as usize / SubgroupTiles::PRODUCT
    } else {
        let tile = Tile::for_rows(c.out_channels);
        whole(tile, c.out_channels, pixels.div_ceil(4), workgroup_size(true)) * 9 * c.in_channels
    };
    c.batch * cost
}

/// Vectors of outputs, tiles of registers and workgroups being whole.
fn whole(tile: &Tile, rows: usize, vectors: usize, workgroup: u32) -> usize {
    rows.next_multiple_of(tile.rows) * vectors.next_multiple_of(tile.vectors * workgroup as usize)
}

/// Which kernel computes the products.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Products {
    /// `conv2d_pointwise_subgroup`.
    Subgroups,
    /// `conv2d_pointwise`, on a software device.
    Registers,
    /// `conv2d_pointwise_tiled`, on a GPU.
    Blocks,
}

/// A tile of the products.
#[derive(Clone, Copy)]
struct ProductTile {
    header: Part,
    rows: usize,
    columns: usize,
}

/// Everything that the dispatches have in common.
struct Pass<'a> {
    c: &'a Convolution,
    tiling: Tiling,
    kind: Products,
    tile: ProductTile,
    /// What the products of a band cost, in the unit of their kind.
    products_cost: usize,
    software: bool,
    /// Rows of tiles that are computed together, of all images.
    band: usize,
    /// Vectors from a channel of the transformed input to the next.
    pitch: usize,
}

impl<'a> Pass<'a> {
    fn new(c: &'a Convolution, tiling: Tiling, kind: Products, context: &LowerContext<'_>) -> Option<Self> {
        let rows = c.batch * tiling.rows;
        let channels = c.in_channels.max(c.out_channels.next_multiple_of(4));
        // A band's rows may be padded to the rows of a tile of the products.
        let row_bytes = (16 * tiling.planes() * channels) as u64 * tiling.row_vectors as u64;
        let tallest = if kind == Products::Blocks { Block::TALLEST } else { Tile::TALLEST };
        let limit = BAND.min(context.capabilities.max_binding);
        let most = (limit.checked_sub((16 * tallest / 4 * tiling.planes() * channels) as u64)? / row_bytes) as usize;
        if most == 0 || tiling.channels_inner && most < rows {
            return None;
        }
        let band = rows.div_ceil(rows.div_ceil(most));
        let vectors = band * tiling.row_vectors;
        let products = products_of(c, tiling, vectors);
        let lanes = 4 * if kind == Products::Subgroups { SUBGROUP } else { workgroup_size(true) } as usize;
        let of_registers = |tile: &Tile, cost: usize| {
            (ProductTile { header: tile.header, rows: tile.rows, columns: tile.vectors * lanes }, tiling.planes() * cost)
        };
        let shared = |tile: &Tile| products.cost(tile, c.in_channels) * SUBGROUP as usize / SubgroupTiles::PRODUCT;
        let (tile, products_cost) = match kind {
            // Tiles of the transformed input are runs of their own, which the transform does not write: there may be one.
            Products::Subgroups => {
                let tile = if tiling.channels_inner { products.single()? } else { products.best() };
                of_registers(tile, shared(tile))
            }
            Products::Registers => {
                let tile = Tile::for_rows(products.rows);
                of_registers(tile, c.in_channels * whole(tile, products.rows, products.columns / 4, workgroup_size(true)))
            }
            Products::Blocks => {
                let products = blocked_products(c, tiling, vectors);
                let block = products.best();
                (ProductTile { header: block.header, rows: block.rows, columns: block.columns }, products.cost(block, 1))
            }
        };
        let pitch = if tiling.channels_inner { (4 * vectors).next_multiple_of(tile.rows) / 4 } else { vectors };
        // Inside a turn of a block are loops that a software device may count as well.
        let iterations = if kind == Products::Blocks { 10 * c.in_channels } else { 1 + c.in_channels };
        context.capabilities.check_iterations(iterations).ok()?;
        Some(Self { c, tiling, kind, tile, products_cost, software: context.capabilities.software, band, pitch })
    }

    /// What products and transforms cost: vectors of multiply-adds on a software device, else as [`BlockedProduct`] counts.
    fn cost(&self) -> usize {
        let (c, vectors) = (self.c, self.band * self.tiling.row_vectors);
        let transforms = match self.kind {
            Products::Blocks => {
                let each = |channels: usize| BlockedProduct::following(channels * vectors, 2 * self.tiling.planes());
                each(c.in_channels) + each(c.out_channels)
            }
            _ => self.tiling.planes() * TRANSFORM * (c.in_channels + c.out_channels) * vectors,
        };
        let bands = (c.batch * self.tiling.rows).div_ceil(self.band);
        bands.saturating_mul(self.products_cost.saturating_add(transforms))
    }

    fn lowering(&self, x: &Arg, w: usize, bias: &Arg) -> Lowering {
        let rows = self.c.batch * self.tiling.rows;
        let mut dispatches = vec![];
        for first in (0..rows).step_by(self.band) {
            let vectors = self.band.min(rows - first) * self.tiling.row_vectors;
            dispatches.push(self.input(x, first, vectors));
            dispatches.push(self.products(w, vectors));
            dispatches.push(self.output(bias, first, vectors));
        }
        let vectors = self.band * self.tiling.row_vectors;
        let transformed = self.c.in_channels * self.pitch;
        let products = if self.tiling.channels_inner { 4 * vectors * self.channel_vectors() } else { self.c.out_channels * vectors };
        let scratch = [transformed, products].map(|vectors| (16 * self.tiling.planes() * vectors) as u64).to_vec();
        Lowering { dispatches, scratch }
    }

    /// Vectors of output channels.
    fn channel_vectors(&self) -> usize {
        self.c.out_channels.div_ceil(4)
    }

    fn workgroup(&self) -> u32 {
        workgroup_size(self.kind != Products::Blocks)
    }

    /// The tiles of `vectors` vectors, from row `first` on, transformed into scratch 0.
    fn input(&self, x: &Arg, first: usize, vectors: usize) -> Dispatch<Arg> {
        let place = &self.c.place;
        let params = InputParams {
            channels: self.c.in_channels as u32,
            in_height: place.input[1] as u32,
            in_width: place.input[2] as u32,
            top: place.before[1] as u32,
            left: place.before[2] as u32,
            tile_rows: self.tiling.rows as u32,
            row_vectors: self.tiling.row_vectors as u32,
            first_row: first as u32,
            vectors: vectors as u32,
            pitch: if self.tiling.channels_inner { self.pitch } else { vectors } as u32,
        };
        let whole = place.input[2].is_multiple_of(4) && place.before[2] == 1;
        Dispatch {
            variant: self.variant(&WINOGRAD_INPUT, vec![whole.into(), self.workgroup()]),
            params: bytemuck::bytes_of(&params).to_vec(),
            bindings: vec![x.clone(), Arg::Scratch(0)],
            workgroups: [vectors.div_ceil(self.workgroup() as usize), self.c.in_channels, 1].map(|n| n as u32),
        }
    }

    /// The product of every plane, in scratch 1.
    fn products(&self, w: usize, vectors: usize) -> Dispatch<Arg> {
        let (c, tile) = (self.c, self.tile);
        let packed =
            |tile| Arg::Packed(w, Packing::Winograd { outputs: self.tiling.outputs, rows: c.out_channels, columns: c.in_channels, tile });
        let padded = c.out_channels.next_multiple_of(tile.rows);
        let products = products_of(c, self.tiling, vectors);
        let (pixels, weight, weight_vectors) = match (self.tiling.channels_inner, self.kind) {
            (true, _) => (packed(products.columns), Arg::Scratch(0), self.pitch),
            (false, Products::Subgroups) => (Arg::Scratch(0), packed(tile.rows), padded / 4),
            (false, _) => (Arg::Scratch(0), packed(padded), padded / 4),
        };
        let planes = self.tiling.planes();
        let [in_channels, out_channels, groups, vectors, weight_vectors] =
            [c.in_channels, products.rows, planes, products.columns / 4, weight_vectors].map(|n| n as u32);
        let rolled = u32::from(self.software);
        let (kernel, overrides, params) = match self.kind {
            Products::Subgroups => {
                let params = PointwiseSubgroupParams { in_channels, out_channels, groups, vectors };
                (&POINTWISE_SUBGROUP, vec![0], bytemuck::bytes_of(&params).to_vec())
            }
            Products::Registers => {
                let params = PointwiseParams { in_channels, out_channels, groups, vectors, weight_vectors };
                (&POINTWISE, vec![0, rolled, self.workgroup()], bytemuck::bytes_of(&params).to_vec())
            }
            Products::Blocks => {
                let (columns, slices, slice_channels) = (vectors, 1, in_channels);
                let params =
                    PointwiseTiledParams { in_channels, out_channels, groups, vectors, columns, weight_vectors, slices, slice_channels };
                (&POINTWISE_TILED, vec![0, rolled], bytemuck::bytes_of(&params).to_vec())
            }
        };
        Dispatch {
            variant: Variant::new(kernel, vec![Elem::F32], Some(tile.header), overrides),
            params,
            bindings: vec![pixels, weight, Arg::Unused, Arg::Scratch(1)],
            workgroups: [products.rows.div_ceil(tile.rows), products.columns.div_ceil(tile.columns), planes].map(|n| n as u32),
        }
    }

    /// The outputs of `vectors` vectors of tiles, from row `first` on, of what is in scratch 1.
    fn output(&self, bias: &Arg, first: usize, vectors: usize) -> Dispatch<Arg> {
        let c = self.c;
        let [_, out_height, out_width] = c.place.output.map(|n| n as u32);
        let (columns, rows) = if self.tiling.channels_inner { (self.channel_vectors(), 4 * vectors) } else { (vectors, c.out_channels) };
        let params = OutputParams {
            channels: c.out_channels as u32,
            out_height,
            out_width,
            tile_rows: self.tiling.rows as u32,
            row_vectors: self.tiling.row_vectors as u32,
            first_row: first as u32,
            vectors: columns as u32,
            pitch: columns as u32,
            plane: (columns * rows) as u32,
            inputs: self.tiling.outputs as u32 + 2,
            outputs: self.tiling.outputs as u32,
        };
        let has_bias = u32::from(*bias != Arg::Unused);
        let variant = match out_width.is_multiple_of(4) && !self.tiling.channels_inner {
            true => self.variant(&WINOGRAD_OUTPUT_VECTORS, vec![has_bias, self.software.into(), self.workgroup()]),
            false => {
                self.variant(&WINOGRAD_OUTPUT, vec![self.tiling.channels_inner.into(), has_bias, self.software.into(), self.workgroup()])
            }
        };
        Dispatch {
            variant,
            params: bytemuck::bytes_of(&params).to_vec(),
            bindings: vec![Arg::Scratch(1), bias.clone(), Arg::Output(0)],
            workgroups: [columns.div_ceil(self.workgroup() as usize), rows, 1].map(|n| n as u32),
        }
    }

    fn variant(&self, kernel: &'static Kernel, overrides: Vec<u32>) -> Variant {
        Variant::new(kernel, vec![Elem::F32], Some(self.tiling.header()), overrides)
    }
}
