//! The kernels of convolution and when each one serves.

use super::depthwise;
use super::kernels::{DIRECT, DirectParams, IMPLICIT_GEMM, ImplicitGemmParams, POINTWISE, PointwiseParams};
use super::tiled::Costed;
use super::{Conv, Convolution, winograd};
use crate::ops::matmul::{Factor, Product, lower_product};
use crate::ops::tile::{Tile, workgroup_size};
use crate::plan::{Arg, Elem, Kernel, LowerContext, Lowered, Lowering, Packing, Part, Variant, WORKGROUP_SIZE, workgroups_1d};

/// How often the least cost a way may cost to be worth a try.
const MOST_COST: usize = 4;

/// Every way to compute the convolution on this device, best first.
pub(super) fn lower(op: &Conv, context: &LowerContext<'_>) -> Lowered {
    let operands = Operands { x: Arg::Input(0), w: 1, bias: context.inputs.get(2).map(|_| 2) };
    let lowerings = place(op, context).and_then(|convolution| {
        let linear = linear(&convolution, operands.bias.is_some());
        let mut all = linear.and_then(|product| lower_product(&product, context).ok()).unwrap_or_default();
        all.extend(Lowerer::new(convolution, operands, context)?.candidates(context));
        Ok(all)
    });
    kernels_or_host(lowerings)
}

/// The ways found, or why there are none.
pub(super) fn kernels_or_host(lowerings: Result<Vec<Lowering>, String>) -> Lowered {
    match lowerings {
        Ok(none) if none.is_empty() => Lowered::Host("it is larger than what the device dispatches, or loops over".into()),
        Ok(some) => Lowered::Kernels(some),
        Err(reason) => Lowered::Host(reason),
    }
}

fn place(op: &Conv, context: &LowerContext<'_>) -> Result<Convolution, String> {
    let (x, w) = (context.inputs.required(0, "X"), context.inputs.required(1, "W"));
    x.and_then(|x| op.place(x.shape, w?.shape)).map_err(|e| e.to_string())
}

/// That every extent, padded, is a positive `i32`: shaders compute with `u32` and may wrap below zero only.
pub(super) fn check_extents(c: &Convolution, context: &LowerContext<'_>) -> Result<(), String> {
    let place = &c.place;
    let small = |n: Option<usize>| n.is_some_and(|n| n <= i32::MAX as usize);
    let padded = |axis: usize| place.input[axis].checked_add(place.before[axis])?.checked_add(place.after[axis]);
    let steps = place.stride.iter().chain(&place.dilation).chain(&place.kernel);
    let tensors = context.inputs.inputs.iter().flatten().map(|o| o.shape).chain(context.outputs.iter().map(|t| &t.shape));
    let fits = (0..3).all(|axis| small(padded(axis)))
        && steps.into_iter().all(|&n| small(Some(n)))
        && tensors.into_iter().all(|s| small(s.checked_elements()));
    if fits { Ok(()) } else { Err("an extent is too large for a shader's 32-bit arithmetic".into()) }
}

/// A kernel that covers its whole input once is a linear layer: `X [N, K] · W [M, K]ᵀ + B`.
fn linear(c: &Convolution, has_bias: bool) -> Option<Product> {
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
        c: has_bias.then_some([0, 1]),
        alpha: 1.0,
        beta: 1.0,
    })
}

/// Where a convolution's operands are: its input, and which of the node's inputs are its weight and its bias.
pub(super) struct Operands {
    pub x: Arg,
    pub w: usize,
    pub bias: Option<usize>,
}

/// In the order of their costs, without those that cost several times the least.
fn cheapest_first(mut costed: Vec<Costed>) -> impl Iterator<Item = Lowering> {
    costed.sort_by_key(|(cost, _)| *cost);
    let least = costed.first().map_or(0, |(cost, _)| *cost);
    costed.into_iter().take_while(move |(cost, _)| *cost <= least.saturating_mul(MOST_COST)).map(|(_, lowering)| lowering)
}

/// A convolution whose every extent a shader can reach.
pub(super) struct Lowerer {
    pub convolution: Convolution,
    pub operands: Operands,
    pub elem: Elem,
    constant_weight: bool,
    pub software: bool,
    pub max_workgroups: u32,
    pub outputs: usize,
}

impl Lowerer {
    pub(super) fn new(convolution: Convolution, operands: Operands, context: &LowerContext<'_>) -> Result<Self, String> {
        check_extents(&convolution, context)?;
        Ok(Self {
            elem: context.elem(context.outputs[0].dtype)?,
            constant_weight: context.inputs.get(operands.w).is_some_and(|w| w.constant.is_some()),
            software: context.capabilities.software,
            max_workgroups: context.capabilities.max_workgroups,
            outputs: context.outputs[0].shape.elements(),
            convolution,
            operands,
        })
    }

