//! Plans without a GPU: what runs where, in which order, in whose memory.

#[path = "../support/data.rs"]
mod data;
#[path = "../support/replay.rs"]
mod replay;

mod in_place;
mod lowering;
mod memory;
mod networks;
mod random;
mod spoiled;
mod tiles;
mod views;

use macula::ops::{MaxPool, Padding, Spatial, Unary, Window};
use macula::plan::{Capabilities, LowerOptions, Place, Plan, Step, lower};
use macula::{CompileOptions, DType, Device, Graph, GraphBuilder, Pass, Shape, Tensor, TensorType, ValueId};
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
    if let Err(message) = replay(&plan, capabilities) {
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

/// A node that no GPU without 64-bit integers takes where it has a second output, which is `i64`.
fn pool_with_indices() -> MaxPool {
    let one = Spatial::splat(2, 1);
    let window = Window { kernel_size: one, stride: one, dilation: one, padding: Padding::Valid, ceil_mode: false };
    MaxPool { window, column_major: false }
}

fn host_node(b: &mut GraphBuilder, name: &str, x: ValueId) -> ValueId {
    b.nodes(name, pool_with_indices(), &[Some(x)], 2).unwrap()[0]
}

/// A kernel that cannot work in place.
fn pool(b: &mut GraphBuilder, name: &str, x: ValueId) -> ValueId {
    b.node(name, pool_with_indices(), &[x]).unwrap()
}

fn integers(values: &[i64]) -> Tensor {
    Tensor::vector(values.to_vec())
}

fn chain(b: &mut GraphBuilder, x: ValueId, length: usize) -> ValueId {
    (0..length).fold(x, |v, i| b.node(format!("relu{i}"), Unary::Relu, &[v]).unwrap())
}

/// Where the outputs of the node of this name lie, those that are in buffers.
fn places(plan: &Plan, name: &str) -> Vec<(usize, u64)> {
    let node = plan.graph.nodes().iter().find(|n| n.name == name).unwrap_or_else(|| panic!("no node `{name}`"));
    let place = |id: &ValueId| match plan.places[id.index()]? {
        Place::Buffer { buffer, offset } => Some((buffer, offset)),
        Place::Weight(_) => None,
    };
    node.outputs.iter().flatten().filter_map(place).collect()
}
