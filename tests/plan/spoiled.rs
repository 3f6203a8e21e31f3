//! The replay finds every kind of broken plan.

use macula::ops::{Concat, Unary};
use macula::plan::{Binding, Capabilities, Dispatch, LowerOptions, Place, Plan, Step};

use super::{host_node, network, plan, plan_with, pool, replay};

/// A plan with a buffer for each value: upload x, relu, tanh, exp, download exp, host pool, upload pool, two copies, download y.
fn apart() -> Plan {
    let (graph, inputs) = network([1, 2, 5, 7], |b, x| {
        let relu = b.node("relu", Unary::Relu, &[x]).unwrap();
        let tanh = b.node("tanh", Unary::Tanh, &[relu]).unwrap();
        let exp = b.node("exp", Unary::Exp, &[tanh]).unwrap();
        let pool = host_node(b, "pool", exp);
        b.node("concat", Concat { axis: 1 }, &[pool, relu]).unwrap()
    });
    plan_with(graph, &inputs, &Capabilities::default(), &LowerOptions { reuse_memory: false, ..LowerOptions::default() })
}

/// A plan with a concatenation in place: upload x, left, right, relu in place of right, end in place of all, download y.
fn together() -> Plan {
    let (graph, inputs) = network([1, 2, 16, 8], |b, x| {
        let (left, right) = (pool(b, "left", x), pool(b, "right", x));
        let relu = b.node("relu", Unary::Relu, &[right]).unwrap();
        let concat = b.node("concat", Concat { axis: 1 }, &[left, relu]).unwrap();
        b.node("end", Unary::Exp, &[concat]).unwrap()
    });
    let plan = plan(graph, &inputs);
    assert_eq!(plan.steps.len(), 6, "{:#?}", plan.steps);
    plan
}

/// That the replay of a sound plan, spoiled, fails with `text`.
#[track_caller]
fn loses(sound: fn() -> Plan, spoil: impl FnOnce(&mut Plan), text: &str) {
    let mut plan = sound();
    spoil(&mut plan);
    let message = replay(&plan, &Capabilities::default()).expect_err("the spoiled plan replays");
    assert!(message.contains(text), "`{message}` does not contain `{text}`");
}

#[test]
fn steps_that_are_missing_or_out_of_order() {
    loses(apart, |plan| drop(plan.steps.remove(0)), "reads buffer 0 from 0 on, which holds nothing");
    loses(apart, |plan| plan.steps.retain(|s| !matches!(s, Step::Download { .. })), "is not on the host");
    loses(apart, |plan| drop(plan.steps.pop()), "never comes to the host");
    loses(apart, |plan| plan.steps.swap(1, 2), "which holds nothing");
    loses(apart, |plan| drop(plan.placed.pop()), "not every node is placed");
    // One of the two copies that make a concatenation, and one of the two pools that write one.
    loses(apart, |plan| drop(plan.steps.remove(8)), "should hold `y` and holds nothing");
    loses(together, |plan| drop(plan.steps.remove(1)), "reads buffer");
}

#[test]
fn dispatches_that_are_not_declared() {
    loses(apart, |plan| dispatch(plan, 1).workgroups[1] = 0, "[1, 0, 1] workgroups");
    loses(apart, |plan| dispatch(plan, 1).variant.overrides[0] = 99, "is not a variant that its kernel declares");
    loses(apart, |plan| _ = dispatch(plan, 1).bindings.pop(), "has 1 bindings");
    loses(apart, |plan| dispatch(plan, 1).bindings[0] = Binding::Weight(7), "reads weight 7 of 0");
    loses(apart, |plan| dispatch(plan, 1).bindings[1] = Binding::Unused, "writes Unused");
}

#[test]
fn values_that_are_overwritten() {
    // `exp` goes where `relu` is, which `concat` reads later.
    let onto_relu = |plan: &mut Plan| {
        let (relu, exp) = (place(plan, "relu"), plan.graph.nodes()[2].outputs[0].unwrap());
        plan.places[exp.index()] = Some(Place::Buffer { buffer: relu.0, offset: relu.1 });
        *bindings(plan, 3)[1].0 = relu.0;
    };
    loses(apart, onto_relu, "which holds `exp`");
    // The right piece lies on the last row of the left one.
    let onto_left = |plan: &mut Plan| {
        for node in [1, 2] {
            let id = plan.graph.nodes()[node].outputs[0].unwrap();
            let Some(Place::Buffer { offset, .. }) = &mut plan.places[id.index()] else { panic!("no buffer") };
            *offset -= 256;
            *bindings(plan, node + 1).last_mut().unwrap().1 -= 256;
        }
    };
    loses(together, onto_left, "which holds `relu`");
    // The copies leave a gap.
    let params = |plan: &mut Plan| {
        let dispatch = dispatch(plan, 8);
        let at = dispatch.variant.kernel.params.fields.iter().find(|f| f.name == "output_offset").unwrap().offset;
        dispatch.params[at] += 1;
    };
    loses(apart, params, "should hold `y` and holds nothing");
}

