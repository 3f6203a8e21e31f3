//! Products of quantised matrices.

use super::MatMul;
use crate::error::{OpError, Result};
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::build::{cast, reshape};
use crate::ops::{Binary, Operands, Operator, Reach, ReachContext, Tolerance, Unary};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// `MatMulInteger`: `(A − a_zero_point) · (B − b_zero_point)` in `i32`, exactly, modulo 2³².
///
/// Inputs: `A [… , M, K]`, `B [… , K, N]`, each `u8` or `i8`; optional zero points of the factor's type: a scalar, `[M]` or
/// `[…, M, 1]` for `A`, `[N]` or `[…, 1, N]` for `B`. Source: ONNX `MatMulInteger`, opset 10.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MatMulInteger;

/// `QLinearMatMul`: `y = saturate(round(a_scale · b_scale ÷ y_scale · (a − a_zero_point) · (b − b_zero_point)) + y_zero_point)`,
/// halves rounded to even.
///
/// Inputs: `a`, its scale and zero point, `b`, its own, those of `y`; all of a factor, or one a row of `a` and `y` and one a
/// column of `b`, as for [`MatMulInteger`]. Scales are `f32` or `f16`; the output has the type of `y_zero_point`.
/// Source: ONNX `QLinearMatMul`, opset 21.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QLinearMatMul;

const QUANTISED: &[DType] = &[DType::U8, DType::I8];
const SCALES: &[DType] = &[DType::F32, DType::F16];

/// Which axis of a matrix has one scale and one zero point for each place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Per {
    Row,
    Column,
}

impl Per {
    /// `own`, the shape of scales or zero points, as it broadcasts to a matrix of shape `of`.
    fn align(self, name: &str, own: &Shape, of: &Shape) -> Result<Shape, OpError> {
        let fit = match (self, own.dims(), of.dims()) {
            _ if own.elements() == 1 && own.rank() <= 1 => Some(Shape::scalar()),
            (Per::Row, [rows], [.., m, _]) if rows == m => Some(Shape::from([*rows, 1])),
            (Per::Column, [columns], [.., _, n]) if columns == n => Some(own.clone()),
            (Per::Row, [.., 1], _) | (Per::Column, [.., 1, _], _) if own.rank() == of.rank() => Some(own.clone()),
            _ => None,
        };
        let fit = fit.filter(|fit| fit.broadcast(of).as_ref() == Some(of));
        let per = if self == Per::Row { "row" } else { "column" };
        fit.ok_or_else(|| OpError::invalid(format!("{name} {own} is neither one for all of {of} nor one a {per}")))
    }
}

/// A part: `value` as `f32` or `i32`, aligned with the matrix of shape `of`.
fn aligned(parts: &mut Parts<'_>, name: &str, value: ValueId, per: Per, of: &Shape, to: DType) -> Result<Option<ValueId>> {
    let Ok(shape) = per.align(name, &parts.shape(value), of) else { return Ok(None) };
    let value = reshape(parts, &format!("{name}.aligned"), value, shape.dims())?;
    cast(parts, &format!("{name}.cast"), value, to).map(Some)
}

/// The elements of `tensor` without its zero points, and its shape.
fn centred(tensor: &Tensor, zero_point: Option<&Tensor>, per: Per, name: &str) -> Result<Vec<i64>, OpError> {
    let zero = match zero_point {
        Some(zero) => zero.reshape(per.align(name, zero.shape(), tensor.shape())?).map_err(|e| OpError::invalid(e.to_string()))?,
        None => Tensor::scalar(0i32),
    };
    Ok(reference::matmul::centred(tensor, &zero))
}

