//! Plans without a GPU: what runs where, in which order, in whose memory.

#[path = "support/replay.rs"]
mod replay;

use macula::ops::{
    Concat, Conv, Flatten, Gather, Gemm, MaxPool, Op, Padding, Reshape, ShapeOf, Spatial, Transpose, Unary, Unsqueeze, Window,
};
use macula::plan::{Binding, Capabilities, Dispatch, LowerOptions, Place, Placed, Plan, Step, lower};
use macula::{CompileOptions, DType, Device, Dim, Error, Graph, GraphBuilder, Pass, Shape, Tensor, TensorType, ValueId};
use replay::replay;

/// The graph with every shape known: that of the CPU device's plan.
fn specialized(graph: Graph, inputs: &[(&str, Shape)]) -> Graph {
    let types: Vec<_> = inputs.iter().map(|(name, shape)| (*name, TensorType::new(DType::F32, shape))).collect();
    let session = Device::cpu().compile_with(graph, CompileOptions::new().without(Pass::all())).unwrap();
    session.plan(&types).unwrap().graph.clone()
}

/// The plan for the smallest GPU there is, replayed.
#[track_caller]
fn plan_with(graph: Graph, inputs: &[(&str, Shape)], capabilities: &Capabilities, options: &LowerOptions) -> Plan {
    let plan = lower(specialized(graph, inputs), Some(capabilities), options).unwrap();
    if let Err(message) = replay(&plan) {
        panic!("{message} in {:#?}", plan.steps);
    }
    plan
}

#[track_caller]
fn plan(graph: Graph, inputs: &[(&str, Shape)]) -> Plan {
    plan_with(graph, inputs, &Capabilities::default(), &LowerOptions::default())
}

