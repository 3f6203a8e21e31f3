//! `RoiAlign`.

use super::addressable;
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{FLOATS, Operands, Operator, Tolerance};
use crate::plan::{
    Access, Arg, Elem, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Packing, TypeRole, Variant, WORKGROUP_SIZE,
    params, part, workgroups_1d,
};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// `RoiAlign`: inputs `X [N, C, H, W]`, `rois [R, 4]` as `x1, y1, x2, y2`, `batch_indices i64[R]`; output
/// `[R, C, output_height, output_width]`, each bin pooled over samples between the elements of the map.
///
/// An adaptive number of samples is at most 254 along an axis. Batch indices out of range are an error wherever the host sees
/// them, and clamped on the GPU. Source: He et al., "Mask R-CNN", arXiv:1703.06870; ONNX `RoiAlign`, opset 22.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RoiAlign {
    /// How samples are pooled.
    pub mode: RoiPool,
    /// Rows and columns of bins.
    pub output: [usize; 2],
    /// Samples of a bin along an axis; 0 for about one an element of the map.
    pub sampling_ratio: usize,
    /// From the boxes' coordinates to the map's.
    pub spatial_scale: f32,
    /// Whether coordinates are those of pixels' edges, half a pixel before their centres; else boxes are at least 1 × 1.
    pub half_pixel: bool,
}

/// How the samples of a bin are pooled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoiPool {
    /// Their mean.
    Average,
    /// The largest of all weighted elements that samples are made of, as ONNX has it.
    Max,
}

/// So many samples along both axes are what software devices finish their loops with.
pub(crate) const MAX_SAMPLES: usize = 254;

params! {
    pub(crate) struct RoiAlignParams {
        elements: u32,
        batch: i32,
        channels: u32,
        height: i32,
        width: i32,
        output_height: u32,
        output_width: u32,
        sampling_ratio: i32,
        most_samples: i32,
        spatial_scale: f32,
    }
}

pub(crate) static ROI_ALIGN: Kernel = Kernel {
    name: "roi_align",
    body: part!("roi_align.wgsl"),
    parts: &[INDEX],
    types: &[FLOAT_ELEMENT, TypeRole { role: "Index", allowed: &[Elem::I32, Elem::I64] }],
    tiles: &[],
    overrides: &[
        Override { name: "MAXIMUM", values: &[0, 1] },
        Override { name: "HALF_PIXEL", values: &[0, 1] },
        Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] },
    ],
    params: RoiAlignParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

impl RoiAlign {
    fn rule(&self, context: &LowerContext<'_>) -> Result<Lowering, String> {
        let x = context.inputs.required(0, "X").map_err(|error| error.to_string())?;
        let indices = context.inputs.required(2, "batch_indices").map_err(|error| error.to_string())?;
        let &[batch, channels, height, width] = x.shape.dims() else { return Err("not a batch of maps".into()) };
        let output = &context.outputs[0];
        addressable(x.shape)?;
        addressable(&output.shape)?;
        context.capabilities.check_iterations(self.sampling_ratio.saturating_mul(self.sampling_ratio + 1))?;
        let (index, index_type) = match indices.constant {
            Some(_) => (Arg::Packed(2, Packing::Narrow), Elem::I32),
            None => (Arg::Input(2), context.elem(indices.dtype)?),
        };
        let elements = output.shape.elements();
        let params = RoiAlignParams {
            elements: elements as u32,
            batch: batch as i32,
            channels: channels as u32,
            height: height as i32,
            width: width as i32,
            output_height: self.output[0] as u32,
            output_width: self.output[1] as u32,
            sampling_ratio: self.sampling_ratio as i32,
            most_samples: MAX_SAMPLES as i32,
            spatial_scale: self.spatial_scale,
        };
        let overrides = vec![(self.mode == RoiPool::Max).into(), self.half_pixel.into(), WORKGROUP_SIZE];
        let variant = Variant::new(&ROI_ALIGN, vec![context.elem(x.dtype)?, index_type], None, overrides);
        let workgroups =
            workgroups_1d(elements, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
        Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Input(1), index, Arg::Output(0)], workgroups))
    }
}

impl Operator for RoiAlign {
    fn name(&self) -> &'static str {
        "RoiAlign"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let (x, rois) = (inputs.expect_dtype(0, "X", FLOATS)?, inputs.required(1, "rois")?);
        let indices = inputs.expect_dtype(2, "batch_indices", &[DType::I64, DType::I32])?;
        let (&[batch, channels, height, width], &[count, 4]) = (x.shape.dims(), rois.shape.dims()) else {
            return Err(OpError::invalid(format!("X is {} and rois {}, expected [N, C, H, W] and [R, 4]", x.shape, rois.shape)));
        };
        if rois.dtype != x.dtype || indices.shape.dims() != [count] {
            return Err(OpError::invalid(format!(
                "rois are {} and batch_indices {}, expected {} and {count} indices",
                rois.tensor_type(),
                indices.tensor_type(),
                x.dtype
            )));
        }
        if count > 0 && (height == 0 || width == 0) {
            return Err(OpError::invalid(format!("{} has no element to sample", x.shape)));
        }
        if self.sampling_ratio > 1 << 15 {
            return Err(OpError::invalid(format!("sampling_ratio {} is more than {}", self.sampling_ratio, 1 << 15)));
        }
        let indices = indices.constant.and_then(Tensor::to_i64).unwrap_or_default();
        if let Some(wrong) = indices.iter().find(|&&index| !(0..batch as i64).contains(&index)) {
            return Err(OpError::invalid(format!("batch index {wrong} is outside a batch of {batch}")));
        }
        Ok(vec![TensorType::new(x.dtype, [count, channels, self.output[0], self.output[1]])])
    }

    fn flops(&self, _inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        let samples = self.sampling_ratio.max(1) as u64;
        outputs.iter().map(|y| 8 * samples * samples * y.shape.elements() as u64).sum()
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(self.rule(context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        self.infer(&Operands::of(inputs, outputs))?;
        let [x, rois, indices] = [0, 1, 2].map(|at| reference::input(inputs, at));
        Ok(vec![reference::sampling::roi_align(self, x, rois, indices)])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}