impl Operator for MatMulInteger {
    fn name(&self) -> &'static str {
        "MatMulInteger"
    }

    fn output_dtype(&self, _inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        Some(DType::I32)
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let (a, b) = (inputs.expect_dtype(0, "A", QUANTISED)?, inputs.expect_dtype(1, "B", QUANTISED)?);
        for (index, name, per, of) in [(2, "a_zero_point", Per::Row, a), (3, "b_zero_point", Per::Column, b)] {
            if inputs.get(index).is_some() {
                per.align(name, inputs.expect_dtype(index, name, &[of.dtype])?.shape, of.shape)?;
            }
        }
        Ok(vec![TensorType::new(DType::I32, MatMul::product(a.shape, b.shape)?.1)])
    }

    fn flops(&self, inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        match (inputs.get(0), inputs.get(1)) {
            (Some(a), Some(b)) => super::flops(MatMul::product(a.shape, b.shape).map(|(p, _)| p)),
            _ => 0,
        }
    }

    fn decompose(&self, parts: &mut Parts<'_>) -> Result<Option<Vec<ValueId>>> {
        let mut factors = vec![];
        for (index, name, per) in [(0, "a", Per::Row), (1, "b", Per::Column)] {
            let Some(value) = parts.input(index) else { return Ok(None) };
            let mut factor = cast(parts, &format!("{name}.cast"), value, DType::I32)?;
            let zero = parts.input(index + 2).filter(|&zero| {
                let known = parts.constant_value(zero).and_then(Tensor::to_i64);
                known.is_none_or(|zeros| zeros.iter().any(|&zero| zero != 0))
            });
            if let Some(zero) = zero {
                let of = parts.shape(value);
                let Some(zero) = aligned(parts, &format!("{name}_zero_point"), zero, per, &of, DType::I32)? else { return Ok(None) };
                factor = parts.node(&format!("{name}.centred"), Binary::Sub, &[factor, zero])?;
            }
            factors.push(factor);
        }
        Ok(Some(vec![parts.node("product", MatMul, &factors)?]))
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        MatMul::reach_of(context, 1)
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs as its parts".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let (a, b) = (reference::input(inputs, 0), reference::input(inputs, 1));
        let (product, output) = MatMul::product(a.shape(), b.shape())?;
        let a_values = centred(a, reference::optional(inputs, 2), Per::Row, "a_zero_point")?;
        let b_values = centred(b, reference::optional(inputs, 3), Per::Column, "b_zero_point")?;
        let y = reference::matmul::integer_product(&product, &a_values, &b_values);
        Ok(vec![Tensor::of(output, y.into_iter().map(|sum| sum as i32).collect())])
    }

    fn tolerance(&self, _dtype: DType) -> Tolerance {
        Tolerance::EXACT
    }
}

/// Scales and zero points of [`QLinearMatMul`]: input, name, what they are one for, and the index of what they belong to.
const PARAMETERS: [(usize, &str, Per, usize); 6] = [
    (1, "a_scale", Per::Row, 0),
    (2, "a_zero_point", Per::Row, 0),
    (4, "b_scale", Per::Column, 3),
    (5, "b_zero_point", Per::Column, 3),
    (6, "y_scale", Per::Row, 8),
    (7, "y_zero_point", Per::Row, 8),
];

impl QLinearMatMul {
    /// The output's shape, and that of the matrix with number `index` among the inputs, 8 for the output.
    fn shapes<'a>(a: &'a Shape, b: &'a Shape) -> Result<(Shape, impl Fn(usize) -> Shape + use<'a>), OpError> {
        let output = MatMul::product(a, b)?.1;
        let y = output.clone();
        Ok((output, move |index| match index {
            0 => a.clone(),
            3 => b.clone(),
            _ => y.clone(),
        }))
    }
}

