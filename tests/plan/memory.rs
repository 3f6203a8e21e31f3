//! How long values live, and which share a buffer.

use macula::ops::{Concat, Flatten, Reshape, Transpose, Unary};
use macula::plan::{Capabilities, LowerOptions, Placed, Plan};
use macula::{Graph, GraphBuilder, Shape, Tensor, ValueId};

use super::{chain, integers, network, places, plan, plan_with, pool, steps};

/// Pools, which cannot work in place, one after the other.
fn pools(b: &mut GraphBuilder, x: ValueId, length: usize) -> ValueId {
    (0..length).fold(x, |v, i| pool(b, &format!("pool{i}"), v))
}

fn without_reuse(graph: Graph, inputs: &[(&str, Shape)]) -> Plan {
    plan_with(graph, inputs, &Capabilities::default(), &LowerOptions { reuse_memory: false, ..LowerOptions::default() })
}

#[test]
fn a_chain_needs_two_buffers() {
    let (graph, inputs) = network([2, 3, 5, 7], |b, x| pools(b, x, 6));
    let shared = plan(graph.clone(), &inputs);
    // 210 elements of 4 bytes, padded to 32.
    assert_eq!(shared.buffers, [864, 864]);
    assert_eq!((shared.peak_bytes(), shared.lower_bound_bytes, shared.no_reuse_bytes), (1728, 1728, 7 * 864));
    assert_eq!(without_reuse(graph, &inputs).buffers, [864; 7]);
}

#[test]
fn without_reuse_nothing_shares() {
    let (graph, inputs) = network([1, 4, 8, 8], |b, x| {
        let relu = b.node("relu", Unary::Relu, &[x]).unwrap();
        let pool = pool(b, "pool", relu);
        b.node("concat", Concat { axis: 1 }, &[relu, pool]).unwrap()
    });
    let plan = without_reuse(graph.clone(), &inputs);
    assert_eq!(plan.buffers, [1024, 1024, 1024, 2048]);
    assert_eq!((plan.peak_bytes(), plan.no_reuse_bytes), (5120, 5120));
    assert_eq!(steps(&plan), ["upload x", "dispatch relu", "dispatch pool", "dispatch concat", "dispatch concat", "download y"]);
    assert_eq!(super::plan(graph, &inputs).no_reuse_bytes, 5120);
}

#[test]
fn views_are_their_inputs_place() {
    let (graph, inputs) = network([2, 3, 5, 7], |b, x| {
        let relu = b.node("relu", Unary::Relu, &[x]).unwrap();
        let shape = b.constant("shape", integers(&[6, 35]));
        let reshaped = b.node("reshape", Reshape { allow_zero: false }, &[relu, shape]).unwrap();
        let flat = b.node("flatten", Flatten { axis: 0 }, &[reshaped]).unwrap();
        let tanh = b.node("tanh", Unary::Tanh, &[flat]).unwrap();
        // Long after its views were made, `relu` is still there.
        let exp = b.node("exp", Unary::Exp, &[reshaped]).unwrap();
        let exp = b.node("flatten_exp", Flatten { axis: 0 }, &[exp]).unwrap();
        b.node("concat", Concat { axis: 0 }, &[tanh, exp]).unwrap()
    });
    let plan = plan(graph, &inputs);
    assert_eq!((places(&plan, "reshape"), places(&plan, "flatten")), (places(&plan, "relu"), places(&plan, "relu")));
    assert_eq!(plan.placed.iter().filter(|p| **p == Placed::View).count(), 3);
    assert!(!steps(&plan).iter().any(|s| s.contains("reshape") || s.contains("flatten")));
}

#[test]
fn a_value_lives_until_its_last_reader() {
    let (graph, inputs) = network([1, 2, 3, 4], |b, x| {
        let skip = b.node("skip", Unary::Relu, &[x]).unwrap();
        let long = chain(b, skip, 5);
        b.node("concat", Concat { axis: 3 }, &[long, skip]).unwrap()
    });
    let plan = plan(graph, &inputs);
    let kept = places(&plan, "skip");
    let sharing = plan.graph.nodes().iter().filter(|n| places(&plan, &n.name) == kept);
    assert_eq!(sharing.map(|n| n.name.as_str()).collect::<Vec<_>>(), ["skip"]);
}

