//! Steps as a dispatch of their own: a chain of elementwise operators in one pass over the elements.

use super::{Fused, Step};
use crate::ops::activation::{ACTIVATION, CLAMP, CODES, FUNCTIONS};
use crate::ops::binary::{ARITHMETIC, PRELU, Repeating};
use crate::plan::{
    Access, Arg, Dispatch, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowering, Override, Variant, WORKGROUP_SIZE, element_count, params,
    part, workgroups_1d,
};
use crate::shape::Shape;

/// The most steps of one dispatch.
pub(crate) const MAX_STEPS: usize = 6;

/// The most operands of one dispatch.
pub(crate) const MAX_OPERANDS: usize = 4;

params! {
    struct ElementwiseParams {
        run: [u32; 4],
        period: [u32; 4],
        alpha: [[f32; 4]; 2],
        beta: [[f32; 4]; 2],
        vectors: u32,
    }
}

/// Where the numbers of operators begin, and of those whose operand is the left one.
const OPERATORS: u32 = 64;
const SWAPPED: u32 = 96;

/// Every number that a step may have.
const STEPS: &[u32] = &{
    let mut all = [0; CODES.len() + 16];
    let mut at = 0;
    while at < CODES.len() {
        all[at] = CODES[at];
        at += 1;
    }
    let mut operation = 0;
    while operation < 8 {
        all[at] = OPERATORS + operation;
        all[at + 1] = SWAPPED + operation;
        at += 2;
        operation += 1;
    }
    all
};

const READS: &[u32] = &[0, 1, 2, 3];

pub(crate) static ELEMENTWISE: Kernel = Kernel {
    name: "elementwise",
    body: part!("elementwise.wgsl"),
    parts: &[INDEX, ACTIVATION, FUNCTIONS, ARITHMETIC],
    types: &[FLOAT_ELEMENT],
    overrides: &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    independent: &[
        Override { name: "STEP_0", values: STEPS },
        Override { name: "STEP_1", values: STEPS },
        Override { name: "STEP_2", values: STEPS },
        Override { name: "STEP_3", values: STEPS },
        Override { name: "STEP_4", values: STEPS },
        Override { name: "STEP_5", values: STEPS },
        Override { name: "READ_0", values: READS },
        Override { name: "READ_1", values: READS },
        Override { name: "READ_2", values: READS },
        Override { name: "READ_3", values: READS },
    ],
    params: ElementwiseParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Read, Access::Read, Access::Write],
    in_place: Some(0),
    ..Kernel::BASE
};

/// Steps as the kernel takes them.
struct Chain {
    steps: [u32; MAX_STEPS],
    reads: [u32; MAX_OPERANDS],
    params: ElementwiseParams,
    operands: Vec<usize>,
}

impl Fused {
    /// Whether the steps are one dispatch over an output of this shape. `operand` gives the shape of an input.
    pub(crate) fn fits_elementwise(steps: &[Step], output: &Shape, operand: impl Fn(usize) -> Shape) -> bool {
        Chain::new(steps, output, operand).is_ok()
    }
}

impl Chain {
    fn new(steps: &[Step], output: &Shape, operand: impl Fn(usize) -> Shape) -> Result<Self, String> {
        if steps.len() > MAX_STEPS {
            return Err(format!("{} steps, at most {MAX_STEPS} are one dispatch", steps.len()));
        }
        let elements = element_count(output)?;
        let params = ElementwiseParams {
            run: [1; 4],
            period: [1; 4],
            alpha: Default::default(),
            beta: Default::default(),
            vectors: elements.div_ceil(4),
        };
        let mut chain = Chain { steps: [0; MAX_STEPS], reads: [0; MAX_OPERANDS], params, operands: vec![] };
        for (at, step) in steps.iter().enumerate() {
            let (code, alpha, beta) = match *step {
                Step::Unary(op) => op.code(),
                Step::Clip { min, max } => (CLAMP, min, max),
                Step::PRelu { .. } => (OPERATORS + PRELU, 0.0, 0.0),
                Step::Binary { op, swapped, .. } => {
                    let operation = op.combination().ok_or_else(|| format!("{} is no step of a chain", step.name()))?;
                    (if swapped { SWAPPED } else { OPERATORS } + operation, 0.0, 0.0)
                }
            };
            chain.steps[at] = code;
            (chain.params.alpha[at / 4][at % 4], chain.params.beta[at / 4][at % 4]) = (alpha, beta);
            if let Some(index) = step.operand() {
                let slot = chain.operands.len();
                if slot == MAX_OPERANDS {
                    return Err(format!("more than {MAX_OPERANDS} operands"));
                }
                let repeating = Repeating::of(&operand(index), output).ok_or("an operand does not repeat evenly")?;
                chain.reads[slot] = repeating.mode(elements);
                (chain.params.run[slot], chain.params.period[slot]) = (repeating.run, repeating.period);
                chain.operands.push(index);
            }
        }
        Ok(chain)
    }

    fn dispatch(self, context: &LowerContext<'_>, x: Arg, y: Arg) -> Result<Dispatch<Arg>, String> {
        let elem = context.elem(context.outputs[0].dtype)?;
        let (vectors, max) = (self.params.vectors as usize, context.capabilities.max_workgroups);
        let workgroups = workgroups_1d(vectors, WORKGROUP_SIZE as usize, max).ok_or("too many elements")?;
        let overrides = [WORKGROUP_SIZE].into_iter().chain(self.steps).chain(self.reads).collect();
        let operand = |slot: usize| self.operands.get(slot).map_or(Arg::Unused, |&index| Arg::Input(index));
        let bindings = [x].into_iter().chain((0..MAX_OPERANDS).map(operand)).chain([y]).collect();
        let variant = Variant::new(&ELEMENTWISE, vec![elem], None, overrides);
        Ok(Dispatch { variant, params: bytemuck::bytes_of(&self.params).to_vec(), bindings, workgroups })
    }
}

fn chain(op: &Fused, context: &LowerContext<'_>) -> Result<Chain, String> {
    let shape = |index: usize| context.inputs.get(index).map_or_else(Shape::scalar, |o| o.shape.clone());
    Chain::new(&op.steps, &context.outputs[0].shape, shape)
}

/// The steps on input 0.
pub(super) fn lower(op: &Fused, context: &LowerContext<'_>) -> Result<Lowering, String> {
    let dispatch = chain(op, context)?.dispatch(context, Arg::Input(0), Arg::Output(0))?;
    Ok(Lowering { dispatches: vec![dispatch], scratch: vec![] })
}

/// A lowering that leaves its output in scratch, and the steps from there.
pub(super) fn follow(op: &Fused, mut lowering: Lowering, context: &LowerContext<'_>) -> Result<Lowering, String> {
    let output = &context.outputs[0];
    let scratch = lowering.scratch.len();
    lowering.scratch.push((output.shape.elements() * context.elem(output.dtype)?.size()) as u64);
    for arg in lowering.dispatches.iter_mut().flat_map(|d| &mut d.bindings) {
        if *arg == Arg::Output(0) {
            *arg = Arg::Scratch(scratch);
        }
    }
    lowering.dispatches.push(chain(op, context)?.dispatch(context, Arg::Scratch(scratch), Arg::Output(0))?);
    Ok(lowering)
}
