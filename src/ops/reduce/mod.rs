//! Reductions over axes.

mod kernels;

pub(crate) use kernels::{REDUCE_COLUMNS, REDUCE_MEAN_INTEGERS, REDUCE_ROWS, REDUCE_ROWS_ANY_SUBGROUP, REDUCE_STRIDED};
use kernels::{ReduceColumnsParams, ReduceMeanIntegersParams, ReduceRowsParams, ReduceStridedParams};

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::binary::NUMBERS;
use crate::ops::{FLOATS, Operands, Operator, Reach, ReachContext, Tolerance};
use crate::plan::{
    Arg, Capabilities, LowerContext, Lowered, Lowering, Variant, WORKGROUP_SIZE, collapse, dims_array, element_count, workgroups_1d,
};
use crate::reference;
use crate::shape::{Shape, resolve_axis};
use crate::tensor::{DType, Tensor};

/// What a reduction computes. Sums and products of integers wrap at their width; what is no integer is truncated toward zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ReduceFunction {
    /// The mean.
    Mean,
    /// The sum.
    Sum,
    /// The largest element, NaN where there is one.
    Max,
    /// The smallest element, NaN where there is one.
    Min,
    /// The product.
    Prod,
    /// The sum of absolute values.
    L1,
    /// The square root of the sum of squares.
    L2,
    /// The logarithm of the sum.
    LogSum,
    /// The logarithm of the sum of exponentials, which never overflow.
    LogSumExp,
    /// The sum of squares.
    SumSquare,
}

impl ReduceFunction {
    /// Whether the result is rounded even where elements are integers.
    pub(crate) fn is_real(self) -> bool {
        matches!(self, ReduceFunction::L2 | ReduceFunction::LogSum | ReduceFunction::LogSumExp)
    }

    /// Whether one element alone is its own reduction.
    pub(crate) fn keeps_one(self) -> bool {
        use ReduceFunction as F;
        matches!(self, F::Mean | F::Sum | F::Max | F::Min | F::Prod | F::LogSumExp)
    }
}

/// `ReduceMean`, `ReduceSum`, `ReduceMax` and their kin: input `data`, optional `axes`; over all axes without them.
///
/// The output loses the reduced axes, or keeps them with extent 1. No elements have the sum 0, the product 1, and the
/// smallest and largest value of the type as maximum and minimum. Source: ONNX `ReduceSum`, opset 13, and its kin of opset 20.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reduce {
    /// What is computed.
    pub function: ReduceFunction,
    /// Whether reduced axes stay, with extent 1.
    pub keep_dims: bool,
    /// Whether no axes means no reduction.
    pub noop_with_empty_axes: bool,
}

/// Rows this long are worth a workgroup each; below, one invocation walks a row on its own.
const COOPERATE_FROM: usize = 128;

/// Rows this long are worth a workgroup of 256.
const LARGE_FROM: usize = 4096;

/// Outputs whose elements are apart, as many as keep a device busy with one invocation each: neighbours read side by side.
const MANY_COLUMNS: usize = 4096;

/// The extents of the reduced and of the innermost axis, where one axis is reduced before a kept one of whole vectors, and the elements are dense.
fn columns_of(kept: &[(i64, i64)], reduced: &[(i64, i64)]) -> Option<(usize, usize)> {
    let (&[(columns, stride)], &(inner, 1)) = (reduced, kept.last()?) else { return None };
    let dense = stride == inner && inner % 4 == 0 && kept[..kept.len() - 1].iter().all(|&(_, outer)| outer == columns * inner);
    (dense && kept.len() <= 2).then_some((columns as usize, inner as usize))
}

/// How `rows` reductions of `columns` elements are dealt out: the overrides `COOPERATIVE` and `WORKGROUP_SIZE`, and the workgroups.
///
/// `enough` rows keep a device busy with one invocation a row.
pub(crate) fn deal_rows(rows: usize, columns: usize, enough: usize, max: u32) -> Result<([u32; 2], [u32; 3]), String> {
    let cooperative = columns >= COOPERATE_FROM && rows < enough;
    let size = if cooperative && columns >= LARGE_FROM { 256 } else { 64 };
    let per_workgroup = if cooperative { 1 } else { size as usize };
    let workgroups = workgroups_1d(rows, per_workgroup, max).ok_or_else(|| format!("{rows} rows are too many"))?;
    Ok(([cooperative.into(), size], workgroups))
}

