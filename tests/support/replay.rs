//! Plays a plan step by step, tracking what every buffer holds: what is read was written, and nothing has overwritten it.

use std::collections::BTreeSet;

use macula::ValueId;
use macula::plan::{Access, Binding, Place, Placed, Plan, Step};

/// What a buffer holds.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Content {
    Nothing,
    Value(ValueId),
    /// Scratch of the node at this position.
    Scratch(usize),
}

/// The first step that reads what is not there, or breaks a rule of dispatches.
pub fn replay(plan: &Plan) -> Result<(), String> {
    Replay::new(plan).run()
}

struct Replay<'a> {
    plan: &'a Plan,
    /// The value whose buffer each value is: itself, or for a view its input's.
    roots: Vec<ValueId>,
    buffers: Vec<Content>,
    on_host: BTreeSet<ValueId>,
}

impl<'a> Replay<'a> {
    fn new(plan: &'a Plan) -> Self {
        let graph = &plan.graph;
        let all: Vec<ValueId> = graph.nodes().iter().flat_map(|n| n.inputs.iter().chain(&n.outputs).flatten()).copied().collect();
        let known = all.iter().chain(graph.inputs()).chain(graph.outputs()).copied();
        let mut roots: Vec<Option<ValueId>> = vec![None; graph.values().len()];
        known.for_each(|id| roots[id.index()] = Some(id));
        for (node, placed) in graph.nodes().iter().zip(&plan.placed) {
            if let (Placed::View, Some(Some(input)), Some(Some(output))) = (placed, node.inputs.first(), node.outputs.first()) {
                roots[output.index()] = roots[input.index()];
            }
        }
        // Values that nothing names stand for nothing; any id will do.
        let spare = graph.outputs()[0];
        let roots = roots.into_iter().map(|root| root.unwrap_or(spare)).collect();
        let constants = known_constants(plan);
        let on_host = graph.inputs().iter().copied().chain(constants).collect();
        Self { plan, roots, buffers: vec![Content::Nothing; plan.buffers.len()], on_host }
    }

    fn run(mut self) -> Result<(), String> {
        if self.plan.placed.len() != self.plan.graph.nodes().len() {
            return Err("not every node is placed".into());
        }
        for (at, step) in self.plan.steps.iter().enumerate() {
            self.step(step).map_err(|message| format!("step {at}: {message}"))?;
        }
        match self.plan.graph.outputs().iter().find(|id| !self.on_host.contains(id)) {
            Some(id) => Err(format!("output `{}` never comes to the host", self.name(*id))),
            None => Ok(()),
        }
    }

