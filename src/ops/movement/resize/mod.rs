//! `Resize`.

mod lower;

pub(crate) use lower::{RESIZE, RESIZE_NEAREST};

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::layout::distinct_axes;
use crate::ops::{AxisReach, Operands, Operator, Reach, ReachContext, Tolerance};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// `Resize`: the input sampled on a grid of other extents, each axis by itself.
///
/// Inputs: `X`, `roi` (read by [`ResizeCoordinates::CropAndResize`] alone), and one of `scales f32[axes]` and
/// `sizes i64[axes]`; with two inputs they are `X` and `scales`, as in opset 10. Source: ONNX `Resize`, opset 19.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Resize {
    /// How values between the input's elements are made up.
    pub mode: ResizeMode,
    /// Where an output element lies in the input.
    pub coordinates: ResizeCoordinates,
    /// What `sizes` mean.
    pub aspect_ratio: AspectRatio,
    /// The axes that `roi`, `scales` and `sizes` speak of, negative ones counting from the end; `None` for all.
    pub axes: Option<Vec<i64>>,
    /// Whether the filter is stretched where the output is smaller.
    pub antialias: bool,
    /// Whether positions outside the input weigh nothing, rather than show the edge.
    pub exclude_outside: bool,
    /// What is outside the input in [`ResizeCoordinates::CropAndResize`].
    pub extrapolation_value: f32,
}

/// The interpolation of a [`Resize`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ResizeMode {
    /// The nearest element.
    Nearest(NearestMode),
    /// Between two elements of each axis.
    Linear,
    /// Between four elements of each axis, by Keys' cubic convolution.
    Cubic {
        /// The filter's parameter, −0.75 or −0.5.
        coefficient: f32,
    },
}

/// Which element is nearest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NearestMode {
    /// The closest, of two the lower.
    RoundPreferFloor,
    /// The closest, of two the upper.
    RoundPreferCeil,
    /// The one before.
    Floor,
    /// The one after.
    Ceil,
}

impl Default for ResizeMode {
    fn default() -> Self {
        ResizeMode::Nearest(NearestMode::RoundPreferFloor)
    }
}

/// Where output element `x` of an axis lies in the input, `scale` being the output's extent by the input's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ResizeCoordinates {
    /// `(x + ½) ÷ scale − ½`
    #[default]
    HalfPixel,
    /// As half pixel, about the centre, where `scale` times the extent is no whole number.
    HalfPixelSymmetric,
    /// As half pixel, and 0 for a single element.
    PytorchHalfPixel,
    /// The first and the last elements of both lie on each other.
    AlignCorners,
    /// `x ÷ scale`
    Asymmetric,
    /// The corners of the region of interest lie on the output's.
    CropAndResize,
}

/// What the `sizes` of a [`Resize`] mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AspectRatio {
    /// The output's extents.
    #[default]
    Stretch,
    /// Bounds from above, all axes scaled alike.
    NotLarger,
    /// Bounds from below, all axes scaled alike.
    NotSmaller,
}

/// What becomes of one axis.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct ResizeAxis {
    /// The input's extent.
    pub input: usize,
    /// The output's extent.
    pub output: usize,
    /// The input's extent times the scale, not rounded.
    pub resized: f64,
    /// Start and end of the region of interest, 0 and 1 for all.
    pub region: [f64; 2],
}

impl ResizeAxis {
    /// Whether every element stays where it is, whatever the mode.
    pub(crate) fn is_kept(&self) -> bool {
        self.input == self.output && self.resized == self.output as f64 && self.region == [0.0, 1.0]
    }
}

/// Tables of an axis with more entries than this come from extents that mean nothing.
const MAX_TAPS: f64 = (1 << 28) as f64;

