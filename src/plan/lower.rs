//! Graph → plan: lower each node, insert transfers, place every value.

use std::collections::HashMap;

use super::alias::{self, InPlace};
use super::choose::Chooser;
use super::placement;
use super::storage::{Operand as Bound, PADDING, Storages};
use super::{Access, Arg, Binding, Capabilities, Dispatch, Elem, Lowering, Packing, Place, Placed, Plan, Step, Weight};
use crate::error::{Error, Result};
use crate::graph::{Graph, Node, NodeId, ValueId};
use crate::tensor::Tensor;

/// Choices of the caller in lowering.
#[derive(Clone, PartialEq, Debug)]
pub struct LowerOptions {
    /// Refuse to place a node on the CPU for want of a kernel.
    pub strict: bool,
    /// Prefer the kernel of this name, or the variants that begin so, wherever it can serve, and run it as it is: its copies are made, and it
    /// does not work in place.
    pub kernel: Option<String>,
    /// Whether values share buffers, lie in others and take the place of others. Otherwise each has a buffer of its own.
    pub reuse_memory: bool,
}

impl Default for LowerOptions {
    fn default() -> Self {
        Self { strict: false, kernel: None, reuse_memory: true }
    }
}

/// A storage binding before storages have places.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Slot {
    /// A value or scratch, bound in this many bytes.
    Stored { storage: usize, bytes: u64 },
    /// A weight.
    Weight(usize),
    /// A few zero bytes.
    Unused,
}

/// A step before storages have places.
#[derive(Debug)]
pub(super) enum Draft {
    Dispatch { node: NodeId, dispatch: Dispatch<Slot> },
    Other(Step),
}

/// Where a value is before storages have places.
#[derive(Clone, Copy, Debug)]
enum Home {
    Storage(usize),
    Weight(usize),
}

/// Lowers a specialised graph for a GPU with `capabilities`, or for the CPU device where there are none.
///
/// # Errors
/// [`Error::Strict`] when `options.strict` is set and a node has no kernel.
pub fn lower(graph: Graph, capabilities: Option<&Capabilities>, options: &LowerOptions) -> Result<Plan> {
    let values = graph.values().len();
    let mut lowerer = Lowerer {
        graph: &graph,
        capabilities,
        options,
        steps: vec![],
        storages: Storages::new(capabilities.map_or(PADDING, |c| c.storage_alignment)),
        weights: vec![],
        weight_index: HashMap::new(),
        homes: vec![None; values],
        on_host: graph.values().iter().map(|v| v.constant.is_some()).collect(),
        placed: vec![],
        kernels: vec![],
        fixed: vec![],
    };
    lowerer.run()?;
    let Lowerer { steps, mut storages, weights, homes, mut placed, kernels, fixed, .. } = lowerer;
    if options.strict && capabilities.is_some() {
        let on_cpu: Vec<_> = graph
            .nodes()
            .iter()
            .zip(&placed)
            .filter_map(|(n, p)| match p {
                Placed::Cpu(reason) => Some(format!("`{}` ({}): {reason}", n.name, n.op.name())),
                _ => None,
            })
            .collect();
        if !on_cpu.is_empty() {
            return Err(Error::Strict(on_cpu));
        }
    }
    let mut steps: Vec<Option<Draft>> = steps.into_iter().map(Some).collect();
    let no_reuse_bytes = storages.no_reuse_bytes();
    let largest = capabilities.map_or(u64::MAX, |c| c.max_binding);
    let is_fixed = |node: NodeId| fixed[node.index()];
    let placement = if options.reuse_memory {
        alias::elide_copies(&mut steps, &mut storages, is_fixed);
        place_shared(&mut steps, &storages, largest, is_fixed)
    } else {
        placement::apart(&storages)
    };
    name_dispatches(&steps, &mut placed);
    let buffer = |storage: usize| placement.places[storage];
    let step = |draft| match draft {
        Draft::Other(step) => step,
        Draft::Dispatch { node, dispatch: Dispatch { variant, params, bindings, workgroups } } => {
            let binding = |slot| match slot {
                Slot::Stored { storage, bytes } => {
                    let (buffer, offset) = buffer(storage);
                    Binding::Buffer { buffer, offset, bytes }
                }
                Slot::Weight(weight) => Binding::Weight(weight),
                Slot::Unused => Binding::Unused,
            };
            let bindings = bindings.into_iter().map(binding).collect();
            Step::Dispatch { node, dispatch: Dispatch { variant, params, bindings, workgroups } }
        }
    };
    let steps = steps.into_iter().flatten().map(step).collect();
    let place = |home| match home {
        Home::Storage(storage) => {
            let (buffer, offset) = buffer(storage);
            Place::Buffer { buffer, offset }
        }
        Home::Weight(weight) => Place::Weight(weight),
    };
    let places = homes.into_iter().map(|home| home.map(place)).collect();
    let (buffers, lower_bound_bytes) = (placement.sizes, placement.lower_bound);
    Ok(Plan { graph, steps, buffers, weights, places, placed, kernels, passes: vec![], no_reuse_bytes, lower_bound_bytes })
}

