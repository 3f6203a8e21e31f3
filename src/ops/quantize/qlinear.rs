//! Operators on quantized tensors, of the domain `com.microsoft`.

use super::{DequantizeLinear, QUANTIZED, QuantizeLinear};
use crate::error::OpError;
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::{AveragePool, Binary, Concat, GlobalPool, Op, Operand, Operands, Operator, PoolKind, Tolerance, Unary};
use crate::plan::{LowerContext, Lowered};
use crate::tensor::{DType, Tensor};

/// An operator between `DequantizeLinear` and `QuantizeLinear`, one scale a tensor.
///
/// Inputs: for each operand the integers, scale (`f32`) and zero point, then scale and zero point of the output (for `QLinearConcat`
/// these come first). Zero points may be left out. Output: the type of the first operand.
/// Source: ONNX Runtime's contrib operators, `com.microsoft`, opset 1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct QLinear {
    /// What is computed of the real numbers.
    pub function: QLinearFunction,
}

/// The functions that have such an operator.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub enum QLinearFunction {
    /// `QLinearAdd`
    Add,
    /// `QLinearMul`
    Mul,
    /// `QLinearAveragePool`
    AveragePool(AveragePool),
    /// `QLinearGlobalAveragePool`
    GlobalAveragePool,
    /// `QLinearConcat`
    Concat(Concat),
    /// `QLinearLeakyRelu`
    LeakyRelu {
        /// Slope of the negative side.
        alpha: f32,
    },
    /// `QLinearSigmoid`
    Sigmoid,
}

/// Positions of inputs: integers, scale, zero point of each operand; scale, zero point of the output.
type Positions = (Vec<[usize; 3]>, [usize; 2]);

impl QLinear {
    /// The operator on real numbers.
    fn real(&self) -> Op {
        match self.function {
            QLinearFunction::Add => Binary::Add.into(),
            QLinearFunction::Mul => Binary::Mul.into(),
            QLinearFunction::AveragePool(pool) => pool.into(),
            QLinearFunction::GlobalAveragePool => GlobalPool { kind: PoolKind::Average }.into(),
            QLinearFunction::Concat(concat) => concat.into(),
            QLinearFunction::LeakyRelu { alpha } => Unary::LeakyRelu { alpha }.into(),
            QLinearFunction::Sigmoid => Unary::Sigmoid.into(),
        }
    }

    /// Where a node with so many inputs has them.
    fn positions(&self, inputs: usize) -> Positions {
        match self.function {
            QLinearFunction::Add | QLinearFunction::Mul => (vec![[0, 1, 2], [3, 4, 5]], [6, 7]),
            QLinearFunction::Concat(_) => ((2..inputs.max(3)).step_by(3).map(|at| [at, at + 1, at + 2]).collect(), [0, 1]),
            _ => (vec![[0, 1, 2]], [3, 4]),
        }
    }
}

/// One scale and one zero point of the type of `x`.
fn check(inputs: &Operands<'_>, dtype: DType, scale: usize, zero_point: usize) -> Result<(), OpError> {
    let scale = inputs.expect_dtype(scale, "scale", &[DType::F32])?;
    if scale.shape.elements() != 1 {
        return Err(OpError::invalid(format!("a scale must have one element, got {}", scale.shape)));
    }
    if inputs.get(zero_point).is_none() {
        return Ok(());
    }
    let zero_point = inputs.expect_dtype(zero_point, "zero_point", &[dtype])?;
    if zero_point.shape.elements() != 1 {
        return Err(OpError::invalid(format!("a zero point must have one element, got {}", zero_point.shape)));
    }
    Ok(())
}

impl Operator for QLinear {
    fn name(&self) -> &'static str {
        match self.function {
            QLinearFunction::Add => "QLinearAdd",
            QLinearFunction::Mul => "QLinearMul",
            QLinearFunction::AveragePool(_) => "QLinearAveragePool",
            QLinearFunction::GlobalAveragePool => "QLinearGlobalAveragePool",
            QLinearFunction::Concat(_) => "QLinearConcat",
            QLinearFunction::LeakyRelu { .. } => "QLinearLeakyRelu",
            QLinearFunction::Sigmoid => "QLinearSigmoid",
        }
    }

    fn output_dtype(&self, inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        let first = if matches!(self.function, QLinearFunction::Concat(_)) { 2 } else { 0 };
        inputs.get(first).copied().flatten()
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let (operands, output) = self.positions(inputs.inputs.len());
        let dtype = inputs.expect_dtype(operands[0][0], "operand", QUANTIZED)?.dtype;
        let mut shapes = vec![];
        for [x, scale, zero_point] in operands {
            shapes.push(inputs.expect_dtype(x, "operand", &[dtype])?.shape);
            check(inputs, dtype, scale, zero_point)?;
        }
        check(inputs, dtype, output[0], output[1])?;
        let real = |shape| Some(Operand { dtype: DType::F32, shape, constant: None });
        let types = self.real().operator().infer(&Operands { inputs: shapes.into_iter().map(real).collect(), outputs: 1 })?;
        Ok(types.into_iter().take(1).map(|ty| TensorType::new(dtype, ty.shape)).collect())
    }

    fn decompose(&self, parts: &mut Parts<'_>) -> crate::Result<Option<Vec<ValueId>>> {
        let (operands, [scale, zero_point]) = self.positions(parts.inputs());
        let Some(first) = parts.input(operands[0][0]) else { return Ok(None) };
        let output = Some(parts.dtype(first));
        let mut reals = vec![];
        for (index, at) in operands.into_iter().enumerate() {
            let inputs = at.map(|at| parts.input(at));
            reals.extend(parts.nodes(&format!("real_{index}"), DequantizeLinear::default(), &inputs, 1)?);
        }
        let y = parts.node("real", self.real(), &reals)?;
        let inputs = [Some(y), parts.input(scale), parts.input(zero_point)];
        Ok(Some(parts.nodes("quantized", QuantizeLinear { output, ..QuantizeLinear::default() }, &inputs, 1)?))
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs between DequantizeLinear and QuantizeLinear".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let given = |at: usize| inputs.get(at).copied().flatten();
        let (operands, [scale, zero_point]) = self.positions(inputs.len());
        let output = given(operands[0][0]).map(Tensor::dtype);
        let mut reals = vec![];
        for at in operands {
            reals.extend(DequantizeLinear::default().reference(&at.map(given), 1)?);
        }
        let reals: Vec<Option<&Tensor>> = reals.iter().map(Some).collect();
        let y = self.real().operator().reference(&reals, 1)?;
        QuantizeLinear { output, ..QuantizeLinear::default() }.reference(&[y.first(), given(scale), given(zero_point)], 1)
    }

    /// Sums and functions are rounded before they are quantized: where that falls between two integers, the other one may be taken.
    fn tolerance(&self, dtype: DType) -> Tolerance {
        match self.function {
            QLinearFunction::AveragePool(_) | QLinearFunction::GlobalAveragePool => Tolerance { rtol: 0.0, atol: 1.0 / 64.0 },
            _ => Tolerance::rounding(dtype),
        }
    }
}
