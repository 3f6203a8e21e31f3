//! Convolution as a matrix product on GPUs, in blocks that go through workgroup memory.

use super::kernels::{BINDINGS, HAS_BIAS};
use super::lower::Lowerer;
use crate::ops::fused::{ELEMENT_EPILOGUE, VECTOR_EPILOGUE};
use crate::ops::tile::{BLOCK_HEADERS, BLOCKS, Block, BlockedProduct, ROLLED, TILE_ROWS};
use crate::plan::{
    Access, Arg, Dispatch, Elem, FLOAT_ELEMENT, INDEX, Kernel, Lowering, Override, Packing, Part, TypeRole, WORKGROUP_SIZE, params, part,
    workgroups_1d,
};

params! {
    pub(crate) struct PointwiseTiledParams {
        in_channels: u32,
        out_channels: u32,
        groups: u32,
        vectors: u32,
        columns: u32,
        weight_vectors: u32,
        slices: u32,
        slice_channels: u32,
    }
}

pub(crate) static POINTWISE_TILED: Kernel = Kernel {
    name: "conv2d_pointwise_tiled",
    body: part!("conv2d_pointwise_tiled.wgsl"),
    parts: &[TILE_ROWS],
    types: &[FLOAT_ELEMENT],
    tiles: BLOCK_HEADERS,
    overrides: &[HAS_BIAS, ROLLED],
    params: PointwiseTiledParams::LAYOUT,
    bindings: BINDINGS,
    epilogue: VECTOR_EPILOGUE,
    in_place: Some(4),
    ..Kernel::BASE
};

params! {
    pub(crate) struct ImplicitGemmTiledParams {
        in_channels: u32,
        in_height: u32,
        in_width: u32,
        out_channels: u32,
        out_width: u32,
        out_pixels: u32,
        columns: u32,
        kernel_height: u32,
        kernel_width: u32,
        stride_y: u32,
        stride_x: u32,
        dilation_y: u32,
        dilation_x: u32,
        top: u32,
        left: u32,
        groups: u32,
        weight_vectors: u32,
        slices: u32,
        slice_turns: u32,
    }
}

pub(crate) static IMPLICIT_GEMM_TILED: Kernel = Kernel {
    name: "conv2d_implicit_gemm_tiled",
    body: part!("conv2d_implicit_gemm_tiled.wgsl"),
    parts: &[TILE_ROWS],
    types: &[FLOAT_ELEMENT],
    tiles: IMPLICIT_HEADERS,
    overrides: &[HAS_BIAS, ROLLED],
    params: ImplicitGemmTiledParams::LAYOUT,
    bindings: BINDINGS,
    epilogue: ELEMENT_EPILOGUE,
    in_place: Some(4),
    ..Kernel::BASE
};

params! {
    pub(crate) struct ImplicitGemmFoldedParams {
        inner: u32,
        in_elements: u32,
        in_height: u32,
        in_width: u32,
        out_channels: u32,
        out_width: u32,
        out_pixels: u32,
        columns: u32,
        stride_y: u32,
        stride_x: u32,
        top: u32,
        left: u32,
        groups: u32,
        weight_vectors: u32,
    }
}

pub(crate) static IMPLICIT_GEMM_FOLDED: Kernel = Kernel {
    name: "conv2d_implicit_gemm_folded",
    body: part!("conv2d_implicit_gemm_folded.wgsl"),
    parts: &[TILE_ROWS],
    types: &[FLOAT_ELEMENT],
    tiles: IMPLICIT_HEADERS,
    overrides: &[HAS_BIAS, ROLLED],
    params: ImplicitGemmFoldedParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Read, Access::Write],
    epilogue: ELEMENT_EPILOGUE,
    in_place: Some(5),
    ..Kernel::BASE
};

params! {
    pub(crate) struct SliceSumParams {
        outputs: u32,
        out_channels: u32,
        out_pixels: u32,
        slices: u32,
    }
}

pub(crate) static SLICE_SUM: Kernel = Kernel {
    name: "conv2d_slice_sum",
    body: part!("conv2d_slice_sum.wgsl"),
    parts: &[INDEX],
    // Sums of slices in half precision lose more than the operator's tolerance.
    types: &[TypeRole { role: "Element", allowed: &[Elem::F32] }],
    overrides: &[HAS_BIAS, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: SliceSumParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Write],
    epilogue: ELEMENT_EPILOGUE,
    in_place: Some(3),
    ..Kernel::BASE
};

