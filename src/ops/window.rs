//! Sliding windows, shared by convolution and pooling: extents, strides, dilations, padding.

use std::fmt;
use std::ops::Deref;

use crate::error::OpError;
use crate::shape::Shape;

/// One number per spatial axis, `[width]`, `[height, width]` or `[depth, height, width]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Spatial {
    rank: u8,
    values: [usize; 3],
}

impl Spatial {
    /// The most spatial axes an operator can have.
    pub const MAX_RANK: usize = 3;

    /// The same number on `rank` axes.
    pub fn splat(rank: usize, value: usize) -> Self {
        let mut values = [0; 3];
        values[..rank].fill(value);
        Self { rank: rank as u8, values }
    }

    /// From a slice of one to three numbers; `None` for more or fewer.
    pub fn from_slice(slice: &[usize]) -> Option<Self> {
        let mut values = [0; 3];
        (1..=3).contains(&slice.len()).then(|| values[..slice.len()].copy_from_slice(slice))?;
        Some(Self { rank: slice.len() as u8, values })
    }

    /// The same numbers on three axes, `fill` standing for the missing leading ones.
    pub fn to_3d(self, fill: usize) -> [usize; 3] {
        let mut out = [fill; 3];
        out[3 - self.len()..].copy_from_slice(&self);
        out
    }
}

impl Deref for Spatial {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.values[..self.rank as usize]
    }
}

impl From<[usize; 1]> for Spatial {
    fn from([w]: [usize; 1]) -> Self {
        Self { rank: 1, values: [w, 0, 0] }
    }
}

impl From<[usize; 2]> for Spatial {
    fn from([h, w]: [usize; 2]) -> Self {
        Self { rank: 2, values: [h, w, 0] }
    }
}

impl From<[usize; 3]> for Spatial {
    fn from(values: [usize; 3]) -> Self {
        Self { rank: 3, values }
    }
}

impl fmt::Debug for Spatial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &**self)
    }
}

/// How a window's input is padded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum Padding {
    /// So many elements before and after each axis.
    Explicit {
        /// At the start of each axis: `[top, left]`.
        before: Spatial,
        /// At the end of each axis: `[bottom, right]`.
        after: Spatial,
    },
    /// Output extent ⌈input ÷ stride⌉, the odd element at the end.
    SameUpper,
    /// Output extent ⌈input ÷ stride⌉, the odd element at the start.
    SameLower,
    /// No padding.
    Valid,
}

impl Padding {
    /// The same padding before and after each axis.
    pub fn symmetric(padding: impl Into<Spatial>) -> Self {
        let padding = padding.into();
        Padding::Explicit { before: padding, after: padding }
    }
}

/// A window's attributes; `None` stands for the operator's default on every axis (stride 1, dilation 1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Window {
    /// Extent of the kernel.
    pub kernel_size: Spatial,
    /// Step between windows.
    pub stride: Spatial,
    /// Step between the taps of one window.
    pub dilation: Spatial,
    /// Padding of the input.
    pub padding: Padding,
    /// Whether a last window that starts inside the padded input, but ends outside, counts.
    pub ceil_mode: bool,
}

/// A window laid on an input of known extents, on three axes: missing leading axes have extent 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placement {
    /// Number of spatial axes that the operator really has.
    pub rank: usize,
    /// Input extents `[D, H, W]`.
    pub input: [usize; 3],
    /// Output extents `[D, H, W]`.
    pub output: [usize; 3],
    /// Kernel extents.
    pub kernel: [usize; 3],
    /// Strides.
    pub stride: [usize; 3],
    /// Dilations.
    pub dilation: [usize; 3],
    /// Padding before each axis.
    pub before: [usize; 3],
    /// Padding after each axis, as given (windows under `ceil_mode` may reach further).
    pub after: [usize; 3],
}

impl Placement {
    /// The number of positions in one output map.
    pub fn output_elements(&self) -> usize {
        self.output.iter().product()
    }

    /// The number of taps of one window.
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// The output extents of the axes that exist.
    pub fn output_dims(&self) -> &[usize] {
        &self.output[3 - self.rank..]
    }
}

impl Window {
    /// Lays the window on the spatial axes of an input `[N, C, ...]`.
    ///
    /// Output extents are ⌊(in + before + after − dilation·(kernel − 1) − 1) ÷ stride⌋ + 1, ⌈·⌉ under `ceil_mode` with the
    /// rule that the last window must start inside the input or its leading padding
    /// (ONNX `Conv`, `MaxPool` and `AveragePool`, opset 22).
    pub fn place(&self, input: &Shape) -> Result<Placement, OpError> {
        let rank = self.kernel_size.len();
        if input.rank() != rank + 2 {
            return Err(OpError::invalid(format!(
                "kernel {:?} has {rank} spatial axes, so the input needs {} axes [N, C, …], got {input}",
                self.kernel_size,
                rank + 2
            )));
        }
        for (name, values) in [("stride", self.stride), ("dilation", self.dilation)] {
            if values.len() != rank {
                return Err(OpError::invalid(format!(
                    "{name} {values:?} has {} axes, kernel {:?} has {rank}",
                    values.len(),
                    self.kernel_size
                )));
            }
            if values.contains(&0) {
                return Err(OpError::invalid(format!("{name} {values:?} must be at least 1 on every axis")));
            }
        }
        if self.kernel_size.contains(&0) {
            return Err(OpError::invalid(format!("kernel size {:?} must be at least 1 on every axis", self.kernel_size)));
        }
        let mut placement = Placement {
            rank,
            input: [1; 3],
            output: [1; 3],
            kernel: self.kernel_size.to_3d(1),
            stride: self.stride.to_3d(1),
            dilation: self.dilation.to_3d(1),
            before: [0; 3],
            after: [0; 3],
        };
        for axis in 0..rank {
            let at = 3 - rank + axis;
            let extent = input[2 + axis];
            let stride = self.stride[axis];
            let reach = self.dilation[axis]
                .checked_mul(self.kernel_size[axis] - 1)
                .and_then(|r| r.checked_add(1))
                .ok_or_else(|| OpError::invalid(format!("kernel {:?} with dilation {:?} is too large", self.kernel_size, self.dilation)))?;
            let same = || (extent.div_ceil(stride).saturating_sub(1) * stride).saturating_add(reach).saturating_sub(extent);
            let (before, after) = match self.padding {
                Padding::Explicit { before, after } => {
                    if before.len() != rank || after.len() != rank {
                        return Err(OpError::invalid(format!("padding {before:?}, {after:?} does not have {rank} axes")));
                    }
                    (before[axis], after[axis])
                }
                Padding::SameUpper => (same() / 2, same() - same() / 2),
                Padding::SameLower => (same() - same() / 2, same() / 2),
                Padding::Valid => (0, 0),
            };
            let padded = extent.checked_add(before).and_then(|p| p.checked_add(after));
            let Some(room) = padded.and_then(|p| p.checked_sub(reach)) else {
                return Err(OpError::invalid(format!(
                    "kernel {:?} with dilation {:?} spans {reach} on axis {}, more than the input's {extent} with padding {before} + {after}",
                    self.kernel_size,
                    self.dilation,
                    2 + axis
                )));
            };
            let mut output = if self.ceil_mode { room.div_ceil(stride) } else { room / stride } + 1;
            if self.ceil_mode && (output - 1) * stride >= extent + before {
                output -= 1;
            }
            placement.input[at] = extent;
            placement.output[at] = output;
            placement.before[at] = before;
            placement.after[at] = after;
        }
        Ok(placement)
    }
}
