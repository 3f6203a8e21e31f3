//! Maxima put back where they were found.

use super::axes;
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{FLOATS, Operands, Operator, Spatial, Tolerance};
use crate::plan::{
    Access, Arg, Elem, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, TypeRole, Variant, WORKGROUP_SIZE,
    element_count, params, part, workgroups_1d,
};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// `MaxUnpool`: what a [`MaxPool`](crate::ops::MaxPool) took in, zero but for the maxima.
///
/// Inputs: `X [N, C, …]`, `I` like it, as `i64` (row-major indices in the whole of the input that `MaxPool` had, taken to have
/// extents `(X − 1) · stride − padding + kernel`), optional `output_shape`, one extent for each axis: the output has it, with that
/// input in its corner. Source: ONNX `MaxUnpool`, opset 22.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct MaxUnpool {
    /// Extent of the kernel.
    pub kernel_size: Spatial,
    /// Step between windows.
    pub stride: Spatial,
    /// Padding at the start of each axis.
    pub before: Spatial,
    /// Padding at the end of each axis.
    pub after: Spatial,
}

params! {
    pub(crate) struct MaxUnpoolParams {
        inferred: [u32; 4],
        output: [u32; 4],
        maps: u32,
        elements: u32,
    }
}

pub(crate) static MAX_UNPOOL: Kernel = Kernel {
    name: "max_unpool",
    body: part!("max_unpool.wgsl"),
    parts: &[INDEX],
    types: &[FLOAT_ELEMENT, TypeRole { role: "Index", allowed: &[Elem::I64] }],
    tiles: &[],
    overrides: &[Override { name: "FILL", values: &[0, 1] }, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: MaxUnpoolParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

/// The spatial axes of a shape `[N, C, …]` as `[D, H, W]`.
fn spatial(shape: &Shape) -> [usize; 3] {
    Spatial::from_slice(&shape[2..]).map_or([1; 3], |s| s.to_3d(1))
}

impl MaxUnpool {
    /// The shape that indices count in, and that of the output.
    fn shapes(&self, inputs: &Operands<'_>) -> Result<[Shape; 2], OpError> {
        let x = inputs.required(0, "X")?.shape;
        let rank = self.kernel_size.len();
        if [self.stride.len(), self.before.len(), self.after.len()] != [rank; 3] || x.rank() != rank + 2 {
            return Err(OpError::invalid(format!(
                "kernel {:?} has {rank} spatial axes, so attributes and input need as many, got {x}",
                self.kernel_size
            )));
        }
        let mut inferred = x[..2].to_vec();
        for axis in 0..rank {
            let (kernel, stride, padding) = (self.kernel_size[axis], self.stride[axis], [self.before[axis], self.after[axis]]);
            let extent = (x[2 + axis].checked_sub(1))
                .and_then(|steps| steps.checked_mul(stride))
                .and_then(|reach| reach.checked_add(kernel))
                .and_then(|padded| padded.checked_sub(padding[0])?.checked_sub(padding[1]))
                .filter(|&extent| extent > 0 && extent <= 1 << 30);
            let problem = || {
                OpError::invalid(format!(
                    "axis {} of {x} unpools to no extent from 1 to 2^30: kernel {kernel}, stride {stride}, padding {padding:?}",
                    2 + axis
                ))
            };
            inferred.push(extent.ok_or_else(problem)?);
        }
        let inferred = Shape::from(inferred);
        let Some(extents) = inputs.integers(2, "output_shape")? else { return Ok([inferred.clone(), inferred]) };
        let output: Option<Shape> = extents.iter().map(|&extent| usize::try_from(extent).ok().filter(|&e| e > 0 && e <= 1 << 30)).collect();
        match output.filter(|output| output.rank() == x.rank() && output[..2] == x[..2]) {
            Some(output) => Ok([inferred, output]),
            None => Err(OpError::invalid(format!("`output_shape` is {extents:?}, expected {} and {} and {rank} extents", x[0], x[1]))),
        }
    }

    fn lower_unpool(&self, context: &LowerContext<'_>) -> Result<Lowering, String> {
        let types = vec![context.elem(context.outputs[0].dtype)?, context.elem(DType::I64)?];
        let x = context.inputs.required(0, "X").map_err(|e| e.to_string())?.shape;
        let [inferred, output] = self.shapes(&context.inputs).map_err(|e| e.to_string())?;
        element_count(&inferred)?;
        let mut lowering = Lowering::default();
        for (fill, shape) in [(1, &output), (0, x)] {
            let elements = element_count(shape)?;
            let max = context.capabilities.max_workgroups;
            let workgroups = workgroups_1d(elements as usize, WORKGROUP_SIZE as usize, max).ok_or("too many elements")?;
            let (inferred, output) = (axes(spatial(&inferred)), axes(spatial(&output)));
            let params = MaxUnpoolParams { inferred, output, maps: (x[0] * x[1]) as u32, elements };
            let variant = Variant::new(&MAX_UNPOOL, types.clone(), None, vec![fill, WORKGROUP_SIZE]);
            let bindings = vec![Arg::Input(0), Arg::Input(1), Arg::Output(0)];
            lowering.dispatches.extend(Lowering::single(variant, &params, bindings, workgroups).dispatches);
        }
        Ok(lowering)
    }
}

impl Operator for MaxUnpool {
    fn name(&self) -> &'static str {
        "MaxUnpool"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", FLOATS)?;
        let indices = inputs.expect_dtype(1, "I", &[DType::I64])?;
        if indices.shape != x.shape {
            return Err(OpError::invalid(format!("`I` has shape {}, expected {} as `X`", indices.shape, x.shape)));
        }
        let [_, output] = self.shapes(inputs)?;
        Ok(vec![TensorType::new(x.dtype, output)])
    }

    fn flops(&self, _inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        0
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        Lowered::from_rule(self.lower_unpool(context))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let [inferred, output] = self.shapes(&Operands::of(inputs, outputs))?;
        let (x, indices) = (reference::input(inputs, 0), reference::input(inputs, 1));
        Ok(vec![reference::pool::max_unpool(x, indices, [spatial(&inferred), spatial(&output)], &output)])
    }

    fn tolerance(&self, _dtype: DType) -> Tolerance {
        Tolerance::EXACT
    }
}
