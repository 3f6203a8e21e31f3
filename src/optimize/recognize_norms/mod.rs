//! Normalizations that exporters write as means, squares and roots, or as other normalizations between reshapes.

mod forms;

use super::pattern::{Cursor, Index};
use crate::error::Result;
use crate::graph::{Graph, Node, TensorType, ValueId};
use crate::ops::{Binary, GroupNormalization, InstanceNormalization, LayerNormalization, Op, RmsNormalization};
use crate::shape::Shape;
use crate::tensor::Tensor;
use forms::{Form, Kind};

/// Scales and shifts that the operator needs and the network has not are ones and zeros, a number for each channel or column.
pub(super) fn run(graph: &mut Graph) -> Result<usize> {
    let mut index = Index::new(graph);
    let mut changes = 0;
    for at in 0..graph.nodes.len() {
        let Some(norm) = recognized(graph, &index, at) else { continue };
        let Some(nodes) = index.between(graph, norm.last, &[norm.x]) else { continue };
        let (op, inputs) = norm.build(graph, at);
        let node = Node { op: op.clone(), inputs: inputs.clone(), ..graph.nodes[norm.last].clone() };
        let ty = graph.tensor_type(norm.x);
        if graph.output_types(&node).is_ok_and(|types| types[0] == ty) {
            changes += nodes.len();
            index.replace(graph, &nodes, op, inputs);
        }
    }
    Ok(changes)
}

/// A normalization of `x`, its last node, and the constants that scale and shift what it makes.
struct Norm {
    x: ValueId,
    kind: Kind,
    eps: f32,
    last: usize,
    scale: Option<Tensor>,
    shift: Option<Tensor>,
}

fn recognized(graph: &Graph, index: &Index, at: usize) -> Option<Norm> {
    let [Some(output)] = graph.nodes[at].outputs[..] else { return None };
    let Form { x, kind, eps, affine } = forms::of(Cursor::new(graph, index, output))?;
    let ty = graph.tensor_type(x.id);
    if !ty.dtype.is_float() || graph.tensor_type(output) != ty || f64::from(eps as f32) != eps && ty.dtype == crate::DType::F64 {
        return None;
    }
    let mut norm = Norm { x: x.id, kind, eps: eps as f32, last: at, scale: None, shift: None };
    if let Some([scale, shift]) = affine {
        (norm.scale, norm.shift) = (Some(scale), Some(shift));
        return Some(norm);
    }
    let takes = |tensor: &Tensor| norm.kind.takes(tensor, &ty.shape);
    if let Some((next, scale)) = operand(graph, index, norm.last, Binary::Mul, &ty, takes) {
        (norm.last, norm.scale) = (next, Some(scale));
    }
    let takes = |tensor: &Tensor| norm.kind.takes(tensor, &ty.shape);
    if norm.kind.shifts()
        && let Some((next, shift)) = operand(graph, index, norm.last, Binary::Add, &ty, takes)
    {
        (norm.last, norm.shift) = (next, Some(shift));
    }
    Some(norm)
}

/// The only reader of what node `at` makes, and the constant that it joins it with by `op`.
fn operand(
    graph: &Graph,
    index: &Index,
    at: usize,
    op: Binary,
    ty: &TensorType,
    takes: impl Fn(&Tensor) -> bool,
) -> Option<(usize, Tensor)> {
    let reader = index.only_reader((*graph.nodes[at].outputs.first()?)?)?;
    let [Some(output)] = graph.nodes[reader].outputs[..] else { return None };
    let constant = Cursor::new(graph, index, output).either(op, |_, constant| constant.constant())?;
    (takes(constant) && graph.tensor_type(output) == *ty).then(|| (reader, constant.clone()))
}

impl Norm {
    /// The operator and its inputs.
    fn build(&self, graph: &mut Graph, at: usize) -> (Op, Vec<Option<ValueId>>) {
        let (eps, ty) = (self.eps, graph.tensor_type(self.x));
        let given = [self.scale.is_some(), self.shift.is_some()];
        // One number for each channel where that is all there is to say, else one for each element of a row.
        let mut kind = self.kind;
        if let Kind::Layer { axis: 2 } = kind
            && ty.shape.rank() > 2
            && [&self.scale, &self.shift].into_iter().flatten().all(|tensor| forms::is_per_channel(tensor, &ty.shape))
        {
            kind = Kind::Instance;
        }
        let elements: Shape = match kind {
            Kind::Layer { axis } | Kind::Rms { axis } => ty.shape[axis..].into(),
            Kind::Instance | Kind::Group { .. } => ty.shape[1..2].into(),
        };
        let per_channel = matches!(kind, Kind::Instance | Kind::Group { .. });
        let optional_shift = matches!(kind, Kind::Layer { .. } | Kind::Rms { .. });
        let name = graph.nodes[at].name.clone();
        let mut constant = |tensor: &Option<Tensor>, what: &str, missing: f64| {
            let tensor = match tensor {
                // The same elements: nothing is stored again.
                Some(tensor) if per_channel => tensor.reshape([tensor.len()]).ok()?,
                Some(tensor) => tensor.clone(),
                None => Tensor::from_f64(ty.dtype, &elements, vec![missing; elements.elements()]).ok()?,
            };
            Some(graph.add_constant(format!("{name}.{what}"), tensor))
        };
        let scale = constant(&self.scale, "scale", 1.0);
        let shift = if optional_shift && !given[1] { None } else { constant(&self.shift, "bias", 0.0) };
        let inputs = [Some(self.x), scale, shift];
        let op = match kind {
            Kind::Layer { axis } => LayerNormalization { axis: axis as i64, eps }.into(),
            Kind::Rms { axis } => RmsNormalization { axis: axis as i64, eps }.into(),
            Kind::Instance => InstanceNormalization { eps }.into(),
            Kind::Group { groups } => GroupNormalization { groups, eps }.into(),
        };
        (op, inputs[..2 + usize::from(shift.is_some())].to_vec())
    }
}

#[cfg(test)]
mod tests;
