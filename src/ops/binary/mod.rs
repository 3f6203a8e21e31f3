//! Operators of two and more operands with broadcasting.

mod compare;
mod kernels;
mod not;
mod select;
mod variadic;

pub use compare::Comparison;
pub(crate) use kernels::{
    ARITHMETIC, BINARY, BINARY_BROADCAST, BINARY_RUNS, COMPARE_BROADCAST, INTEGER_BROADCAST, PRELU, Repeating, lower_binary,
};
pub use not::Not;
pub(crate) use select::WHERE;
pub use select::Where;
pub use variadic::Variadic;

use kernels::{Operation, STRIDED_ONLY, lower_operation};

use crate::error::OpError;
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::{Cast, Operand, Operands, Operator, Reach, ReachContext, Tolerance};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// An elementwise operator of two inputs that broadcast against each other (NumPy's rule).
///
/// Inputs: `A`, `B`, of one element type (`Pow` takes any two numbers). Output: their common shape, the type of `A`.
/// Integers wrap at their width; what is divided by 0 is 0, as in NumPy; of integers,
/// fractional powers are those of `f32`, truncated. Source: ONNX `Add`, opset 14, and its kin;
/// `Mod`, opset 13; `Pow`, opset 15; `BitShift`, opset 11; `BitwiseAnd`, opset 18.
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
    /// The remainder of `a ÷ b`
    Mod {
        /// Whether it has the sign of `a`, as C's `fmod`, rather than that of `b`, as Python's `%`.
        fmod: bool,
    },
    /// The larger; NaN where either is
    Max,
    /// The smaller; NaN where either is
    Min,
    /// `a ∧ b` of truth values
    And,
    /// `a ∨ b` of truth values
    Or,
    /// `a ≠ b` of truth values
    Xor,
    /// `a ∧ b` bit by bit
    BitwiseAnd,
    /// `a ∨ b` bit by bit
    BitwiseOr,
    /// `a ≠ b` bit by bit
    BitwiseXor,
    /// `a · 2ᵇ`, unsigned; 0 from the width on
    ShiftLeft,
    /// `a ÷ 2ᵇ`, unsigned; 0 from the width on
    ShiftRight,
}

/// The element types that have arithmetic.
pub(crate) const NUMBERS: &[DType] =
    &[DType::F32, DType::F16, DType::F64, DType::I8, DType::I16, DType::I32, DType::I64, DType::U8, DType::U16, DType::U32, DType::U64];

const INTEGERS: &[DType] = &[DType::I8, DType::I16, DType::I32, DType::I64, DType::U8, DType::U16, DType::U32, DType::U64];

const UNSIGNED: &[DType] = &[DType::U8, DType::U16, DType::U32, DType::U64];

impl Binary {
    /// How the GPU computes the operator on `dtype`.
    fn operation(self, dtype: DType) -> Operation {
        let float = dtype.is_float();
        match self {
            Binary::Add => Operation::Arithmetic(0),
            Binary::Sub => Operation::Arithmetic(1),
            Binary::Mul => Operation::Arithmetic(2),
            Binary::Div if float => Operation::Arithmetic(3),
            Binary::Div => Operation::Integer(0),
            Binary::Pow if float => Operation::Arithmetic(4),
            Binary::Pow => Operation::Integer(1),
            Binary::Max => Operation::Arithmetic(6),
            Binary::Min => Operation::Arithmetic(7),
            Binary::Mod { fmod: true } if float => Operation::Arithmetic(8),
            Binary::Mod { fmod: false } if float => Operation::Arithmetic(9),
            Binary::Mod { fmod: true } => Operation::Integer(2),
            Binary::Mod { fmod: false } => Operation::Integer(3),
            Binary::And | Binary::BitwiseAnd => Operation::Integer(4),
            Binary::Or | Binary::BitwiseOr => Operation::Integer(5),
            Binary::Xor | Binary::BitwiseXor => Operation::Integer(6),
            Binary::ShiftLeft => Operation::Integer(7),
            Binary::ShiftRight => Operation::Integer(8),
        }
    }

    /// The number by which `combine` of `shared/arithmetic.wgsl` knows the operator on floats, where chains may have it.
    pub(crate) fn combination(self) -> Option<u32> {
        match self.operation(DType::F32) {
            Operation::Arithmetic(code) if code < STRIDED_ONLY => Some(code),
            _ => None,
        }
    }

    /// Float exponents of integers, all of them numbers of the integers' type, as that type.
    pub(crate) fn whole_exponent(self, exponent: &Tensor, base: DType) -> Option<Tensor> {
        if self != Binary::Pow || !base.is_integer() || !exponent.dtype().is_float() {
            return None;
        }
        let values = exponent.to_f64();
        let whole = Tensor::from_f64(base, exponent.shape(), values.clone()).ok()?;
        (whole.to_f64() == values).then_some(whole)
    }

    fn dtypes(self) -> &'static [DType] {
        match self {
            Binary::And | Binary::Or | Binary::Xor => &[DType::Bool],
            Binary::BitwiseAnd | Binary::BitwiseOr | Binary::BitwiseXor => INTEGERS,
            Binary::ShiftLeft | Binary::ShiftRight => UNSIGNED,
            _ => NUMBERS,
        }
    }
}

