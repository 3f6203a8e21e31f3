//! The kernels of two operands, and how shapes that broadcast are put to them.

use crate::ops::tile::{WORKGROUPS, workgroup_size};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, Collapsed, Elem, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Part, TypeRole, Variant,
    WORKGROUP_SIZE, collapse, dims_array, element_count, params, part, workgroups_1d,
};
use crate::shape::Shape;
use crate::tensor::DType;

/// The code of [`PRelu`](crate::ops::PRelu).
pub(crate) const PRELU: u32 = 5;

/// What `combine` computes of operands that are dense or repeat.
const OPERATIONS: Override = Override { name: "OPERATION", values: &[0, 1, 2, 3, 4, PRELU, 6, 7] };

/// `combine`.
pub(crate) const ARITHMETIC: Part = part!("shared/arithmetic.wgsl");

/// `load_pairs`, `Params` and the operands.
const PAIRS: Part = part!("shared/pairs.wgsl");

/// `wrap`.
const WRAP: Part = part!("shared/wrap.wgsl");

params! {
    struct BinaryParams {
        vectors: u32,
        run: u32,
        period: u32,
        mask: u32,
        sign: u32,
    }
}

params! {
    struct PairParams {
        extents: [[u32; 4]; 2],
        a_strides: [[u32; 4]; 2],
        b_strides: [[u32; 4]; 2],
        elements: u32,
        first_axis: u32,
        mask: u32,
        sign: u32,
    }
}

pub(crate) static BINARY: Kernel = Kernel {
    name: "binary",
    body: part!("binary.wgsl"),
    parts: &[INDEX, WRAP, ARITHMETIC],
    types: &[ANY_ELEMENT],
    tiles: &[],
    overrides: &[
        OPERATIONS,
        Override { name: "REPEAT", values: &[DENSE, PER_VECTOR, PER_LANE, VECTORS] },
        Override { name: "SWAPPED", values: &[0, 1] },
        Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] },
    ],
    params: BinaryParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Write],
    in_place: Some(0),
    ..Kernel::BASE
};

params! {
    struct BinaryRunsParams {
        vectors: u32,
        run: u32,
        period: u32,
        steps: u32,
        pieces: u32,
        mask: u32,
        sign: u32,
    }
}

pub(crate) static BINARY_RUNS: Kernel = Kernel {
    name: "binary_runs",
    body: part!("binary_runs.wgsl"),
    overrides: &[
        OPERATIONS,
        Override { name: "BOUNDARIES", values: &[0, 1] },
        Override { name: "SWAPPED", values: &[0, 1] },
        Override { name: "WORKGROUP_SIZE", values: WORKGROUPS },
    ],
    params: BinaryRunsParams::LAYOUT,
    ..BINARY
};

pub(crate) static BINARY_BROADCAST: Kernel = Kernel {
    name: "binary_broadcast",
    body: part!("binary_broadcast.wgsl"),
    parts: &[INDEX, PAIRS, WRAP, ARITHMETIC],
    types: &[ANY_ELEMENT],
    tiles: &[],
    overrides: &[
        Override { name: "OPERATION", values: &[0, 1, 2, 3, 4, PRELU, 6, 7, 8, 9] },
        Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] },
    ],
    params: PairParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

pub(crate) static INTEGER_BROADCAST: Kernel = Kernel {
    name: "integer_broadcast",
    body: part!("integer_broadcast.wgsl"),
    parts: &[INDEX, PAIRS, WRAP],
    types: &[TypeRole { role: "Element", allowed: &[Elem::I32, Elem::U32, Elem::I64] }],
    overrides: &[
        Override { name: "OPERATION", values: &[0, 1, 2, 3, 4, 5, 6, 7, 8] },
        Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] },
    ],
    ..BINARY_BROADCAST
};

pub(crate) static COMPARE_BROADCAST: Kernel = Kernel {
    name: "compare_broadcast",
    body: part!("compare_broadcast.wgsl"),
    parts: &[INDEX, PAIRS],
    overrides: &[Override { name: "COMPARISON", values: &[0, 1, 2] }, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    ..BINARY_BROADCAST
};

/// Values of `REPEAT`: how the kernel `binary` reads the operand that may repeat.
const DENSE: u32 = 0;
const PER_VECTOR: u32 = 1;
const PER_LANE: u32 = 2;
const VECTORS: u32 = 3;

/// Invocations that keep a software device busy, and the vectors that each of them owns at most.
const ENOUGH_RUNS: u32 = 128;
const LONGEST_RUN: u32 = 196;

/// Which kernel computes an operator, and the number that it knows it by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    /// `OPERATION` of `shared/arithmetic.wgsl`.
    Arithmetic(u32),
    /// `OPERATION` of `integer_broadcast.wgsl`.
    Integer(u32),
    /// `COMPARISON` of `compare_broadcast.wgsl`, and whether the operands change places.
    Comparison(u32, bool),
}

/// The operations that only the strided kernel has.
pub(super) const STRIDED_ONLY: u32 = 8;

