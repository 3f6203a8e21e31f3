//! `GridSample`.

use super::{addressable, spatial};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{FLOATS, Operands, Operator, Tolerance};
use crate::plan::{
    Access, Arg, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Variant, WORKGROUP_SIZE, params, part,
    workgroups_1d,
};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// `GridSample`: inputs `X [N, C, D_1 … D_r]`, `grid [N, O_1 … O_r, r]` with positions between −1 and 1, the innermost axis
/// first; output `[N, C, O_1 … O_r]`, for any `r` (the kernel takes up to 3). Source: ONNX `GridSample`, opset 22.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GridSample {
    /// How values between the input's elements are made up.
    pub mode: Interpolation,
    /// What is outside.
    pub padding: GridPadding,
    /// Whether −1 and 1 are the centres of the first and the last element, rather than their outer edges.
    pub align_corners: bool,
}

/// How values between elements are made up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Interpolation {
    /// The nearest element, of two the even one.
    Nearest,
    /// Between two elements of each axis.
    #[default]
    Linear,
    /// Between four elements of each axis, by Keys' cubic convolution with −0.75.
    Cubic,
}

/// What a position outside the input shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum GridPadding {
    /// 0
    #[default]
    Zeros,
    /// The nearest element of the edge.
    Border,
    /// The input mirrored about its edges, or with `align_corners` about the centres of the outermost elements.
    Reflection,
}

/// What a sampling works on.
pub(crate) struct Sampled {
    pub batch: usize,
    pub channels: usize,
    /// Extents of the input.
    pub input: Shape,
    /// Extents of the output.
    pub output: Shape,
}

params! {
    pub(crate) struct GridSampleParams {
        input: [u32; 4],
        elements: u32,
        channels: u32,
        positions: u32,
        axes: u32,
    }
}

pub(crate) static GRID_SAMPLE: Kernel = Kernel {
    name: "grid_sample",
    body: part!("grid_sample.wgsl"),
    parts: &[INDEX],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[
        Override { name: "MODE", values: &[0, 1, 2] },
        Override { name: "PADDING", values: &[0, 1, 2] },
        Override { name: "ALIGN_CORNERS", values: &[0, 1] },
        Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] },
    ],
    params: GridSampleParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

impl GridSample {
    pub(crate) fn sampled(&self, x: &Shape, grid: &Shape) -> Result<Sampled, OpError> {
        let invalid = || OpError::invalid(format!("grid {grid} does not sample {x}: expected [N, …, {}]", x.rank().saturating_sub(2)));
        let ([batch, channels, input @ ..], [grids, output @ .., axes]) = (x.dims(), grid.dims()) else { return Err(invalid()) };
        if batch != grids || input.is_empty() || input.len() != *axes || output.len() != *axes {
            return Err(invalid());
        }
        Ok(Sampled { batch: *batch, channels: *channels, input: input.into(), output: output.into() })
    }

    fn rule(&self, context: &LowerContext<'_>) -> Result<Lowering, String> {
        let x = context.inputs.required(0, "X").map_err(|error| error.to_string())?;
        let grid = context.inputs.required(1, "grid").map_err(|error| error.to_string())?;
        let output = &context.outputs[0];
        if grid.dtype != x.dtype {
            return Err(format!("the kernel takes positions in the type of the input, {}, not {}", x.dtype, grid.dtype));
        }
        let sampled = self.sampled(x.shape, grid.shape).map_err(|error| error.to_string())?;
        for shape in [x.shape, grid.shape, &output.shape] {
            addressable(shape)?;
        }
        let elements = output.shape.elements();
        let params = GridSampleParams {
            input: spatial(&sampled.input).ok_or_else(|| format!("{} has more than three axes to sample along", x.shape))?,
            elements: elements as u32,
            channels: sampled.channels as u32,
            positions: sampled.output.elements() as u32,
            axes: sampled.input.rank() as u32,
        };
        let overrides = vec![self.mode as u32, self.padding as u32, self.align_corners.into(), WORKGROUP_SIZE];
        let variant = Variant::new(&GRID_SAMPLE, vec![context.elem(x.dtype)?], None, overrides);
        let workgroups =
            workgroups_1d(elements, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
        Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Input(1), Arg::Output(0)], workgroups))
    }
}

impl Operator for GridSample {
    fn name(&self) -> &'static str {
        "GridSample"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let (x, grid) = (inputs.required(0, "X")?, inputs.expect_dtype(1, "grid", FLOATS)?);
        let Sampled { batch, channels, input, output } = self.sampled(x.shape, grid.shape)?;
        if input.contains(&0) && output.elements() > 0 {
            return Err(OpError::invalid(format!("{} has no element to sample", x.shape)));
        }
        Ok(vec![TensorType::new(x.dtype, [&[batch, channels], output.dims()].concat())])
    }

    fn flops(&self, inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        let axes = inputs.get(0).map_or(0, |x| x.shape.rank().saturating_sub(2)) as u32;
        let taps: u64 = [0, 2, 4][self.mode as usize];
        outputs.iter().map(|y| 2 * taps.pow(axes) * y.shape.elements() as u64).sum()
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(self.rule(context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let (x, grid) = (reference::input(inputs, 0), reference::input(inputs, 1));
        let sampled = self.sampled(x.shape(), grid.shape())?;
        Ok(vec![reference::sampling::grid_sample(self, &sampled, x, grid)])
    }

    /// Positions are computed in `f32`, a few units of whose last place times the extent are the error of the weights.
    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}
