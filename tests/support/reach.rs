//! Whether what an operator says it reads is all that it reads: elements are changed, and what changes is held against the rule.

use macula::ops::{AxisReach, Op, Operand, Operands, Reach, ReachContext};
use macula::{DType, Tensor};

/// So many elements of each input are changed, one at a time.
const SAMPLES: usize = 4;

/// Nodes with more operations or elements than this would take long, and show nothing more.
const MAX_WORK: usize = 20_000;

/// The first output element that changes and should not by `rule`; `known` says which inputs are constants of the graph.
pub fn lie<'a>(
    op: &Op,
    inputs: &[Option<&'a Tensor>],
    known: &[bool],
    outputs: usize,
    rule: impl Fn(&ReachContext<'_>) -> Reach,
) -> Option<String> {
    let operand = |(tensor, &known): (&Option<&'a Tensor>, &bool)| {
        tensor.map(|tensor| Operand { dtype: tensor.dtype(), shape: tensor.shape(), constant: known.then_some(tensor) })
    };
    let operands = Operands { inputs: inputs.iter().zip(known).map(operand).collect(), outputs };
    // Without shapes there is no plan, and nothing to say.
    let types = op.operator().infer(&operands).ok()?;
    let elements = types.iter().map(|ty| ty.shape.elements()).sum::<usize>();
    if op.operator().flops(&operands, &types) > MAX_WORK as u64 || elements > MAX_WORK / 4 {
        return None;
    }
    let before = op.operator().reference(inputs, outputs).ok()?;
    for (input, tensor) in inputs.iter().enumerate() {
        let Some(tensor) = tensor.filter(|t| !known[input] && !t.is_empty() && t.len() <= MAX_WORK / 4) else { continue };
        for sample in 0..SAMPLES.min(tensor.len()) {
            let at = (sample * tensor.len() / SAMPLES.min(tensor.len()) + 7 * sample) % tensor.len();
            let mut values = tensor.to_f64();
            values[at] = match tensor.dtype() {
                DType::Bool => 1.0 - values[at],
                dtype if dtype.is_float() => values[at] + 2.5,
                _ if values[at] > 0.0 => values[at] - 1.0,
                _ => values[at] + 1.0,
            };
            let changed = Tensor::from_f64(tensor.dtype(), tensor.shape(), values).ok()?;
            let mut inputs = inputs.to_vec();
            inputs[input] = Some(&changed);
            // An index that is out of range now.
            let Ok(after) = op.operator().reference(&inputs, outputs) else { continue };
            let place = tensor.shape().coordinates(at);
            for (output, (before, after)) in before.iter().zip(&after).take(outputs).enumerate() {
                let reach = rule(&ReachContext { inputs: &operands, outputs: &types, input, output });
                for (unit, (a, b)) in before.to_f64().iter().zip(after.to_f64()).enumerate() {
                    let unit = before.shape().coordinates(unit);
                    if a.to_bits() != b.to_bits() && !reads(op, &reach, &unit, &place, tensor) {
                        return Some(format!("element {place:?} of input {input} changes {unit:?} of output {output}, and {reach:?}"));
                    }
                }
            }
        }
    }
    None
}

/// Whether the unit reads that element by the rule.
fn reads(op: &Op, reach: &Reach, unit: &[usize], place: &[usize], tensor: &Tensor) -> bool {
    let Reach::Axes(axes) = reach else { return false };
    axes.iter().zip(place).zip(tensor.shape().iter()).all(|((axis, &at), &extent)| {
        let range = match axis {
            AxisReach::Fixed(range) => Some(*range),
            AxisReach::Along { axis, stencil } => stencil.at(unit[*axis] as i64),
        };
        let Some([first, last]) = range else { return false };
        // Outside the input these two show elements of it.
        let shown = matches!(op, Op::Pad(_) | Op::Resize(_)) && (first < 0 || last >= extent as i64);
        shown || (first..=last).contains(&(at as i64))
    })
}
