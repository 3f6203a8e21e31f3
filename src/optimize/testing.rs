//! What the tests of the passes share.

use super::*;
use crate::graph::{InputSpec, Specialized};
use crate::inspect::Comparison;
use crate::ops::Tolerance;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::{CompileOptions, Device};

/// The graph after all passes up to and including `pass`; for a late one specialised to its declared inputs.
pub fn after(mut graph: Graph, pass: Pass) -> Graph {
    let run = |graph: &mut Graph, passes: &[Pass]| {
        let passes: Vec<Pass> = passes.iter().copied().filter(|p| *p <= pass).collect();
        optimize(graph, &passes, &BTreeSet::new()).unwrap();
    };
    run(&mut graph, Pass::EARLY);
    if Pass::LATE.contains(&pass) {
        let ty = |id: &_| graph.value(*id).ty.clone().expect("late passes are tested on fixed shapes");
        let specs: Vec<_> = graph.inputs().iter().map(|id| InputSpec { ty: ty(id), value: None }).collect();
        let Specialized::Graph(specialized) = graph.specialize(&specs).unwrap() else { panic!("shapes depend on elements") };
        graph = specialized;
        run(&mut graph, Pass::LATE);
        for node in graph.nodes() {
            let (inferred, stored) = (graph.output_types(node).unwrap(), node.outputs.iter());
            for (id, ty) in stored.zip(inferred).filter_map(|(id, ty)| Some(((*id)?, ty))) {
                assert_eq!(graph.tensor_type(id), ty, "`{}` ({})", node.name, node.op.name());
            }
        }
    }
    graph.check().unwrap();
    graph
}

/// The operators of the nodes, in order.
pub fn operators(graph: &Graph) -> Vec<&'static str> {
    graph.nodes().iter().map(|node| node.op.name()).collect()
}

/// A node's name, what it computes, and what it stands for: `conv: Conv + Relu [conv, relu]`.
pub fn title(node: &crate::Node) -> String {
    format!("{}: {} [{}]", node.name, node.op, node.origins.join(", "))
}

/// Repeatable values around 0 without a period that a wrong stride would keep.
pub fn wave(shape: impl Into<Shape>, step: f32) -> Tensor {
    let shape = shape.into();
    Tensor::of(&shape, (0..shape.elements()).map(|i| (i as f32 * step + step).sin() * 1.5).collect())
}

/// The outputs on the CPU device.
pub fn outputs(graph: &Graph, inputs: &[(&str, Tensor)], without: impl IntoIterator<Item = Pass>) -> Vec<Tensor> {
    let views: Vec<_> = inputs.iter().map(|(name, tensor)| (*name, tensor.view())).collect();
    let session = Device::cpu().compile_with(graph.clone(), CompileOptions::new().without(without)).unwrap();
    session.run(&views).unwrap().into_tensors()
}

/// The first output that differs.
pub fn difference(got: &[Tensor], expected: &[Tensor], tolerance: Tolerance) -> Option<String> {
    assert_eq!(got.len(), expected.len());
    let comparisons = got.iter().zip(expected).map(|(got, expected)| Comparison::new(got, expected, tolerance));
    comparisons.filter(|comparison| !comparison.passed()).map(|comparison| comparison.to_string()).next()
}

/// That the outputs are what they are without the pass, and without any.
pub fn same_outputs(graph: &Graph, inputs: &[(&str, Tensor)], pass: Pass, tolerance: Tolerance) {
    let got = outputs(graph, inputs, None);
    assert_eq!(difference(&got, &outputs(graph, inputs, [pass]), tolerance), None, "without {pass}");
    assert_eq!(difference(&got, &outputs(graph, inputs, Pass::all()), tolerance), None, "without any pass");
}

#[test]
fn a_weight_that_is_a_little_off_is_a_difference() {
    let network = |factor: f32| {
        let mut b = crate::GraphBuilder::new("product");
        let x = b.input("x", crate::DType::F32, [5, 7]);
        let mut w = wave([7, 3], 0.7);
        w.data_mut::<f32>().unwrap()[4] *= factor;
        let w = b.constant("w", w);
        let y = b.node("y", crate::ops::MatMul, &[x, w]).unwrap();
        b.output("y", y);
        b.finish().unwrap()
    };
    let run = |factor| outputs(&network(factor), &[("x", wave([5, 7], 0.3))], None);
    let tolerance = Tolerance::accumulation(crate::DType::F32);
    assert_eq!(difference(&run(1.0), &run(1.0), tolerance), None);
    assert!(difference(&run(1.001), &run(1.0), tolerance).is_some());
    let not_a_number = vec![Tensor::full([5, 3], f32::NAN)];
    assert!(difference(&not_a_number, &run(1.0), tolerance).is_some());
}
