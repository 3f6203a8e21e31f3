//! What folding may cost: the memory of the constants it makes, and the work to compute them.

use super::{Graph, Node, TensorType, ValueId};
use crate::error::{Error, Result};
use crate::ops::{Op, Operands};
use crate::tensor::Tensor;

/// Operations that folding may take for one graph, about a second on one core: what is left runs with the network.
const MAX_FOLDED_WORK: u64 = 1 << 30;

/// What the constants of a graph take, and what they may.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most bytes of constants and of values alive at once.
    max_memory: u64,
    /// Bytes of constants.
    pub constants: u64,
    /// Operations that were folded.
    work: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_memory: u64::MAX, constants: 0, work: 0 }
    }
}

/// What a node of constants computes.
pub(crate) struct Folded {
    /// Its outputs.
    pub tensors: Vec<Tensor>,
    /// Operations.
    pub work: u64,
}

impl Limits {
    /// Whether so much work may still be folded.
    pub fn affords(&self, work: u64) -> bool {
        self.work.saturating_add(work) <= MAX_FOLDED_WORK
    }

    /// Counts what was folded.
    pub fn made(&mut self, node: &Node, folded: &Folded) {
        self.work = self.work.saturating_add(folded.work);
        if !is_view(&node.op) {
            let bytes = folded.tensors.iter().map(|tensor| tensor.bytes().len() as u64).sum();
            self.constants = self.constants.saturating_add(bytes);
        }
    }
}

/// The operations and the elements read and written that a node costs.
pub(super) fn work(node: &Node, operands: &Operands<'_>, types: &[TensorType]) -> u64 {
    let read = operands.inputs.iter().flatten().map(|input| input.shape.elements() as u64);
    let written = types.iter().map(|ty| ty.shape.elements() as u64);
    read.chain(written).fold(node.op.operator().flops(operands, types), u64::saturating_add)
}

/// Whether the elements of a constant are shared with the output.
fn is_view(op: &Op) -> bool {
    matches!(op, Op::Flatten(_) | Op::Identity(_) | Op::Reshape(_) | Op::Squeeze(_) | Op::Unsqueeze(_))
}

impl Graph {
    /// Counts the constants that there are.
    pub(crate) fn count_constants(&mut self) {
        let constants = self.values.iter().filter_map(|value| value.constant.as_ref());
        self.limits.constants = constants.map(|tensor| tensor.bytes().len() as u64).fold(0, u64::saturating_add);
    }

    /// Sets the limit of the memory that constants and values may take.
    pub(crate) fn limit_memory(&mut self, max_memory: u64) {
        self.limits.max_memory = max_memory;
        self.count_constants();
    }

    fn check_memory(&self, bytes: u64, what: impl FnOnce() -> String) -> Result<()> {
        let limit = self.limits.max_memory;
        if bytes <= limit { Ok(()) } else { Err(Error::Memory { graph: self.name.clone(), what: what(), bytes, limit }) }
    }

    /// That there is room for what a node computes, beside the constants.
    pub(super) fn check_outputs(&self, node: &Node, types: &[TensorType]) -> Result<()> {
        let outputs = if is_view(&node.op) { 0 } else { types.iter().map(|ty| ty.bytes() as u64).fold(0, u64::saturating_add) };
        self.check_memory(self.limits.constants.saturating_add(outputs), || {
            format!("the constants and the outputs of node `{}` ({})", node.name, node.op.name())
        })
    }

    /// That there is room for the constants and all values alive at once, of a specialised graph.
    pub(crate) fn check_run(&self) -> Result<()> {
        let bytes = |id: &ValueId| self.value(*id).ty.as_ref().map_or(0, |ty| ty.bytes() as u64);
        let is_constant = |id: &ValueId| self.value(*id).constant.is_some();
        let mut reads = vec![0usize; self.values.len()];
        self.nodes.iter().flat_map(|n| n.inputs.iter().flatten()).chain(&self.outputs).for_each(|id| reads[id.index()] += 1);
        let mut alive = self.inputs.iter().filter(|id| !is_constant(id)).map(bytes).fold(0, u64::saturating_add);
        let mut peak = alive;
        for node in &self.nodes {
            alive = node.outputs.iter().flatten().map(bytes).fold(alive, u64::saturating_add);
            peak = peak.max(alive);
            let unread = node.outputs.iter().flatten().filter(|id| reads[id.index()] == 0).map(bytes).sum::<u64>();
            alive = alive.saturating_sub(unread);
            for id in node.inputs.iter().flatten() {
                reads[id.index()] -= 1;
                if reads[id.index()] == 0 && !is_constant(id) {
                    alive = alive.saturating_sub(bytes(id));
                }
            }
        }
        self.check_memory(self.limits.constants.saturating_add(peak), || "the constants and the values of a run".into())
    }
}
