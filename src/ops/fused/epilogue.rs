//! Steps as the epilogue of the kernel that computes what they are applied to.

use super::elementwise;
use super::{Fused, Step};
use crate::ops::activation::{ACTIVATION, CLAMP};
use crate::ops::{Binary, Op};
use crate::plan::{Arg, Dispatch, EPILOGUE, HOLD_DENSE, HOLD_PER_CHANNEL, LowerContext, Lowered, Lowering, Part, part};
use crate::shape::Shape;

const FINISH: Part = part!("shared/epilogue.wgsl");

/// The epilogue of a kernel that stores elements.
pub(crate) const ELEMENT_EPILOGUE: &[Part] = &[ACTIVATION, FINISH, part!("shared/held_elements.wgsl")];

/// The epilogue of a kernel that stores vectors.
pub(crate) const VECTOR_EPILOGUE: &[Part] = &[ACTIVATION, FINISH, part!("shared/held_vectors.wgsl")];

/// The epilogue of a kernel that stores vectors of columns, where a column is a channel.
pub(crate) const COLUMN_EPILOGUE: &[Part] = &[ACTIVATION, FINISH, part!("shared/held_vectors.wgsl"), part!("shared/held_columns.wgsl")];

/// `COMBINE` of `shared/epilogue.wgsl`.
const ADD: u32 = 1;
const MULTIPLY: u32 = 2;
const PRELU: u32 = 3;

/// The epilogue that some steps are.
#[derive(Clone, PartialEq, Debug, Default)]
struct Epilogue {
    overrides: [u32; EPILOGUE.len()],
    attributes: [f32; 4],
    held: Option<usize>,
}

impl Fused {
    /// Whether the steps are an epilogue of kernels of `base`, whose output has this shape. `operand` gives the shape of an input.
    pub(crate) fn fits_epilogue(base: &Op, steps: &[Step], output: &Shape, operand: impl Fn(usize) -> Shape) -> bool {
        channel_axis(base, output.rank()).is_some_and(|axis| Epilogue::of(steps, output, axis, operand).is_some())
    }
}

/// The axis along which an epilogue of this operator's kernels may hold one element a channel; `None` outside where its kernels have no
/// epilogue, inside where they have one without channels.
fn channel_axis(base: &Op, rank: usize) -> Option<Option<usize>> {
    match base {
        Op::Conv(_) | Op::ConvTranspose(_) => Some(Some(1)),
        Op::Gemm(_) | Op::MatMul(_) => Some(rank.checked_sub(1)),
        Op::BatchNormalization(op) if !op.training => Some(None),
        Op::GroupNormalization(_) | Op::InstanceNormalization(_) | Op::LayerNormalization(_) => Some(None),
        _ => None,
    }
}

impl Epilogue {
    fn of(steps: &[Step], output: &Shape, channel_axis: Option<usize>, operand: impl Fn(usize) -> Shape) -> Option<Self> {
        let mut epilogue = Self::default();
        let mut combined = false;
        for (at, step) in steps.iter().enumerate() {
            if let Some((code, alpha, beta)) = activation(step) {
                // Before what is combined, and before another activation; else after.
                let slot = match (combined, at) {
                    (false, 0) => 0,
                    _ if epilogue.overrides[3] == 0 => 3,
                    _ => return None,
                };
                epilogue.overrides[slot] = code;
                let first = if slot == 0 { 0 } else { 2 };
                epilogue.attributes[first..first + 2].copy_from_slice(&[alpha, beta]);
                continue;
            }
            let (code, held) = combination(step)?;
            if combined || epilogue.overrides[3] != 0 {
                return None;
            }
            combined = true;
            let hold = hold(&operand(held), output, channel_axis)?;
            (epilogue.overrides[1], epilogue.overrides[2], epilogue.held) = (code, hold, Some(held));
        }
        Some(epilogue)
    }

    /// Makes it the end of a dispatch.
    fn attach_to(&self, dispatch: &mut Dispatch<Arg>) {
        dispatch.variant.epilogue = self.overrides;
        dispatch.params.extend_from_slice(bytemuck::bytes_of(&self.attributes));
        dispatch.bindings.push(self.held.map_or(Arg::Unused, Arg::Input));
    }
}

/// The number of an activation that kernels may end with, and its attributes.
fn activation(step: &Step) -> Option<(u32, f32, f32)> {
    let (code, alpha, beta) = match *step {
        Step::Unary(op) => op.code(),
        Step::Clip { min, max } => (CLAMP, min, max),
        _ => return None,
    };
    EPILOGUE[0].values.contains(&code).then_some((code, alpha, beta))
}