impl Resize {
    /// What becomes of each axis of `X`.
    pub(crate) fn resized(&self, inputs: &Operands<'_>) -> Result<Vec<ResizeAxis>, OpError> {
        let x = inputs.required(0, "X")?;
        let rank = x.shape.rank();
        let named = match &self.axes {
            Some(axes) => distinct_axes(axes, rank)?,
            None => (0..rank).collect(),
        };
        let of_axes = |name: &str, count: usize, each: usize| match count == each * named.len() {
            true => Ok(()),
            false => Err(OpError::invalid(format!("{count} {name} for {} axes of {}", named.len(), x.shape))),
        };
        let mut axes: Vec<_> = x.shape.iter().map(|&n| ResizeAxis { input: n, output: n, resized: n as f64, region: [0.0, 1.0] }).collect();
        if self.coordinates == ResizeCoordinates::CropAndResize {
            let roi = inputs.constant(1, "roi")?.to_f64();
            of_axes("numbers in roi", roi.len(), 2)?;
            if roi.iter().any(|v| !v.is_finite()) {
                return Err(OpError::invalid(format!("roi {roi:?} must be finite")));
            }
            named.iter().enumerate().for_each(|(at, &axis)| axes[axis].region = [roi[at], roi[at + named.len()]]);
        }
        let scales_at = if inputs.inputs.len() == 2 { 1 } else { 2 };
        let given = |at| inputs.get(at).is_some_and(|operand| operand.shape.elements() > 0 || named.is_empty());
        match (given(scales_at), given(3)) {
            (true, false) => {
                let scales = inputs.constant(scales_at, "scales")?.to_f64();
                of_axes("scales", scales.len(), 1)?;
                for (&axis, &scale) in named.iter().zip(&scales) {
                    if !(scale > 0.0 && scale.is_finite()) {
                        return Err(OpError::invalid(format!("scales {scales:?} must be above 0")));
                    }
                    scaled(&mut axes[axis], scale);
                }
            }
            (false, true) => {
                let sizes = inputs.integers(3, "sizes")?.unwrap_or_default();
                of_axes("sizes", sizes.len(), 1)?;
                self.sized(&mut axes, &named, &sizes)?;
            }
            _ => return Err(OpError::invalid("takes one of inputs 2 (`scales`) and 3 (`sizes`)")),
        }
        for (at, axis) in axes.iter().enumerate() {
            if axis.input == 0 && axis.output > 0 {
                return Err(OpError::invalid(format!("axis {at} of {} has no element to make {} of", x.shape, axis.output)));
            }
            if axis.output as f64 * reference::resize::tap_count(self, axis) as f64 > MAX_TAPS {
                return Err(OpError::invalid(format!("axis {at} of {} is filtered over too many elements", x.shape)));
            }
        }
        Ok(axes)
    }

    fn sized(&self, axes: &mut [ResizeAxis], named: &[usize], sizes: &[i64]) -> Result<(), OpError> {
        for (&axis, &size) in named.iter().zip(sizes) {
            let size = usize::try_from(size).map_err(|_| OpError::invalid(format!("sizes {sizes:?} have an extent below 0")))?;
            axes[axis].output = size;
            axes[axis].resized = size as f64;
        }
        let ratios = named.iter().map(|&axis| axes[axis].resized / axes[axis].input.max(1) as f64);
        let scale = match self.aspect_ratio {
            AspectRatio::Stretch => None,
            AspectRatio::NotLarger => ratios.reduce(f64::min),
            AspectRatio::NotSmaller => ratios.reduce(f64::max),
        };
        if let Some(scale) = scale {
            for &axis in named {
                let axis = &mut axes[axis];
                let resized = scale * axis.input as f64;
                axis.output = (resized + 0.5).floor() as usize;
                axis.resized = whole_if_near(resized);
            }
        }
        Ok(())
    }
}

/// An axis `scale` times as long; extents are multiplied in `f32`, in which scales are given.
fn scaled(axis: &mut ResizeAxis, scale: f64) {
    let part = (axis.region[1] - axis.region[0]) as f32;
    axis.output = (axis.input as f32 * part * scale as f32).floor() as usize;
    axis.resized = whole_if_near(axis.input as f64 * scale);
}

/// A scale of 4/3 is not exact in `f32`; what it means is, and decides which element is nearest.
fn whole_if_near(resized: f64) -> f64 {
    let whole = resized.round();
    if (resized - whole).abs() <= 1e-6 * whole { whole } else { resized }
}

impl Operator for Resize {
    fn name(&self) -> &'static str {
        "Resize"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let dtype = inputs.required(0, "X")?.dtype;
        let shape: Shape = self.resized(inputs)?.iter().map(|axis| axis.output).collect();
        Ok(vec![TensorType::new(dtype, shape)])
    }

    fn flops(&self, inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        if matches!(self.mode, ResizeMode::Nearest(_)) {
            return 0;
        }
        let Ok(axes) = self.resized(inputs) else { return 0 };
        let taps: u64 = axes.iter().filter(|a| !a.is_kept()).map(|a| reference::resize::tap_count(self, a) as u64).product();
        outputs.iter().map(|y| 2 * taps * y.shape.elements() as u64).sum()
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        match self.resized(context.inputs) {
            Ok(axes) if context.input == 0 => context.each_axis(|axis, extent| match axes[axis].is_kept() {
                true => AxisReach::same(axis),
                false => AxisReach::along(axis, reference::resize::stencil(self, &axes[axis]), extent),
            }),
            _ => context.whole(),
        }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        lower::rule(self, context).unwrap_or_else(Lowered::Host)
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let axes = self.resized(&Operands::of(inputs, outputs))?;
        Ok(vec![reference::resize::resize(self, &axes, reference::input(inputs, 0))])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        match self.mode {
            ResizeMode::Nearest(_) => Tolerance::EXACT,
            _ => Tolerance::accumulation(dtype),
        }
    }
}
