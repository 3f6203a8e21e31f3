//! Which way of computing a node fits this device.

use super::storage::PADDING;
use super::tuning::{Candidate, Tuning, signature};
use super::{Arg, Capabilities, Elem, LowerContext, Lowered, Lowering, Packing, Placed};
use crate::graph::{Graph, Node, TensorType, ValueId};
use crate::ops::Operand;

/// What the choice depends on beside the node.
pub(super) struct Chooser<'a> {
    pub graph: &'a Graph,
    /// The GPU; none for the CPU device.
    pub capabilities: Option<&'a Capabilities>,
    /// The kernel to prefer.
    pub kernel: Option<&'a str>,
    /// What was measured on the device.
    pub tuning: &'a Tuning,
}

impl Chooser<'_> {
    /// The lowering of a node (`None` for a view) or why it is on the CPU, and what it was chosen from.
    pub fn choose(&self, node: &Node) -> (Result<Option<Lowering>, Placed>, Vec<Candidate>) {
        match self.lowerings(node) {
            Err(reason) => (Err(Placed::Cpu(reason)), vec![]),
            Ok(None) => (Ok(None), vec![]),
            Ok(Some(mut fitting)) => {
                let mut candidates: Vec<_> = fitting.iter().map(Candidate::new).collect();
                let best = match candidates.len() {
                    1 => 0,
                    _ => self.tuning.annotate(&signature(self.graph, node), &mut candidates),
                };
                let chosen = self.kernel.and_then(|asked| candidates.iter().position(|c| c.is_called(asked))).unwrap_or(best);
                candidates[chosen].chosen = true;
                (Ok(Some(fitting.swap_remove(chosen))), candidates)
            }
        }
    }

    /// The lowerings that this device can run (`None` for a view), or why there are none.
    fn lowerings(&self, node: &Node) -> Result<Option<Vec<Lowering>>, String> {
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
            let kernel = dispatch.variant.kernel;
            capabilities.check_subgroups(kernel.subgroups).map_err(|why| format!("{} {why}", kernel.name))?;
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
            Arg::Unused => Ok(PADDING),
        }
    }
}

/// The size of a value on the GPU, rounded up to what kernels may read.
pub(super) fn device_bytes(ty: &TensorType, capabilities: &Capabilities) -> Result<u64, String> {
    let elem = Elem::of(ty.dtype, capabilities).ok_or_else(|| format!("the device has no {} in shaders", ty.dtype))?;
    Ok(stored_bytes(ty.shape.elements(), elem))
}

/// The size of `elements` in a buffer.
pub(super) fn stored_bytes(elements: usize, elem: Elem) -> u64 {
    (elements as u64).saturating_mul(elem.size() as u64).checked_next_multiple_of(PADDING).unwrap_or(u64::MAX)
}