/// A network with one input `x` and one output.
fn network(shape: impl Into<Shape>, build: impl FnOnce(&mut GraphBuilder, ValueId) -> ValueId) -> (Graph, [(&'static str, Shape); 1]) {
    let shape = shape.into();
    let mut b = GraphBuilder::new("plan");
    let x = b.input("x", DType::F32, shape.iter().copied());
    let y = build(&mut b, x);
    b.output("y", y);
    (b.finish().unwrap(), [("x", shape)])
}

/// The steps as text: `dispatch relu`, `download relu`.
fn steps(plan: &Plan) -> Vec<String> {
    let value = |id: &ValueId| plan.graph.value(*id).name.clone();
    let node = |id: &macula::NodeId| plan.graph.node(*id).name.clone();
    let text = |step: &Step| match step {
        Step::Dispatch { node: id, .. } => format!("dispatch {}", node(id)),
        Step::Host { node: id } => format!("host {}", node(id)),
        Step::Upload { value: id } => format!("upload {}", value(id)),
        Step::Download { value: id } => format!("download {}", value(id)),
    };
    plan.steps.iter().map(text).collect()
}

/// A node that no GPU without 64-bit integers takes: its second output is `i64`.
fn pool_with_indices() -> MaxPool {
    let one = Spatial::splat(2, 1);
    let window = Window { kernel_size: one, stride: one, dilation: one, padding: Padding::Valid, ceil_mode: false };
    MaxPool { window, column_major: false }
}

fn host_node(b: &mut GraphBuilder, name: &str, x: ValueId) -> ValueId {
    b.nodes(name, pool_with_indices(), &[Some(x)], 2).unwrap()[0]
}

fn integers(values: &[i64]) -> Tensor {
    Tensor::vector(values.to_vec())
}

fn chain(b: &mut GraphBuilder, x: ValueId, length: usize) -> ValueId {
    (0..length).fold(x, |v, i| b.node(format!("relu{i}"), Unary::Relu, &[v]).unwrap())
}

#[test]
fn a_chain_needs_two_buffers() {
    let (graph, inputs) = network([2, 3, 5, 7], |b, x| chain(b, x, 6));
    let shared = plan(graph.clone(), &inputs);
    // 210 elements of 4 bytes, padded to 32.
    assert_eq!(shared.buffers, [864, 864]);
    assert_eq!((shared.peak_bytes(), shared.lower_bound_bytes, shared.no_reuse_bytes), (1728, 1728, 7 * 864));
    let options = LowerOptions { reuse_memory: false, ..LowerOptions::default() };
    assert_eq!(plan_with(graph, &inputs, &Capabilities::default(), &options).buffers, [864; 7]);
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
    let place = |name: &str| plan.graph.nodes().iter().find(|n| n.name == name).and_then(|n| plan.places[n.outputs[0].unwrap().index()]);
    assert!(matches!(place("relu"), Some(Place::Buffer(_))));
    assert_eq!((place("reshape"), place("flatten")), (place("relu"), place("relu")));
    assert_eq!(plan.placed.iter().filter(|p| **p == Placed::View).count(), 3);
    assert!(!steps(&plan).iter().any(|s| s.contains("reshape") || s.contains("flatten")));
}

#[test]
fn a_value_lives_until_its_last_reader() {
    let (graph, inputs) = network([1, 2, 3, 4], |b, x| {
        let skip = b.node("skip", Unary::Relu, &[x]).unwrap();
        let long = chain(b, skip, 5);
        b.node("concat", Concat { axis: 1 }, &[long, skip]).unwrap()
    });
    let plan = plan(graph, &inputs);
    let skip = plan.graph.nodes()[0].outputs[0].unwrap();
    let Some(Place::Buffer(kept)) = plan.places[skip.index()] else { panic!("`skip` has no buffer") };
    let sharing = plan.graph.nodes().iter().filter(|n| plan.places[n.outputs[0].unwrap().index()] == Some(Place::Buffer(kept)));
    assert_eq!(sharing.map(|n| n.name.as_str()).collect::<Vec<_>>(), ["skip"]);
}

#[test]
fn a_host_node_is_between_its_transfers() {
    let (graph, inputs) = network([1, 2, 5, 7], |b, x| {
        let relu = b.node("relu", Unary::Relu, &[x]).unwrap();
        let first = host_node(b, "first", relu);
        let second = host_node(b, "second", first);
        let exp = b.node("exp", Unary::Exp, &[second]).unwrap();
        b.node("concat", Concat { axis: 1 }, &[exp, relu]).unwrap()
    });
    let plan = plan(graph, &inputs);
    let order = ["upload x", "dispatch relu", "download relu", "host first", "host second", "upload second", "dispatch exp"];
    assert_eq!(steps(&plan)[..7], order);
    assert_eq!(steps(&plan).last().unwrap(), "download y");
    let on_cpu: Vec<_> = plan.host_nodes().map(|(node, _)| node.name.as_str()).collect();
    assert_eq!(on_cpu, ["first", "second"]);
    assert!(plan.host_nodes().all(|(_, reason)| reason.contains("i64")), "{:?}", plan.placed);
}

#[test]
fn strict_lists_every_node_without_a_kernel() {
    let (graph, inputs) = network([1, 2, 5, 7], |b, x| {
        let first = host_node(b, "first", x);
        let relu = b.node("relu", Unary::Relu, &[first]).unwrap();
        host_node(b, "second", relu)
    });
    let strict = LowerOptions { strict: true, ..LowerOptions::default() };
    let graph = specialized(graph, &inputs);
    match lower(graph.clone(), Some(&Capabilities::default()), &strict) {
        Err(Error::Strict(nodes)) => {
            assert_eq!(nodes.len(), 2, "{nodes:?}");
            assert!(nodes[0].contains("`first` (MaxPool)") && nodes[1].contains("`second` (MaxPool)"), "{nodes:?}");
        }
        other => panic!("{other:?}"),
    }
    // On the CPU device nothing is out of place, and with 64-bit integers nothing needs it.
    let on_cpu = lower(graph.clone(), None, &strict).unwrap();
    assert!(on_cpu.buffers.is_empty() && on_cpu.steps.iter().all(|s| matches!(s, Step::Host { .. })));
    let capabilities = Capabilities { i64: true, ..Capabilities::default() };
    assert_eq!(lower(graph, Some(&capabilities), &strict).unwrap().host_nodes().count(), 0);
}

#[test]
fn equal_weights_are_uploaded_once() {
    let weight = Tensor::full([4, 4, 1, 1], 0.5f32);
    let copy = Tensor::full([4, 4, 1, 1], 0.5f32);
    let (graph, inputs) = network([1, 4, 5, 7], |b, x| {
        let mut v = x;
        for (i, tensor) in [&weight, &weight, &copy].into_iter().enumerate() {
            let w = b.constant(format!("w{i}"), tensor.clone());
            v = b.node(format!("conv{i}"), Conv::default(), &[v, w]).unwrap();
        }
        v
    });
    // The same elements in memory are one weight; a tensor that is merely equal is another.
    assert_eq!(plan(graph, &inputs).weights.len(), 2);
}

#[test]
fn shape_arithmetic_is_folded() {
    let mut b = GraphBuilder::new("shapes");
    let x = b.input("x", DType::F32, [Dim::from("N"), 3.into(), Dim::from("H"), 7.into()]);
    let relu = b.node("relu", Unary::Relu, &[x]).unwrap();
    let shape = b.node("shape", ShapeOf { start: 0, end: None }, &[relu]).unwrap();
    let zero = b.constant("zero", Tensor::scalar(0i64));
    let batch = b.node("batch", Gather { axis: 0 }, &[shape, zero]).unwrap();
    let axes = b.constant("axes", integers(&[0]));
    let batch = b.node("unsqueeze", Unsqueeze, &[batch, axes]).unwrap();
    let rest = b.constant("rest", integers(&[-1]));
    let target = b.node("target", Concat { axis: 0 }, &[batch, rest]).unwrap();
    let flat = b.node("flat", Reshape { allow_zero: false }, &[relu, target]).unwrap();
    let y = b.node("exp", Unary::Exp, &[flat]).unwrap();
    b.output("y", y);
    let graph = b.finish().unwrap();
    for (batch, height) in [(1, 5), (3, 2)] {
        let plan = plan(graph.clone(), &[("x", Shape::from([batch, 3, height, 7]))]);
        let names: Vec<_> = plan.graph.nodes().iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["relu", "flat", "exp"]);
        assert_eq!(steps(&plan), ["upload x", "dispatch relu", "dispatch exp", "download y"]);
        assert_eq!(plan.tensor_type(plan.graph.outputs()[0]).shape.dims(), [batch, 21 * height]);
    }
}

/// The reason why the one node of a plan is on the CPU.
#[track_caller]
fn reason(graph: Graph, inputs: &[(&str, Shape)], capabilities: &Capabilities) -> String {
    match &plan_with(graph, inputs, capabilities, &LowerOptions::default()).placed[..] {
        [Placed::Cpu(reason)] => reason.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_does_not_fit_the_device_runs_on_the_cpu() {
    let small = Capabilities { max_binding: 1024, ..Capabilities::default() };
    let relu = |elements: usize| network([elements], |b, x| chain(b, x, 1));
    let (graph, inputs) = relu(256);
    assert_eq!(plan_with(graph, &inputs, &small, &LowerOptions::default()).host_nodes().count(), 0);
    let (graph, inputs) = relu(257);
    assert_eq!(reason(graph, &inputs, &small), "unary binds 1056 bytes, the device allows 1024");

    let poor = Capabilities { max_storage_buffers: 1, ..Capabilities::default() };
    let (graph, inputs) = relu(5);
    assert_eq!(reason(graph, &inputs, &poor), "unary binds 2 buffers, the device allows 1");

    // Nine workgroups of 64 × 4 elements, folded three by three.
    let narrow = Capabilities { max_workgroups: 3, ..Capabilities::default() };
    let (graph, inputs) = relu(9 * 256);
    let plan = plan_with(graph, &inputs, &narrow, &LowerOptions::default());
    assert!(matches!(&plan.steps[1], Step::Dispatch { dispatch, .. } if dispatch.workgroups == [3, 3, 1]), "{:?}", plan.steps);
    let (graph, inputs) = relu(9 * 256 + 1);
    assert_eq!(reason(graph, &inputs, &narrow), "too many elements");
}

#[test]
fn a_weight_larger_than_a_binding_is_split_by_columns() {
    let small = Capabilities { max_binding: 1024, ..Capabilities::default() };
    let linear = |in_features: usize, transpose_b: bool| {
        network([5, in_features], |b, x| {
            let shape = if transpose_b { [50, in_features] } else { [in_features, 50] };
            let (w, c) = (b.constant("w", Tensor::full(shape, 0.1f32)), b.constant("c", Tensor::full([50], 1f32)));
            b.node("linear", Gemm { transpose_b, ..Gemm::default() }, &[x, w, c]).unwrap()
        })
    };
    for transpose_b in [false, true] {
        let (graph, inputs) = linear(7, transpose_b);
        let plan = plan_with(graph, &inputs, &small, &LowerOptions::default());
        assert_eq!(steps(&plan), ["upload x", "dispatch linear", "dispatch linear", "download y"]);
        let sizes: Vec<_> = plan.weights.iter().map(|w| w.packing.elements(w.tensor.len())).collect();
        // 36 columns of 7 elements fit in 1024 bytes; of the 14 others two more are padding.
        assert_eq!(sizes, [50, 7 * 36, 7 * 16]);
    }
    let (graph, inputs) = linear(65, true);
    let reason = reason(graph, &inputs, &small);
    assert!(reason.ends_with("the device allows 1024"), "{reason}");
}

#[test]
fn a_node_without_elements_runs_on_the_cpu() {
    let (graph, inputs) = network([2, 0, 3], |b, x| chain(b, x, 1));
    assert_eq!(reason(graph, &inputs, &Capabilities::default()), "a tensor without elements");
}

#[test]
fn a_kernel_may_be_asked_for() {
    let (graph, inputs) = network([1, 8, 9, 7], |b, x| {
        let w = b.constant("w", Tensor::full([8, 1, 3, 3], 0.1f32));
        b.node("conv", Conv { groups: 8, ..Conv::default() }, &[x, w]).unwrap()
    });
    let graph = specialized(graph, &inputs);
    let with = |kernel: Option<&str>| {
        let options = LowerOptions { kernel: kernel.map(str::to_owned), ..LowerOptions::default() };
        let plan = lower(graph.clone(), Some(&Capabilities::default()), &options).unwrap();
        replay(&plan).unwrap();
        plan
    };
    let default = with(None);
    assert!(default.kernels[0].len() > 1, "{:?}", default.kernels);
    for kernel in &default.kernels[0] {
        let placed = with(Some(kernel)).placed[0].to_string();
        assert!(placed.split(" + ").last().unwrap().starts_with(kernel), "asked for {kernel}, got {placed}");
    }
    assert_eq!(with(Some("no_such_kernel")).placed, default.placed);
}

/// A directed graph of views, dispatches, host nodes and joins, wired at random.
fn random_network(seed: u64) -> (Graph, [(&'static str, Shape); 1]) {
    let mut state = seed;
    let mut below = move |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    network([1, 2, 3, 5], |b, x| {
        let mut values = vec![x, b.constant("constant", Tensor::full([1, 2, 3, 5], 0.5f32))];
        for i in 0..12 {
            // Recent values more often, so that chains are long and lifetimes differ.
            let back = below(3) + below(3);
            let v = values[values.len().saturating_sub(1 + back)];
            let name = format!("n{i}");
            let op: Op = match below(6) {
                0 => Transpose { permutation: vec![0, 1, 3, 2] }.into(),
                1 => {
                    let shape = b.constant(format!("shape{i}"), integers(&[1, 2, -1, 1]));
                    values.push(b.node(name, Reshape { allow_zero: false }, &[v, shape]).unwrap());
                    continue;
                }
                2 => {
                    values.push(host_node(b, &name, v));
                    continue;
                }
                3 => {
                    let other = values[below(values.len())];
                    let flat = [v, other].map(|v| b.node(format!("{name}.flat{}", v.index()), Flatten { axis: 0 }, &[v]).unwrap());
                    let joined = b.node(format!("{name}.concat"), Concat { axis: 1 }, &flat).unwrap();
                    let shape = b.constant(format!("shape{i}"), integers(&[1, 2, 3, -1]));
                    values.push(b.node(name, Reshape { allow_zero: false }, &[joined, shape]).unwrap());
                    continue;
                }
                _ => Unary::Relu.into(),
            };
            values.push(b.node(name, op, &[v]).unwrap());
        }
        let flat: Vec<_> =
            values.iter().skip(9).map(|v| b.node(format!("end{}", v.index()), Flatten { axis: 0 }, &[*v]).unwrap()).collect();
        b.node("join", Concat { axis: 1 }, &flat).unwrap()
    })
}

#[test]
fn random_networks_never_lose_a_value() {
    let mut kinds = [0; 3];
    for seed in 0..100 {
        let (graph, inputs) = random_network(seed);
        for reuse_memory in [true, false] {
            let options = LowerOptions { reuse_memory, ..LowerOptions::default() };
            let graph = specialized(graph.clone(), &inputs);
            let plan = lower(graph, Some(&Capabilities::default()), &options).unwrap();
            replay(&plan).unwrap_or_else(|message| panic!("seed {seed}: {message} in {:#?}", steps(&plan)));
            assert!(plan.lower_bound_bytes <= plan.peak_bytes() && plan.peak_bytes() <= plan.no_reuse_bytes, "seed {seed}");
            for placed in &plan.placed {
                kinds[match placed {
                    Placed::Gpu(_) => 0,
                    Placed::View => 1,
                    Placed::Cpu(_) => 2,
                }] += 1;
            }
        }
    }
    assert!(kinds.iter().all(|&n| n > 100), "the networks are all of one kind: {kinds:?}");
}

/// A sound plan to spoil: a chain, a host node, and a join with the chain's first value.
fn sound() -> Plan {
    let (graph, inputs) = network([1, 2, 5, 7], |b, x| {
        let relu = b.node("relu", Unary::Relu, &[x]).unwrap();
        let tanh = b.node("tanh", Unary::Tanh, &[relu]).unwrap();
        let exp = b.node("exp", Unary::Exp, &[tanh]).unwrap();
        let pool = host_node(b, "pool", exp);
        b.node("concat", Concat { axis: 1 }, &[pool, relu]).unwrap()
    });
    plan(graph, &inputs)
}

/// That the replay of the sound plan, spoiled, fails with `text`.
#[track_caller]
fn loses(spoil: impl FnOnce(&mut Plan), text: &str) {
    let mut plan = sound();
    spoil(&mut plan);
    let message = replay(&plan).expect_err("the spoiled plan replays");
    assert!(message.contains(text), "`{message}` does not contain `{text}`");
}

#[test]
fn the_replay_can_fail() {
    loses(|plan| drop(plan.steps.remove(0)), "reads buffer");
    loses(|plan| plan.steps.retain(|s| !matches!(s, Step::Download { .. })), "is not on the host");
    loses(|plan| drop(plan.steps.pop()), "never comes to the host");
    loses(|plan| plan.steps.swap(1, 2), "which holds nothing");
    loses(|plan| plan.buffers[0] = 32, "are bound, it has 32");
    loses(|plan| drop(plan.placed.pop()), "not every node is placed");
    loses(
        |plan| (1..4).for_each(|at| bindings(plan, at).iter_mut().for_each(|buffer| **buffer = 0)),
        "reads and writes buffer 0 in one dispatch",
    );
    // `exp` goes where `relu` is, which `concat` reads later.
    loses(
        |plan| {
            let (relu, exp) = (plan.graph.nodes()[0].outputs[0].unwrap(), plan.graph.nodes()[2].outputs[0].unwrap());
            let Some(Place::Buffer(taken)) = plan.places[relu.index()] else { panic!("`relu` has no buffer") };
            plan.places[exp.index()] = Some(Place::Buffer(taken));
            *bindings(plan, 3)[1] = taken;
        },
        "which holds `exp`",
    );
    loses(|plan| dispatch(plan, 1).workgroups[1] = 0, "[1, 0, 1] workgroups");
    loses(|plan| dispatch(plan, 1).variant.overrides[0] = 99, "is not a variant that its kernel declares");
}

fn dispatch(plan: &mut Plan, at: usize) -> &mut Dispatch<Binding> {
    match &mut plan.steps[at] {
        Step::Dispatch { dispatch, .. } => dispatch,
        other => panic!("step {at} is {other:?}"),
    }
}

/// The buffers that a dispatch binds.
fn bindings(plan: &mut Plan, at: usize) -> Vec<&mut usize> {
    let buffer = |binding| match binding {
        &mut Binding::Buffer { ref mut buffer, .. } => Some(buffer),
        _ => None,
    };
    dispatch(plan, at).bindings.iter_mut().filter_map(buffer).collect()
}