/// How many rows of `columns` elements are enough for one invocation each: on a software device, where workgroup memory is slow, already few,
/// unless its loops would be too long.
pub(crate) fn enough_rows(columns: usize, capabilities: &Capabilities) -> usize {
    if capabilities.software && columns <= 1 << 13 { 64 } else { usize::MAX }
}

/// `shape` as `[outer, columns, inner]`, the columns those of one axis, which may count from the end.
pub(crate) fn along_axis(axis: i64, shape: &Shape) -> Result<[usize; 3], OpError> {
    let at = resolve_axis(axis, shape.rank()).ok_or_else(|| OpError::invalid(format!("axis {axis} is out of range for {shape}")))?;
    let extent = |axes: &[usize]| axes.iter().product();
    Ok([extent(&shape[..at]), shape[at], extent(&shape[at + 1..])])
}

/// Which axes of `x` are reduced, by input 1 where it is given.
pub(crate) fn reduced_axes(op: &Reduce, rank: usize, axes: Option<&[i64]>) -> Result<Vec<bool>, OpError> {
    let axes = axes.unwrap_or_default();
    let mut reduced = vec![axes.is_empty() && !op.noop_with_empty_axes; rank];
    for &axis in axes {
        let resolved = resolve_axis(axis, rank);
        let resolved = resolved.ok_or_else(|| OpError::invalid(format!("axis {axis} is out of range for {rank} axes")))?;
        if std::mem::replace(&mut reduced[resolved], true) {
            return Err(OpError::invalid(format!("axes {axes:?} name axis {resolved} of {rank} twice")));
        }
    }
    Ok(reduced)
}

impl ReduceFunction {
    /// The number of `shared/reduce.wgsl`.
    pub(crate) fn code(self) -> u32 {
        match self {
            ReduceFunction::Sum => 0,
            ReduceFunction::Mean => 1,
            ReduceFunction::Max => 2,
            ReduceFunction::Min => 3,
            ReduceFunction::Prod => 4,
            ReduceFunction::L1 => 5,
            ReduceFunction::L2 => 6,
            ReduceFunction::LogSum => 7,
            ReduceFunction::LogSumExp => 8,
            ReduceFunction::SumSquare => 9,
        }
    }
}

impl Reduce {
    fn output_shape(&self, x: &Shape, reduced: &[bool]) -> Shape {
        let extents = x.iter().zip(reduced);
        if self.keep_dims {
            extents.map(|(&extent, &reduced)| if reduced { 1 } else { extent }).collect()
        } else {
            extents.filter(|(_, reduced)| !**reduced).map(|(&extent, _)| extent).collect()
        }
    }