impl Operator for QLinearMatMul {
    fn name(&self) -> &'static str {
        "QLinearMatMul"
    }

    fn output_dtype(&self, inputs: &[Option<DType>], _index: usize) -> Option<DType> {
        inputs.get(7).copied().flatten()
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let (a, b) = (inputs.expect_dtype(0, "a", QUANTISED)?, inputs.expect_dtype(3, "b", QUANTISED)?);
        let (output, shape) = Self::shapes(a.shape, b.shape)?;
        for (index, name, per, of) in PARAMETERS {
            let allowed = match index {
                2 => &[a.dtype][..],
                5 => &[b.dtype],
                7 => QUANTISED,
                _ => SCALES,
            };
            let own = per.align(name, inputs.expect_dtype(index, name, allowed)?.shape, &shape(of))?;
            if own.elements() > 1 && (a.shape.rank() < 2 || b.shape.rank() < 2) {
                return Err(OpError::Unsupported(format!("{name} {own} with a factor that is a vector")));
            }
        }
        Ok(vec![TensorType::new(inputs.required(7, "y_zero_point")?.dtype, output)])
    }

    fn flops(&self, inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        match (inputs.get(0), inputs.get(3)) {
            (Some(a), Some(b)) => super::flops(MatMul::product(a.shape, b.shape).map(|(p, _)| p)),
            _ => 0,
        }
    }

    fn decompose(&self, parts: &mut Parts<'_>) -> Result<Option<Vec<ValueId>>> {
        let inputs: Option<Vec<ValueId>> = (0..8).map(|index| parts.input(index)).collect();
        let Some(inputs) = inputs else { return Ok(None) };
        let (a, b) = (parts.shape(inputs[0]), parts.shape(inputs[3]));
        let Ok((_, shape)) = Self::shapes(&a, &b) else { return Ok(None) };
        let sums = parts.node("sums", MatMulInteger, &[inputs[0], inputs[3], inputs[2], inputs[5]])?;
        let real = |parts: &mut Parts<'_>, at: usize| {
            let (index, name, per, of) = PARAMETERS[at];
            aligned(parts, name, inputs[index], per, &shape(of), DType::F32)
        };
        let (Some(a_scale), Some(b_scale), Some(y_scale), Some(zero)) =
            (real(parts, 0)?, real(parts, 2)?, real(parts, 4)?, real(parts, 5)?)
        else {
            return Ok(None);
        };
        let scale = parts.node("scale", Binary::Mul, &[a_scale, b_scale])?;
        let scale = parts.node("scale_of_y", Binary::Div, &[scale, y_scale])?;
        let sums = cast(parts, "sums_cast", sums, DType::F32)?;
        let scaled = parts.node("scaled", Binary::Mul, &[sums, scale])?;
        let rounded = parts.node("rounded", Unary::Round, &[scaled])?;
        let shifted = parts.node("shifted", Binary::Add, &[rounded, zero])?;
        let dtype = parts.dtype(inputs[7]);
        Ok(Some(vec![cast(parts, "saturated", shifted, dtype)?]))
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        MatMul::reach_of(context, 3)
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs as its parts".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let (a, b, y_zero) = (reference::input(inputs, 0), reference::input(inputs, 3), reference::input(inputs, 7));
        let (product, output) = MatMul::product(a.shape(), b.shape())?;
        let a_values = centred(a, reference::optional(inputs, 2), Per::Row, "a_zero_point")?;
        let b_values = centred(b, reference::optional(inputs, 5), Per::Column, "b_zero_point")?;
        let sums = reference::matmul::integer_product(&product, &a_values, &b_values);
        let (_, shape) = Self::shapes(a.shape(), b.shape())?;
        let parameter = |at: usize| {
            let (index, name, per, of) = PARAMETERS[at];
            let tensor = reference::input(inputs, index);
            let aligned = tensor.reshape(per.align(name, tensor.shape(), &shape(of))?).map_err(|e| OpError::invalid(e.to_string()));
            aligned.map(|aligned| reference::matmul::spread(&aligned, &output))
        };
        let (a_scale, b_scale, y_scale, zero) = (parameter(0)?, parameter(2)?, parameter(4)?, parameter(5)?);
        let y = sums.iter().enumerate().map(|(i, &sum)| {
            let scaled = (sum as i32 as f64) * (a_scale[i] * b_scale[i] / y_scale[i]);
            scaled.round_ties_even() + zero[i]
        });
        Ok(vec![reference::rounded(y_zero, output.clone(), y.collect())])
    }

    /// One step, where `f32` takes a number for a half that is none.
    fn tolerance(&self, _dtype: DType) -> Tolerance {
        Tolerance { rtol: 0.0, atol: 0.01 }
    }
}
