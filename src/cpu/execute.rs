//! Running a plan on the CPU device: its host steps, one node after another, values freed after their last use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::kernel::Packed;
use super::{conv, scratch};
use crate::error::Result;
use crate::graph::{Graph, Node, NodeId, ValueId};
use crate::ops::{Conv, Op};
use crate::plan::{Plan, Step};
use crate::tensor::{Tensor, TensorView};

/// Weights in the order in which the inner loops read them, shared by the plans of a session.
#[derive(Default)]
pub(crate) struct WeightStore {
    packed: Mutex<HashMap<Key, Weak<Weight>>>,
}

/// The elements' address and the number of groups.
type Key = (usize, usize);

/// A packed weight, with the elements it was made from, so that their address stays theirs.
struct Weight {
    packed: Option<Packed>,
    _elements: Tensor,
}

/// For each node of a plan its weight, where it has one that packing pays for.
#[derive(Default)]
pub(crate) struct Weights(Vec<Option<Arc<Weight>>>);

impl WeightStore {
    /// Packs the weights of a plan that no other has packed yet.
    pub(crate) fn prepare(&self, plan: &Plan) -> Weights {
        let graph = &plan.graph;
        let weight = |node: &Node| {
            let base = match &node.op {
                Op::Fused(op) => op.base.as_deref()?,
                op => op,
            };
            let Op::Conv(Conv { groups, .. }) = base else { return None };
            let elements = graph.value(node.inputs.get(1).copied().flatten()?).constant.as_ref()?;
            Some(self.weight(elements, *groups))
        };
        Weights(graph.nodes().iter().map(weight).collect())
    }

    fn weight(&self, elements: &Tensor, groups: usize) -> Arc<Weight> {
        let key = (elements.identity(), groups);
        let lock = || self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(weight) = lock().get(&key).and_then(Weak::upgrade) {
            return weight;
        }
        // Not under the lock: a thread that waits for others to pack may run a task that asks for it.
        let weight = Arc::new(Weight { packed: conv::pack(elements, groups), _elements: elements.clone() });
        let mut packed = lock();
        if let Some(weight) = packed.get(&key).and_then(Weak::upgrade) {
            return weight;
        }
        packed.retain(|_, weight| weight.strong_count() > 0);
        packed.insert(key, Arc::downgrade(&weight));
        weight
    }
}

impl Drop for WeightStore {
    fn drop(&mut self) {
        scratch::clear();
    }
}

