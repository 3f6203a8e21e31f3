//! What is known of values before shapes are: element types, numbers of axes, some extents.

use crate::graph::{Dim, Graph, Node, ValueId};
use crate::ops::Op;
use crate::shape::resolve_axis;
use crate::tensor::DType;

/// Extents as far as they are known.
pub(super) type Extents = Vec<Option<usize>>;

/// The element type and the extents of every value, as far as declarations of inputs, constants and operators say them.
pub(super) struct Known {
    dtypes: Vec<Option<DType>>,
    extents: Vec<Option<Extents>>,
}

impl Known {
    /// Walks the graph once.
    pub fn new(graph: &Graph) -> Self {
        let values = graph.values().len();
        let mut known = Self { dtypes: vec![None; values], extents: vec![None; values] };
        let inputs = graph.inputs().iter().copied();
        for id in inputs.chain((0..values as u32).map(ValueId).filter(|id| graph.value(*id).constant.is_some())) {
            let value = graph.value(id);
            let fixed = |dim: &Dim| if let Dim::Fixed(extent) = dim { Some(*extent) } else { None };
            let declared = value.dims.as_ref().map(|dims| dims.iter().map(fixed).collect());
            known.dtypes[id.index()] = value.ty.as_ref().map(|ty| ty.dtype).or(value.dtype);
            known.extents[id.index()] = value.ty.as_ref().map(|ty| ty.shape.iter().copied().map(Some).collect()).or(declared);
        }
        for node in graph.nodes() {
            let dtypes: Vec<_> = node.inputs.iter().map(|id| id.and_then(|id| known.dtype(id))).collect();
            let extents = known.of_output(graph, node);
            for (index, id) in node.outputs.iter().enumerate() {
                let Some(id) = id else { continue };
                known.dtypes[id.index()] = node.op.operator().output_dtype(&dtypes, index);
                known.extents[id.index()] = if index == 0 { extents.clone() } else { None };
            }
        }
        known
    }

    /// The element type.
    pub fn dtype(&self, id: ValueId) -> Option<DType> {
        self.dtypes.get(id.index()).copied().flatten()
    }

    /// The extents.
    pub fn extents(&self, id: ValueId) -> Option<&Extents> {
        self.extents.get(id.index())?.as_ref()
    }

    /// The number of axes.
    pub fn rank(&self, id: ValueId) -> Option<usize> {
        self.extents(id).map(Vec::len)
    }

    /// The extents of a node's first output.
    fn of_output(&self, graph: &Graph, node: &Node) -> Option<Extents> {
        let at = |index: usize| node.inputs.get(index).copied().flatten();
        let input = |index: usize| self.extents(at(index)?);
        let with = |index: usize, axis: i64, extent: Option<usize>| {
            let mut extents = input(index)?.clone();
            let axis = resolve_axis(axis, extents.len())?;
            extents[axis] = extent;
            Some(extents)
        };
        let spatial = |channels: Option<usize>, rank: usize| {
            let batch = input(0).and_then(|x| *x.first()?);
            (rank > 2).then(|| [vec![batch, channels], vec![None; rank - 2]].concat())
        };
        match &node.op {
            Op::BatchNormalization(_)
            | Op::Cast(_)
            | Op::CastLike(_)
            | Op::Clip(_)
            | Op::Dropout(_)
            | Op::GroupNormalization(_)
            | Op::Identity(_)
            | Op::ImageScaler(_)
            | Op::InstanceNormalization(_)
            | Op::LayerNormalization(_)
            | Op::LocalResponseNormalization(_)
            | Op::LpNormalization(_)
            | Op::PRelu(_)
            | Op::RmsNormalization(_)
            | Op::Softmax(_)
            | Op::Unary(_) => input(0).cloned(),
            Op::AveragePool(_) | Op::GlobalPool(_) | Op::LpPool(_) | Op::MaxPool(_) | Op::GlobalLpPool(_) => {
                let x = input(0)?;
                spatial(*x.get(1)?, x.len())
            }
            Op::Conv(_) => spatial(*input(1)?.first()?, input(1)?.len()),
            Op::ConvTranspose(conv) => {
                let w = input(1)?;
                spatial(w.get(1)?.and_then(|m| m.checked_mul(conv.groups)), w.len())
            }
            Op::Gemm(gemm) => {
                let side = |index: usize, axis: usize| input(index).and_then(|m| *m.get(axis)?);
                Some(vec![side(0, gemm.transpose_a.into()), side(1, (!gemm.transpose_b).into())])
            }
            Op::MatMul(_) => match input(1)?[..] {
                [_, columns] => with(0, -1, columns),
                _ => None,
            },
            Op::Binary(_) | Op::Comparison(_) | Op::Variadic(_) => {
                (1..node.inputs.len()).try_fold(input(0)?.clone(), |common, index| Some(broadcast(&common, input(index)?)))
            }
            Op::Concat(concat) => {
                let extent = |index: usize| {
                    let x = input(index)?;
                    x[resolve_axis(concat.axis, x.len())?]
                };
                let total = (0..node.inputs.len()).try_fold(0usize, |sum, index| sum.checked_add(extent(index)?));
                // Shapes but for this axis are equal; those of the first input stand for all.
                with(0, concat.axis, total)
            }
            Op::Reshape(reshape) => {
                let target = graph.value(at(1)?).constant.as_ref()?.to_i64()?;
                let copied = |axis: usize| input(0).and_then(|x| *x.get(axis)?);
                let extent = |(axis, &extent): (usize, &i64)| match extent {
                    0 if !reshape.allow_zero => copied(axis),
                    extent => usize::try_from(extent).ok(),
                };
                Some(target.iter().enumerate().map(extent).collect())
            }
            Op::Flatten(_) => Some(vec![None; 2]),
            Op::Transpose(transpose) => {
                let x = input(0)?;
                transpose.axes(x.len()).ok()?.into_iter().map(|axis| x.get(axis).copied()).collect()
            }
            Op::Reduce(reduce) if reduce.keep_dims => input(0).map(|x| vec![None; x.len()]),
            _ => None,
        }
    }
}

