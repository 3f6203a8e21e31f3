//! Arithmetic of two operands with broadcasting.

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operands, Operator, Tolerance};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, Collapsed, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Part, Variant, WORKGROUP_SIZE, collapse,
    dims_array, element_count, params, part, workgroups_1d,
};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// An elementwise operator of two inputs that broadcast against each other (NumPy's rule).
///
/// Inputs: `A`, `B`, of one element type (`Pow` takes any two). Output: their common shape, the type of `A`.
/// Integers wrap at their width. Source: ONNX `Add`, opset 14, and its kin; `Pow`, opset 15.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Binary {
    /// `a + b`
    Add,
    /// `a − b`
    Sub,
    /// `a · b`
    Mul,
    /// `a ÷ b`, truncated toward zero for integers
    Div,
    /// `a` to the power `b`; the result has the type of `a`
    Pow,
}

impl Binary {
    /// The number by which `shaders/shared/arithmetic.wgsl` knows the operator.
    fn code(self) -> u32 {
        match self {
            Binary::Add => 0,
            Binary::Sub => 1,
            Binary::Mul => 2,
            Binary::Div => 3,
            Binary::Pow => 4,
        }
    }
}

/// The code of [`PRelu`](crate::ops::PRelu).
pub(crate) const PRELU: u32 = 5;

const OPERATIONS: Override = Override { name: "OPERATION", values: &[0, 1, 2, 3, 4, PRELU] };

/// The element types that have arithmetic.
pub(crate) const NUMBERS: &[DType] =
    &[DType::F32, DType::F16, DType::F64, DType::I8, DType::I16, DType::I32, DType::I64, DType::U8, DType::U16, DType::U32, DType::U64];

/// `combine`, and the override `OPERATION`.
const ARITHMETIC: Part = part!("shared/arithmetic.wgsl");

params! {
    struct BinaryParams {
        vectors: u32,
        run: u32,
        period: u32,
    }
}

params! {
    struct BinaryBroadcastParams {
        extents: [[u32; 4]; 2],
        a_strides: [[u32; 4]; 2],
        b_strides: [[u32; 4]; 2],
        elements: u32,
        first_axis: u32,
    }
}

pub(crate) static BINARY: Kernel = Kernel {
    name: "binary",
    body: part!("binary.wgsl"),
    parts: &[INDEX, ARITHMETIC],
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
};

pub(crate) static BINARY_BROADCAST: Kernel = Kernel {
    name: "binary_broadcast",
    body: part!("binary_broadcast.wgsl"),
    parts: &[INDEX, ARITHMETIC],
    types: &[ANY_ELEMENT],
    tiles: &[],
    overrides: &[OPERATIONS, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: BinaryBroadcastParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Write],
};

/// Values of `REPEAT`: how the kernel `binary` reads the operand that may repeat.
const DENSE: u32 = 0;
const PER_VECTOR: u32 = 1;
const PER_LANE: u32 = 2;
const VECTORS: u32 = 3;

/// Inputs 0 and 1 combined element by element into output 0, which has the shape they broadcast to.
pub(crate) fn lower_binary(context: &LowerContext<'_>, operation: u32) -> Lowered {
    match lower_both(context, operation) {
        Ok(lowerings) => Lowered::Kernels(lowerings),
        Err(reason) => Lowered::Host(reason),
    }
}