/// The blocks of kernels that compute addresses of single elements: 64×64×16 spills their registers where there are 128.
const IMPLICIT_BLOCKS: usize = BLOCKS.len() - 1;
const IMPLICIT_HEADERS: &[Part] = BLOCK_HEADERS.split_at(IMPLICIT_BLOCKS).0;

/// A lowering and what it costs a GPU, as [`BlockedProduct`] counts.
pub(super) type Costed = (usize, Lowering);

impl Lowerer {
    /// The convolution as one product for all images, its inner dimension of so many runs.
    fn blocked(&self, runs: usize, run: usize) -> BlockedProduct {
        let c = &self.convolution;
        BlockedProduct { rows: c.out_channels, columns: c.batch * c.place.output_elements(), products: c.groups, runs, run }
    }

    /// What the kernels without workgroup memory cost, whose tiles are those of one image.
    pub(super) fn register_cost(&self) -> usize {
        let (c, block) = (&self.convolution, self.tile().block());
        let product = BlockedProduct { columns: c.place.output_elements(), products: c.batch * c.groups, ..self.blocked(1, self.inner()) };
        product.cost(&block, 1)
    }

    /// The inner dimension.
    fn inner(&self) -> usize {
        self.convolution.in_channels * self.convolution.place.taps()
    }

    /// Every kernel on every block, for a convolution in two dimensions; `pointwise` where it is 1×1 on whole vectors.
    pub(super) fn tiled(&self, pointwise: bool) -> Vec<Costed> {
        let c = &self.convolution;
        let mut all = vec![];
        // One input channel for each group is too little to fill a block.
        for (i, block) in BLOCKS.iter().enumerate().filter(|_| c.groups == 1 || c.in_channels > 1) {
            if pointwise && c.in_channels >= block.depth {
                self.sliced(self.blocked(1, c.in_channels), block, |slices| self.pointwise_tiled(block, slices), &mut all);
            }
            if i >= IMPLICIT_BLOCKS {
                continue;
            }
            let (by_taps, folded) = (self.blocked(c.place.taps(), c.in_channels), self.blocked(1, self.inner()));
            if c.in_channels >= block.depth {
                self.sliced(by_taps, block, |slices| self.implicit_gemm_tiled(block, slices), &mut all);
            }
            if self.inner() >= block.depth && folded.turns(block) < by_taps.turns(block) {
                all.push((folded.cost(block, 1), self.implicit_gemm_folded(block)));
            }
        }
        all
    }

    /// A product on a block, whole and in as many slices as are best.
    fn sliced(&self, product: BlockedProduct, block: &Block, dispatch: impl Fn(usize) -> Dispatch<Arg>, all: &mut Vec<Costed>) {
        all.push((product.cost(block, 1), Lowering { dispatches: vec![dispatch(1)], scratch: vec![] }));
        let slices = product.slices(block);
        let partial = self.outputs.saturating_mul(slices);
        if slices > 1 && self.elem == Elem::F32 && partial <= i32::MAX as usize {
            let bytes = (partial * self.elem.size()) as u64;
            let sum = self.slice_sum(slices).map(|sum| Lowering { dispatches: vec![dispatch(slices), sum], scratch: vec![bytes] });
            all.extend(sum.map(|lowering| (product.cost(block, slices), lowering)));
        }
    }

    /// `HAS_BIAS`, the bias and the output of a product in so many slices: several only add up.
    fn target(&self, slices: usize) -> (u32, Arg, Arg) {
        if slices == 1 { (self.has_bias(), self.bias(), Arg::Output(0)) } else { (0, Arg::Unused, Arg::Scratch(0)) }
    }

    /// The weight, its rows padded to whole blocks, and how many vectors a row has.
    fn blocked_weight(&self, block: &Block) -> (Arg, u32) {
        let c = &self.convolution;
        let packing = Packing::Transposed { groups: c.groups, rows: c.out_channels, columns: self.inner(), multiple: block.rows };
        (Arg::Packed(self.operands.w, packing), (c.out_channels.next_multiple_of(block.rows) / 4) as u32)
    }

    /// Blocks of channels, blocks of columns, groups and slices.
    fn block_workgroups(&self, block: &Block, slices: usize) -> [u32; 3] {
        let [rows, columns] = self.blocked(1, 1).blocks(block);
        [rows, columns, self.convolution.groups.saturating_mul(slices)].map(|n| n.min(u32::MAX as usize) as u32)
    }