/// The extents that two operands broadcast to.
fn broadcast(a: &Extents, b: &Extents) -> Extents {
    let rank = a.len().max(b.len());
    let extent = |x: &Extents, axis: usize| (axis + x.len()).checked_sub(rank).map_or(Some(1), |at| x[at]);
    let common = |axis: usize| match (extent(a, axis), extent(b, axis)) {
        (Some(1), other) | (other, Some(1)) => other,
        (Some(known), _) | (_, Some(known)) => Some(known),
        _ => None,
    };
    (0..rank).map(common).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{self, Binary, Unary};
    use crate::{GraphBuilder, Tensor};

    #[test]
    fn extents_follow_from_weights_and_declarations() {
        let mut b = GraphBuilder::new("known");
        let x = b.input("x", DType::F16, ["N".into(), Dim::from(3), "H".into(), "W".into()]);
        let w = b.constant("w", Tensor::full([8, 3, 3, 2], half::f16::ONE));
        let conv = b.node("conv", ops::Conv::default(), &[x, w]).unwrap();
        let relu = b.node("relu", Unary::Relu, &[conv]).unwrap();
        let both = b.node("both", ops::Concat { axis: -3 }, &[relu, x]).unwrap();
        let shape = b.constant("shape", Tensor::vector(vec![0i64, -1, 33]));
        let rows = b.node("rows", ops::Reshape::default(), &[both, shape]).unwrap();
        let dense = b.constant("dense", Tensor::full([33, 5], half::f16::ONE));
        let product = b.node("product", ops::MatMul, &[rows, dense]).unwrap();
        let one = b.constant("one", Tensor::full([1, 1, 1, 1], half::f16::ONE));
        let sum = b.node("sum", Binary::Add, &[product, one]).unwrap();
        let cast = b.node("cast", ops::Cast { to: DType::F32 }, &[sum]).unwrap();
        b.output("y", cast);
        let known = Known::new(&b.finish().unwrap());
        assert_eq!(known.extents(relu), Some(&vec![None, Some(8), None, None]));
        assert_eq!(known.extents(both), Some(&vec![None, Some(11), None, None]));
        assert_eq!(known.extents(product), Some(&vec![None, None, Some(5)]));
        assert_eq!(known.extents(cast), Some(&vec![Some(1), None, None, Some(5)]));
        assert_eq!((known.dtype(sum), known.dtype(cast)), (Some(DType::F16), Some(DType::F32)));
    }
}