/// The shape that two operands broadcast to.
fn broadcast(a: &Operand<'_>, b: &Operand<'_>) -> Result<crate::shape::Shape, OpError> {
    a.shape.broadcast(b.shape).ok_or_else(|| OpError::invalid(format!("{} and {} do not broadcast", a.shape, b.shape)))
}

/// That two operands have one element type.
fn expect_one_type(a: &Operand<'_>, b: &Operand<'_>) -> Result<(), OpError> {
    if a.dtype == b.dtype {
        return Ok(());
    }
    Err(OpError::invalid(format!("input 0 is {}, input 1 is {}; both must have one type", a.dtype, b.dtype)))
}

/// The type that powers of a base and an exponent of two types are taken in; `None` where no type that shaders have holds both.
fn power_type(base: DType, exponent: DType) -> Option<DType> {
    match (base, exponent) {
        (DType::F64, _) => Some(DType::F64),
        (_, DType::F64) => None,
        (DType::F32 | DType::F16, _) => Some(DType::F32),
        (_, DType::F32 | DType::F16) | (DType::U64, _) | (_, DType::U64) => None,
        _ => Some(DType::I64),
    }
}

/// Integers to powers that need not be whole: those that are exactly, the others in `f32` and truncated.
fn power_of_integers(parts: &mut Parts<'_>, base: ValueId, exponent: ValueId) -> crate::Result<ValueId> {
    let (dtype, float) = (parts.dtype(base), Cast { to: DType::F32 });
    let fractional = if parts.dtype(exponent) == DType::F32 { exponent } else { parts.node("exponent", float, &[exponent])? };
    let whole = parts.node("whole_exponent", Cast { to: dtype }, &[fractional])?;
    let again = parts.node("whole_as_float", float, &[whole])?;
    let same = parts.node("is_whole", Comparison::Equal, &[fractional, again])?;
    let exact = parts.node("exact", Binary::Pow, &[base, whole])?;
    let base = parts.node("base", float, &[base])?;
    let power = parts.node("power", Binary::Pow, &[base, fractional])?;
    // A root that f32 has just below an integer is that integer.
    let up = parts.constant("up", Tensor::scalar(1.0f32 + 1e-6));
    let power = parts.node("root", Binary::Mul, &[power, up])?;
    let power = parts.node("truncated", Cast { to: dtype }, &[power])?;
    parts.node("result", Where, &[same, exact, power])
}

impl Operator for Binary {
    fn name(&self) -> &'static str {
        match self {
            Binary::Add => "Add",
            Binary::Sub => "Sub",
            Binary::Mul => "Mul",
            Binary::Div => "Div",
            Binary::Pow => "Pow",
            Binary::Mod { .. } => "Mod",
            Binary::Max => "Max",
            Binary::Min => "Min",
            Binary::And => "And",
            Binary::Or => "Or",
            Binary::Xor => "Xor",
            Binary::BitwiseAnd => "BitwiseAnd",
            Binary::BitwiseOr => "BitwiseOr",
            Binary::BitwiseXor => "BitwiseXor",
            Binary::ShiftLeft | Binary::ShiftRight => "BitShift",
        }
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let a = inputs.expect_dtype(0, "A", self.dtypes())?;
        let b = inputs.expect_dtype(1, "B", self.dtypes())?;
        if *self != Binary::Pow {
            expect_one_type(&a, &b)?;
        }
        Ok(vec![TensorType::new(a.dtype, broadcast(&a, &b)?)])
    }

    /// A power of two types is one of a type that holds both.
    fn decompose(&self, parts: &mut Parts<'_>) -> crate::Result<Option<Vec<ValueId>>> {
        let (Binary::Pow, Some(a), Some(b)) = (self, parts.input(0), parts.input(1)) else { return Ok(None) };
        let (base, exponent) = (parts.dtype(a), parts.dtype(b));
        if base == exponent {
            return Ok(None);
        }
        if let Some(whole) = parts.constant_value(b).and_then(|b| self.whole_exponent(b, base)) {
            let whole = parts.constant("exponent", whole);
            return Ok(Some(vec![parts.node("power", Binary::Pow, &[a, whole])?]));
        }
        if base.is_integer() && matches!(exponent, DType::F32 | DType::F16) {
            return power_of_integers(parts, a, b).map(|power| Some(vec![power]));
        }
        let Some(to) = power_type(base, exponent) else { return Ok(None) };
        let a = if base == to { a } else { parts.node("base", Cast { to }, &[a])? };
        let b = if exponent == to { b } else { parts.node("exponent", Cast { to }, &[b])? };
        let power = parts.node("power", Binary::Pow, &[a, b])?;
        Ok(Some(vec![if base == to { power } else { parts.node("back", Cast { to: base }, &[power])? }]))
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        context.elementwise()
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        lower_operation(context, self.operation(context.outputs[0].dtype))
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![reference::binary::binary(*self, reference::input(inputs, 0), reference::input(inputs, 1))])
    }

    /// WGSL grants `pow` the error of `exp2(y · log2(x))`, that of `log2` growing with `y`.
    fn tolerance(&self, dtype: DType) -> Tolerance {
        match self {
            Binary::Pow => Tolerance::accumulation(dtype),
            Binary::Max | Binary::Min => Tolerance::EXACT,
            _ => Tolerance::rounding(dtype),
        }
    }
}
