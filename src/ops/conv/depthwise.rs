//! The kernels of depthwise convolution, one input channel a group, and when each one serves.

use super::kernels::{BINDINGS, HAS_BIAS};
use super::lower::Lowerer;
use crate::ops::fused::{ELEMENT_EPILOGUE, VECTOR_EPILOGUE};
use crate::ops::tile::{ROLLED, SUBGROUP, TILE_ROWS, WORKGROUPS};
use crate::plan::{Arg, FLOAT_ELEMENT, INDEX, Kernel, Lowering, Override, Part, Subgroups, params, part, workgroups_1d};

/// The headers of square kernels with so many taps a side.
const KERNELS: [(usize, Part); 3] =
    [(3, part!("tiles/kernel_3.wgsl")), (5, part!("tiles/kernel_5.wgsl")), (7, part!("tiles/kernel_7.wgsl"))];
const KERNEL_HEADERS: &[Part] = &[KERNELS[0].1, KERNELS[1].1, KERNELS[2].1];

/// Output rows of a strip, `TILE_ROWS` of the headers.
const STRIP_ROWS: usize = 4;

/// Vectors of a strip at most: software devices end long loops.
const STRIP_VECTORS: usize = 256;

/// The widths of maps that `conv2d_depthwise_planes` is compiled for.
const WIDTHS: [u32; 37] = {
    let mut widths = [0; 37];
    let mut i = 0;
    while i < widths.len() {
        widths[i] = 4 + i as u32;
        i += 1;
    }
    widths
};

/// How far apart two taps of one window of `conv2d_depthwise_planes` may be, as neighbours in its plane, in each direction.
const MOST_REACH: usize = 60;

params! {
    pub(crate) struct StripsParams {
        planes: u32,
        out_channels: u32,
        multiplier: u32,
        in_height: u32,
        in_vectors: u32,
        out_height: u32,
        out_vectors: u32,
        top: u32,
        strip_vectors: u32,
    }
}

pub(crate) static DEPTHWISE_STRIPS: Kernel = Kernel {
    name: "conv2d_depthwise_strips",
    body: part!("conv2d_depthwise_strips.wgsl"),
    parts: &[TILE_ROWS, INDEX],
    types: &[FLOAT_ELEMENT],
    tiles: KERNEL_HEADERS,
    overrides: &[HAS_BIAS, Override { name: "STRIDE", values: &[1, 2] }, ROLLED, Override { name: "WORKGROUP_SIZE", values: WORKGROUPS }],
    independent: &[Override { name: "LEFT", values: &[0, 1, 2, 3] }],
    params: StripsParams::LAYOUT,
    bindings: BINDINGS,
    epilogue: VECTOR_EPILOGUE,
    in_place: Some(4),
    ..Kernel::BASE
};

params! {
    pub(crate) struct PlanesParams {
        planes: u32,
        out_channels: u32,
        size: u32,
        steps: u32,
    }
}

pub(crate) static DEPTHWISE_PLANES: Kernel = Kernel {
    name: "conv2d_depthwise_planes",
    body: part!("conv2d_depthwise_planes.wgsl"),
    types: &[FLOAT_ELEMENT],
    tiles: KERNEL_HEADERS,
    overrides: &[HAS_BIAS],
    independent: &[Override { name: "WIDTH", values: &WIDTHS }],
    params: PlanesParams::LAYOUT,
    bindings: BINDINGS,
    subgroups: Subgroups::Exactly(SUBGROUP),
    epilogue: VECTOR_EPILOGUE,
    in_place: Some(4),
    ..Kernel::BASE
};

params! {
    pub(crate) struct RowsParams {
        planes: u32,
        out_channels: u32,
        multiplier: u32,
        in_maps: u32,
        in_height: u32,
        in_width: u32,
        out_height: u32,
        out_width: u32,
        top: u32,
    }
}

