//! The kernels of convolution and when each one serves.

use super::{Conv, Convolution};
use crate::ops::matmul::{Factor, Product, lower_product};
use crate::ops::tile::{TILE_HEADERS, Tile, WORKGROUPS, workgroup_size};
use crate::plan::{
    Access, Arg, Elem, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Packing, Variant, WORKGROUP_SIZE, params,
    part, workgroups_1d,
};

/// Output rows of a depthwise invocation where reads cost more than lanes: a GPU rather has more invocations.
const SOFTWARE_BLOCK_HEIGHT: u32 = 4;

const HAS_BIAS: Override = Override { name: "HAS_BIAS", values: &[0, 1] };
const BINDINGS: &[Access] = &[Access::Read, Access::Read, Access::Read, Access::Write];

params! {
    pub(crate) struct PointwiseParams {
        in_channels: u32,
        out_channels: u32,
        groups: u32,
        vectors: u32,
        weight_vectors: u32,
    }
}

pub(crate) static POINTWISE: Kernel = Kernel {
    name: "conv2d_pointwise",
    body: part!("conv2d_pointwise.wgsl"),
    parts: &[],
    types: &[FLOAT_ELEMENT],
    tiles: TILE_HEADERS,
    overrides: &[HAS_BIAS, Override { name: "WORKGROUP_SIZE", values: WORKGROUPS }],
    params: PointwiseParams::LAYOUT,
    bindings: BINDINGS,
};

params! {
    pub(crate) struct ImplicitGemmParams {
        in_channels: u32,
        in_height: u32,
        in_width: u32,
        out_channels: u32,
        out_width: u32,
        out_pixels: u32,
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
    }
}

pub(crate) static IMPLICIT_GEMM: Kernel = Kernel {
    name: "conv2d_implicit_gemm",
    body: part!("conv2d_implicit_gemm.wgsl"),
    parts: &[],
    types: &[FLOAT_ELEMENT],
    tiles: TILE_HEADERS,
    overrides: &[HAS_BIAS, Override { name: "WORKGROUP_SIZE", values: WORKGROUPS }],
    params: ImplicitGemmParams::LAYOUT,
    bindings: BINDINGS,
};

params! {
    pub(crate) struct DepthwiseParams {
        multiplier: u32,
        in_height: u32,
        in_width: u32,
        out_height: u32,
        out_width: u32,
        kernel_height: u32,
        kernel_width: u32,
        stride_y: u32,
        stride_x: u32,
        dilation_y: u32,
        dilation_x: u32,
        top: u32,
        left: u32,
    }
}

pub(crate) static DEPTHWISE: Kernel = Kernel {
    name: "conv2d_depthwise",
    body: part!("conv2d_depthwise.wgsl"),
    parts: &[],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[
        Override { name: "BLOCK_HEIGHT", values: &[1, SOFTWARE_BLOCK_HEIGHT] },
        HAS_BIAS,
        Override { name: "SLIDING", values: &[0, 1] },
        Override { name: "WORKGROUP_SIZE", values: WORKGROUPS },
    ],
    params: DepthwiseParams::LAYOUT,
    bindings: BINDINGS,
};

params! {
    pub(crate) struct DirectParams {
        outputs: u32,
        groups: u32,
        in_channels: u32,
        out_channels: u32,
        in_depth: u32,
        in_height: u32,
        in_width: u32,
        out_depth: u32,
        out_height: u32,
        out_width: u32,
        kernel_depth: u32,
        kernel_height: u32,
        kernel_width: u32,
        stride_z: u32,
        stride_y: u32,
        stride_x: u32,
        dilation_z: u32,
        dilation_y: u32,
        dilation_x: u32,
        front: u32,
        top: u32,
        left: u32,
    }
}

