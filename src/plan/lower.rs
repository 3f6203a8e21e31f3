//! Graph → plan: choose a lowering for each node, insert transfers, place every value.

use std::collections::HashMap;

use super::memory::{self, Lifetime};
use super::{Arg, Binding, Capabilities, Dispatch, Elem, LowerContext, Lowered, Lowering, Packing, Place, Placed, Plan, Step, Weight};
use crate::error::{Error, Result};
use crate::graph::{Graph, Node, NodeId, TensorType, ValueId};
use crate::ops::Operand;
use crate::tensor::Tensor;

/// Choices of the caller in lowering.
#[derive(Clone, PartialEq, Debug)]
pub struct LowerOptions {
    /// Refuse to place a node on the CPU for want of a kernel.
    pub strict: bool,
    /// Prefer this kernel wherever it can serve.
    pub kernel: Option<String>,
    /// Whether values whose lifetimes do not overlap may share a buffer.
    pub reuse_memory: bool,
}

impl Default for LowerOptions {
    fn default() -> Self {
        Self { strict: false, kernel: None, reuse_memory: true }
    }
}

/// Buffers are bound in whole vectors of four of the widest element, so that kernels may read them so.
const BUFFER_ALIGNMENT: u64 = 32;

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
        buffers: vec![],
        weights: vec![],
        weight_index: HashMap::new(),
        places: vec![None; values],
        on_host: graph.values().iter().map(|v| v.constant.is_some()).collect(),
        placed: vec![],
        kernels: vec![],
    };
    lowerer.run()?;
    let Lowerer { mut steps, buffers, weights, mut places, placed, kernels, .. } = lowerer;
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
    let (slots, sizes) = memory::assign(&buffers, options.reuse_memory);
    for step in &mut steps {
        if let Step::Dispatch { dispatch, .. } = step {
            for binding in &mut dispatch.bindings {
                if let Binding::Buffer { buffer, .. } = binding {
                    *buffer = slots[*buffer];
                }
            }
        }
    }
    for place in places.iter_mut().flatten() {
        if let Place::Buffer(buffer) = place {
            *buffer = slots[*buffer];
        }
    }
    let (no_reuse_bytes, lower_bound_bytes) = (buffers.iter().map(|b| b.bytes).sum(), memory::lower_bound(&buffers));
    Ok(Plan { graph, steps, buffers: sizes, weights, places, placed, kernels, passes: vec![], no_reuse_bytes, lower_bound_bytes })
}

struct Lowerer<'a> {
    graph: &'a Graph,
    capabilities: Option<&'a Capabilities>,
    options: &'a LowerOptions,
    steps: Vec<Step>,
    buffers: Vec<Lifetime>,
    weights: Vec<Weight>,
    weight_index: HashMap<(usize, Packing), usize>,
    places: Vec<Option<Place>>,
    on_host: Vec<bool>,
    placed: Vec<Placed>,
    kernels: Vec<Vec<&'static str>>,
}