/// A buffer is free for several small values once a large one is gone, and large ones lie where small ones were.
#[test]
fn values_lie_side_by_side_in_a_buffer() {
    let (graph, inputs) = network([1, 4, 16, 16], |b, x| {
        let large = pool(b, "large", x);
        let after = pool(b, "after", large);
        // A quarter each, all alive together, while nothing else is.
        let starts =
            [0, 1, 2, 3].map(|i| (b.constant(format!("start{i}"), integers(&[i])), b.constant(format!("end{i}"), integers(&[i + 1]))));
        let axes = b.constant("axes", integers(&[1]));
        let quarters: Vec<_> = starts
            .iter()
            .enumerate()
            .map(|(i, &(start, end))| {
                let quarter = b.nodes(format!("slice{i}"), macula::ops::Slice, &[after, start, end, axes].map(Some), 1).unwrap()[0];
                b.node(format!("turned{i}"), Transpose { permutation: vec![0, 1, 3, 2] }, &[quarter]).unwrap()
            })
            .collect();
        b.node("concat", Concat { axis: 3 }, &quarters).unwrap()
    });
    let plan = plan(graph, &inputs);
    let turned: Vec<_> = (0..4).flat_map(|i| places(&plan, &format!("turned{i}"))).collect();
    assert!(turned.iter().all(|&(buffer, _)| buffer == turned[0].0), "{turned:?}");
    assert_eq!(plan.buffers, [4096, 4096]);
    assert_eq!((plan.lower_bound_bytes, plan.no_reuse_bytes), (8192, 4 * 4096 + 8 * 1024));
}

#[test]
fn graph_outputs_live_to_the_end() {
    let mut b = GraphBuilder::new("outputs");
    let x = b.input("x", macula::DType::F32, [1, 2, 3, 4].map(macula::Dim::from));
    let early = pool(&mut b, "early", x);
    let late = pools(&mut b, early, 5);
    b.output("early", early);
    b.output("late", late);
    b.output("same", x);
    let plan = plan(b.finish().unwrap(), &[("same", Shape::from([1, 2, 3, 4]))]);
    // The replay has checked that all three are there at the end; each is where nothing else ever was.
    assert_eq!(plan.buffers.len(), 4, "{:?}", plan.places);
}

#[test]
fn weights_are_counted_as_stored() {
    let (graph, inputs) = network([1, 3, 5, 7], |b, x| {
        let w = b.constant("w", Tensor::full([3, 1, 1], 0.5f32));
        b.node("mul", macula::ops::Binary::Mul, &[x, w]).unwrap()
    });
    assert_eq!(plan(graph, &inputs).weights_bytes(), 32);
}

#[test]
fn no_buffer_is_larger_than_a_binding() {
    let small = Capabilities { max_binding: 1024, ..Capabilities::default() };
    let (graph, inputs) = network([1, 3, 8, 8], |b, x| {
        let values: Vec<_> = (0..6).map(|i| pool(b, &format!("pool{i}"), x)).collect();
        values[1..]
            .iter()
            .enumerate()
            .fold(values[0], |sum, (i, v)| b.node(format!("add{i}"), macula::ops::Binary::Add, &[sum, *v]).unwrap())
    });
    let plan = plan_with(graph, &inputs, &small, &LowerOptions::default());
    assert!(plan.buffers.iter().all(|&bytes| bytes <= 1024), "{:?}", plan.buffers);
}

#[test]
fn long_networks_are_planned() {
    let (graph, inputs) = network([1, 2, 4, 4], |b, x| {
        // Every tenth value is kept for a thousand nodes.
        let mut kept = std::collections::VecDeque::from([x]);
        (0..5000).fold(x, |v, i| {
            let v = pool(b, &format!("pool{i}"), v);
            if i % 10 == 0 {
                kept.push_back(v);
            }
            match kept.front().copied().filter(|_| kept.len() > 100) {
                Some(old) => {
                    kept.pop_front();
                    b.node(format!("add{i}"), macula::ops::Binary::Add, &[v, old]).unwrap()
                }
                None => v,
            }
        })
    });
    let plan = plan(graph, &inputs);
    assert!(100 * plan.peak_bytes() <= 110 * plan.lower_bound_bytes, "{} of {}", plan.peak_bytes(), plan.lower_bound_bytes);
}