    fn lower_reduce(&self, context: &LowerContext<'_>) -> Result<Lowered, String> {
        let data = context.inputs.required(0, "data").map_err(|e| e.to_string())?;
        let axes = context.inputs.integers(1, "axes").map_err(|e| e.to_string())?;
        let reduced = reduced_axes(self, data.shape.rank(), axes.as_deref()).map_err(|e| e.to_string())?;
        let outputs = context.outputs[0].shape.elements();
        let elements = element_count(data.shape)?;
        if outputs == elements as usize && self.function.keeps_one() {
            return Ok(Lowered::View);
        }
        let elem = context.elem(data.dtype)?;
        if self.function.is_real() && !data.dtype.is_float() {
            return Err(format!("a result of {} that is no integer needs more digits than f32 has", data.dtype));
        }
        let count = elements as usize / outputs;
        let variant =
            |kernel, [cooperative, size]: [u32; 2]| Variant::new(kernel, vec![elem], None, vec![self.function.code(), cooperative, size]);
        let bindings = || vec![Arg::Input(0), Arg::Output(0)];
        let max = context.capabilities.max_workgroups;

        // The output's strides tell the axes apart: 0 along those that are reduced.
        let owner: Shape = data.shape.iter().zip(&reduced).map(|(&extent, &reduced)| if reduced { 1 } else { extent }).collect();
        let strides = |s: Vec<usize>| s.into_iter().map(|s| s as i64).collect();
        let space = collapse(data.shape, &[strides(data.shape.strides()), strides(owner.broadcast_strides(data.shape))]);
        let axes = |reduced: bool| -> Vec<(i64, i64)> {
            let matching = (0..space.dims.len()).filter(|&axis| (space.strides[1][axis] == 0) == reduced);
            matching.map(|axis| (space.dims[axis] as i64, space.strides[0][axis])).collect()
        };
        let (kept, reduced) = (axes(false), axes(true));

        let (lowest, (mask, sign)) = (f32::MIN, narrow_bits(data.dtype));
        let (mut lowerings, mut behind) = (vec![], vec![]);
        let mut refusal = format!("kept and reduced axes alternate more than 8 times in {}", data.shape);
        let loops = |per_turn: usize, [cooperative, size]: [u32; 2]| {
            let turns = count.div_ceil(if cooperative == 1 { size as usize } else { 1 });
            context.capabilities.check_iterations(turns * per_turn + turns / 64 + 64)
        };
        let integer_mean = self.function == ReduceFunction::Mean && !data.dtype.is_float();
        if !integer_mean && kept.len() <= 1 && matches!(reduced[..], [(_, 1)]) {
            match lower_rows(self.function.code(), outputs, count, data.dtype, context) {
                Ok(rows) => lowerings.extend(rows),
                Err(reason) => refusal = reason,
            }
        }
        if !integer_mean && let Some((columns, inner)) = columns_of(&kept, &reduced) {
            let outputs = outputs / 4;
            let params =
                ReduceColumnsParams { outputs: outputs as u32, columns: count as u32, inner: inner as u32 / 4, lowest, mask, sign };
            let variant = Variant::new(&REDUCE_COLUMNS, vec![elem], None, vec![self.function.code(), WORKGROUP_SIZE]);
            let fits = context.capabilities.check_iterations(columns + columns / 64 + 1);
            if let (Ok(()), Some(workgroups)) = (fits, workgroups_1d(outputs, WORKGROUP_SIZE as usize, max)) {
                // Few long columns are better shared by workgroups, where these are worth anything.
                let first = context.capabilities.software || 4 * outputs >= MANY_COLUMNS;
                let way = Lowering::single(variant, &params, bindings(), workgroups);
                (if first { &mut lowerings } else { &mut behind }).push(way);
            }
        }
        let dims = |axes: &[(i64, i64)]| dims_array(axes.iter().map(|a| a.0), 1);
        let walks = |axes: &[(i64, i64)]| dims_array(axes.iter().map(|a| a.1), 0);
        if let (Some(kept), Some(kept_strides), Some(reduced), Some(reduced_strides)) =
            (dims(&kept), walks(&kept), dims(&reduced), walks(&reduced))
        {
            if integer_mean {
                context.capabilities.check_iterations(count * 9)?;
                let workgroups = workgroups_1d(outputs, WORKGROUP_SIZE as usize, max).ok_or("too many outputs")?;
                let (outputs, count) = (outputs as u32, count as u32);
                let params = ReduceMeanIntegersParams { kept, kept_strides, reduced, reduced_strides, outputs, count };
                let variant = Variant::new(&REDUCE_MEAN_INTEGERS, vec![elem], None, vec![WORKGROUP_SIZE]);
                return Ok(Lowered::Kernels(vec![Lowering::single(variant, &params, bindings(), workgroups)]));
            }
            // Neighbouring outputs read side by side, so one invocation each is best as soon as there are many.
            let (overrides, workgroups) = deal_rows(outputs, count, MANY_COLUMNS, max)?;
            // At the end of each run of the innermost axis, a loop over the axes finds the next one.
            let allowed = loops(1 + 8usize.div_ceil(reduced[1][3].max(1) as usize), overrides);
            let (outputs, count) = (outputs as u32, count as u32);
            let params = ReduceStridedParams { kept, kept_strides, reduced, reduced_strides, outputs, count, lowest, mask, sign };
            match allowed {
                Ok(()) => lowerings.push(Lowering::single(variant(&REDUCE_STRIDED, overrides), &params, bindings(), workgroups)),
                Err(reason) => refusal = reason,
            }
        }
        lowerings.append(&mut behind);
        if lowerings.is_empty() {
            return Err(refusal);
        }
        Ok(Lowered::Kernels(lowerings))
    }
}

