//! Convolution as a matrix product on software devices, whose subgroups share their loads.

use super::kernels::{BINDINGS, HAS_BIAS, POINTWISE};
use super::lower::Lowerer;
use crate::ops::fused::{ELEMENT_EPILOGUE, VECTOR_EPILOGUE};
use crate::ops::tile::{LANE_TILE, SUBGROUP, SUBGROUP_DEPTH, SUBGROUP_TILE_HEADERS, SubgroupTiles, Tile};
use crate::plan::{Access, Arg, FLOAT_ELEMENT, Kernel, Lowering, Packing, Part, Subgroups, params, part};
use crate::tensor::Tensor;

const LANE_WEIGHTS: Part = part!("shared/lane_weights.wgsl");

params! {
    pub(crate) struct PointwiseSubgroupParams {
        in_channels: u32,
        out_channels: u32,
        groups: u32,
        vectors: u32,
    }
}

pub(crate) static POINTWISE_SUBGROUP: Kernel = Kernel {
    name: "conv2d_pointwise_subgroup",
    body: part!("conv2d_pointwise_subgroup.wgsl"),
    parts: &[LANE_TILE, LANE_WEIGHTS],
    types: &[FLOAT_ELEMENT],
    tiles: SUBGROUP_TILE_HEADERS,
    overrides: &[HAS_BIAS],
    params: PointwiseSubgroupParams::LAYOUT,
    bindings: BINDINGS,
    subgroups: Subgroups::Exactly(SUBGROUP),
    epilogue: VECTOR_EPILOGUE,
    in_place: POINTWISE.in_place,
    ..Kernel::BASE
};

params! {
    pub(crate) struct ImplicitGemmSubgroupParams {
        inner: u32,
        in_elements: u32,
        in_depth: u32,
        in_height: u32,
        in_width: u32,
        out_channels: u32,
        out_depth: u32,
        out_width: u32,
        out_pixels: u32,
        stride_z: u32,
        stride_y: u32,
        stride_x: u32,
        front: u32,
        top: u32,
        left: u32,
        groups: u32,
    }
}

pub(crate) static IMPLICIT_GEMM_SUBGROUP: Kernel = Kernel {
    name: "conv2d_implicit_gemm_subgroup",
    body: part!("conv2d_implicit_gemm_subgroup.wgsl"),
    parts: &[LANE_TILE, LANE_WEIGHTS],
    types: &[FLOAT_ELEMENT],
    tiles: SUBGROUP_TILE_HEADERS,
    overrides: &[HAS_BIAS],
    params: ImplicitGemmSubgroupParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Read, Access::Write],
    subgroups: Subgroups::Exactly(SUBGROUP),
    epilogue: ELEMENT_EPILOGUE,
    in_place: Some(5),
    ..Kernel::BASE
};

params! {
    pub(crate) struct SameParams {
        inner: u32,
        in_elements: u32,
        in_vectors: u32,
        height: u32,
        width: u32,
        top: u32,
        left: u32,
        out_channels: u32,
        groups: u32,
    }
}

pub(crate) static SAME_SUBGROUP: Kernel = Kernel {
    name: "conv2d_same_subgroup",
    body: part!("conv2d_same_subgroup.wgsl"),
    parts: &[LANE_TILE, LANE_WEIGHTS],
    types: &[FLOAT_ELEMENT],
    tiles: SUBGROUP_TILE_HEADERS,
    overrides: &[HAS_BIAS],
    params: SameParams::LAYOUT,
    bindings: IMPLICIT_GEMM_SUBGROUP.bindings,
    subgroups: Subgroups::Exactly(SUBGROUP),
    epilogue: ELEMENT_EPILOGUE,
    in_place: IMPLICIT_GEMM_SUBGROUP.in_place,
    ..Kernel::BASE
};

/// A tap that is outside every input: its slice.
const OUTSIDE: u32 = 1 << 31;

impl Lowerer {
    /// Tiles of so many pixels of a map.
    fn tiles(&self, columns: usize, lent: usize, vector_cost: usize) -> SubgroupTiles {
        let c = &self.convolution;
        let steps = c.batch * c.groups * c.in_channels * c.place.taps();
        SubgroupTiles { rows: c.out_channels, columns, steps, lent, vector_cost }
    }

    /// The weight in runs of whole tiles.
    fn tiled_weight(&self, tile: &Tile) -> Arg {
        let c = &self.convolution;
        let columns = c.in_channels * c.place.taps();
        Arg::Packed(self.operands.w, Packing::Tiles { groups: c.groups, rows: c.out_channels, columns, tile: tile.rows })
    }

    /// Tiles of channels, blocks of pixels, images and groups.
    fn tile_workgroups(&self, tiles: &SubgroupTiles, tile: &Tile) -> [u32; 3] {
        let c = &self.convolution;
        [c.out_channels.div_ceil(tile.rows), tiles.columns.div_ceil(tiles.columns_of(tile)), c.batch * c.groups].map(|n| n as u32)
    }

    /// Every kernel that serves on a software device, the best first, each with the tile that a rule takes; and with other tiles.
    pub(super) fn subgroup_ways(&self, pointwise: bool) -> (Vec<Lowering>, Vec<Lowering>) {
        let taps = self.taps(SUBGROUP_DEPTH);
        let all = [pointwise.then(|| self.pointwise_subgroup()), self.same_subgroup(&taps), Some(self.implicit_gemm_subgroup(&taps))];
        let (mut best, mut others) = (vec![], vec![]);
        for mut tiles in all.into_iter().flatten().map(Vec::into_iter) {
            best.extend(tiles.next());
            others.extend(tiles);
        }
        (best, others)
    }

