//! Lowering a graph for one set of input shapes to a [`Plan`]: a flat list of steps that is plain data.
//!
//! The same plan is what the executor records, the inspector prints and the tests check without a GPU.

mod alias;
mod choose;
mod kernel;
mod kernels;
mod layout;
mod lower;
mod packing;
mod placement;
pub(crate) mod roofline;
mod storage;
mod submissions;
mod tuned;
mod tuning;
mod variant;
mod winograd;

use std::collections::HashSet;
use std::fmt;

pub(crate) use kernel::{ANY_ELEMENT, FLOAT_ELEMENT, INDEX, OPAQUE, WORKGROUP_SIZE, params, part};
pub use kernel::{
    Access, Capabilities, EPILOGUE, EPILOGUE_PARAMS, Elem, Kernel, Override, ParamsField, ParamsLayout, ParamsMember, Part, Subgroups,
    TypeRole, type_header,
};
pub use kernels::KERNELS;
pub(crate) use layout::{Collapsed, collapse, dims_array, element_count, workgroups_1d};
pub use lower::{LowerOptions, lower};
pub use packing::Packing;
pub use submissions::Pace;
pub(crate) use tuned::shipped;
pub(crate) use tuning::signature;
pub use tuning::{Candidate, Trial, Tuning};
pub use variant::Variant;
pub(crate) use variant::{HOLD_DENSE, HOLD_PER_CHANNEL};

use crate::graph::{Graph, NodeId, TensorType, ValueId};
use crate::ops::Operands;
use crate::optimize::PassReport;
use crate::tensor::{DType, Tensor};

/// What an operator's `lower` may know.
pub struct LowerContext<'a> {
    /// The inputs, with constants.
    pub inputs: Operands<'a>,
    /// The inferred types of all outputs.
    pub outputs: &'a [TensorType],
    /// The device.
    pub capabilities: &'a Capabilities,
}

impl LowerContext<'_> {
    /// The storage type of `dtype` on this device, or the reason there is none.
    pub fn elem(&self, dtype: DType) -> Result<Elem, String> {
        Elem::of(dtype, self.capabilities).ok_or_else(|| format!("the device has no {dtype} in shaders"))
    }
}

/// What became of a node.
#[derive(Debug)]
pub enum Lowered {
    /// Ways to compute it on the GPU, best first; never empty.
    Kernels(Vec<Lowering>),
    /// Output 0 is input 0's elements under another shape.
    View,
    /// It runs on the CPU, for this reason.
    Host(String),
}

impl Lowered {
    /// From a rule that gives one lowering or the reason why there is none.
    pub fn from_rule(rule: Result<Lowering, String>) -> Self {
        Self::from_rules(rule.map(|lowering| vec![lowering]))
    }

    /// From a rule that gives lowerings, best first, or the reason why there is none.
    pub fn from_rules(rule: Result<Vec<Lowering>, String>) -> Self {
        match rule {
            Ok(lowerings) => Lowered::Kernels(lowerings),
            Err(reason) => Lowered::Host(reason),
        }
    }
}

/// One way to compute a node: dispatches in order, with the scratch they share.
#[derive(Clone, Debug, Default)]
pub struct Lowering {
    /// The dispatches.
    pub dispatches: Vec<Dispatch<Arg>>,
    /// Sizes in bytes of scratch buffers, dead after the last dispatch.
    pub scratch: Vec<u64>,
}

impl Lowering {
    /// A single dispatch.
    pub fn single(variant: Variant, params: &impl bytemuck::Pod, bindings: Vec<Arg>, workgroups: [u32; 3]) -> Self {
        let params = bytemuck::bytes_of(params).to_vec();
        Self { dispatches: vec![Dispatch { variant, params, bindings, workgroups }], scratch: vec![] }
    }

    /// Gives every kernel that has an epilogue one that does nothing, where it got none.
    pub(crate) fn complete(mut self) -> Self {
        for dispatch in &mut self.dispatches {
            let kernel = dispatch.variant.kernel;
            if dispatch.bindings.len() < kernel.storage().len() {
                dispatch.params.resize(kernel.params_size(), 0);
                dispatch.bindings.push(Arg::Unused);
            }
        }
        self
    }

    /// The name of the kernel that does the main work: that of the last dispatch.
    pub fn kernel(&self) -> &'static str {
        self.dispatches.last().map_or("", |d| d.variant.kernel.name)
    }
}

/// A storage binding as an operator names it.
#[derive(Clone, PartialEq, Debug)]
pub enum Arg {
    /// The node's input.
    Input(usize),
    /// The node's output.
    Output(usize),
    /// The node's scratch buffer.
    Scratch(usize),
    /// The node's constant input in the order the kernel reads.
    Packed(usize, Packing),
    /// A constant that lowering has made for the kernel, such as where each position of an axis comes from.
    Table(Tensor),
    /// A few zero bytes, where a kernel's optional input is left out.
    Unused,
}

/// A storage binding in a plan.
#[derive(Clone, PartialEq, Debug)]
pub enum Binding {
    /// Bytes of a planned buffer.
    Buffer {
        /// Which of [`Plan::buffers`].
        buffer: usize,
        /// The first of the bytes, a multiple of the device's [`Capabilities::storage_alignment`].
        offset: u64,
        /// How much of it is bound.
        bytes: u64,
    },
    /// A weight, uploaded once.
    Weight(usize),
    /// A few zero bytes.
    Unused,
}