    fn pointwise_tiled(&self, block: &Block, slices: usize) -> Dispatch<Arg> {
        let c = &self.convolution;
        let vectors = c.place.output_elements() / 4;
        let (weight, weight_vectors) = self.blocked_weight(block);
        let (has_bias, bias, y) = self.target(slices);
        let turns = c.in_channels.div_ceil(block.depth).div_ceil(slices);
        let params = PointwiseTiledParams {
            in_channels: c.in_channels as u32,
            out_channels: c.out_channels as u32,
            groups: c.groups as u32,
            vectors: vectors as u32,
            columns: (c.batch * vectors) as u32,
            weight_vectors,
            slices: slices as u32,
            slice_channels: (turns * block.depth) as u32,
        };
        Dispatch {
            variant: self.variant(&POINTWISE_TILED, Some(block.header), vec![has_bias, self.software.into()]),
            params: bytemuck::bytes_of(&params).to_vec(),
            bindings: vec![self.x(), weight, bias, y],
            workgroups: self.block_workgroups(block, slices),
        }
    }

    fn implicit_gemm_tiled(&self, block: &Block, slices: usize) -> Dispatch<Arg> {
        let c = &self.convolution;
        let place = &c.place;
        let [_, in_height, in_width] = place.input.map(|n| n as u32);
        let [_, out_height, out_width] = place.output.map(|n| n as u32);
        let [_, kernel_height, kernel_width] = place.kernel.map(|n| n as u32);
        let [_, stride_y, stride_x] = place.stride.map(|n| n as u32);
        let [_, dilation_y, dilation_x] = place.dilation.map(|n| n as u32);
        let [_, top, left] = place.before.map(|n| n as u32);
        let (weight, weight_vectors) = self.blocked_weight(block);
        let (has_bias, bias, y) = self.target(slices);
        let turns = place.taps() * c.in_channels.div_ceil(block.depth);
        let params = ImplicitGemmTiledParams {
            in_channels: c.in_channels as u32,
            in_height,
            in_width,
            out_channels: c.out_channels as u32,
            out_width,
            out_pixels: out_height * out_width,
            columns: c.batch as u32 * out_height * out_width,
            kernel_height,
            kernel_width,
            stride_y,
            stride_x,
            dilation_y,
            dilation_x,
            top,
            left,
            groups: c.groups as u32,
            weight_vectors,
            slices: slices as u32,
            slice_turns: turns.div_ceil(slices) as u32,
        };
        Dispatch {
            variant: self.variant(&IMPLICIT_GEMM_TILED, Some(block.header), vec![has_bias, self.software.into()]),
            params: bytemuck::bytes_of(&params).to_vec(),
            bindings: vec![self.x(), weight, bias, y],
            workgroups: self.block_workgroups(block, slices),
        }
    }

    /// For input channels that would leave a block mostly padding, tap by tap.
    fn implicit_gemm_folded(&self, block: &Block) -> Lowering {
        let c = &self.convolution;
        let place = &c.place;
        let [_, in_height, in_width] = place.input.map(|n| n as u32);
        let [_, out_height, out_width] = place.output.map(|n| n as u32);
        let [_, stride_y, stride_x] = place.stride.map(|n| n as u32);
        let [_, top, left] = place.before.map(|n| n as u32);
        let (weight, weight_vectors) = self.blocked_weight(block);
        let params = ImplicitGemmFoldedParams {
            inner: self.inner() as u32,
            in_elements: c.in_channels as u32 * in_height * in_width,
            in_height,
            in_width,
            out_channels: c.out_channels as u32,
            out_width,
            out_pixels: out_height * out_width,
            columns: c.batch as u32 * out_height * out_width,
            stride_y,
            stride_x,
            top,
            left,
            groups: c.groups as u32,
            weight_vectors,
        };
        let variant = self.variant(&IMPLICIT_GEMM_FOLDED, Some(block.header), vec![self.has_bias(), self.software.into()]);
        let bindings = vec![self.x(), weight, self.bias(), self.taps(block.depth), Arg::Output(0)];
        Lowering::single(variant, &params, bindings, self.block_workgroups(block, 1))
    }

    /// What adds up slices, and ends as the product does that is not cut.
    fn slice_sum(&self, slices: usize) -> Option<Dispatch<Arg>> {
        let c = &self.convolution;
        let params = SliceSumParams {
            outputs: self.outputs as u32,
            out_channels: (c.groups * c.out_channels) as u32,
            out_pixels: c.place.output_elements() as u32,
            slices: slices as u32,
        };
        Some(Dispatch {
            variant: self.variant(&SLICE_SUM, None, vec![self.has_bias(), WORKGROUP_SIZE]),
            params: bytemuck::bytes_of(&params).to_vec(),
            bindings: vec![Arg::Scratch(0), self.bias(), Arg::Output(0)],
            workgroups: workgroups_1d(self.outputs, WORKGROUP_SIZE as usize, self.max_workgroups)?,
        })
    }
}