/// Input 0 as rows, each reduced to an element of output 0; best first.
pub(crate) fn lower_rows(
    code: u32,
    rows: usize,
    columns: usize,
    dtype: DType,
    context: &LowerContext<'_>,
) -> Result<Vec<Lowering>, String> {
    let capabilities = context.capabilities;
    let ([cooperative, size], workgroups) = deal_rows(rows, columns, enough_rows(columns, capabilities), capabilities.max_workgroups)?;
    let turns = columns.div_ceil(if cooperative == 1 { size as usize } else { 1 });
    capabilities.check_iterations(turns + turns / 64 + 64)?;
    let (mask, sign) = narrow_bits(dtype);
    let params = ReduceRowsParams { rows: rows as u32, columns: columns as u32, lowest: f32::MIN, mask, sign };
    let elem = context.elem(dtype)?;
    let single = |kernel, overrides, workgroups| {
        Lowering::single(Variant::new(kernel, vec![elem], None, overrides), &params, vec![Arg::Input(0), Arg::Output(0)], workgroups)
    };
    let mut ways = vec![single(&REDUCE_ROWS, vec![code, cooperative, size], workgroups)];
    let summed = dtype.is_float() && REDUCE_ROWS_ANY_SUBGROUP.overrides[0].values.contains(&code);
    if summed && capabilities.subgroups && columns >= COOPERATE_FROM {
        let size = if columns >= LARGE_FROM { 256 } else { 64 };
        capabilities.check_iterations(columns.div_ceil(4 * size as usize) + 65)?;
        let way = workgroups_1d(rows, 1, capabilities.max_workgroups).map(|n| single(&REDUCE_ROWS_ANY_SUBGROUP, vec![code, size], n));
        ways.splice(if capabilities.software { 1..1 } else { 0..0 }, way);
    }
    Ok(ways)
}

/// The mask of the bits of an integer type that is narrower than its storage, 0 for other types; and its sign bit, 0 without.
pub(crate) fn narrow_bits(dtype: DType) -> (u32, u32) {
    match dtype {
        DType::I8 => (0xff, 0x80),
        DType::I16 => (0xffff, 0x8000),
        DType::U8 => (0xff, 0),
        DType::U16 => (0xffff, 0),
        _ => (0, 0),
    }
}

impl Operator for Reduce {
    fn name(&self) -> &'static str {
        match self.function {
            ReduceFunction::Mean => "ReduceMean",
            ReduceFunction::Sum => "ReduceSum",
            ReduceFunction::Max => "ReduceMax",
            ReduceFunction::Min => "ReduceMin",
            ReduceFunction::Prod => "ReduceProd",
            ReduceFunction::L1 => "ReduceL1",
            ReduceFunction::L2 => "ReduceL2",
            ReduceFunction::LogSum => "ReduceLogSum",
            ReduceFunction::LogSumExp => "ReduceLogSumExp",
            ReduceFunction::SumSquare => "ReduceSumSquare",
        }
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let data = match self.function {
            ReduceFunction::Max | ReduceFunction::Min => inputs.expect_dtype(0, "data", DType::ALL)?,
            _ => inputs.expect_dtype(0, "data", NUMBERS)?,
        };
        let axes = inputs.integers(1, "axes")?;
        let reduced = reduced_axes(self, data.shape.rank(), axes.as_deref())?;
        let shape = self.output_shape(data.shape, &reduced);
        if self.function == ReduceFunction::Mean && !FLOATS.contains(&data.dtype) && data.shape.elements() == 0 {
            return Err(OpError::invalid(format!("the mean of no elements of {} is undefined", data.tensor_type())));
        }
        Ok(vec![TensorType::new(data.dtype, shape)])
    }

    fn flops(&self, inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        inputs.get(0).map_or(0, |data| data.shape.elements() as u64)
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        let axes = context.inputs.integers(1, "axes");
        match axes.and_then(|axes| reduced_axes(self, context.x().rank(), axes.as_deref())) {
            Ok(reduced) if context.input == 0 => context.reduction(&reduced, self.keep_dims),
            _ => context.whole(),
        }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        self.lower_reduce(context).unwrap_or_else(Lowered::Host)
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let data = reference::input(inputs, 0);
        let axes = reference::optional(inputs, 1).and_then(Tensor::to_i64);
        let reduced = reduced_axes(self, data.shape().rank(), axes.as_deref())?;
        Ok(vec![reference::reduce::reduce(self.function, data, &reduced, &self.output_shape(data.shape(), &reduced))])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        match self.function {
            ReduceFunction::Max | ReduceFunction::Min => Tolerance::EXACT,
            _ => Tolerance::accumulation(dtype),
        }
    }
}
