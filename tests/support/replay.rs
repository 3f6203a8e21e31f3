//! Plays a plan step by step, tracking what every byte of every buffer holds: what is read was written, and nothing has overwritten it.

#[path = "contents.rs"]
mod contents;

use std::collections::{BTreeMap, BTreeSet};

use contents::{Buffer, Content, Parts, Run};
use macula::ops::Op;
use macula::plan::{Access, Binding, Capabilities, Dispatch, Elem, Place, Placed, Plan, Step};
use macula::{NodeId, Tensor, ValueId};

/// A value of more runs than this stands for itself.
const MOST_RUNS: usize = 1 << 12;

/// The first step that reads what is not there, or breaks a rule of dispatches.
pub fn replay(plan: &Plan, capabilities: &Capabilities) -> Result<(), String> {
    Replay::new(plan, capabilities).run()
}

struct Replay<'a> {
    plan: &'a Plan,
    alignment: u64,
    /// What each value's bytes are: its own, or those that it consists of where a node only moves them.
    runs: BTreeMap<ValueId, Vec<Run>>,
    /// The constants, by the address of their elements: several may share these.
    constants: BTreeMap<usize, ValueId>,
    buffers: Vec<Buffer>,
    on_host: BTreeSet<ValueId>,
}

impl<'a> Replay<'a> {
    fn new(plan: &'a Plan, capabilities: &Capabilities) -> Self {
        let graph = &plan.graph;
        let constants = known_constants(plan);
        let on_host = graph.inputs().iter().chain(&constants).copied().collect();
        let constants = constants.iter().filter_map(|id| Some((address(graph.value(*id).constant.as_ref()?), *id))).collect();
        let buffers = vec![Buffer::default(); plan.buffers.len()];
        let mut replay = Self { plan, alignment: capabilities.storage_alignment, runs: BTreeMap::new(), constants, buffers, on_host };
        for (index, placed) in plan.placed.iter().enumerate().take(graph.nodes().len()) {
            let copies = |step: &&Step| matches!(step, Step::Dispatch { node, dispatch } if node.index() == index && is_copy(dispatch));
            if *placed == Placed::View || plan.steps.iter().any(|step| copies(&step)) {
                replay.follow(index);
            }
        }
        replay
    }

    /// Learns what a node's outputs consist of where it moves bytes only, from the reference: it runs on the numbers of the elements.
    fn follow(&mut self, index: usize) {
        let node = &self.plan.graph.nodes()[index];
        let moves = matches!(node.op, Op::Concat(_) | Op::Slice(_) | Op::Split(_) | Op::Gather(_));
        if !moves {
            // Another shape of the same elements.
            if let (Placed::View, Some(Some(input)), Some(Some(output))) =
                (&self.plan.placed[index], node.inputs.first(), node.outputs.first())
            {
                let runs = self.runs_of(*input);
                self.runs.insert(*output, runs);
            }
            return;
        }
        let all = matches!(node.op, Op::Concat(_));
        // What elements are moved, and the number that follows their last one's.
        let mut sources = vec![];
        let mut inputs: Vec<Option<Tensor>> = vec![];
        for (position, id) in node.inputs.iter().enumerate() {
            let Some(id) = id else {
                inputs.push(None);
                continue;
            };
            if position > 0 && !all {
                inputs.push(self.plan.graph.value(*id).constant.clone());
                continue;
            }
            let shape = self.plan.tensor_type(*id).shape;
            let first = sources.last().map_or(0, |(_, end): &(Parts, u64)| *end);
            let end = first + shape.elements() as u64;
            sources.push((Parts::new(self.runs_of(*id)), end));
            inputs.push(Some(Tensor::new(shape.to_vec(), (first as i64..end as i64).collect::<Vec<_>>()).unwrap()));
        }
        let inputs: Vec<_> = inputs.iter().map(Option::as_ref).collect();
        let Ok(outputs) = node.op.operator().reference(&inputs, node.outputs.len()) else { return };
        for (id, output) in node.outputs.iter().zip(outputs) {
            let (Some(id), Some(numbers)) = (id, output.data::<i64>()) else { continue };
            let size = self.elem_size(*id);
            let mut runs: Vec<Run> = vec![];
            let mut at = 0;
            while at < numbers.len() && runs.len() <= MOST_RUNS {
                let number = numbers[at] as u64;
                let source = sources.partition_point(|(_, end)| *end <= number);
                let first = if source == 0 { 0 } else { sources[source - 1].1 };
                let (parts, end) = &sources[source];
                let follows = |&(step, n): &(usize, &i64)| *n as u64 == number + step as u64 && (*n as u64) < *end;
                let length = numbers[at..].iter().enumerate().take_while(follows).count();
                runs.extend(parts.of((number - first) * size, length as u64 * size));
                at += length;
            }
            if runs.len() <= MOST_RUNS {
                self.runs.insert(*id, runs);
            }
        }
    }