pub(crate) static DEPTHWISE_ROWS: Kernel = Kernel {
    name: "conv2d_depthwise_rows",
    body: part!("conv2d_depthwise_rows.wgsl"),
    parts: &[INDEX],
    types: &[FLOAT_ELEMENT],
    tiles: KERNEL_HEADERS,
    overrides: &[
        Override { name: "ALIGNED", values: &[0, 1] },
        HAS_BIAS,
        Override { name: "STRIDE", values: &[1, 2] },
        Override { name: "WORKGROUP_SIZE", values: WORKGROUPS },
    ],
    independent: &[Override { name: "LEFT", values: &[0, 1, 2, 3] }],
    params: RowsParams::LAYOUT,
    bindings: BINDINGS,
    epilogue: ELEMENT_EPILOGUE,
    in_place: Some(4),
    ..Kernel::BASE
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

/// Output rows of a depthwise invocation where reads cost more than lanes: a GPU rather has more invocations.
const SOFTWARE_BLOCK_HEIGHT: u32 = 4;

pub(crate) static DEPTHWISE: Kernel = Kernel {
    name: "conv2d_depthwise",
    body: part!("conv2d_depthwise.wgsl"),
    types: &[FLOAT_ELEMENT],
    overrides: &[
        Override { name: "BLOCK_HEIGHT", values: &[1, SOFTWARE_BLOCK_HEIGHT] },
        HAS_BIAS,
        Override { name: "SLIDING", values: &[0, 1] },
        Override { name: "WORKGROUP_SIZE", values: WORKGROUPS },
    ],
    params: DepthwiseParams::LAYOUT,
    bindings: BINDINGS,
    epilogue: ELEMENT_EPILOGUE,
    in_place: Some(4),
    ..Kernel::BASE
};

/// Every way to compute a depthwise convolution in two dimensions, best first.
pub(super) fn lowerings(lowerer: &Lowerer) -> Vec<Lowering> {
    let square = Square::of(lowerer);
    let strips = square.as_ref().and_then(|square| square.strips(lowerer));
    let planes = square.as_ref().and_then(|square| square.planes(lowerer));
    let rows = square.as_ref().and_then(|square| square.rows(lowerer));
    strips.into_iter().chain(planes).chain(rows).chain([general(lowerer)]).collect()
}

/// A kernel as high as it is wide, the stride the same on both axes, without dilation.
struct Square {
    kernel: usize,
    header: Part,
    stride: usize,
    planes: usize,
}

impl Square {
    fn of(lowerer: &Lowerer) -> Option<Self> {
        let c = &lowerer.convolution;
        let ([_, height, width], [_, stride_y, stride_x]) = (c.place.kernel, c.place.stride);
        let (kernel, header) = KERNELS.into_iter().find(|(size, _)| *size == height)?;
        let square = width == height && stride_y == stride_x && c.place.dilation[1..] == [1, 1];
        square.then_some(Self { kernel, header, stride: stride_y, planes: c.batch * c.groups * c.out_channels })
    }

    fn lowering<P: bytemuck::Pod>(
        &self,
        lowerer: &Lowerer,
        kernel: &'static Kernel,
        overrides: Vec<u32>,
        params: &P,
        groups: [u32; 3],
    ) -> Lowering {
        let variant = lowerer.variant(kernel, Some(self.header), overrides);
        Lowering::single(variant, params, bindings(lowerer), groups)
    }

    /// The padding before a row, where the taps of four neighbours are near enough for kernels that walk along rows.
    fn left(&self, lowerer: &Lowerer) -> Option<usize> {
        let left = lowerer.convolution.place.before[2];
        let last_column = 3 * self.stride + self.kernel - 1;
        (self.stride <= 2 && left <= 3 && last_column - left < 4 * (self.stride + 1)).then_some(left)
    }

    /// By blocks of rows on a software device: any width.
    fn rows(&self, lowerer: &Lowerer) -> Option<Lowering> {
        let c = &lowerer.convolution;
        let ([_, in_height, in_width], [_, out_height, out_width]) = (c.place.input, c.place.output);
        let left = self.left(lowerer).filter(|_| lowerer.software)?;
        let params = RowsParams {
            planes: self.planes as u32,
            out_channels: (c.groups * c.out_channels) as u32,
            multiplier: c.out_channels as u32,
            in_maps: (c.batch * c.groups) as u32,
            in_height: in_height as u32,
            in_width: in_width as u32,
            out_height: out_height as u32,
            out_width: out_width as u32,
            top: c.place.before[1] as u32,
        };
        let size = lowerer.workgroup_size();
        let workgroups = workgroups_1d(self.planes * out_height.div_ceil(STRIP_ROWS), size as usize, lowerer.max_workgroups)?;
        let overrides = vec![in_width.is_multiple_of(4).into(), lowerer.has_bias(), self.stride as u32, size, left as u32];
        Some(self.lowering(lowerer, &DEPTHWISE_ROWS, overrides, &params, workgroups))
    }

    /// By strips of whole vectors: widths that are multiples of four.
    fn strips(&self, lowerer: &Lowerer) -> Option<Lowering> {
        let c = &lowerer.convolution;
        let ([_, in_height, in_width], [_, out_height, out_width]) = (c.place.input, c.place.output);
        let left = self.left(lowerer)?;
        if in_width % 4 != 0 || out_width % 4 != 0 {
            return None;
        }
        let out_vectors = out_width / 4;
        // A GPU rather has more invocations, neighbours beside one another.
        let strip_vectors = if lowerer.software { out_vectors.min(STRIP_VECTORS) } else { 1 };
        let params = StripsParams {
            planes: self.planes as u32,
            out_channels: (c.groups * c.out_channels) as u32,
            multiplier: c.out_channels as u32,
            in_height: in_height as u32,
            in_vectors: (in_width / 4) as u32,
            out_height: out_height as u32,
            out_vectors: out_vectors as u32,
            top: c.place.before[1] as u32,
            strip_vectors: strip_vectors as u32,
        };
        let strips = self.planes * out_height.div_ceil(STRIP_ROWS) * out_vectors.div_ceil(strip_vectors);
        let size = lowerer.workgroup_size();
        let workgroups = workgroups_1d(strips, size as usize, lowerer.max_workgroups)?;
        let overrides = vec![lowerer.has_bias(), self.stride as u32, lowerer.software.into(), size, left as u32];
        Some(self.lowering(lowerer, &DEPTHWISE_STRIPS, overrides, &params, workgroups))
    }

    /// By whole planes on a software device: narrow maps, the output as large as the input.
    fn planes(&self, lowerer: &Lowerer) -> Option<Lowering> {
        let c = &lowerer.convolution;
        let [_, height, width] = c.place.input;
        let half = self.kernel / 2;
        let same = c.place.output == c.place.input && c.place.before[1..] == [half; 2] && self.stride == 1 && c.out_channels == 1;
        if !lowerer.software || !same || !WIDTHS.contains(&(width as u32)) || half * (width + 1) > MOST_REACH {
            return None;
        }
        let size = height * width;
        let steps = if size.is_multiple_of(4) { size / 4 } else { (size + 6) / 4 };
        let params = PlanesParams { planes: self.planes as u32, out_channels: c.groups as u32, size: size as u32, steps: steps as u32 };
        let overrides = vec![lowerer.has_bias(), width as u32];
        Some(self.lowering(lowerer, &DEPTHWISE_PLANES, overrides, &params, [self.planes.div_ceil(8) as u32, 1, 1]))
    }
}

fn bindings(lowerer: &Lowerer) -> Vec<Arg> {
    vec![lowerer.x(), Arg::Input(lowerer.operands.w), lowerer.bias(), Arg::Output(0)]
}

/// Any kernel, stride and dilation.
fn general(lowerer: &Lowerer) -> Lowering {
    let c = &lowerer.convolution;
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
    let size = lowerer.workgroup_size();
    let sliding = u32::from(stride_x == 1 && (dilation_y, dilation_x) == (1, 1));
    let tall_blocks = out_width.div_ceil(4) * out_height.div_ceil(SOFTWARE_BLOCK_HEIGHT);
    let block_height = if lowerer.software && tall_blocks >= 2 * size { SOFTWARE_BLOCK_HEIGHT } else { 1 };
    let variant = lowerer.variant(&DEPTHWISE, None, vec![block_height, lowerer.has_bias(), sliding, size]);
    let blocks = out_width.div_ceil(4) * out_height.div_ceil(block_height);
    let workgroups = [blocks.div_ceil(size), (c.groups * c.out_channels) as u32, c.batch as u32];
    Lowering::single(variant, &params, bindings(lowerer), workgroups)
}

/// The height's and the width's number of three.
fn plane([_, y, x]: [usize; 3]) -> (u32, u32) {
    (y as u32, x as u32)
}