fn combination(step: &Step) -> Option<(u32, usize)> {
    match *step {
        Step::Binary { op: Binary::Add, operand, .. } => Some((ADD, operand)),
        Step::Binary { op: Binary::Mul, operand, .. } => Some((MULTIPLY, operand)),
        Step::PRelu { slope } => Some((PRELU, slope)),
        _ => None,
    }
}

/// How an operand of this shape stands beside the output.
fn hold(operand: &Shape, output: &Shape, channel_axis: Option<usize>) -> Option<u32> {
    if operand.elements() == output.elements() {
        return Some(HOLD_DENSE);
    }
    let axis = channel_axis?;
    let strides = operand.broadcast_strides(output);
    let along = |i: usize| output[i] == 1 || if i == axis { strides[i] == 1 } else { strides[i] == 0 };
    (operand.elements() == output[axis] && (0..output.rank()).all(along)).then_some(HOLD_PER_CHANNEL)
}

/// The lowerings with the steps as their epilogue, or followed by a dispatch for the steps where their kernels have none.
pub(super) fn attach(op: &Fused, lowerings: Vec<Lowering>, context: &LowerContext<'_>) -> Lowered {
    let output = &context.outputs[0].shape;
    let shape = |index: usize| context.inputs.get(index).map_or_else(Shape::scalar, |o| o.shape.clone());
    let axis = op.base.as_ref().and_then(|base| channel_axis(base, output.rank())).flatten();
    let epilogue = Epilogue::of(&op.steps, output, axis, shape);
    let attached: Vec<Lowering> = epilogue.iter().flat_map(|e| lowerings.iter().filter_map(|l| with_epilogue(l, e))).collect();
    if !attached.is_empty() {
        return Lowered::Kernels(attached);
    }
    let followed: Result<Vec<Lowering>, String> = lowerings.into_iter().map(|l| elementwise::follow(op, l, context)).collect();
    match followed {
        Ok(lowerings) => Lowered::Kernels(lowerings),
        Err(reason) => Lowered::Host(reason),
    }
}

fn with_epilogue(lowering: &Lowering, epilogue: &Epilogue) -> Option<Lowering> {
    let mut lowering = lowering.clone();
    for dispatch in &mut lowering.dispatches {
        if dispatch.bindings.contains(&Arg::Output(0)) {
            if !dispatch.variant.kernel.has_epilogue() {
                return None;
            }
            epilogue.attach_to(dispatch);
        }
    }
    Some(lowering)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Unary;

    const CODES: [u32; 3] = [1, 3, CLAMP];

    fn overrides(steps: &[Step], operand: &[usize]) -> Option<[u32; 4]> {
        let output = Shape::from([2, 6, 5, 7]);
        Some(Epilogue::of(steps, &output, Some(1), |_| Shape::from(operand))?.overrides)
    }

    #[test]
    fn steps_take_their_places() {
        let (relu, sigmoid) = (Step::Unary(Unary::Relu), Step::Unary(Unary::Sigmoid));
        let clip = Step::Clip { min: 0.0, max: 6.0 };
        let add = Step::Binary { op: Binary::Add, operand: 2, swapped: true };
        let prelu = Step::PRelu { slope: 2 };
        let [r, s, c] = CODES;
        let dense = &[2, 6, 5, 7];
        assert_eq!(overrides(&[relu], dense), Some([r, 0, 0, 0]));
        assert_eq!(overrides(&[add], dense), Some([0, ADD, HOLD_DENSE, 0]));
        assert_eq!(overrides(&[relu, add, sigmoid], dense), Some([r, ADD, HOLD_DENSE, s]));
        assert_eq!(overrides(&[add, clip], dense), Some([0, ADD, HOLD_DENSE, c]));
        assert_eq!(overrides(&[relu, sigmoid], dense), Some([r, 0, 0, s]));
        assert_eq!(overrides(&[prelu], &[6, 1, 1]), Some([0, PRELU, HOLD_PER_CHANNEL, 0]));
    }

    #[test]
    fn others_do_not_fit() {
        let (relu, add) = (Step::Unary(Unary::Relu), Step::Binary { op: Binary::Add, operand: 2, swapped: false });
        let dense = &[2, 6, 5, 7];
        assert_eq!(overrides(&[relu, relu, relu], dense), None);
        assert_eq!(overrides(&[relu, relu, add], dense), None);
        assert_eq!(overrides(&[add, add], dense), None);
        assert_eq!(overrides(&[Step::Unary(Unary::Exp), Step::Unary(Unary::Log)], dense), None);
        assert_eq!(overrides(&[Step::Binary { op: Binary::Sub, operand: 2, swapped: false }], dense), None);
        for operand in [&[2, 6, 1, 1][..], &[7], &[], &[1, 1, 5, 7]] {
            assert_eq!(overrides(&[add], operand), None, "{operand:?}");
        }
    }
}
