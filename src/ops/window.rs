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

/// No padded axis, and no window, may be larger: every position then fits in 32 bits with its sign.
pub(crate) const MAX_EXTENT: usize = 1 << 30;

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

/// A window's attributes.
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
    /// Whether a last window that starts inside the input or its leading padding, but ends outside, counts.
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
    /// rule that the last window must start inside the input or its leading padding. `ceil_mode` counts under
    /// [`Padding::Valid`] as it does with explicit zeros, which is what ONNX shape inference computes.
    ///
    /// # Errors
    /// Ranks that differ, zeros, an empty spatial axis, a kernel that spans more than the padded input, and extents beyond
    /// 2³⁰ (every position then fits in 32 bits with its sign).
    ///
    /// Source: ONNX `Conv`, `MaxPool` and `AveragePool`, opset 22.
    pub fn place(&self, input: &Shape) -> Result<Placement, OpError> {
        let rank = self.check(input)?;
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
            let reach = (self.dilation[axis].checked_mul(self.kernel_size[axis] - 1))
                .and_then(|r| r.checked_add(1))
                .filter(|&r| r <= MAX_EXTENT)
                .ok_or_else(|| OpError::invalid(format!("kernel {:?} with dilation {:?} is too large", self.kernel_size, self.dilation)))?;
            let (before, after) = self.padding_of(axis, extent, reach);
            let padded = (extent.checked_add(before)).and_then(|p| p.checked_add(after)).filter(|&p| p <= MAX_EXTENT).ok_or_else(|| {
                OpError::invalid(format!(
                    "axis {} has {extent} elements with padding {before} + {after}, at most {MAX_EXTENT} can be",
                    2 + axis
                ))
            })?;
            let Some(room) = padded.checked_sub(reach) else {
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

    /// The number of spatial axes, once every attribute has it and none is out of range.
    fn check(&self, input: &Shape) -> Result<usize, OpError> {
        let rank = self.kernel_size.len();
        if input.rank() != rank + 2 {
            return Err(OpError::invalid(format!(
                "kernel {:?} has {rank} spatial axes, so the input needs {} axes [N, C, …], got {input}",
                self.kernel_size,
                rank + 2
            )));
        }
        if let Some(axis) = input[2..].iter().position(|&extent| extent == 0) {
            return Err(OpError::invalid(format!("axis {} of the input {input} is empty", 2 + axis)));
        }
        for (name, values) in [("kernel size", self.kernel_size), ("stride", self.stride), ("dilation", self.dilation)] {
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
            if values.iter().any(|&v| v > MAX_EXTENT) {
                return Err(OpError::invalid(format!("{name} {values:?} must be at most {MAX_EXTENT} on every axis")));
            }
        }
        match self.padding {
            Padding::Explicit { before, after } if before.len() != rank || after.len() != rank => {
                Err(OpError::invalid(format!("padding {before:?}, {after:?} does not have {rank} axes")))
            }
            _ => Ok(rank),
        }
    }

    /// Padding before and after an axis of `extent` elements for a kernel that spans `reach`.
    fn padding_of(&self, axis: usize, extent: usize, reach: usize) -> (usize, usize) {
        let stride = self.stride[axis];
        let same = ((extent.div_ceil(stride) - 1) * stride + reach).saturating_sub(extent);
        match self.padding {
            Padding::Explicit { before, after } => (before[axis], after[axis]),
            Padding::SameUpper => (same / 2, same - same / 2),
            Padding::SameLower => (same - same / 2, same / 2),
            Padding::Valid => (0, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(kernel_size: impl Into<Spatial>, stride: usize, dilation: usize, padding: Padding, ceil_mode: bool) -> Window {
        let kernel_size = kernel_size.into();
        let rank = kernel_size.len();
        Window { kernel_size, stride: Spatial::splat(rank, stride), dilation: Spatial::splat(rank, dilation), padding, ceil_mode }
    }

    fn explicit(before: [usize; 1], after: [usize; 1]) -> Padding {
        Padding::Explicit { before: before.into(), after: after.into() }
    }

    /// Output extent, padding before and after of a window on one axis.
    fn line(extent: usize, window: Window) -> (usize, usize, usize) {
        let p = window.place(&Shape::from([2, 3, extent])).unwrap();
        assert_eq!((p.rank, p.input, &p.output[..2]), (1, [1, 1, extent], &[1, 1][..]));
        (p.output[2], p.before[2], p.after[2])
    }

    fn message(shape: &[usize], window: Window) -> String {
        window.place(&Shape::from(shape)).unwrap_err().to_string()
    }

    #[test]
    fn same_padding_at_stride_2_is_per_axis() {
        // Height 7: ⌈7/2⌉ = 4 windows span 3·2 + 3 = 9, so 2 more than 7; width 10: 5 windows span 8 + 2 = 10, none.
        let shape = Shape::from([2, 3, 7, 10]);
        for padding in [Padding::SameUpper, Padding::SameLower] {
            let p = window([3, 2], 2, 1, padding, false).place(&shape).unwrap();
            assert_eq!((p.output_dims(), &p.before[1..], &p.after[1..]), (&[4, 5][..], &[1, 0][..], &[1, 0][..]));
        }
        // Height 6: 3 windows span 7, one more; width 11: 6 windows span 14, three more.
        let shape = Shape::from([1, 1, 6, 11]);
        let p = window([3, 4], 2, 1, Padding::SameUpper, false).place(&shape).unwrap();
        assert_eq!((p.output_dims(), &p.before[1..], &p.after[1..]), (&[3, 6][..], &[0, 1][..], &[1, 2][..]));
        let p = window([3, 4], 2, 1, Padding::SameLower, false).place(&shape).unwrap();
        assert_eq!((p.output_dims(), &p.before[1..], &p.after[1..]), (&[3, 6][..], &[1, 2][..], &[0, 1][..]));
    }

    #[test]
    fn same_padding_gives_the_ceiling_of_extent_by_stride() {
        for extent in 1..12 {
            for kernel in 1..5 {
                for (stride, dilation) in [(1, 1), (2, 1), (3, 1), (5, 1), (2, 2), (1, 3)] {
                    for (padding, ceil_mode) in [(Padding::SameUpper, false), (Padding::SameLower, false), (Padding::SameUpper, true)] {
                        let (output, ..) = line(extent, window([kernel], stride, dilation, padding, ceil_mode));
                        assert_eq!(output, extent.div_ceil(stride), "extent {extent}, kernel {kernel}, stride {stride}, {padding:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn ceil_mode_drops_windows_that_start_in_the_trailing_padding() {
        // Windows start at −1, 1, 3 (inside 5) and 5, which is past the input's last element.
        assert_eq!(line(5, window([3], 2, 1, explicit([1], [1]), true)), (3, 1, 1));
        // The last window starts at 4 and reaches 6, beyond input and padding.
        assert_eq!(line(5, window([3], 2, 1, explicit([0], [1]), true)).0, 3);
        assert_eq!(line(5, window([3], 2, 1, explicit([0], [0]), true)).0, 2);
        assert_eq!(line(6, window([3], 2, 1, explicit([0], [0]), true)).0, 3);
        assert_eq!(line(6, window([3], 2, 1, explicit([0], [0]), false)).0, 2);
        // A kernel of one with a stride of two on two elements: the second window would start at 2.
        assert_eq!(line(2, window([1], 2, 1, explicit([0], [0]), true)).0, 1);
        // A stride larger than everything.
        assert_eq!(line(4, window([2], 9, 1, explicit([1], [3]), true)).0, 1);
        assert_eq!(line(6, window([3], 2, 1, Padding::Valid, true)).0, 3);
    }

    #[test]
    fn dilation_spreads_the_kernel() {
        assert_eq!(line(9, window([3], 2, 4, Padding::Valid, false)).0, 1);
        assert_eq!(line(9, window([3], 2, 3, explicit([2], [1]), false)).0, 3);
    }

    #[test]
    fn what_does_not_fit_is_rejected_in_numbers() {
        let text = message(&[1, 1, 4, 9], window([3, 6], 1, 2, Padding::symmetric([0, 0]), false));
        assert!(text.contains("spans 5 on axis 2") && text.contains("input's 4 with padding 0 + 0"), "{text}");
        let text = message(&[1, 1, 5, 9], window([3, 6], 1, 2, Padding::symmetric([0, 0]), false));
        assert!(text.contains("spans 11 on axis 3") && text.contains("input's 9"), "{text}");
        let text = message(&[1, 1, 5], window([3, 6], 1, 1, Padding::Valid, false));
        assert!(text.contains("needs 4 axes [N, C, …], got [1,1,5]"), "{text}");
        let text = message(&[1, 1, 5, 0], window([3, 6], 1, 1, Padding::SameUpper, false));
        assert!(text.contains("axis 3 of the input [1,1,5,0] is empty"), "{text}");
        let text = message(&[1, 1, 5], window([3], 0, 1, Padding::Valid, false));
        assert!(text.contains("stride [0] must be at least 1"), "{text}");
        let text = message(&[1, 1, 5], window([0], 1, 1, Padding::Valid, false));
        assert!(text.contains("kernel size [0] must be at least 1"), "{text}");
        let text = message(&[1, 1, 5], window([3], 1, 1, Padding::symmetric([1, 1]), false));
        assert!(text.contains("does not have 1 axes"), "{text}");
        let text = message(&[1, 1, 5], Window { stride: [1, 2].into(), ..window([3], 1, 1, Padding::Valid, false) });
        assert!(text.contains("stride [1, 2] has 2 axes, kernel [3] has 1"), "{text}");
    }

    #[test]
    fn huge_attributes_do_not_overflow() {
        let huge = usize::MAX;
        for w in [
            window([huge], 1, 1, Padding::Valid, true),
            window([3], huge, 1, Padding::SameUpper, true),
            window([3], 1, huge, Padding::SameLower, true),
            window([1 << 20], 1, 1 << 20, Padding::SameUpper, true),
            window([3], 1, 1, explicit([huge], [huge]), true),
            window([3], 1, 1, explicit([1 << 30], [0]), false),
        ] {
            assert!(w.place(&Shape::from([1, 1, 5])).is_err(), "{w:?}");
        }
        assert_eq!(line(5, window([2], 1 << 30, 1, explicit([(1 << 30) - 7], [2]), true)).0, 1);
    }
}