    fn run(mut self) -> Result<(), String> {
        let graph = &self.plan.graph;
        if self.plan.placed.len() != graph.nodes().len() {
            return Err("not every node is placed".into());
        }
        for (id, place) in graph.outputs().iter().map(|id| (*id, self.plan.places[id.index()])) {
            if let Some(Place::Buffer { buffer, offset }) = place {
                self.expect_room(buffer, offset, self.plan.device_bytes(id))?;
            }
        }
        for (at, step) in self.plan.steps.iter().enumerate() {
            self.step(at, step).map_err(|message| format!("step {at}: {message}"))?;
            // A trace of the run looks at what a node has computed once its last dispatch is done.
            if let Step::Dispatch { node, .. } = step
                && !matches!(self.plan.steps.get(at + 1), Some(Step::Dispatch { node: next, .. }) if next == node)
            {
                let outputs = &graph.node(*node).outputs;
                outputs.iter().flatten().try_for_each(|id| self.expect(*id)).map_err(|message| format!("after step {at}: {message}"))?;
            }
        }
        for id in graph.outputs() {
            if !self.on_host.contains(id) {
                return Err(format!("output `{}` never comes to the host", self.name(*id)));
            }
            if matches!(self.plan.places[id.index()], Some(Place::Buffer { .. })) {
                self.expect(*id).map_err(|message| format!("at the end {message}"))?;
            }
        }
        Ok(())
    }

    fn name(&self, id: ValueId) -> &str {
        &self.plan.graph.value(id).name
    }

    fn elem_size(&self, id: ValueId) -> u64 {
        Elem::storing(self.plan.tensor_type(id).dtype).map_or(0, |elem| elem.size() as u64)
    }

    /// The bytes of a value without padding.
    fn bytes(&self, id: ValueId) -> u64 {
        self.plan.tensor_type(id).shape.elements() as u64 * self.elem_size(id)
    }

    fn runs_of(&self, id: ValueId) -> Vec<Run> {
        let constant = self.plan.graph.value(id).constant.as_ref().and_then(|tensor| self.constants.get(&address(tensor)));
        let own = || vec![(self.bytes(id), Content::Value(*constant.unwrap_or(&id), 0))];
        self.runs.get(&id).cloned().unwrap_or_else(own)
    }

    fn step(&mut self, at: usize, step: &Step) -> Result<(), String> {
        match step {
            Step::Upload { value } => {
                self.expect_on_host(*value)?;
                self.store(*value)?;
            }
            Step::Download { value } => {
                self.expect(*value)?;
                self.on_host.insert(*value);
            }
            Step::Host { node } => {
                let node = self.plan.graph.node(*node);
                node.inputs.iter().flatten().try_for_each(|input| self.expect_on_host(*input))?;
                self.on_host.extend(node.outputs.iter().flatten());
            }
            Step::Dispatch { node, dispatch } => {
                let kernel = dispatch.variant.kernel;
                if !dispatch.variant.is_declared() || dispatch.params.len() != kernel.params_size() {
                    return Err(format!("{} is not a variant that its kernel declares", dispatch.variant));
                }
                if dispatch.bindings.len() != kernel.storage().len() || dispatch.workgroups.contains(&0) {
                    return Err(format!("{} has {} bindings, {:?} workgroups", kernel.name, dispatch.bindings.len(), dispatch.workgroups));
                }
                self.dispatch(at, *node, dispatch)?;
            }
        }
        Ok(())
    }

