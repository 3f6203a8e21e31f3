//! `ScatterND`.

use super::{REDUCE, REDUCTION, ScatterReduction};
use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::movement::{GatherNd, Tuples, addressable, data, index};
use crate::ops::{Operands, Operator, Reach, ReachContext, Tolerance};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, Elem, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, TypeRole, Variant, WORKGROUP_SIZE,
    dims_array, params, part, workgroups_1d,
};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// `ScatterND`: inputs `data`, `indices […, k]` (i64), `updates`, one slice of `data`'s axes from `k` on for each tuple.
/// Indices out of range are an error wherever the host sees them, and mean nothing on the GPU.
/// Source: ONNX `ScatterND`, opset 18.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ScatterNd {
    /// What an update does.
    pub reduction: ScatterReduction,
}

params! {
    pub(crate) struct ScatterListedParams {
        elements: u32,
        inner: u32,
        slices: u32,
    }
}

params! {
    pub(crate) struct ScatterSearchParams {
        dims: [[u32; 4]; 2],
        strides: [[u32; 4]; 2],
        elements: u32,
        inner: u32,
        rows: u32,
        tuple: u32,
    }
}

pub(crate) static SCATTER_LISTED: Kernel = Kernel {
    name: "scatter_listed",
    body: part!("scatter_listed.wgsl"),
    parts: &[INDEX, REDUCE],
    types: &[ANY_ELEMENT],
    tiles: &[],
    overrides: &[REDUCTION, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: ScatterListedParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

pub(crate) static SCATTER_SEARCH: Kernel = Kernel {
    name: "scatter_search",
    body: part!("scatter_search.wgsl"),
    parts: &[INDEX, REDUCE],
    types: &[ANY_ELEMENT, TypeRole { role: "Index", allowed: &[Elem::I32, Elem::I64] }],
    tiles: &[],
    overrides: &[REDUCTION, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: ScatterSearchParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

/// More comparisons than this take longer on a GPU than a trip to the CPU.
const MAX_COMPARISONS: usize = 1 << 32;

impl ScatterNd {
    fn tuples(&self, inputs: &Operands<'_>) -> Result<Tuples, OpError> {
        let (data, indices) = (inputs.required(0, "data")?, inputs.expect_dtype(1, "indices", &[DType::I32, DType::I64])?);
        let tuples = GatherNd { batch_dims: 0 }.tuples(data.shape, indices.shape)?;
        if tuples.dims.rank() == 0 {
            return Err(OpError::invalid(format!("indices {} have no indices in a tuple", indices.shape)));
        }
        Ok(tuples)
    }

    fn rule(&self, context: &LowerContext<'_>) -> Result<Lowering, String> {
        let data = data(context)?;
        let tuples = self.tuples(&context.inputs).map_err(|error| error.to_string())?;
        self.reduction.on_gpu(data.dtype)?;
        for input in context.inputs.inputs.iter().flatten() {
            addressable(input.shape)?;
        }
        let (elements, slices) = (data.shape.elements(), tuples.dims.elements());
        let workgroups =
            workgroups_1d(elements, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
        let (elem, overrides) = (context.elem(data.dtype)?, vec![self.reduction as u32, WORKGROUP_SIZE]);
        if let Some(indices) = context.inputs.get(1).and_then(|indices| indices.constant) {
            let targets = reference::gather::slices(&tuples.dims, indices).map_err(|error| error.to_string())?;
            let (lists, longest) = lists(slices, &targets);
            context.capabilities.check_iterations(longest)?;
            let params = ScatterListedParams { elements: elements as u32, inner: tuples.inner as u32, slices: slices as u32 };
            let variant = Variant::new(&SCATTER_LISTED, vec![elem], None, overrides);
            let bindings = vec![Arg::Input(0), Arg::Table(Tensor::vector(lists)), Arg::Input(2), Arg::Output(0)];
            return Ok(Lowering::single(variant, &params, bindings, workgroups));
        }
        let comparisons = tuples.rows.saturating_mul(tuples.dims.rank());
        context.capabilities.check_iterations(comparisons.saturating_add(tuples.rows))?;
        if comparisons.saturating_mul(elements) > MAX_COMPARISONS {
            return Err(format!("{} updates of {elements} elements at indices known only at run time are too many to search", tuples.rows));
        }
        if let Some(extent) = tuples.dims.iter().find(|&&extent| i32::try_from(extent).is_err()) {
            return Err(format!("an axis of {extent} elements is beyond i32"));
        }
        let (index, index_type) = index(context, 1)?;
        let array = |values: &[usize], fill| dims_array(values.iter().map(|&v| v as i64), fill).ok_or("tuples of more than 8 indices");
        let params = ScatterSearchParams {
            dims: array(&tuples.dims, 1)?,
            strides: array(&tuples.dims.strides(), 0)?,
            elements: elements as u32,
            inner: tuples.inner as u32,
            rows: tuples.rows as u32,
            tuple: tuples.dims.rank() as u32,
        };
        let variant = Variant::new(&SCATTER_SEARCH, vec![elem, index_type], None, overrides);
        Ok(Lowering::single(variant, &params, vec![Arg::Input(0), index, Arg::Input(2), Arg::Output(0)], workgroups))
    }
}

/// Where the list of each slice begins, `slices + 1` numbers, then the updates of all lists; and the length of the longest.
fn lists(slices: usize, targets: &[usize]) -> (Vec<u32>, usize) {
    let mut lists = vec![0u32; slices + 1 + targets.len()];
    targets.iter().for_each(|&slice| lists[slice + 1] += 1);
    let longest = lists[..=slices].iter().copied().max().unwrap_or(0) as usize;
    (0..slices).for_each(|slice| lists[slice + 1] += lists[slice]);
    let mut next = lists[..slices].to_vec();
    for (update, &slice) in targets.iter().enumerate() {
        lists[slices + 1 + next[slice] as usize] = update as u32;
        next[slice] += 1;
    }
    (lists, longest)
}

impl Operator for ScatterNd {
    fn name(&self) -> &'static str {
        "ScatterND"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let (data, updates) = (inputs.required(0, "data")?, inputs.required(2, "updates")?);
        let tuples = self.tuples(inputs)?;
        if updates.dtype != data.dtype || *updates.shape != tuples.output {
            return Err(OpError::invalid(format!("updates are {}, expected {}{}", updates.tensor_type(), data.dtype, tuples.output)));
        }
        if let Some(values) = inputs.get(1).and_then(|indices| indices.constant) {
            reference::gather::slices(&tuples.dims, values)?;
        }
        Ok(vec![data.tensor_type()])
    }

    fn flops(&self, inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        match self.reduction {
            ScatterReduction::None => 0,
            _ => inputs.get(2).map_or(0, |updates| updates.shape.elements() as u64),
        }
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        if context.input == 0 { context.elementwise() } else { context.whole() }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let no_updates = context.inputs.get(2).is_some_and(|updates| updates.shape.elements() == 0);
        if no_updates { Lowered::View } else { Lowered::from_rule(self.rule(context)) }
    }

    fn reference(&self, inputs: &[Option<&Tensor>], outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let tuples = self.tuples(&Operands::of(inputs, outputs))?;
        let (data, indices, updates) = (reference::input(inputs, 0), reference::input(inputs, 1), reference::input(inputs, 2));
        Ok(vec![reference::scatter::scatter_nd(&tuples, self.reduction, data, indices, updates)?])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        self.reduction.tolerance(dtype)
    }
}