/// Inputs 0 and 1 combined element by element into output 0, which has the shape they broadcast to.
pub(crate) fn lower_binary(context: &LowerContext<'_>, operation: u32) -> Lowered {
    lower_operation(context, Operation::Arithmetic(operation))
}

pub(super) fn lower_operation(context: &LowerContext<'_>, operation: Operation) -> Lowered {
    match lower_all(context, operation) {
        Ok(lowerings) => Lowered::Kernels(lowerings),
        Err(reason) => Lowered::Host(reason),
    }
}

fn lower_all(context: &LowerContext<'_>, operation: Operation) -> Result<Vec<Lowering>, String> {
    let operand = |index| context.inputs.required(index, "operand").map_err(|e| e.to_string());
    let (a, b) = (operand(0)?, operand(1)?);
    if a.dtype != b.dtype {
        return Err(format!("{} and {} are mixed", a.dtype, b.dtype));
    }
    let (elem, output) = (context.elem(a.dtype)?, &context.outputs[0].shape);
    let elements = element_count(output)?;
    let vectors = elements.div_ceil(4);
    let workgroups = workgroups_1d(vectors as usize, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups);
    let workgroups = workgroups.ok_or("too many elements")?;
    let strides = |shape: &Shape| shape.broadcast_strides(output).into_iter().map(|s| s as i64).collect();
    let space = collapse(output, &[strides(a.shape), strides(b.shape)]);
    let (mask, sign) = width(a.dtype);
    let variant = |kernel, overrides| Variant::new(kernel, vec![elem], None, overrides);

    let mut lowerings = vec![];
    if let Operation::Arithmetic(code @ 0..STRIDED_ONLY) = operation
        && let Some(repeating) = repeating(&space)
    {
        let overrides = vec![code, repeating.mode(elements), (repeating.operand == 0).into(), WORKGROUP_SIZE];
        let bindings = vec![Arg::Input(1 - repeating.operand), Arg::Input(repeating.operand), Arg::Output(0)];
        if let Some((params, boundaries, invocations)) = repeating.runs(elements, (mask, sign)).filter(|_| context.capabilities.software) {
            let size = workgroup_size(true);
            let workgroups = workgroups_1d(invocations as usize, size as usize, context.capabilities.max_workgroups);
            let variant = variant(&BINARY_RUNS, vec![code, boundaries, (repeating.operand == 0).into(), size]);
            lowerings.extend(workgroups.map(|workgroups| Lowering::single(variant, &params, bindings.clone(), workgroups)));
        }
        let Repeating { run, period, .. } = repeating;
        let params = BinaryParams { vectors, run, period, mask, sign };
        lowerings.push(Lowering::single(variant(&BINARY, overrides), &params, bindings, workgroups));
    }
    let (kernel, code, swapped) = match operation {
        Operation::Arithmetic(code) => (&BINARY_BROADCAST, code, false),
        Operation::Integer(code) => (&INTEGER_BROADCAST, code, false),
        Operation::Comparison(code, swapped) => (&COMPARE_BROADCAST, code, swapped),
    };
    let (left, right) = if swapped { (1, 0) } else { (0, 1) };
    if let Some(params) = pair_params(&space, [left, right], elements, (mask, sign)) {
        let bindings = vec![Arg::Input(left), Arg::Input(right), Arg::Output(0)];
        lowerings.push(Lowering::single(variant(kernel, vec![code, WORKGROUP_SIZE]), &params, bindings, workgroups));
    }
    if lowerings.is_empty() { Err(format!("{} axes broadcast differently", space.dims.len())) } else { Ok(lowerings) }
}

/// The bits of an element type in its storage, and its sign bit where the storage is wider.
fn width(dtype: DType) -> (u32, u32) {
    let bits = 8 * dtype.size() as u32;
    if !dtype.is_integer() || bits >= 32 {
        return (u32::MAX, 0);
    }
    ((1 << bits) - 1, if dtype.is_signed() { 1 << (bits - 1) } else { 0 })
}

/// The operand each of whose elements stands for `run` neighbours, all `period` of them over and over; the other is dense.
#[derive(PartialEq, Debug)]
pub(crate) struct Repeating {
    pub operand: usize,
    pub run: u32,
    pub period: u32,
}

impl Repeating {
    /// How an operand stands beside a dense one of the output's shape, to which it broadcasts.
    pub fn of(operand: &Shape, output: &Shape) -> Option<Self> {
        element_count(output).ok()?;
        let strides = |strides: Vec<usize>| strides.into_iter().map(|s| s as i64).collect();
        repeating(&collapse(output, &[strides(output.strides()), strides(operand.broadcast_strides(output))]))
    }

    /// How [`BINARY_RUNS`] takes so many elements: `BOUNDARIES` and the invocations beside its `Params`. `None` where runs are short.
    fn runs(&self, elements: u32, (mask, sign): (u32, u32)) -> Option<(BinaryRunsParams, u32, u32)> {
        let (vectors, period) = (elements.div_ceil(4), self.period);
        // One element stands for all, the padding included.
        let run = if period == 1 { 4 * vectors } else { self.run };
        if run < 4 {
            return None;
        }
        let boundaries = !run.is_multiple_of(4);
        let dealt = if boundaries { vectors } else { run / 4 };
        let pieces = dealt.div_ceil((vectors / ENOUGH_RUNS).clamp(1, LONGEST_RUN));
        let steps = dealt.div_ceil(pieces);
        let invocations = if boundaries { pieces } else { vectors / dealt * pieces };
        Some((BinaryRunsParams { vectors, run, period, steps, pieces, mask, sign }, boundaries.into(), invocations))
    }