/// One dispatch of a kernel.
#[derive(Clone, PartialEq, Debug)]
pub struct Dispatch<B> {
    /// The shader.
    pub variant: Variant,
    /// The bytes of its `Params`.
    pub params: Vec<u8>,
    /// The storage buffers from binding 1 on.
    pub bindings: Vec<B>,
    /// The number of workgroups `[x, y, z]`.
    pub workgroups: [u32; 3],
}

/// A constant on the GPU.
#[derive(Clone, PartialEq, Debug)]
pub struct Weight {
    /// The elements as the graph has them; type and shape only where host copies were dropped.
    pub tensor: Tensor,
    /// How they are reordered for the kernel.
    pub packing: Packing,
}

/// Where a value lives on the GPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In a planned buffer.
    Buffer {
        /// Which of [`Plan::buffers`].
        buffer: usize,
        /// Where its first byte is.
        offset: u64,
    },
    /// In a weight.
    Weight(usize),
}

/// One step of a plan, in execution order.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// A kernel on the GPU.
    Dispatch {
        /// The node it belongs to.
        node: NodeId,
        /// What is dispatched.
        dispatch: Dispatch<Binding>,
    },
    /// A node on the CPU; its inputs and outputs are on the host.
    Host {
        /// The node.
        node: NodeId,
    },
    /// A value goes from the host to its buffer.
    Upload {
        /// The value.
        value: ValueId,
    },
    /// A value comes from its buffer to the host.
    Download {
        /// The value.
        value: ValueId,
    },
}

/// Where a node runs, for the user's eyes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Placed {
    /// On the GPU: the variants of its dispatches.
    Gpu(Vec<String>),
    /// Nowhere: its outputs are its inputs under another shape, ranges of an input, or inputs that were computed one after the other.
    View,
    /// On the CPU, with the reason; without one on the CPU device.
    Cpu(String),
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Placed::Gpu(kernels) => f.write_str(&kernels.join(" + ")),
            Placed::View => f.write_str("view"),
            Placed::Cpu(reason) if reason.is_empty() => f.write_str("CPU"),
            Placed::Cpu(reason) => write!(f, "CPU: {reason}"),
        }
    }
}

/// A graph lowered for one set of input shapes and one kind of device.
#[derive(Debug)]
pub struct Plan {
    /// The graph with every shape known and constants folded; nodes in execution order.
    pub graph: Graph,
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// Sizes in bytes of the buffers that activations share.
    pub buffers: Vec<u64>,
    /// The constants that kernels read.
    pub weights: Vec<Weight>,
    /// Where each value lives on the GPU, indexed by [`ValueId::index`]; `None` for values that never do.
    pub places: Vec<Option<Place>>,
    /// Where each node runs, indexed by [`NodeId::index`].
    pub placed: Vec<Placed>,
    /// The ways to compute each node that this one was chosen from, in the order in which a rule would take them; empty for nodes on the
    /// CPU and those that only change a shape.
    pub candidates: Vec<Vec<Candidate>>,
    /// What the optimiser's passes did to the graph, in order; empty for a plan lowered by hand.
    pub passes: Vec<PassReport>,
    /// What activations would take without sharing, in bytes.
    pub no_reuse_bytes: u64,
    /// The most bytes of activations alive at once: no placement of them can need less.
    ///
    /// A piece of a concatenation that is written in place counts from its own first write to its last read; what is computed in place
    /// counts once.
    pub lower_bound_bytes: u64,
}

impl Plan {
    /// The type of a value of this plan's graph.
    pub fn tensor_type(&self, value: ValueId) -> TensorType {
        self.graph.tensor_type(value)
    }

    /// The size of a value's buffer in bytes: its elements as the GPU stores them, padded; 0 for types WGSL lacks.
    pub fn device_bytes(&self, value: ValueId) -> u64 {
        let ty = self.tensor_type(value);
        Elem::storing(ty.dtype).map_or(0, |elem| choose::stored_bytes(ty.shape.elements(), elem))
    }

    /// The nodes on the CPU, each with its reason.
    pub fn host_nodes(&self) -> impl Iterator<Item = (&crate::graph::Node, &str)> {
        self.graph.nodes().iter().zip(&self.placed).filter_map(|(node, placed)| match placed {
            Placed::Cpu(reason) => Some((node, reason.as_str())),
            _ => None,
        })
    }

    /// Drops the elements of constants that nothing on the host reads in a run. Types and shapes stay.
    pub(crate) fn drop_host_weights(&mut self) {
        let mut kept: HashSet<ValueId> = self.graph.outputs().iter().copied().collect();
        for step in &self.steps {
            if let Step::Host { node } = step {
                kept.extend(self.graph.node(*node).inputs.iter().flatten());
            }
        }
        self.graph.drop_elements(|value| kept.contains(&value));
        for weight in &mut self.weights {
            weight.tensor = weight.tensor.without_elements();
        }
    }

    /// The size of a weight in bytes, as the GPU stores it.
    pub fn weight_bytes(&self, weight: usize) -> u64 {
        let Weight { tensor, packing } = &self.weights[weight];
        let elem = Elem::storing(packing.dtype(tensor.dtype()));
        elem.map_or(0, |elem| choose::stored_bytes(packing.elements(tensor.len()), elem))
    }

    /// The sum of the weights in bytes, as the GPU stores them.
    pub fn weights_bytes(&self) -> u64 {
        (0..self.weights.len()).map(|weight| self.weight_bytes(weight)).sum()
    }

    /// The sum of the planned buffers in bytes: peak activation memory on the GPU.
    pub fn peak_bytes(&self) -> u64 {
        self.buffers.iter().sum()
    }
}