impl Lowerer<'_> {
    fn run(&mut self) -> Result<()> {
        let graph = self.graph;
        let mut chosen = vec![];
        for node in graph.nodes() {
            let (lowered, kernels) = self.choose(node);
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
        }
        Ok(())
    }

    /// The lowering of a node (`None` for a view) or why it is on the CPU, and the kernels able to serve it.
    fn choose(&self, node: &Node) -> (Result<Option<Lowering>, Placed>, Vec<&'static str>) {
        match self.candidates(node) {
            Err(reason) => (Err(Placed::Cpu(reason)), vec![]),
            Ok(None) => (Ok(None), vec![]),
            Ok(Some(mut fitting)) => {
                let kernels: Vec<_> = fitting.iter().map(Lowering::kernel).collect();
                let preferred = self.options.kernel.as_deref().and_then(|k| kernels.iter().position(|l| *l == k));
                (Ok(Some(fitting.swap_remove(preferred.unwrap_or(0)))), kernels)
            }
        }
    }

    /// The lowerings that this device can run (`None` for a view), or why there are none.
    fn candidates(&self, node: &Node) -> Result<Option<Vec<Lowering>>, String> {
        let Some(capabilities) = self.capabilities else {
            return Err(String::new());
        };
        let outputs = self.graph.output_types(node).map_err(|error| error.to_string())?;
        let inputs = self.graph.operands(node);
        let empty = |o: &Operand<'_>| o.constant.is_none() && o.shape.elements() == 0;
        if inputs.inputs.iter().flatten().any(empty) || outputs.iter().any(|t| t.shape.elements() == 0) {
            return Err("a tensor without elements".into());
        }
        let context = LowerContext { inputs, outputs: &outputs, capabilities };
        match node.op.operator().lower(&context) {
            Lowered::View => context.elem(outputs[0].dtype).map(|_| None),
            Lowered::Host(reason) => Err(reason),
            Lowered::Kernels(lowerings) => {
                let mut refusal = String::from("no kernel serves it");
                let mut fitting = vec![];
                for lowering in lowerings.into_iter().map(Lowering::complete) {
                    match self.fits(node, &lowering, capabilities) {
                        Ok(()) => fitting.push(lowering),
                        Err(reason) => refusal = reason,
                    }
                }
                if fitting.is_empty() { Err(refusal) } else { Ok(Some(fitting)) }
            }
        }
    }

    fn fits(&self, node: &Node, lowering: &Lowering, capabilities: &Capabilities) -> Result<(), String> {
        for dispatch in &lowering.dispatches {
            debug_assert!(dispatch.variant.is_declared(), "{} is not a declared variant", dispatch.variant);
            debug_assert_eq!(dispatch.bindings.len(), dispatch.variant.kernel.storage().len(), "{}", dispatch.variant);
            debug_assert_eq!(dispatch.params.len(), dispatch.variant.kernel.params_size(), "{}", dispatch.variant);
            if dispatch.workgroups.iter().any(|&n| n > capabilities.max_workgroups) {
                return Err(format!(
                    "{} needs {:?} workgroups, the device allows {}",
                    dispatch.variant.kernel.name, dispatch.workgroups, capabilities.max_workgroups
                ));
            }
            if dispatch.bindings.len() > capabilities.max_storage_buffers as usize {
                let (name, most) = (dispatch.variant.kernel.name, capabilities.max_storage_buffers);
                return Err(format!("{name} binds {} buffers, the device allows {most}", dispatch.bindings.len()));
            }
            for arg in &dispatch.bindings {
                let bytes = self.arg_bytes(node, lowering, arg, capabilities)?;
                if bytes > capabilities.max_binding {
                    return Err(format!(
                        "{} binds {bytes} bytes, the device allows {}",
                        dispatch.variant.kernel.name, capabilities.max_binding
                    ));
                }
            }
        }
        Ok(())
    }

    fn arg_bytes(&self, node: &Node, lowering: &Lowering, arg: &Arg, capabilities: &Capabilities) -> Result<u64, String> {
        let of = |id: Option<&Option<ValueId>>, packing: Packing| match id {
            Some(Some(id)) => {
                let ty = self.graph.tensor_type(*id);
                device_bytes(&TensorType::new(packing.dtype(ty.dtype), [packing.elements(ty.shape.elements())]), capabilities)
            }
            _ => Err("a kernel binds an input that the node leaves out".into()),
        };
        match arg {
            Arg::Input(i) => of(node.inputs.get(*i), Packing::AsIs),
            Arg::Packed(i, packing) => of(node.inputs.get(*i), *packing),
            Arg::Output(i) => of(node.outputs.get(*i), Packing::AsIs),
            Arg::Scratch(i) => Ok(lowering.scratch[*i]),
            Arg::Table(tensor) => device_bytes(&TensorType::new(tensor.dtype(), tensor.shape()), capabilities),
            Arg::Unused => Ok(BUFFER_ALIGNMENT),
        }
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
        let first = self.steps.len();
        for output in node.outputs.iter().flatten() {
            let bytes = self.value_bytes(*output);
            self.places[output.index()] = Some(Place::Buffer(self.new_buffer(bytes, first)));
        }
        let scratch: Vec<usize> =
            lowering.scratch.iter().map(|&bytes| self.new_buffer(bytes.next_multiple_of(BUFFER_ALIGNMENT), first)).collect();
        let kernels = lowering.dispatches.iter().map(|d| d.variant.to_string()).collect();
        for Dispatch { variant, params, bindings, workgroups } in lowering.dispatches {
            let bindings = bindings
                .into_iter()
                .map(|arg| match arg {
                    Arg::Input(i) => self.bind_value(node.inputs[i].expect("checked by fits")),
                    Arg::Output(i) => self.bind_value(node.outputs[i].expect("checked by fits")),
                    Arg::Scratch(i) => self.bind_buffer(scratch[i], lowering.scratch[i].next_multiple_of(BUFFER_ALIGNMENT)),
                    Arg::Packed(i, packing) => Binding::Weight(self.weight(node.inputs[i].expect("checked by fits"), packing)),
                    Arg::Table(tensor) => Binding::Weight(self.add_weight(tensor, Packing::AsIs)),
                    Arg::Unused => Binding::Unused,
                })
                .collect();
            self.steps.push(Step::Dispatch { node: id, dispatch: Dispatch { variant, params, bindings, workgroups } });
        }
        Placed::Gpu(kernels)
    }

    fn view(&mut self, id: NodeId, node: &Node) -> Placed {
        let (Some(Some(input)), Some(Some(output))) = (node.inputs.first(), node.outputs.first()) else {
            unreachable!("a view has an input and an output");
        };
        if self.places[input.index()].is_some() || self.graph.value(*input).constant.is_some() {
            self.ensure_on_gpu(*input);
            self.touch(*input);
            self.places[output.index()] = self.places[input.index()];
        } else {
            self.steps.push(Step::Host { node: id });
            self.on_host[output.index()] = true;
        }
        Placed::View
    }

    fn host(&mut self, id: NodeId, node: &Node) {
        for input in node.inputs.iter().flatten() {
            self.download(*input);
        }
        self.steps.push(Step::Host { node: id });
        for output in node.outputs.iter().flatten() {
            self.on_host[output.index()] = true;
        }
    }

    fn ensure_on_gpu(&mut self, value: ValueId) {
        if self.places[value.index()].is_some() {
            return;
        }
        if self.graph.value(value).constant.is_some() {
            self.places[value.index()] = Some(Place::Weight(self.weight(value, Packing::AsIs)));
        } else {
            self.upload(value);
        }
    }

    fn upload(&mut self, value: ValueId) {
        let bytes = self.value_bytes(value);
        let buffer = self.new_buffer(bytes, self.steps.len());
        self.places[value.index()] = Some(Place::Buffer(buffer));
        self.steps.push(Step::Upload { value });
    }

    fn download(&mut self, value: ValueId) {
        if !self.on_host[value.index()] {
            self.touch(value);
            self.steps.push(Step::Download { value });
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

    fn bind_value(&mut self, value: ValueId) -> Binding {
        match self.places[value.index()] {
            Some(Place::Buffer(buffer)) => {
                let bytes = self.value_bytes(value);
                self.bind_buffer(buffer, bytes)
            }
            Some(Place::Weight(weight)) => Binding::Weight(weight),
            None => unreachable!("a dispatch's values are placed before it"),
        }
    }

    fn bind_buffer(&mut self, buffer: usize, bytes: u64) -> Binding {
        self.buffers[buffer].last = self.steps.len();
        Binding::Buffer { buffer, bytes }
    }

    fn touch(&mut self, value: ValueId) {
        if let Some(Place::Buffer(buffer)) = self.places[value.index()] {
            self.buffers[buffer].last = self.steps.len();
        }
    }

    fn new_buffer(&mut self, bytes: u64, first: usize) -> usize {
        self.buffers.push(Lifetime { bytes, first, last: first });
        self.buffers.len() - 1
    }

    fn value_bytes(&self, value: ValueId) -> u64 {
        let capabilities = self.capabilities.expect("only GPU plans place buffers");
        device_bytes(&self.graph.tensor_type(value), capabilities).expect("checked by fits")
    }
}

/// The size of a value on the GPU, rounded up to what kernels may read.
fn device_bytes(ty: &TensorType, capabilities: &Capabilities) -> Result<u64, String> {
    let elem = Elem::of(ty.dtype, capabilities).ok_or_else(|| format!("the device has no {} in shaders", ty.dtype))?;
    Ok(stored_bytes(ty.shape.elements(), elem))
}

/// The size of `elements` in a buffer.
pub(super) fn stored_bytes(elements: usize, elem: Elem) -> u64 {
    (elements as u64).saturating_mul(elem.size() as u64).checked_next_multiple_of(BUFFER_ALIGNMENT).unwrap_or(u64::MAX)
}
