//! `Col2Im`.

use super::{addressable, spatial};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator, Spatial, Tolerance};
use crate::plan::{
    Access, Arg, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Variant, WORKGROUP_SIZE, params, part,
    workgroups_1d,
};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// `Col2Im`: inputs `input [N, C·Π block, L]`, `image_shape`, `block_shape`, both of one to three axes; output `[N, C, image…]`, the
/// sum of all blocks where they lie in the image. Source: ONNX `Col2Im`, opset 18.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Col2Im {
    /// Steps between the elements of a block; 1 without it.
    pub dilation: Option<Spatial>,
    /// Padding at the start and at the end of each axis; 0 without it.
    pub padding: Option<[Spatial; 2]>,
    /// Steps between blocks; 1 without it.
    pub stride: Option<Spatial>,
}

/// The blocks along each axis and how they lie.
pub(crate) struct Columns {
    pub batch: usize,
    pub channels: usize,
    pub image: Vec<usize>,
    pub block: Vec<usize>,
    /// How many blocks there are along each axis.
    pub steps: Vec<usize>,
    pub dilation: Vec<usize>,
    pub before: Vec<usize>,
    pub stride: Vec<usize>,
}

params! {
    pub(crate) struct Col2ImParams {
        image: [u32; 4],
        block: [u32; 4],
        steps: [u32; 4],
        dilation: [u32; 4],
        before: [u32; 4],
        stride: [u32; 4],
        elements: u32,
    }
}

pub(crate) static COL2IM: Kernel = Kernel {
    name: "col2im",
    body: part!("col2im.wgsl"),
    parts: &[INDEX],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: Col2ImParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

impl Col2Im {
    pub(crate) fn columns(&self, inputs: &Operands<'_>) -> Result<Columns, OpError> {
        let input = inputs.required(0, "input")?;
        let list = |at, name| {
            inputs.required(at, name)?;
            let values = inputs.integers(at, name)?.unwrap_or_default();
            let extents = values.iter().map(|&v| usize::try_from(v).ok().filter(|&v| v > 0)).collect::<Option<Vec<_>>>();
            extents.ok_or_else(|| OpError::invalid(format!("{name} {values:?} must be above 0")))
        };
        let (image, block) = (list(1, "image_shape")?, list(2, "block_shape")?);
        let axes = image.len();
        let invalid = |what: &str| OpError::invalid(format!("{} with image_shape {image:?} and block_shape {block:?} {what}", input.shape));
        let given = |value: Option<Spatial>, default| value.map_or(vec![default; axes], |spatial| spatial.to_vec());
        let (dilation, stride) = (given(self.dilation, 1), given(self.stride, 1));
        let (before, after) = (given(self.padding.map(|p| p[0]), 0), given(self.padding.map(|p| p[1]), 0));
        if !(1..=3).contains(&axes) || [&block, &dilation, &stride, &before, &after].iter().any(|list| list.len() != axes) {
            return Err(invalid("needs one to three axes, the same everywhere"));
        }
        if dilation.iter().chain(&stride).any(|&v| v == 0) {
            return Err(invalid("needs strides and dilations above 0"));
        }
        let steps = |axis: usize| {
            let padded = image[axis].checked_add(before[axis])?.checked_add(after[axis])?;
            let reach = (block[axis] - 1).checked_mul(dilation[axis])?.checked_add(1)?;
            Some(padded.checked_sub(reach)? / stride[axis] + 1)
        };
        let steps = (0..axes).map(steps).collect::<Option<Vec<_>>>().ok_or_else(|| invalid("has no place for a block"))?;
        let product = |list: &[usize]| list.iter().try_fold(1usize, |n, &v| n.checked_mul(v));
        let (Some(size), Some(count), &[batch, rows, length]) = (product(&block), product(&steps), input.shape.dims()) else {
            return Err(invalid("is no [N, C·block, L]"));
        };
        if !rows.is_multiple_of(size) || length != count {
            return Err(invalid(&format!("must be [N, C·{size}, {count}]")));
        }
        Ok(Columns { batch, channels: rows / size, image, block, steps, dilation, before, stride })
    }

    fn rule(&self, context: &LowerContext<'_>) -> Result<Lowering, String> {
        let columns = self.columns(&context.inputs).map_err(|error| error.to_string())?;
        let (input, output) = (context.inputs.required(0, "input").map_err(|error| error.to_string())?, &context.outputs[0]);
        if !matches!(output.dtype, DType::F32 | DType::F16) {
            return Err(format!("the kernel adds f32 and f16, not {}", output.dtype));
        }
        addressable(input.shape)?;
        addressable(&output.shape)?;
        context.capabilities.check_iterations(columns.block.iter().map(|&n| n + 1).product())?;
        let array = |dims: &[usize], fill: u32| {
            let mut array = spatial(dims).ok_or("an extent beyond 32 bits")?;
            array[..3 - dims.len()].fill(fill);
            Ok::<_, String>(array)
        };
        let elements = output.shape.elements();
        let params = Col2ImParams {
            image: array(&columns.image, 1)?,
            block: array(&columns.block, 1)?,
            steps: array(&columns.steps, 1)?,
            dilation: array(&columns.dilation, 1)?,
            before: array(&columns.before, 0)?,
            stride: array(&columns.stride, 1)?,
            elements: elements as u32,
        };
        let variant = Variant::new(&COL2IM, vec![context.elem(output.dtype)?], None, vec![WORKGROUP_SIZE]);
        let workgroups =
            workgroups_1d(elements, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
        Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Output(0)], workgroups))
    }
}

impl Operator for Col2Im {
    fn name(&self) -> &'static str {
        "Col2Im"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let dtype = inputs.required(0, "input")?.dtype;
        let columns = self.columns(inputs)?;
        Ok(vec![TensorType::new(dtype, [&[columns.batch, columns.channels], columns.image.as_slice()].concat())])
    }

    fn flops(&self, inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        inputs.get(0).map_or(0, |input| input.shape.elements() as u64)
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(self.rule(context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let columns = self.columns(&Operands::of(inputs, outputs))?;
        Ok(vec![reference::sampling::col2im(&columns, reference::input(inputs, 0))])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}
