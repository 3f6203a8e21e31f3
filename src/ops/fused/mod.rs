//! Several nodes of the file in one: an operator and what happens to each element of its output before it is stored, or a chain of
//! elementwise operators. Made by the optimiser, never by a file.

mod elementwise;
mod epilogue;

pub(crate) use elementwise::ELEMENTWISE;
pub(crate) use epilogue::{COLUMN_EPILOGUE, ELEMENT_EPILOGUE, VECTOR_EPILOGUE};

use std::fmt;

use crate::error::OpError;
use crate::graph::TensorType;
use crate::ops::{Binary, Clip, Op, Operands, Operator, PRelu, Reach, ReachContext, Tolerance, Unary};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::tensor::{DType, Tensor};

/// A function of each element, in a chain of them.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub enum Step {
    /// `v ← f(v)`
    Unary(Unary),
    /// `v` between two bounds; where they cross, the upper one wins.
    Clip {
        /// The lower bound.
        min: f32,
        /// The upper bound.
        max: f32,
    },
    /// `v ← v ∘ operand`, or `operand ∘ v`
    Binary {
        /// The operator.
        op: Binary,
        /// Which of the node's inputs is the operand; it broadcasts to `v`.
        operand: usize,
        /// Whether the operand is the left one.
        swapped: bool,
    },
    /// `v` where positive, else `slope · v`
    PRelu {
        /// Which of the node's inputs is the slope; it broadcasts to `v`.
        slope: usize,
    },
}

impl Step {
    /// The ONNX operator's name.
    pub fn name(&self) -> &'static str {
        match self {
            Step::Unary(op) => op.name(),
            Step::Clip { .. } => Clip.name(),
            Step::Binary { op, .. } => op.name(),
            Step::PRelu { .. } => PRelu.name(),
        }
    }

    /// The node's input that the step reads beside `v`.
    pub fn operand(&self) -> Option<usize> {
        match *self {
            Step::Unary(_) | Step::Clip { .. } => None,
            Step::Binary { operand, .. } | Step::PRelu { slope: operand } => Some(operand),
        }
    }

    /// The step on whole tensors, by the reference of its operator.
    fn reference(&self, v: &Tensor, inputs: &[Option<&Tensor>]) -> Result<Tensor, OpError> {
        let bound = |x: f32| Tensor::from_f64(v.dtype(), crate::Shape::scalar(), vec![x.into()]).expect("one element");
        let mut outputs = match *self {
            Step::Unary(op) => op.reference(&[Some(v)], 1)?,
            Step::Clip { min, max } => Clip.reference(&[Some(v), Some(&bound(min)), Some(&bound(max))], 1)?,
            Step::Binary { op, operand, swapped } => {
                let other = inputs[operand];
                op.reference(&if swapped { [other, Some(v)] } else { [Some(v), other] }, 1)?
            }
            Step::PRelu { slope } => PRelu.reference(&[Some(v), inputs[slope]], 1)?,
        };
        Ok(outputs.swap_remove(0))
    }
}

/// An operator, then steps on each element of its output; without an operator, the steps on each element of input 0.
///
/// Inputs: those of the operator (or one), then the steps' operands. Output: as the operator's.
#[derive(Clone, PartialEq, Debug)]
pub struct Fused {
    /// The operator.
    pub base: Option<Box<Op>>,
    /// How many of the node's inputs are the operator's.
    pub base_inputs: usize,
    /// What happens to its output, in order; never empty.
    pub steps: Vec<Step>,
}

impl Fused {
    fn base_operands<'a>(&self, inputs: &Operands<'a>) -> Operands<'a> {
        Operands { inputs: inputs.inputs[..self.base_inputs].to_vec(), outputs: 1 }
    }

    fn base_type(&self, inputs: &Operands<'_>) -> Result<TensorType, OpError> {
        match &self.base {
            Some(base) => Ok(base.operator().infer(&self.base_operands(inputs))?.swap_remove(0)),
            None => Ok(inputs.required(0, "x")?.tensor_type()),
        }
    }

    /// Whether each element of the output depends on one element of each input alone.
    pub fn is_elementwise(&self) -> bool {
        self.base.is_none()
    }
}

impl fmt::Display for Fused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.base.iter().map(|op| op.name()).chain(self.steps.iter().map(Step::name)).collect();
        f.write_str(&names.join(" + "))
    }
}

impl Operator for Fused {
    fn name(&self) -> &'static str {
        match (&self.base, self.steps.first()) {
            (Some(base), _) => base.name(),
            (None, Some(step)) => step.name(),
            (None, None) => "Identity",
        }
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let y = self.base_type(inputs)?;
        for operand in self.steps.iter().filter_map(Step::operand) {
            let other = inputs.expect_dtype(operand, "operand", &[y.dtype])?;
            if other.shape.broadcast(&y.shape).as_ref() != Some(&y.shape) {
                return Err(OpError::invalid(format!("operand {} does not broadcast to {}", other.shape, y.shape)));
            }
        }
        Ok(vec![y])
    }

    fn flops(&self, inputs: &Operands<'_>, outputs: &[TensorType]) -> u64 {
        let base = self.base.as_ref().map_or(0, |op| op.operator().flops(&self.base_operands(inputs), outputs));
        base + self.steps.len() as u64 * outputs.first().map_or(0, |t| t.shape.elements() as u64)
    }

    fn reach(&self, context: &ReachContext<'_>) -> Reach {
        let operand = self.steps.iter().any(|step| step.operand() == Some(context.input));
        match &self.base {
            Some(base) if context.input < self.base_inputs => {
                let inputs = self.base_operands(context.inputs);
                let read = base.operator().reach(&ReachContext { inputs: &inputs, ..*context });
                if operand { context.whole() } else { read }
            }
            _ => context.elementwise(),
        }
    }

    fn lower(&self, context: &LowerContext<'_>) -> Lowered {
        let Some(base) = &self.base else {
            return Lowered::from_rule(elementwise::lower(self, context));
        };
        let of_base = LowerContext { inputs: self.base_operands(&context.inputs), ..*context };
        match base.operator().lower(&of_base) {
            Lowered::Kernels(lowerings) => epilogue::attach(self, lowerings, context),
            Lowered::View => Lowered::Host("a view has no epilogue".into()),
            Lowered::Host(reason) => Lowered::Host(reason),
        }
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let first = match &self.base {
            Some(base) => base.operator().reference(&inputs[..self.base_inputs], 1)?.swap_remove(0),
            None => reference::input(inputs, 0).clone(),
        };
        let last = self.steps.iter().try_fold(first, |v, step| step.reference(&v, inputs))?;
        Ok(vec![last])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        match &self.base {
            Some(base) => base.operator().tolerance(dtype),
            None => Tolerance::rounding(dtype),
        }
    }
}