/// All outputs of a node on the host.
pub(crate) fn run_node(graph: &Graph, node: NodeId, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>> {
    run_packed(graph, node, inputs, None)
}

fn run_packed(graph: &Graph, node: NodeId, inputs: &[Option<&Tensor>], packed: Option<&Packed>) -> Result<Vec<Tensor>> {
    let node = graph.node(node);
    super::evaluate_packed(&node.op, inputs, node.outputs.len(), packed).map_err(|source| graph.node_error(node, source))
}

/// [`run_prepared`] with the weights as they are.
#[cfg(test)]
pub(crate) fn run(plan: &Plan, inputs: &[TensorView<'_>], trace: Option<&mut crate::gpu::Trace<'_>>) -> Result<Vec<Tensor>> {
    run_prepared(plan, &Weights::default(), inputs, trace)
}

/// Runs a plan of host steps on `inputs`, in the order of the graph's, and returns the graph's outputs.
pub(crate) fn run_prepared(
    plan: &Plan,
    weights: &Weights,
    inputs: &[TensorView<'_>],
    trace: Option<&mut crate::gpu::Trace<'_>>,
) -> Result<Vec<Tensor>> {
    // On a thread of the pool, else every parallel loop would wake one and wait for it.
    rayon::scope(|_| run_here(plan, weights, inputs, trace))
}

fn run_here(
    plan: &Plan,
    weights: &Weights,
    inputs: &[TensorView<'_>],
    mut trace: Option<&mut crate::gpu::Trace<'_>>,
) -> Result<Vec<Tensor>> {
    let graph = &plan.graph;
    let mut values: Vec<Option<Tensor>> = graph.values().iter().map(|v| v.constant.clone()).collect();
    for (id, input) in graph.inputs().iter().zip(inputs) {
        values[id.index()] = Some(input.to_tensor());
    }
    let mut uses = vec![0usize; values.len()];
    let reads = graph.nodes().iter().flat_map(|n| n.inputs.iter().flatten()).chain(graph.outputs());
    reads.for_each(|id| uses[id.index()] += 1);
    for step in &plan.steps {
        let Step::Host { node: id } = step else { unreachable!("a plan for the CPU has host steps only") };
        let node = graph.node(*id);
        let inputs: Vec<Option<&Tensor>> = node.inputs.iter().map(|id| id.and_then(|id| values[id.index()].as_ref())).collect();
        let packed = weights.0.get(id.index()).and_then(|weight| weight.as_ref()?.packed.as_ref());
        let outputs = run_packed(graph, *id, &inputs, packed)?;
        if let Some(trace) = &mut trace {
            trace(*id, outputs.iter().cloned().map(Some).collect());
        }
        for (id, tensor) in node.outputs.iter().zip(outputs) {
            if let Some(id) = id.filter(|id| uses[id.index()] > 0) {
                values[id.index()] = Some(tensor);
            }
        }
        for id in node.inputs.iter().flatten() {
            release(&mut values, &mut uses, *id);
        }
    }
    Ok(graph.outputs().iter().map(|id| values[id.index()].clone().expect("checked by Graph::check")).collect())
}

fn release(values: &mut [Option<Tensor>], uses: &mut [usize], id: ValueId) {
    uses[id.index()] -= 1;
    if uses[id.index()] == 0
        && let Some(elements) = values[id.index()].take().and_then(Tensor::into_f32)
    {
        scratch::give(elements);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{GraphBuilder, InputSpec, Specialized, TensorType};
    use crate::ops::Padding;
    use crate::plan::{LowerOptions, lower};
    use crate::shape::Shape;
    use crate::tensor::DType;

    fn wave(shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        let values = (0..shape.elements()).map(|i| (i as f32 * 0.37).sin()).collect();
        Tensor::of(shape, values)
    }

    #[test]
    fn plans_share_packed_weights_and_the_last_one_frees_them() {
        let mut b = GraphBuilder::new("two convolutions");
        let x = b.input("x", DType::F32, [1usize, 3, 9, 7]);
        let (w, v) = (b.constant("w", wave([10, 3, 3, 3])), b.constant("v", wave([10, 1, 3, 3])));
        let dense = b.node("dense", Conv { padding: Padding::symmetric([1, 1]), ..Conv::default() }, &[x, w]).unwrap();
        let depthwise = b.node("depthwise", Conv { groups: 10, ..Conv::default() }, &[dense, v]).unwrap();
        b.output("y", depthwise);
        let graph = b.finish().unwrap();
        let plan = || {
            let spec = InputSpec { ty: TensorType::new(DType::F32, [1, 3, 9, 7]), value: None };
            let Ok(Specialized::Graph(graph)) = graph.specialize(&[spec]) else { panic!("the shapes are known") };
            lower(graph, None, &LowerOptions::default()).unwrap()
        };
        let (store, plans) = (WeightStore::default(), [plan(), plan()]);
        let weights = plans.each_ref().map(|plan| store.prepare(plan));
        let packed = |weights: &Weights| weights.0.iter().flatten().filter(|weight| weight.packed.is_some()).count();
        assert_eq!(weights.each_ref().map(packed), [1, 1], "a depthwise weight is read as it is");
        for (one, other) in weights[0].0.iter().zip(&weights[1].0) {
            assert!(Arc::ptr_eq(one.as_ref().unwrap(), other.as_ref().unwrap()));
        }
        let input = wave([1, 3, 9, 7]);
        let as_they_are = run(&plans[0], &[input.view()], None).unwrap();
        assert_eq!(run_prepared(&plans[1], &weights[1], &[input.view()], None).unwrap()[0].bytes(), as_they_are[0].bytes());

        let [first, second] = weights;
        drop(first);
        assert_eq!(store.packed.lock().unwrap().values().filter(|weight| weight.strong_count() > 0).count(), 2);
        drop(second);
        assert_eq!(store.packed.lock().unwrap().values().filter(|weight| weight.strong_count() > 0).count(), 0);
    }
}
