//! Matrix products.

mod block;
mod kernels;
mod lower;
mod quantized;
mod subgroup;

pub(crate) use block::BLOCK;
pub(crate) use kernels::{DIRECT, TILED, VECTOR, VECTOR_SUBGROUP};
pub(crate) use lower::lower_product;
pub use quantized::{MatMulInteger, QLinearMatMul};
pub(crate) use subgroup::{SUBGROUP_ELEMENTS, SUBGROUP_VECTORS};

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Operand, Operands, Operator, Reach, ReachContext, Tolerance};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// `Gemm`: `alpha · A' · B' + beta · C`, `A'` and `B'` transposed on request.
///
/// Inputs: `A [M, K]`, `B [K, N]`, optional `C` broadcast to `[M, N]`. Output `[M, N]`. Source: ONNX `Gemm`, opset 13.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Gemm {
    /// Factor of the product.
    pub alpha: f32,
    /// Factor of `C`.
    pub beta: f32,
    /// Whether `A` is given as `[K, M]`.
    pub transpose_a: bool,
    /// Whether `B` is given as `[N, K]`.
    pub transpose_b: bool,
}

impl Default for Gemm {
    fn default() -> Self {
        Self { alpha: 1.0, beta: 1.0, transpose_a: false, transpose_b: false }
    }
}

/// `MatMul`: NumPy's `matmul`, leading axes broadcast, plus a bias. Inputs `[…, M, K]`, `[…, K, N]`, optional `bias [N]`, which no file
/// has: the optimiser makes it of an `Add`. Source: ONNX `MatMul`, opset 13.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct MatMul;

/// The element types that matrix products take.
const NUMBERS: &[DType] = &[DType::F32, DType::F16, DType::F64, DType::I32, DType::I64, DType::U32, DType::U64];

/// Strides in elements of a factor: one for each batch axis of the product, then those of the matrix.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Factor {
    pub batch: Vec<usize>,
    pub row: usize,
    pub column: usize,
}

/// A batch of matrix products `alpha · A[M, K] · B[K, N] + beta · C`: every extent and stride known and consistent.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Product {
    /// Extents of the batch axes that the factors broadcast to.
    pub batch: Vec<usize>,
    /// M
    pub rows: usize,
    /// N
    pub columns: usize,
    /// K
    pub inner: usize,
    /// Strides of `A`.
    pub a: Factor,
    /// Strides of `B`.
    pub b: Factor,
    /// Strides of the addend along rows and columns, where there is one.
    pub c: Option<[usize; 2]>,
    /// Factor of the product.
    pub alpha: f32,
    /// Factor of the addend.
    pub beta: f32,
}

impl Product {
    /// The number of output elements.
    pub fn outputs(&self) -> usize {
        self.batch.iter().product::<usize>() * self.rows * self.columns
    }
}

impl Gemm {
    pub(crate) fn product(&self, a: &Shape, b: &Shape, c: Option<&Shape>) -> Result<Product, OpError> {
        let matrix = |name: &str, shape: &Shape, transposed: bool| match *shape.dims() {
            [rows, columns] if transposed => Ok((columns, rows, Factor { batch: vec![], row: 1, column: columns })),
            [rows, columns] => Ok((rows, columns, Factor { batch: vec![], row: columns, column: 1 })),
            _ => Err(OpError::invalid(format!("{name} {shape} must be a matrix"))),
        };
        let (rows, inner, a_strides) = matrix("A", a, self.transpose_a)?;
        let (b_inner, columns, b_strides) = matrix("B", b, self.transpose_b)?;
        if inner != b_inner {
            return Err(OpError::invalid(format!("A has {inner} columns and B {b_inner} rows, after transposition")));
        }
        let target = Shape::from([rows, columns]);
        let c = match c {
            Some(shape) if shape.rank() <= 2 && shape.broadcast(&target).as_ref() == Some(&target) => {
                let strides = shape.broadcast_strides(&target);
                Some([strides[0], strides[1]])
            }
            Some(shape) => return Err(OpError::invalid(format!("C {shape} does not broadcast to {target}"))),
            None => None,
        };
        Ok(Product { batch: vec![], rows, columns, inner, a: a_strides, b: b_strides, c, alpha: self.alpha, beta: self.beta })
    }
}

impl MatMul {
    /// What a product reads of the factor that is asked about, the second factor being input `b`.
    pub(crate) fn reach_of(context: &ReachContext<'_>, b: usize) -> Reach {
        let (Some(first), Some(second)) = (context.inputs.get(0), context.inputs.get(b)) else { return context.whole() };
        // NumPy takes axes away that it gave to vectors.
        let (rows, columns) = (first.shape.rank() > 1, second.shape.rank() > 1);
        let (rank, own) = (context.y().rank(), context.x().rank());
        let batch = rank - usize::from(rows) - usize::from(columns);
        match context.input {
            0 => context.factor(rows.then(|| own - 2), batch, batch),
            at if at == b => context.factor(columns.then(|| own - 1), rank.saturating_sub(1), batch),
            _ => context.whole(),
        }
    }