    /// The value of `REPEAT` for so many elements.
    pub fn mode(&self, elements: u32) -> u32 {
        repeat_mode(elements, self.run, self.period)
    }
}

fn repeating(space: &Collapsed) -> Option<Repeating> {
    let shape = Shape::from(space.dims.as_slice());
    let elements = shape.elements();
    let row_major: Vec<i64> = shape.strides().into_iter().map(|s| s as i64).collect();
    let dense = |operand: usize| elements == 1 || space.strides[operand] == row_major;
    // Where both are dense, the right one "repeats" once.
    let operand = if dense(0) { 1 } else { 0 };
    if !dense(1 - operand) {
        return None;
    }
    let strides = &space.strides[operand];
    let mut varying = (0..strides.len()).filter(|&axis| strides[axis] != 0);
    let (run, period) = match (dense(operand), varying.next(), varying.next()) {
        (true, ..) => (1, elements),
        (false, None, _) => (elements, 1),
        (false, Some(axis), None) if strides[axis] == 1 => (row_major[axis] as usize, space.dims[axis]),
        _ => return None,
    };
    Some(Repeating { operand, run: run as u32, period: period as u32 })
}

fn repeat_mode(elements: u32, run: u32, period: u32) -> u32 {
    match (run, period) {
        (1, period) if period == elements => DENSE,
        (_, 1) => PER_VECTOR,
        (run, _) if run % 4 == 0 => PER_VECTOR,
        (1, period) if period % 4 == 0 => VECTORS,
        _ => PER_LANE,
    }
}

fn pair_params(space: &Collapsed, operands: [usize; 2], elements: u32, (mask, sign): (u32, u32)) -> Option<PairParams> {
    Some(PairParams {
        extents: dims_array(space.dims.iter().map(|&d| d as i64), 1)?,
        a_strides: dims_array(space.strides[operands[0]].iter().copied(), 0)?,
        b_strides: dims_array(space.strides[operands[1]].iter().copied(), 0)?,
        elements,
        first_axis: 8 - space.dims.len() as u32,
        mask,
        sign,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(a: &[usize], b: &[usize]) -> Option<(usize, u32, u32, u32)> {
        let (a, b) = (Shape::from(a), Shape::from(b));
        let shape = a.broadcast(&b).unwrap();
        let strides = |s: &Shape| s.broadcast_strides(&shape).into_iter().map(|s| s as i64).collect();
        let Repeating { operand, run, period } = repeating(&collapse(&shape, &[strides(&a), strides(&b)]))?;
        Some((operand, run, period, repeat_mode(shape.elements() as u32, run, period)))
    }

    #[test]
    fn common_broadcasts_repeat() {
        assert_eq!(pattern(&[2, 3, 4, 5], &[2, 3, 4, 5]), Some((1, 1, 120, DENSE)));
        assert_eq!(pattern(&[2, 3, 4, 5], &[3, 1, 1]), Some((1, 20, 3, PER_VECTOR)));
        assert_eq!(pattern(&[1, 3, 1, 1], &[2, 3, 5, 7]), Some((0, 35, 3, PER_LANE)));
        assert_eq!(pattern(&[2, 3, 4, 5], &[]), Some((1, 120, 1, PER_VECTOR)));
        assert_eq!(pattern(&[7, 8], &[8]), Some((1, 1, 8, VECTORS)));
        assert_eq!(pattern(&[7, 9], &[9]), Some((1, 1, 9, PER_LANE)));
        assert_eq!(pattern(&[7, 9], &[7, 1]), Some((1, 9, 7, PER_LANE)));
        assert_eq!(pattern(&[1], &[1, 1]), Some((1, 1, 1, DENSE)));
    }

    #[test]
    fn others_take_strides() {
        assert_eq!(pattern(&[2, 1], &[1, 3]), None);
        assert_eq!(pattern(&[2, 3, 4, 5], &[2, 1, 4, 5]), None);
    }

    #[test]
    fn eight_alternating_axes_fit_and_nine_do_not() {
        let space = |n: usize| {
            let (a, b): (Vec<_>, Vec<_>) = (0..n).map(|i| if i % 2 == 0 { (2, 1) } else { (1, 2) }).unzip();
            let shape = Shape::from(vec![2; n]);
            let strides = |d: Vec<usize>| Shape::from(d).broadcast_strides(&shape).into_iter().map(|s| s as i64).collect();
            collapse(&shape, &[strides(a), strides(b)])
        };
        assert_eq!(pair_params(&space(8), [0, 1], 256, (0, 0)).unwrap().first_axis, 0);
        assert!(pair_params(&space(9), [0, 1], 512, (0, 0)).is_none());
    }
}