    fn dispatch(&mut self, at: usize, id: NodeId, dispatch: &Dispatch<Binding>) -> Result<(), String> {
        let (node, kernel) = (self.plan.graph.node(id), dispatch.variant.kernel);
        let accesses = kernel.storage();
        let of = |access| accesses.iter().zip(&dispatch.bindings).filter(move |(a, _)| **a == access).map(|(_, binding)| binding);
        let (mut written, mut targets) = (BTreeSet::new(), vec![]);
        for binding in of(Access::Write) {
            let &Binding::Buffer { buffer, offset, bytes } = binding else { return Err(format!("`{}` writes {binding:?}", node.name)) };
            if !written.insert(buffer) {
                return Err(format!("`{}` writes buffer {buffer} through two bindings", node.name));
            }
            self.expect_binding(buffer, offset, bytes)?;
            targets.push((buffer, offset, bytes));
        }
        for binding in of(Access::Read) {
            match *binding {
                Binding::Buffer { buffer, .. } if written.contains(&buffer) => {
                    return Err(format!("`{}` reads and writes buffer {buffer} in one dispatch", node.name));
                }
                Binding::Buffer { buffer, offset, bytes } => {
                    self.expect_binding(buffer, offset, bytes)?;
                    self.expect_operand(id, buffer, offset, bytes)?;
                }
                Binding::Weight(weight) if weight >= self.plan.weights.len() => {
                    return Err(format!("`{}` reads weight {weight} of {}", node.name, self.plan.weights.len()));
                }
                Binding::Weight(_) | Binding::Unused => {}
            }
        }
        let operand = kernel.in_place.filter(|_| !kernel.has_epilogue() || dispatch.variant.epilogue[2] != 0);
        if let Some(operand) = operand.filter(|at| !dispatch.variant.in_place && dispatch.bindings[*at] == Binding::Unused) {
            return Err(format!("`{}` reads nothing through binding {operand}", node.name));
        }
        if dispatch.variant.in_place {
            let (Some(operand), &[(buffer, offset, bytes)]) = (kernel.in_place, &targets[..]) else {
                return Err(format!("`{}` works in place on {} outputs", node.name, targets.len()));
            };
            if dispatch.bindings[operand] != Binding::Unused {
                return Err(format!("`{}` works in place and binds {:?} too", node.name, dispatch.bindings[operand]));
            }
            self.expect_operand(id, buffer, offset, bytes)?;
        }
        for (buffer, offset, bytes) in targets {
            let place = Some(Place::Buffer { buffer, offset });
            // Scratch that is read before the output is written may lie where the output will.
            let is_scratch = self.is_read_later(at, id, buffer, offset);
            let output = node.outputs.iter().flatten().find(|id| self.plan.places[id.index()] == place && !is_scratch);
            match output {
                Some(output) if self.runs.contains_key(output) && is_copy(dispatch) => self.copy(dispatch, buffer, offset),
                Some(output) => self.store(*output)?,
                None => self.buffers[buffer].write(offset, bytes, Content::Scratch(id.index())),
            }
        }
        Ok(())
    }

    /// Whether a later dispatch of the same node, which the one at step `at` belongs to, reads what lies there.
    fn is_read_later(&self, at: usize, id: NodeId, buffer: usize, offset: u64) -> bool {
        let rest = self.plan.steps[at + 1..].iter().map_while(|step| match step {
            Step::Dispatch { node, dispatch } if *node == id => Some(dispatch),
            _ => None,
        });
        let reads = |(access, binding): (Access, &Binding)| {
            let here = matches!(binding, Binding::Buffer { buffer: of, offset: from, .. } if (*of, *from) == (buffer, offset));
            access == Access::Read && here
        };
        rest.map(|dispatch| dispatch.variant.kernel.storage().into_iter().zip(&dispatch.bindings)).any(|mut bound| bound.any(reads))
    }

    /// Moves contents as a `strided_copy` does.
    fn copy(&mut self, dispatch: &Dispatch<Binding>, target: usize, target_offset: u64) {
        let number = |name: &str, index: usize| {
            let field = dispatch.variant.kernel.params.fields.iter().find(|f| f.name == name).unwrap();
            let at = field.offset + 4 * index;
            u64::from(u32::from_le_bytes(dispatch.params[at..at + 4].try_into().unwrap()))
        };
        let four = dispatch.variant.tile.is_some_and(|tile| tile.file.ends_with("unit_element4.wgsl"));
        let unit = dispatch.variant.types[0].size() as u64 * if four { 4 } else { 1 };
        let source = match dispatch.bindings[0] {
            Binding::Buffer { buffer, offset, .. } => Some((buffer, offset)),
            _ => None,
        };
        // Rows of neighbours are moved at once.
        let row = if (number("input_strides", 7), number("output_strides", 7)) == (1, 1) { number("dims", 7) } else { 1 };
        for first in (0..number("units", 0)).step_by(row as usize) {
            let (mut rest, mut from, mut to) = (first, number("input_offset", 0), number("output_offset", 0));
            for axis in (0..8).rev() {
                let at = rest % number("dims", axis);
                rest /= number("dims", axis);
                // Strides are in two's complement of 32 bits.
                let step = |stride: u64| (at as i64 * i64::from(stride as u32 as i32)) as u64;
                from = from.wrapping_add(step(number("input_strides", axis)));
                to = to.wrapping_add(step(number("output_strides", axis)));
            }
            let (mut at, bytes) = (target_offset + to * unit, row * unit);
            match source {
                Some((buffer, offset)) => {
                    for (bytes, content) in self.buffers[buffer].read(offset + from * unit, offset + from * unit + bytes) {
                        match content {
                            Some(content) => self.buffers[target].write(at, bytes, content),
                            None => self.buffers[target].erase(at, at + bytes),
                        }
                        at += bytes;
                    }
                }
                None => {
                    let Binding::Weight(weight) = dispatch.bindings[0] else { continue };
                    if let Some(&id) = self.constants.get(&address(&self.plan.weights[weight].tensor)) {
                        self.buffers[target].write(at, bytes, Content::Value(id, from * unit));
                    }
                }
            }
        }
    }