fn lower_both(context: &LowerContext<'_>, operation: u32) -> Result<Vec<Lowering>, String> {
    let (a, b) = (context.inputs.required(0, "A"), context.inputs.required(1, "B"));
    let (a, b) = (a.map_err(|e| e.to_string())?, b.map_err(|e| e.to_string())?);
    let output = &context.outputs[0];
    let elem = context.elem(output.dtype)?;
    if a.dtype != b.dtype {
        return Err(format!("{} and {} are mixed", a.dtype, b.dtype));
    }
    if output.dtype.is_integer() {
        if output.dtype.size() < 4 {
            return Err(format!("{} wraps at {} bits, shaders at 32", output.dtype, 8 * output.dtype.size()));
        }
        if operation == Binary::Pow.code() {
            return Err("shaders raise floats only".into());
        }
        if operation == Binary::Div.code() && b.constant.and_then(Tensor::to_i64).is_none_or(|divisors| divisors.contains(&0)) {
            return Err("integer divisors that may be 0 need a check".into());
        }
    }
    let elements = element_count(&output.shape)?;
    let vectors = elements.div_ceil(4);
    let workgroups = workgroups_1d(vectors as usize, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups);
    let workgroups = workgroups.ok_or("too many elements")?;
    let strides = |shape: &Shape| shape.broadcast_strides(&output.shape).into_iter().map(|s| s as i64).collect();
    let space = collapse(&output.shape, &[strides(a.shape), strides(b.shape)]);

    let mut lowerings = vec![];
    if let Some(Repeating { operand, run, period }) = repeating(&space) {
        let swapped = operand == 0;
        let variant = Variant {
            kernel: &BINARY,
            types: vec![elem],
            tile: None,
            overrides: vec![operation, repeat_mode(elements, run, period), swapped.into(), WORKGROUP_SIZE],
        };
        let bindings = vec![Arg::Input(1 - operand), Arg::Input(operand), Arg::Output(0)];
        lowerings.push(Lowering::single(variant, &BinaryParams { vectors, run, period }, bindings, workgroups));
    }
    if let Some(params) = broadcast_params(&space, elements) {
        let variant = Variant { kernel: &BINARY_BROADCAST, types: vec![elem], tile: None, overrides: vec![operation, WORKGROUP_SIZE] };
        lowerings.push(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Input(1), Arg::Output(0)], workgroups));
    }
    if lowerings.is_empty() { Err(format!("{} axes broadcast differently", space.dims.len())) } else { Ok(lowerings) }
}

/// The operand each of whose elements stands for `run` neighbours, all `period` of them over and over; the other is dense.
#[derive(PartialEq, Debug)]
struct Repeating {
    operand: usize,
    run: u32,
    period: u32,
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

fn broadcast_params(space: &Collapsed, elements: u32) -> Option<BinaryBroadcastParams> {
    Some(BinaryBroadcastParams {
        extents: dims_array(space.dims.iter().map(|&d| d as i64), 1)?,
        a_strides: dims_array(space.strides[0].iter().copied(), 0)?,
        b_strides: dims_array(space.strides[1].iter().copied(), 0)?,
        elements,
        first_axis: 8 - space.dims.len() as u32,
    })
}

impl Operator for Binary {
    fn name(&self) -> &'static str {
        match self {
            Binary::Add => "Add",
            Binary::Sub => "Sub",
            Binary::Mul => "Mul",
            Binary::Div => "Div",
            Binary::Pow => "Pow",
        }
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let a = inputs.expect_dtype(0, "A", NUMBERS)?;
        let b = inputs.expect_dtype(1, "B", NUMBERS)?;
        if a.dtype != b.dtype && *self != Binary::Pow {
            return Err(OpError::invalid(format!("input 0 is {}, input 1 is {}; both must have one type", a.dtype, b.dtype)));
        }
        let shape = a.shape.broadcast(b.shape);
        let shape = shape.ok_or_else(|| OpError::invalid(format!("{} and {} do not broadcast", a.shape, b.shape)))?;
        Ok(vec![TensorType::new(a.dtype, shape)])
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        lower_binary(context, self.code())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![reference::binary::binary(*self, reference::input(inputs, 0), reference::input(inputs, 1))?])
    }

    /// WGSL grants `pow` the error of `exp2(y · log2(x))`, that of `log2` growing with `y`.
    fn tolerance(&self, dtype: DType) -> Tolerance {
        if *self == Binary::Pow { Tolerance::accumulation(dtype) } else { Tolerance::rounding(dtype) }
    }
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
        assert_eq!(broadcast_params(&space(8), 256).unwrap().first_axis, 0);
        assert!(broadcast_params(&space(9), 512).is_none());
    }
}