/// Places storages with the choice of dispatches in place that takes the fewest bytes, and marks these dispatches.
fn place_shared(steps: &mut [Option<Draft>], storages: &Storages, largest: u64, is_fixed: impl Fn(NodeId) -> bool) -> placement::Placement {
    let place = |which| {
        let mut storages = storages.clone();
        let in_place = alias::work_in_place(steps, &mut storages, which, &is_fixed);
        (placement::place(&storages, largest), in_place)
    };
    let (mut placement, mut in_place) = place(InPlace::All);
    let lower_bound = placement.lower_bound;
    if placement.bytes() > lower_bound {
        let (other, fewer) = place(InPlace::Elementwise);
        if other.bytes() < placement.bytes() {
            (placement, in_place) = (other, fewer);
        }
    }
    for (step, binding) in in_place {
        if let Some(Draft::Dispatch { dispatch, .. }) = &mut steps[step] {
            dispatch.variant.in_place = true;
            dispatch.bindings[binding] = Slot::Unused;
        }
    }
    placement::Placement { lower_bound, ..placement }
}

/// The variants that nodes on the GPU are dispatched as; a node all of whose copies are elided is a view.
fn name_dispatches(steps: &[Option<Draft>], placed: &mut [Placed]) {
    placed.iter_mut().filter(|p| matches!(p, Placed::Gpu(_))).for_each(|p| *p = Placed::View);
    for draft in steps.iter().flatten() {
        let Draft::Dispatch { node, dispatch } = draft else { continue };
        let name = dispatch.variant.to_string();
        match &mut placed[node.index()] {
            Placed::Gpu(names) => names.push(name),
            other => *other = Placed::Gpu(vec![name]),
        }
    }
}

struct Lowerer<'a> {
    graph: &'a Graph,
    capabilities: Option<&'a Capabilities>,
    options: &'a LowerOptions,
    steps: Vec<Draft>,
    storages: Storages,
    weights: Vec<Weight>,
    weight_index: HashMap<(usize, Packing), usize>,
    homes: Vec<Option<Home>>,
    on_host: Vec<bool>,
    placed: Vec<Placed>,
    kernels: Vec<Vec<&'static str>>,
    /// The nodes that run the kernel that was asked for.
    fixed: Vec<bool>,
}