    /// Every way to compute it, best first; none where loops or outputs are too many.
    pub(super) fn candidates(&self, context: &LowerContext<'_>) -> Vec<Lowering> {
        let c = &self.convolution;
        let place = &c.place;
        let flat = place.input[0] == 1 && place.kernel[0] == 1 && place.output[0] == 1 && place.before[0] == 0;
        let (mut all, mut behind) = (vec![], vec![]);
        let depthwise = flat && c.in_channels == 1;
        let [depth, height, width] = place.kernel;
        let loops = |iterations: usize| context.capabilities.check_iterations(iterations).is_ok();
        // A matrix product with one input channel has too little reuse of its pixels, unless many output channels share them.
        let few_sharers = c.out_channels <= 4;
        if depthwise && few_sharers {
            all.extend(depthwise::lowerings(self));
        }
        if self.constant_weight && loops(place.taps() * (1 + c.in_channels)) {
            let unit = place.kernel == [1; 3] && place.stride == [1; 3] && place.input == place.output;
            let pointwise = unit && place.output_elements().is_multiple_of(4);
            let registers = pointwise.then(|| self.pointwise()).into_iter().chain([self.implicit_gemm()]);
            let registers: Vec<_> = registers.map(|lowering| (self.register_cost(), lowering)).collect();
            // Inside a turn of a block are loops that a software device may count as well.
            let mut costed = if flat && loops(10 * place.taps() * c.in_channels) { self.tiled(pointwise) } else { vec![] };
            let (x, w, bias) = (&self.operands.x, self.operands.w, self.bias());
            costed.extend(winograd::blocked(c, x, w, &bias, context));
            if self.software {
                let (best, other_tiles) = self.subgroup_ways(pointwise);
                all.extend(best);
                all.extend(registers.into_iter().map(|(_, lowering)| lowering));
                let (mut winograd, best) = winograd::lower(c, x, w, &bias, context);
                let others = winograd.split_off(winograd.len().min(1));
                let at = if best { 0 } else { all.len() };
                all.splice(at..at, winograd);
                behind.extend(others);
                behind.extend(other_tiles);
                behind.extend(cheapest_first(costed));
            } else {
                all.extend(cheapest_first(registers.into_iter().chain(costed).collect()));
            }
        }
        if depthwise && !few_sharers {
            all.extend(depthwise::lowerings(self));
        }
        if loops(c.in_channels * (1 + depth * (1 + height * (1 + width)))) {
            all.extend(self.direct());
        }
        all.extend(behind);
        all
    }

    /// The tile for a group's output channels.
    pub(super) fn tile(&self) -> &'static Tile {
        Tile::for_rows(self.convolution.out_channels)
    }

    pub(super) fn workgroup_size(&self) -> u32 {
        workgroup_size(self.software)
    }

    pub(super) fn variant(&self, kernel: &'static Kernel, tile: Option<Part>, overrides: Vec<u32>) -> Variant {
        Variant::new(kernel, vec![self.elem], tile, overrides)
    }

    pub(super) fn x(&self) -> Arg {
        self.operands.x.clone()
    }

    pub(super) fn has_bias(&self) -> u32 {
        self.operands.bias.is_some().into()
    }

    pub(super) fn bias(&self) -> Arg {
        self.operands.bias.map_or(Arg::Unused, Arg::Input)
    }

    /// The weight as `[groups, K, M']`, `M'` whole tiles.
    fn packed_weight(&self, tile: &Tile) -> (Arg, usize) {
        let c = &self.convolution;
        let columns = c.in_channels * c.place.taps();
        let packing = Packing::Transposed { groups: c.groups, rows: c.out_channels, columns, multiple: tile.rows };
        (Arg::Packed(self.operands.w, packing), c.out_channels.next_multiple_of(tile.rows) / 4)
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
        let variant = self.variant(&POINTWISE, Some(tile.header), vec![self.has_bias(), self.software.into(), self.workgroup_size()]);
        let bindings = vec![self.x(), weight, self.bias(), Arg::Output(0)];
        Lowering::single(variant, &params, bindings, self.matrix_workgroups(tile, vectors))
    }

    fn implicit_gemm(&self) -> Lowering {
        let (c, tile) = (&self.convolution, self.tile());
        let place = &c.place;
        let [in_depth, in_height, in_width] = place.input.map(|n| n as u32);
        let [out_depth, out_height, out_width] = place.output.map(|n| n as u32);
        let [kernel_depth, kernel_height, kernel_width] = place.kernel.map(|n| n as u32);
        let [stride_z, stride_y, stride_x] = place.stride.map(|n| n as u32);
        let [dilation_z, dilation_y, dilation_x] = place.dilation.map(|n| n as u32);
        let [front, top, left] = place.before.map(|n| n as u32);
        let (weight, weight_vectors) = self.packed_weight(tile);
        let params = ImplicitGemmParams {
            in_channels: c.in_channels as u32,
            in_depth,
            in_height,
            in_width,
            out_channels: c.out_channels as u32,
            out_depth,
            out_width,
            out_pixels: out_height * out_width,
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
            groups: c.groups as u32,
            weight_vectors: weight_vectors as u32,
        };
        let variant = self.variant(&IMPLICIT_GEMM, Some(tile.header), vec![self.has_bias(), self.software.into(), self.workgroup_size()]);
        let bindings = vec![self.x(), weight, self.bias(), Arg::Output(0)];
        let mut workgroups = self.matrix_workgroups(tile, (out_height * out_width).div_ceil(4) as usize);
        workgroups[2] = workgroups[2].saturating_mul(out_depth);
        Lowering::single(variant, &params, bindings, workgroups)
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
        let variant = self.variant(&DIRECT, None, vec![self.has_bias(), WORKGROUP_SIZE]);
        Some(Lowering::single(variant, &params, vec![self.x(), Arg::Input(self.operands.w), self.bias(), Arg::Output(0)], workgroups))
    }
}