    /// The product, and the output's shape: NumPy takes axes away that it gave to vectors.
    pub(crate) fn product(a: &Shape, b: &Shape) -> Result<(Product, Shape), OpError> {
        if a.rank() == 0 || b.rank() == 0 {
            return Err(OpError::invalid(format!("a factor has no axes: {a} × {b}")));
        }
        let a_matrix = if a.rank() == 1 { Shape::from([1, a[0]]) } else { a.clone() };
        let b_matrix = if b.rank() == 1 { Shape::from([b[0], 1]) } else { b.clone() };
        let split = |shape: &Shape| {
            let (batch, matrix) = shape.split_at(shape.rank() - 2);
            (Shape::from(batch), matrix[0], matrix[1])
        };
        let ((a_batch, rows, inner), (b_batch, b_inner, columns)) = (split(&a_matrix), split(&b_matrix));
        if inner != b_inner {
            return Err(OpError::invalid(format!("A {a} has {inner} columns, B {b} has {b_inner} rows")));
        }
        let Some(batch) = a_batch.broadcast(&b_batch) else {
            return Err(OpError::invalid(format!("the leading axes of {a} and {b} do not broadcast")));
        };
        let factor = |own: &Shape, rows: usize, columns: usize| {
            let strides = own.broadcast_strides(&batch).into_iter().map(|s| s.saturating_mul(rows).saturating_mul(columns));
            Factor { batch: strides.collect(), row: columns, column: 1 }
        };
        let (a_strides, b_strides) = (factor(&a_batch, rows, inner), factor(&b_batch, inner, columns));
        let mut output = batch.to_vec();
        output.extend((a.rank() > 1).then_some(rows));
        output.extend((b.rank() > 1).then_some(columns));
        let product = Product { batch: batch.to_vec(), rows, columns, inner, a: a_strides, b: b_strides, c: None, alpha: 1.0, beta: 1.0 };
        Ok((product, output.into()))
    }

    /// [`MatMul::product`] plus a bias.
    pub(crate) fn product_and_bias(a: &Shape, b: &Shape, bias: Option<&Shape>) -> Result<(Product, Shape), OpError> {
        let (mut product, shape) = Self::product(a, b)?;
        let Some(bias) = bias else { return Ok((product, shape)) };
        if b.rank() < 2 || bias.dims() != [product.columns] {
            return Err(OpError::invalid(format!("bias has shape {bias}, expected an element for each column of the matrix {b}")));
        }
        product.c = Some([0, 1]);
        Ok((product, shape))
    }

    fn product_of(inputs: &Operands<'_>) -> Result<Product, OpError> {
        let (a, b) = factors(inputs)?;
        Ok(Self::product_and_bias(a.shape, b.shape, inputs.get(2).map(|bias| bias.shape))?.0)
    }
}

/// A multiply-add for each output and inner index; an addend one addition an output more.
fn flops(product: Result<Product, OpError>) -> u64 {
    product.map_or(0, |p| (p.outputs() as u64).saturating_mul(2 * p.inner as u64 + u64::from(p.c.is_some())))
}

fn lowered(product: Result<Product, OpError>, context: &LowerContext<'_>) -> Lowered {
    match product.map_err(|e| e.to_string()).and_then(|p| lower_product(&p, context)) {
        Ok(lowerings) => Lowered::Kernels(lowerings),
        Err(reason) => Lowered::Host(reason),
    }
}

fn factors<'a>(inputs: &Operands<'a>) -> Result<(Operand<'a>, Operand<'a>), OpError> {
    let a = inputs.expect_dtype(0, "A", NUMBERS)?;
    Ok((a, inputs.expect_dtype(1, "B", &[a.dtype])?))
}

impl Operator for Gemm {
    fn name(&self) -> &'static str {
        "Gemm"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let (a, b) = factors(inputs)?;
        let c = inputs.get(2).map(|_| inputs.expect_dtype(2, "C", &[a.dtype])).transpose()?;
        if !a.dtype.is_float() && (self.alpha, self.beta) != (1.0, 1.0) {
            return Err(OpError::Unsupported(format!("alpha {} and beta {} on {}", self.alpha, self.beta, a.dtype)));
        }
        let product = self.product(a.shape, b.shape, c.map(|c| c.shape))?;
        Ok(vec![TensorType::new(a.dtype, [product.rows, product.columns])])
    }

    fn flops(&self, inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        factors(inputs).map_or(0, |(a, b)| flops(self.product(a.shape, b.shape, inputs.get(2).map(|c| c.shape))))
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        match context.input {
            0 => context.factor(Some(usize::from(self.transpose_a)), 0, 0),
            1 => context.factor(Some(usize::from(!self.transpose_b)), 1, 0),
            _ => context.elementwise(),
        }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let product = factors(&context.inputs).and_then(|(a, b)| self.product(a.shape, b.shape, context.inputs.get(2).map(|c| c.shape)));
        lowered(product, context)
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let (a, b, c) = (reference::input(inputs, 0), reference::input(inputs, 1), reference::optional(inputs, 2));
        let product = self.product(a.shape(), b.shape(), c.map(Tensor::shape))?;
        Ok(vec![reference::matmul::product(&product, a, b, c, [product.rows, product.columns].into())])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}

impl Operator for MatMul {
    fn name(&self) -> &'static str {
        "MatMul"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let (a, b) = factors(inputs)?;
        let bias = inputs.get(2).map(|_| inputs.expect_dtype(2, "bias", &[a.dtype])).transpose()?;
        Ok(vec![TensorType::new(a.dtype, Self::product_and_bias(a.shape, b.shape, bias.map(|bias| bias.shape))?.1)])
    }

    fn flops(&self, inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        flops(Self::product_of(inputs))
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        Self::reach_of(context, 1)
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        lowered(Self::product_of(&context.inputs), context)
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let (a, b, bias) = (reference::input(inputs, 0), reference::input(inputs, 1), reference::optional(inputs, 2));
        let (product, output) = Self::product_and_bias(a.shape(), b.shape(), bias.map(Tensor::shape))?;
        Ok(vec![reference::matmul::product(&product, a, b, bias, output)])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}