    /// A value is written whole; its padding holds nothing that anyone knows.
    fn store(&mut self, id: ValueId) -> Result<(), String> {
        let (buffer, offset) = self.place(id)?;
        self.expect_room(buffer, offset, self.plan.device_bytes(id))?;
        let mut at = offset;
        self.buffers[buffer].erase(offset, offset + self.plan.device_bytes(id));
        for (bytes, content) in self.runs_of(id) {
            self.buffers[buffer].write(at, bytes, content);
            at += bytes;
        }
        Ok(())
    }

    fn place(&self, value: ValueId) -> Result<(usize, u64), String> {
        match self.plan.places[value.index()] {
            Some(Place::Buffer { buffer, offset }) => Ok((buffer, offset)),
            other => Err(format!("`{}` has no buffer but {other:?}", self.name(value))),
        }
    }

    fn expect_on_host(&self, value: ValueId) -> Result<(), String> {
        if self.on_host.contains(&value) { Ok(()) } else { Err(format!("`{}` is not on the host", self.name(value))) }
    }

    /// That a value is where it should be.
    fn expect(&self, id: ValueId) -> Result<(), String> {
        if matches!(self.plan.places[id.index()], Some(Place::Weight(_))) {
            return Ok(());
        }
        let (buffer, offset) = self.place(id)?;
        match self.buffers[buffer].differs(offset, &self.runs_of(id)) {
            None => Ok(()),
            Some(held) => Err(format!("buffer {buffer} should hold `{}` and holds {}", self.name(id), self.describe(held))),
        }
    }

    /// That a range holds an input of a node, or its scratch.
    fn expect_operand(&self, node: NodeId, buffer: usize, offset: u64, bytes: u64) -> Result<(), String> {
        let here = self.buffers[buffer].read(offset, offset + bytes);
        if here == [(bytes, Some(Content::Scratch(node.index())))] {
            return Ok(());
        }
        let inputs = self.plan.graph.node(node).inputs.iter().flatten();
        let is =
            |id: &&ValueId| self.plan.device_bytes(**id) == bytes && self.buffers[buffer].differs(offset, &self.runs_of(**id)).is_none();
        if inputs.clone().any(|id| is(&id)) {
            return Ok(());
        }
        let name = &self.plan.graph.node(node).name;
        let place = Some(Place::Buffer { buffer, offset });
        let meant = inputs.clone().find(|id| self.plan.places[id.index()] == place);
        let held = meant.and_then(|id| self.buffers[buffer].differs(offset, &self.runs_of(*id))).unwrap_or(here[0].1);
        Err(format!("`{name}` reads buffer {buffer} from {offset} on, which holds {}", self.describe(held)))
    }

    fn expect_binding(&self, buffer: usize, offset: u64, bytes: u64) -> Result<(), String> {
        if !offset.is_multiple_of(self.alignment) {
            return Err(format!("buffer {buffer} is bound from {offset} on, which is not a multiple of {}", self.alignment));
        }
        self.expect_room(buffer, offset, bytes)
    }

    fn expect_room(&self, buffer: usize, offset: u64, bytes: u64) -> Result<(), String> {
        let has = self.plan.buffers[buffer];
        if offset + bytes <= has {
            Ok(())
        } else {
            Err(format!("{bytes} bytes of buffer {buffer} from {offset} on are bound, it has {has}"))
        }
    }

    fn describe(&self, content: Option<Content>) -> String {
        match content {
            None => "nothing".into(),
            Some(Content::Value(id, 0)) => format!("`{}`", self.name(id)),
            Some(Content::Value(id, at)) => format!("`{}` from byte {at} on", self.name(id)),
            Some(Content::Scratch(node)) => format!("scratch of `{}`", self.plan.graph.nodes()[node].name),
        }
    }
}

fn is_copy(dispatch: &Dispatch<Binding>) -> bool {
    dispatch.variant.kernel.name == "strided_copy"
}

fn address(tensor: &Tensor) -> usize {
    tensor.bytes().as_ptr() as usize
}

/// The constants among the values that nodes read or that are outputs.
fn known_constants(plan: &Plan) -> Vec<ValueId> {
    let graph = &plan.graph;
    let read = graph.nodes().iter().flat_map(|n| n.inputs.iter().flatten()).chain(graph.outputs());
    read.copied().filter(|id| graph.value(*id).constant.is_some()).collect()
}