    /// For an output as large as the input, in two dimensions, stride 1.
    fn same_subgroup(&self, taps: &Arg) -> Option<Vec<Lowering>> {
        let c = &self.convolution;
        let place = &c.place;
        if place.stride != [1; 3] || place.input != place.output || place.input[0] != 1 || place.kernel[0] != 1 {
            return None;
        }
        let tiles = self.tiles(place.output_elements(), 4, SubgroupTiles::SHIFTED);
        let plane = place.output_elements();
        let params = SameParams {
            inner: (c.in_channels * place.taps()) as u32,
            in_elements: (c.in_channels * plane) as u32,
            in_vectors: (c.batch * c.groups * c.in_channels * plane).div_ceil(4) as u32,
            height: place.input[1] as u32,
            width: place.input[2] as u32,
            top: place.before[1] as u32,
            left: place.before[2] as u32,
            out_channels: c.out_channels as u32,
            groups: c.groups as u32,
        };
        let lowering = |tile: &'static Tile| {
            let variant = self.variant(&SAME_SUBGROUP, Some(tile.header), vec![self.has_bias()]);
            let bindings = vec![self.x(), self.tiled_weight(tile), self.bias(), taps.clone(), Arg::Output(0)];
            Lowering::single(variant, &params, bindings, self.tile_workgroups(&tiles, tile))
        };
        Some(tiles.ranked().into_iter().map(lowering).collect())
    }

    fn pointwise_subgroup(&self) -> Vec<Lowering> {
        let tiles = self.tiles(self.convolution.place.output_elements(), 0, SubgroupTiles::VECTOR);
        let c = &self.convolution;
        let params = PointwiseSubgroupParams {
            in_channels: c.in_channels as u32,
            out_channels: c.out_channels as u32,
            groups: c.groups as u32,
            vectors: (c.place.output_elements() / 4) as u32,
        };
        let lowering = |tile: &'static Tile| {
            let variant = self.variant(&POINTWISE_SUBGROUP, Some(tile.header), vec![self.has_bias()]);
            let bindings = vec![self.x(), self.tiled_weight(tile), self.bias(), Arg::Output(0)];
            Lowering::single(variant, &params, bindings, self.tile_workgroups(&tiles, tile))
        };
        tiles.ranked().into_iter().map(lowering).collect()
    }

    fn implicit_gemm_subgroup(&self, taps: &Arg) -> Vec<Lowering> {
        let c = &self.convolution;
        let place = &c.place;
        let tiles = self.tiles(place.output[1] * place.output[2], 0, SubgroupTiles::SCALARS);
        let [in_depth, in_height, in_width] = place.input.map(|n| n as u32);
        let [out_depth, out_height, out_width] = place.output.map(|n| n as u32);
        let [stride_z, stride_y, stride_x] = place.stride.map(|n| n as u32);
        let [front, top, left] = place.before.map(|n| n as u32);
        let params = ImplicitGemmSubgroupParams {
            inner: (c.in_channels * place.taps()) as u32,
            in_elements: (c.in_channels * place.input.iter().product::<usize>()) as u32,
            in_depth,
            in_height,
            in_width,
            out_channels: c.out_channels as u32,
            out_depth,
            out_width,
            out_pixels: out_height * out_width,
            stride_z,
            stride_y,
            stride_x,
            front,
            top,
            left,
            groups: c.groups as u32,
        };
        let lowering = |tile: &'static Tile| {
            let variant = self.variant(&IMPLICIT_GEMM_SUBGROUP, Some(tile.header), vec![self.has_bias()]);
            let bindings = vec![self.x(), self.tiled_weight(tile), self.bias(), taps.clone(), Arg::Output(0)];
            let mut workgroups = self.tile_workgroups(&tiles, tile);
            workgroups[2] = workgroups[2].saturating_mul(out_depth);
            Lowering::single(variant, &params, bindings, workgroups)
        };
        tiles.ranked().into_iter().map(lowering).collect()
    }

    /// The offset in an image's group of each element of the window, and its slice, row and column from the window's first; padded to a
    /// multiple with ones that are outside.
    pub(super) fn taps(&self, multiple: usize) -> Arg {
        let c = &self.convolution;
        let place = &c.place;
        let [_, height, width] = place.input;
        let [depth, rows, columns] = place.kernel;
        let taps = c.in_channels * place.taps();
        let volume: usize = place.input.iter().product();
        let mut table = Vec::with_capacity(4 * taps.next_multiple_of(multiple));
        for k in 0..taps {
            let channel = k / (depth * rows * columns);
            let [z, y, x] =
                [k / (rows * columns) % depth * place.dilation[0], k / columns % rows * place.dilation[1], k % columns * place.dilation[2]];
            let offset = channel * volume + (z * height + y) * width + x;
            table.extend([offset, z, y, x].map(|n| n as u32));
        }
        for _ in taps..taps.next_multiple_of(multiple) {
            table.extend([0, OUTSIDE, 0, 0]);
        }
        Arg::Table(Tensor::vector(table))
    }
}