pub(crate) static DIRECT: Kernel = Kernel {
    name: "conv2d_direct",
    body: part!("conv2d_direct.wgsl"),
    parts: &[INDEX],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[HAS_BIAS, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: DirectParams::LAYOUT,
    bindings: BINDINGS,
};

/// Every way to compute the convolution on this device, best first.
pub(super) fn lower(op: &Conv, context: &LowerContext<'_>) -> Lowered {
    match Lowerer::new(op, context) {
        Ok(lowerer) => match lowerer.candidates(context) {
            none if none.is_empty() => Lowered::Host("it is larger than what the device dispatches, or loops over".into()),
            some => Lowered::Kernels(some),
        },
        Err(reason) => Lowered::Host(reason),
    }
}

/// A convolution whose every extent, padded, is a positive `i32`: shaders compute with `u32` and may wrap below zero only.
struct Lowerer {
    convolution: Convolution,
    elem: Elem,
    has_bias: bool,
    constant_weight: bool,
    software: bool,
    max_workgroups: u32,
    outputs: usize,
}

impl Lowerer {
    fn new(op: &Conv, context: &LowerContext<'_>) -> Result<Self, String> {
        let (x, w) = match (context.inputs.get(0), context.inputs.get(1)) {
            (Some(x), Some(w)) => (x, w),
            _ => return Err("an input is missing".into()),
        };
        let convolution = op.place(x.shape, w.shape).map_err(|e| e.to_string())?;
        let place = &convolution.place;
        let small = |n: Option<usize>| n.is_some_and(|n| n <= i32::MAX as usize);
        let padded = |axis: usize| place.input[axis].checked_add(place.before[axis])?.checked_add(place.after[axis]);
        let steps = place.stride.iter().chain(&place.dilation).chain(&place.kernel);
        let tensors = [x.shape, w.shape, &context.outputs[0].shape];
        if !((0..3).all(|axis| small(padded(axis)))
            && steps.into_iter().all(|&n| small(Some(n)))
            && tensors.iter().all(|s| small(s.checked_elements())))
        {
            return Err("an extent is too large for a shader's 32-bit arithmetic".into());
        }
        Ok(Self {
            convolution,
            elem: context.elem(x.dtype)?,
            has_bias: context.inputs.get(2).is_some(),
            constant_weight: w.constant.is_some(),
            software: context.capabilities.software,
            max_workgroups: context.capabilities.max_workgroups,
            outputs: context.outputs[0].shape.elements(),
        })
    }

    fn candidates(&self, context: &LowerContext<'_>) -> Vec<Lowering> {
        let c = &self.convolution;
        let place = &c.place;
        let flat = place.input[0] == 1 && place.kernel[0] == 1 && place.output[0] == 1;
        let mut all = self.linear().and_then(|product| lower_product(&product, context).ok()).unwrap_or_default();
        let depthwise = flat && c.in_channels == 1;
        let [depth, height, width] = place.kernel;
        let loops = |iterations: usize| context.capabilities.check_iterations(iterations).is_ok();
        // A matrix product with one input channel has too little reuse of its pixels, unless many output channels share them.
        let few_sharers = c.out_channels <= 4;
        if depthwise && few_sharers {
            all.push(self.depthwise());
        }
        if flat && self.constant_weight && loops(place.taps() * (1 + c.in_channels)) {
            let unit = place.kernel == [1; 3] && place.stride == [1; 3] && place.input == place.output;
            if unit && place.output_elements().is_multiple_of(4) {
                all.push(self.pointwise());
            }
            all.push(self.implicit_gemm());
        }
        if depthwise && !few_sharers {
            all.push(self.depthwise());
        }
        if loops(c.in_channels * (1 + depth * (1 + height * (1 + width)))) {
            all.extend(self.direct());
        }
        all
    }

    /// A kernel that covers its whole input once is a linear layer: `X [N, K] · W [M, K]ᵀ + B`.
    fn linear(&self) -> Option<Product> {
        let c = &self.convolution;
        let place = &c.place;
        let inner = c.in_channels * place.taps();
        let covers = place.kernel == place.input && place.output == [1; 3] && place.before == [0; 3] && c.groups == 1;
        covers.then(|| Product {
            batch: vec![],
            rows: c.batch,
            columns: c.out_channels,
            inner,
            a: Factor { batch: vec![], row: inner, column: 1 },
            b: Factor { batch: vec![], row: 1, column: inner },
            c: self.has_bias.then_some([0, 1]),
            alpha: 1.0,
            beta: 1.0,
        })
    }

    /// The tile for a group's output channels.
    fn tile(&self) -> &'static Tile {
        Tile::for_rows(self.convolution.out_channels)
    }

    fn workgroup_size(&self) -> u32 {
        workgroup_size(self.software)
    }

    fn variant(&self, kernel: &'static Kernel, tile: Option<&Tile>, overrides: Vec<u32>) -> Variant {
        Variant { kernel, types: vec![self.elem], tile: tile.map(|t| t.header), overrides }
    }

    fn bias(&self) -> Arg {
        if self.has_bias { Arg::Input(2) } else { Arg::Unused }
    }

    /// The weight as `[groups, K, M']`, `M'` whole tiles.
    fn packed_weight(&self, tile: &Tile) -> (Arg, usize) {
        let c = &self.convolution;
        let columns = c.in_channels * c.place.taps();
        let packing = Packing::Transposed { groups: c.groups, rows: c.out_channels, columns, multiple: tile.rows };
        (Arg::Packed(1, packing), c.out_channels.next_multiple_of(tile.rows) / 4)
    }

    fn matrix_workgroups(&self, tile: &Tile, vectors: usize) -> [u32; 3] {
        let c = &self.convolution;
        let per_workgroup = self.workgroup_size() as usize * tile.vectors;
        [c.out_channels.div_ceil(tile.rows), vectors.div_ceil(per_workgroup), c.batch * c.groups].map(|n| n as u32)
    }

    fn pointwise(&self) -> Lowering {
        let (c, tile) = (&self.convolution, self.tile());
        let vectors = c.place.output_elements() / 4;
        let (weight, weight_vectors) = self.packed_weight(tile);
        let params = PointwiseParams {
            in_channels: c.in_channels as u32,
            out_channels: c.out_channels as u32,
            groups: c.groups as u32,
            vectors: vectors as u32,
            weight_vectors: weight_vectors as u32,
        };
        let variant = self.variant(&POINTWISE, Some(tile), vec![self.has_bias.into(), self.workgroup_size()]);
        let bindings = vec![Arg::Input(0), weight, self.bias(), Arg::Output(0)];
        Lowering::single(variant, &params, bindings, self.matrix_workgroups(tile, vectors))
    }

    fn implicit_gemm(&self) -> Lowering {
        let (c, tile) = (&self.convolution, self.tile());
        let place = &c.place;
        let [(kernel_height, kernel_width), (stride_y, stride_x), (dilation_y, dilation_x), (top, left), (in_height, in_width)] =
            [place.kernel, place.stride, place.dilation, place.before, place.input].map(plane);
        let (weight, weight_vectors) = self.packed_weight(tile);
        let params = ImplicitGemmParams {
            in_channels: c.in_channels as u32,
            in_height,
            in_width,
            out_channels: c.out_channels as u32,
            out_width: place.output[2] as u32,
            out_pixels: place.output_elements() as u32,
            kernel_height,
            kernel_width,
            stride_y,
            stride_x,
            dilation_y,
            dilation_x,
            top,
            left,
            groups: c.groups as u32,
            weight_vectors: weight_vectors as u32,
        };
        let variant = self.variant(&IMPLICIT_GEMM, Some(tile), vec![self.has_bias.into(), self.workgroup_size()]);
        let bindings = vec![Arg::Input(0), weight, self.bias(), Arg::Output(0)];
        Lowering::single(variant, &params, bindings, self.matrix_workgroups(tile, place.output_elements().div_ceil(4)))
    }

    fn depthwise(&self) -> Lowering {
        let c = &self.convolution;
        let place = &c.place;
        let [(kernel_height, kernel_width), (stride_y, stride_x), (dilation_y, dilation_x), (top, left), (in_height, in_width)] =
            [place.kernel, place.stride, place.dilation, place.before, place.input].map(plane);
        let (out_height, out_width) = plane(place.output);
        let params = DepthwiseParams {
            multiplier: c.out_channels as u32,
            in_height,
            in_width,
            out_height,
            out_width,
            kernel_height,
            kernel_width,
            stride_y,
            stride_x,
            dilation_y,
            dilation_x,
            top,
            left,
        };
        let sliding = u32::from(stride_x == 1 && (dilation_y, dilation_x) == (1, 1));
        let tall_blocks = out_width.div_ceil(4) * out_height.div_ceil(SOFTWARE_BLOCK_HEIGHT);
        let block_height = if self.software && tall_blocks >= 2 * self.workgroup_size() { SOFTWARE_BLOCK_HEIGHT } else { 1 };
        let overrides = vec![block_height, self.has_bias.into(), sliding, self.workgroup_size()];
        let variant = self.variant(&DEPTHWISE, None, overrides);
        let blocks = out_width.div_ceil(4) * out_height.div_ceil(block_height);
        let workgroups = [blocks.div_ceil(self.workgroup_size()), (c.groups * c.out_channels) as u32, c.batch as u32];
        Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Input(1), self.bias(), Arg::Output(0)], workgroups)
    }

    fn direct(&self) -> Option<Lowering> {
        let c = &self.convolution;
        let place = &c.place;
        let [in_depth, in_height, in_width] = place.input.map(|n| n as u32);
        let [out_depth, out_height, out_width] = place.output.map(|n| n as u32);
        let [kernel_depth, kernel_height, kernel_width] = place.kernel.map(|n| n as u32);
        let [stride_z, stride_y, stride_x] = place.stride.map(|n| n as u32);
        let [dilation_z, dilation_y, dilation_x] = place.dilation.map(|n| n as u32);
        let [front, top, left] = place.before.map(|n| n as u32);
        let params = DirectParams {
            outputs: self.outputs as u32,
            groups: c.groups as u32,
            in_channels: c.in_channels as u32,
            out_channels: c.out_channels as u32,
            in_depth,
            in_height,
            in_width,
            out_depth,
            out_height,
            out_width,
            kernel_depth,
            kernel_height,
            kernel_width,
            stride_z,
            stride_y,
            stride_x,
            dilation_z,
            dilation_y,
            dilation_x,
            front,
            top,
            left,
        };
        let workgroups = workgroups_1d(self.outputs, WORKGROUP_SIZE as usize, self.max_workgroups)?;
        let variant = self.variant(&DIRECT, None, vec![self.has_bias.into(), WORKGROUP_SIZE]);
        Some(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Input(1), self.bias(), Arg::Output(0)], workgroups))
    }
}

/// The height's and the width's number of three.
fn plane([_, y, x]: [usize; 3]) -> (u32, u32) {
    (y as u32, x as u32)
}