impl Lowerer<'_> {
    fn run(&mut self) -> Result<()> {
        let graph = self.graph;
        let chooser = Chooser { graph, capabilities: self.capabilities, kernel: self.options.kernel.as_deref() };
        let mut chosen = vec![];
        for node in graph.nodes() {
            let (lowered, kernels) = chooser.choose(node);
            let asked = |lowering: &Lowering| self.options.kernel.as_deref().is_some_and(|name| lowering.is_named(name));
            self.fixed.push(matches!(&lowered, Ok(Some(lowering)) if asked(lowering)));
            chosen.push(lowered);
            self.kernels.push(kernels);
        }
        // A graph input that the GPU reads goes there before anything else: uploads precede a submission's dispatches.
        for &input in graph.inputs() {
            self.on_host[input.index()] = true;
            let read_on_gpu = |(node, lowered): (&Node, &Result<Option<Lowering>, Placed>)| {
                !matches!(lowered, Err(Placed::Cpu(_))) && node.inputs.contains(&Some(input))
            };
            if graph.value(input).constant.is_none() && graph.nodes().iter().zip(&chosen).any(read_on_gpu) {
                self.upload(input);
            }
        }
        for (index, (node, lowered)) in graph.nodes().iter().zip(chosen).enumerate() {
            let id = NodeId(index as u32);
            let placed = match lowered {
                Ok(Some(lowering)) => self.dispatch(id, node, lowering),
                Ok(None) => self.view(id, node),
                Err(placed) => {
                    self.host(id, node);
                    placed
                }
            };
            self.placed.push(placed);
        }
        for &output in graph.outputs() {
            self.download(output);
            // What is on the host already may be asked for on the GPU.
            self.touch(output);
        }
        Ok(())
    }

    fn dispatch(&mut self, id: NodeId, node: &Node, lowering: Lowering) -> Placed {
        // Everything is on the GPU before the first dispatch, so that no upload falls between two of them.
        for dispatch in &lowering.dispatches {
            for arg in &dispatch.bindings {
                if let Arg::Input(i) = arg {
                    self.ensure_on_gpu(node.inputs[*i].expect("checked by fits"));
                }
            }
        }
        for output in node.outputs.iter().flatten() {
            self.homes[output.index()] = Some(Home::Storage(self.new_storage(*output)));
        }
        let scratch: Vec<usize> = lowering.scratch.iter().map(|&bytes| self.storages.add(bytes, None)).collect();
        for Dispatch { variant, params, bindings, workgroups } in lowering.dispatches {
            let accesses = variant.kernel.storage();
            let bindings = bindings
                .into_iter()
                .enumerate()
                .map(|(binding, arg)| match arg {
                    Arg::Input(i) => self.bind_value(node.inputs[i].expect("checked by fits"), binding, accesses[binding]),
                    Arg::Output(i) => self.bind_value(node.outputs[i].expect("checked by fits"), binding, accesses[binding]),
                    Arg::Scratch(i) => self.bind(scratch[i], binding, accesses[binding]),
                    Arg::Packed(i, packing) => Slot::Weight(self.weight(node.inputs[i].expect("checked by fits"), packing)),
                    Arg::Table(tensor) => Slot::Weight(self.add_weight(tensor, Packing::AsIs)),
                    Arg::Unused => Slot::Unused,
                })
                .collect();
            let dispatch = Dispatch { variant, params, bindings, workgroups };
            self.steps.push(Draft::Dispatch { node: id, dispatch });
        }
        // Whoever traces a run looks at all outputs after the last dispatch.
        for output in node.outputs.iter().flatten() {
            self.touch_at(*output, self.steps.len() - 1);
        }
        Placed::Gpu(vec![])
    }

    fn view(&mut self, id: NodeId, node: &Node) -> Placed {
        let (Some(Some(input)), Some(Some(output))) = (node.inputs.first(), node.outputs.first()) else {
            unreachable!("a view has an input and an output");
        };
        if self.homes[input.index()].is_some() || self.graph.value(*input).constant.is_some() {
            self.ensure_on_gpu(*input);
            self.homes[output.index()] = self.homes[input.index()];
        } else {
            self.steps.push(Draft::Other(Step::Host { node: id }));
            self.on_host[output.index()] = true;
        }
        Placed::View
    }

    fn host(&mut self, id: NodeId, node: &Node) {
        for input in node.inputs.iter().flatten() {
            self.download(*input);
        }
        self.steps.push(Draft::Other(Step::Host { node: id }));
        for output in node.outputs.iter().flatten() {
            self.on_host[output.index()] = true;
        }
    }

    fn ensure_on_gpu(&mut self, value: ValueId) {
        if self.homes[value.index()].is_some() {
            return;
        }
        if self.graph.value(value).constant.is_some() {
            self.homes[value.index()] = Some(Home::Weight(self.weight(value, Packing::AsIs)));
        } else {
            self.upload(value);
        }
    }

    fn upload(&mut self, value: ValueId) {
        let storage = self.new_storage(value);
        self.storages.write(storage, self.steps.len());
        self.homes[value.index()] = Some(Home::Storage(storage));
        self.steps.push(Draft::Other(Step::Upload { value }));
    }

    fn download(&mut self, value: ValueId) {
        if !self.on_host[value.index()] {
            self.touch(value);
            self.steps.push(Draft::Other(Step::Download { value }));
            self.on_host[value.index()] = true;
        }
    }

    fn weight(&mut self, value: ValueId, packing: Packing) -> usize {
        self.add_weight(self.graph.value(value).constant.clone().expect("kernels pack constants only"), packing)
    }

    fn add_weight(&mut self, tensor: Tensor, packing: Packing) -> usize {
        *self.weight_index.entry((tensor.identity(), packing)).or_insert_with(|| {
            self.weights.push(Weight { tensor, packing });
            self.weights.len() - 1
        })
    }

    fn bind_value(&mut self, value: ValueId, binding: usize, access: Access) -> Slot {
        match self.homes[value.index()] {
            Some(Home::Storage(storage)) => self.bind(storage, binding, access),
            Some(Home::Weight(weight)) => Slot::Weight(weight),
            None => unreachable!("a dispatch's values are placed before it"),
        }
    }

    fn bind(&mut self, storage: usize, binding: usize, access: Access) -> Slot {
        self.storages.bind(self.steps.len(), Bound { storage, binding, access });
        Slot::Stored { storage, bytes: self.storages.padded_bytes(storage) }
    }

    /// The next step needs a value.
    fn touch(&mut self, value: ValueId) {
        self.touch_at(value, self.steps.len());
    }

    fn touch_at(&mut self, value: ValueId, step: usize) {
        if let Some(Home::Storage(storage)) = self.homes[value.index()] {
            self.storages.touch(storage, step);
        }
    }

    fn new_storage(&mut self, value: ValueId) -> usize {
        let ty = self.graph.tensor_type(value);
        let elem = Elem::storing(ty.dtype).expect("checked by fits");
        self.storages.add((ty.shape.elements() * elem.size()) as u64, Some(elem))
    }
}
