//! Elementwise dispatches that write where an operand was.

use macula::ops::{Binary, Concat, Conv, Op, Unary};
use macula::plan::{Capabilities, LowerOptions, Plan, Step};
use macula::{DType, Dim, GraphBuilder, Shape, Tensor, ValueId};

use super::{chain, network, places, plan, plan_with, pool};

/// The nodes that work in place.
fn in_place(plan: &Plan) -> Vec<&str> {
    let name = |step: &Step| match step {
        Step::Dispatch { node, dispatch } if dispatch.variant.in_place => Some(*node),
        _ => None,
    };
    plan.steps.iter().filter_map(name).map(|id| plan.graph.node(id).name.as_str()).collect()
}

/// The plan of `build` on a pool's output `x`.
fn of(build: impl FnOnce(&mut GraphBuilder, ValueId) -> ValueId) -> Plan {
    let (graph, inputs) = network([2, 3, 5, 7], |b, x| {
        let x = pool(b, "x", x);
        build(b, x)
    });
    plan(graph, &inputs)
}

#[test]
fn a_chain_of_activations_needs_one_buffer() {
    let (graph, inputs) = network([2, 3, 5, 7], |b, x| chain(b, x, 3));
    let shared = plan(graph.clone(), &inputs);
    assert_eq!(in_place(&shared), ["relu0", "relu1", "relu2"]);
    assert_eq!((shared.buffers.as_slice(), shared.lower_bound_bytes), (&[864][..], 864));
    // A kernel that is asked for runs as it is.
    let asked = LowerOptions { kernel: Some("unary".into()), ..LowerOptions::default() };
    assert!(in_place(&plan_with(graph.clone(), &inputs, &Capabilities::default(), &asked)).is_empty());
    let apart = LowerOptions { reuse_memory: false, ..LowerOptions::default() };
    assert!(in_place(&plan_with(graph, &inputs, &Capabilities::default(), &apart)).is_empty());
}

#[test]
fn the_operand_that_is_overwritten_need_not_be_the_first() {
    let channels = |b: &mut GraphBuilder| b.constant("c", Tensor::full([3, 1, 1], 2f32));
    let plan = of(|b, x| {
        let c = channels(b);
        b.node("sub", Binary::Sub, &[c, x]).unwrap()
    });
    assert_eq!((in_place(&plan), places(&plan, "sub")), (vec!["sub"], places(&plan, "x")));
}

#[test]
fn operators_with_a_dense_operand_work_in_place() {
    let on_x = |op: Op, constants: &[(&str, Tensor)]| {
        in_place(&of(|b, x| {
            let inputs: Vec<_> = std::iter::once(x).chain(constants.iter().map(|(name, t)| b.constant(*name, t.clone()))).collect();
            b.node("node", op, &inputs).unwrap()
        }))
        .len()
    };
    assert_eq!(on_x(macula::ops::Clip.into(), &[("low", Tensor::scalar(0f32))]), 1);
    assert_eq!(on_x(Binary::Mul.into(), &[("factor", Tensor::scalar(3f32))]), 1);
    assert_eq!(on_x(macula::ops::PRelu.into(), &[("slope", Tensor::full([3, 1, 1], 0.1f32))]), 1);
}

#[test]
fn what_is_needed_later_is_not_overwritten() {
    let twice = of(|b, x| b.node("add", Binary::Add, &[x, x]).unwrap());
    assert!(in_place(&twice).is_empty(), "both operands are one buffer");
    let later = of(|b, x| {
        let relu = b.node("relu", Unary::Relu, &[x]).unwrap();
        b.node("sub", Binary::Sub, &[relu, x]).unwrap()
    });
    assert_eq!(in_place(&later), ["sub"], "`x` has a reader after `relu`");
    // A view of `x` is `x`.
    let view = of(|b, x| {
        let shape = b.constant("shape", super::integers(&[2, 3, 7, 5]));
        let view = b.node("view", macula::ops::Reshape { allow_zero: false }, &[x, shape]).unwrap();
        let relu = b.node("relu", Unary::Relu, &[view]).unwrap();
        let back = b.constant("back", super::integers(&[2, 3, 5, 7]));
        let relu = b.node("relu_view", macula::ops::Reshape { allow_zero: false }, &[relu, back]).unwrap();
        b.node("mul", Binary::Mul, &[relu, x]).unwrap()
    });
    assert_eq!(in_place(&view), ["mul"]);
    let larger = of(|b, x| {
        let dense = b.constant("dense", Tensor::full([4, 2, 3, 5, 7], 1f32));
        b.node("add", Binary::Add, &[x, dense]).unwrap()
    });
    assert!(in_place(&larger).is_empty(), "the dense operand is a weight");
}

#[test]
fn graph_outputs_are_not_overwritten() {
    let mut b = GraphBuilder::new("outputs");
    let x = b.input("x", DType::F32, [1, 2, 3, 4].map(Dim::from));
    let kept = pool(&mut b, "kept", x);
    let relu = b.node("relu", Unary::Relu, &[kept]).unwrap();
    b.output("kept", kept);
    b.output("relu", relu);
    assert!(in_place(&plan(b.finish().unwrap(), &[("x", Shape::from([1, 2, 3, 4]))])).is_empty());
}

#[test]
fn pieces_of_a_concatenation_are_computed_in_place() {
    let plan = of(|b, x| {
        let w = b.constant("w", Tensor::full([64, 3, 1, 1], 0.5f32));
        let pieces: Vec<_> = (0..2)
            .map(|i| {
                let flat = b.constant(format!("shape{i}"), super::integers(&[1, 4480]));
                let conv = b.node(format!("conv{i}"), Conv::default(), &[x, w]).unwrap();
                let conv = b.node(format!("flat{i}"), macula::ops::Reshape { allow_zero: false }, &[conv, flat]).unwrap();
                b.node(format!("relu{i}"), Unary::Relu, &[conv]).unwrap()
            })
            .collect();
        let joined = b.node("concat", Concat { axis: 1 }, &pieces).unwrap();
        b.node("end", Unary::Exp, &[joined]).unwrap()
    });
    assert_eq!(in_place(&plan), ["relu0", "relu1", "end"]);
    let (conv, concat) = (places(&plan, "conv1"), places(&plan, "concat"));
    assert_eq!((conv[0].0, conv[0].1), (concat[0].0, concat[0].1 + 4480 * 4));
    assert_eq!(places(&plan, "end"), concat);
}