#[test]
fn values_that_the_padding_of_others_overwrites() {
    // Seventy elements take 280 bytes, a kernel that stores whole vectors writes 288: a value right behind them loses its first two.
    let behind = |plan: &mut Plan| {
        let (relu, tanh) = (plan.graph.nodes()[0].outputs[0].unwrap(), plan.graph.nodes()[1].outputs[0].unwrap());
        let Some(Place::Buffer { buffer, .. }) = plan.places[tanh.index()] else { panic!("no buffer") };
        plan.buffers[buffer] = 1024;
        plan.places[relu.index()] = Some(Place::Buffer { buffer, offset: 280 });
        *bindings(plan, 1)[1].0 = buffer;
        *bindings(plan, 1)[1].1 = 280;
        *bindings(plan, 8)[0].0 = buffer;
        *bindings(plan, 8)[0].1 = 280;
        let x = bindings(plan, 1)[0].0.to_owned();
        *bindings(plan, 2)[0].0 = x;
    };
    let mut plan = apart();
    behind(&mut plan);
    let bytewise = Capabilities { storage_alignment: 4, ..Capabilities::default() };
    let message = replay(&plan, &bytewise).unwrap_err();
    assert!(message.contains("reads buffer"), "{message}");
}

#[test]
fn bindings_that_do_not_fit() {
    loses(apart, |plan| plan.buffers[0] = 32, "are bound, it has 32");
    loses(together, |plan| plan.buffers.iter_mut().for_each(|bytes| *bytes -= 32), "are bound, it has");
    loses(apart, |plan| *bindings(plan, 1)[0].1 = 32, "is bound from 32 on, which is not a multiple of 256");
    loses(apart, |plan| *bindings(plan, 1)[0].1 = 256, "288 bytes of buffer 0 from 256 on are bound, it has 288");
}

#[test]
fn buffers_that_are_read_and_written() {
    let one_buffer = |plan: &mut Plan| (1..4).for_each(|at| bindings(plan, at).iter_mut().for_each(|(buffer, _)| **buffer = 0));
    loses(apart, one_buffer, "reads and writes buffer 0 in one dispatch");
    // Whatever the ranges.
    let side_by_side = |plan: &mut Plan| {
        let written = *bindings(plan, 1)[1].0;
        *bindings(plan, 1)[0].0 = written;
        plan.buffers[written] = 4096;
    };
    loses(together, side_by_side, "in one dispatch");
    loses(together, |plan| dispatch(plan, 3).variant.in_place = false, "`relu` reads nothing through binding 0");
    loses(apart, |plan| dispatch(plan, 1).variant.in_place = true, "works in place and binds Buffer");
    let on_nothing = |plan: &mut Plan| {
        dispatch(plan, 1).variant.in_place = true;
        dispatch(plan, 1).bindings[0] = Binding::Unused;
    };
    loses(apart, on_nothing, "reads buffer 1 from 0 on, which holds nothing");
    // `relu` overwrites what `concat` reads.
    let in_place = |plan: &mut Plan| {
        let relu = place(plan, "relu").0;
        dispatch(plan, 2).variant.in_place = true;
        dispatch(plan, 2).bindings[0] = Binding::Unused;
        *bindings(plan, 2)[0].0 = relu;
        *bindings(plan, 3)[0].0 = relu;
        let tanh = plan.graph.nodes()[1].outputs[0].unwrap();
        plan.places[tanh.index()] = Some(Place::Buffer { buffer: relu, offset: 0 });
    };
    loses(apart, in_place, "which holds `tanh`");
}

#[test]
fn values_that_are_not_where_they_are_looked_for() {
    let moved = |plan: &mut Plan| {
        let y = plan.graph.outputs()[0];
        let Some(Place::Buffer { offset, .. }) = &mut plan.places[y.index()] else { panic!("no buffer") };
        *offset += 256;
    };
    loses(together, moved, "are bound, it has");
    // After a trace has missed a node's output.
    let elsewhere = |plan: &mut Plan| {
        let tanh = plan.graph.nodes()[1].outputs[0].unwrap();
        plan.places[tanh.index()] = Some(Place::Buffer { buffer: 0, offset: 0 });
    };
    loses(apart, elsewhere, "should hold `tanh` and holds `x`");
}

fn dispatch(plan: &mut Plan, at: usize) -> &mut Dispatch<Binding> {
    match &mut plan.steps[at] {
        Step::Dispatch { dispatch, .. } => dispatch,
        other => panic!("step {at} is {other:?}"),
    }
}

/// Buffers and offsets that a dispatch binds.
fn bindings(plan: &mut Plan, at: usize) -> Vec<(&mut usize, &mut u64)> {
    let buffer = |binding| match binding {
        &mut Binding::Buffer { ref mut buffer, ref mut offset, .. } => Some((buffer, offset)),
        _ => None,
    };
    dispatch(plan, at).bindings.iter_mut().filter_map(buffer).collect()
}

fn place(plan: &Plan, name: &str) -> (usize, u64) {
    super::places(plan, name)[0]
}