    fn name(&self, id: ValueId) -> &str {
        &self.plan.graph.value(id).name
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Upload { value } => {
                self.expect_on_host(*value)?;
                let buffer = self.buffer_of(*value)?;
                self.buffers[buffer] = Content::Value(self.roots[value.index()]);
            }
            Step::Download { value } => {
                let buffer = self.buffer_of(*value)?;
                self.expect(buffer, Content::Value(self.roots[value.index()]))?;
                self.on_host.insert(*value);
            }
            Step::Host { node } => {
                let node = self.plan.graph.node(*node);
                node.inputs.iter().flatten().try_for_each(|input| self.expect_on_host(*input))?;
                self.on_host.extend(node.outputs.iter().flatten());
            }
            Step::Dispatch { node, dispatch } => {
                let (kernel, at) = (dispatch.variant.kernel, node.index());
                if !dispatch.variant.is_declared() || dispatch.params.len() != kernel.params_size() {
                    return Err(format!("{} is not a variant that its kernel declares", dispatch.variant));
                }
                if dispatch.bindings.len() != kernel.storage().len() || dispatch.workgroups.contains(&0) {
                    return Err(format!("{} has {} bindings, {:?} workgroups", kernel.name, dispatch.bindings.len(), dispatch.workgroups));
                }
                self.dispatch(at, &kernel.storage(), &dispatch.bindings)?;
            }
        }
        Ok(())
    }

    fn dispatch(&mut self, at: usize, accesses: &[Access], bindings: &[Binding]) -> Result<(), String> {
        let node = &self.plan.graph.nodes()[at];
        let inputs: Vec<_> = node.inputs.iter().flatten().map(|id| Content::Value(self.roots[id.index()])).collect();
        let of = |access| accesses.iter().zip(bindings).filter(move |(a, _)| **a == access).map(|(_, binding)| binding);
        let mut written = BTreeSet::new();
        for binding in of(Access::Write) {
            let Binding::Buffer { buffer, bytes } = binding else { return Err(format!("`{}` writes {binding:?}", node.name)) };
            if !written.insert(*buffer) {
                return Err(format!("`{}` writes buffer {buffer} through two bindings", node.name));
            }
            self.expect_room(*buffer, *bytes)?;
        }
        for binding in of(Access::Read) {
            match binding {
                Binding::Buffer { buffer, .. } if written.contains(buffer) => {
                    return Err(format!("`{}` reads and writes buffer {buffer} in one dispatch", node.name));
                }
                Binding::Buffer { buffer, bytes } => {
                    self.expect_room(*buffer, *bytes)?;
                    let held = self.buffers[*buffer];
                    if !inputs.contains(&held) && held != Content::Scratch(at) {
                        return Err(format!("`{}` reads buffer {buffer}, which holds {}", node.name, self.describe(held)));
                    }
                }
                Binding::Weight(weight) if *weight >= self.plan.weights.len() => {
                    return Err(format!("`{}` reads weight {weight} of {}", node.name, self.plan.weights.len()));
                }
                Binding::Weight(_) | Binding::Unused => {}
            }
        }
        let output_in = |buffer| node.outputs.iter().flatten().find(|id| self.plan.places[id.index()] == Some(Place::Buffer(buffer)));
        let contents: Vec<_> = written.iter().map(|&b| (b, output_in(b).map_or(Content::Scratch(at), |id| Content::Value(*id)))).collect();
        contents.into_iter().for_each(|(buffer, content)| self.buffers[buffer] = content);
        Ok(())
    }

    fn buffer_of(&self, value: ValueId) -> Result<usize, String> {
        match self.plan.places[value.index()] {
            Some(Place::Buffer(buffer)) => Ok(buffer),
            other => Err(format!("`{}` has no buffer but {other:?}", self.name(value))),
        }
    }

    fn expect_on_host(&self, value: ValueId) -> Result<(), String> {
        if self.on_host.contains(&value) { Ok(()) } else { Err(format!("`{}` is not on the host", self.name(value))) }
    }

    fn expect(&self, buffer: usize, wanted: Content) -> Result<(), String> {
        let held = self.buffers[buffer];
        if held == wanted {
            return Ok(());
        }
        Err(format!("buffer {buffer} should hold {} and holds {}", self.describe(wanted), self.describe(held)))
    }

    fn expect_room(&self, buffer: usize, bytes: u64) -> Result<(), String> {
        let has = self.plan.buffers[buffer];
        if bytes <= has { Ok(()) } else { Err(format!("{bytes} bytes of buffer {buffer} are bound, it has {has}")) }
    }

    fn describe(&self, content: Content) -> String {
        match content {
            Content::Nothing => "nothing".into(),
            Content::Value(id) => format!("`{}`", self.name(id)),
            Content::Scratch(node) => format!("scratch of `{}`", self.plan.graph.nodes()[node].name),
        }
    }
}

/// The constants among the values that nodes read or that are outputs.
fn known_constants(plan: &Plan) -> Vec<ValueId> {
    let graph = &plan.graph;
    let read = graph.nodes().iter().flat_map(|n| n.inputs.iter().flatten()).chain(graph.outputs());
    read.copied().filter(|id| graph.value(*id).constant.is_some()).collect()
}
