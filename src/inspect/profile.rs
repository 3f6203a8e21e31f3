//! Where the time goes: every layer and every dispatch, held against what the device can do at most.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::gpu::Roofline;
use crate::graph::{NodeId, TensorType, ValueId};
use crate::plan::{Binding, Placed, Plan, Step};

/// What told the time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Clock {
    /// Timestamps that the GPU wrote around each dispatch.
    Timestamps,
    /// The host's clock around a submission of each dispatch alone, which adds what a submission costs: the adapter has no timestamps.
    Submissions,
    /// The host's clock around each node on the CPU.
    Host,
}

/// What keeps a layer from being faster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// Multiply-adds: more of them would take longer even if no byte moved.
    Arithmetic,
    /// Bytes to and from memory.
    Memory,
    /// Launching its dispatches takes longer than their work would.
    Launch,
}

/// A dispatch of a layer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DispatchProfile {
    /// The kernel.
    pub kernel: &'static str,
    /// Its variant: types, tile and override values.
    pub variant: String,
    /// The number of workgroups `[x, y, z]`.
    pub workgroups: [u32; 3],
    /// The median over all runs.
    pub time: Duration,
    /// Bytes of what it binds, each binding once.
    pub bytes: u64,
}

/// A layer with its time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LayerProfile {
    /// The node's name.
    pub name: String,
    /// The operator.
    pub op: &'static str,
    /// The nodes of the file that it stands for, itself included.
    pub origins: Vec<String>,
    /// The types of its outputs.
    pub outputs: Vec<TensorType>,
    /// Where it runs.
    pub placed: Placed,
    /// The median over all runs: of its dispatches together, or of the node on the CPU; zero for views.
    pub time: Duration,
    /// Its dispatches in order; none on the CPU.
    pub dispatches: Vec<DispatchProfile>,
    /// Floating-point operations as the operator's definition has them, a multiply-add counted as two. Winograd's kernels need fewer.
    pub flops: u64,
    /// Bytes that must move at least: each input, weight and output once.
    pub bytes: u64,
}

/// Where the time of a run goes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Profile {
    /// What told the time of layers.
    pub clock: Clock,
    /// The median of whole runs without any of this: uploads, dispatches, downloads and waiting.
    pub run: Duration,
    /// The layers in execution order.
    pub layers: Vec<LayerProfile>,
    /// What the device reaches at most.
    pub roofline: Roofline,
}

impl LayerProfile {
    /// 10⁹ floating-point operations a second.
    pub fn gflops(&self) -> f64 {
        rate(self.flops, self.time)
    }

    /// 10⁹ bytes a second.
    pub fn gigabytes(&self) -> f64 {
        rate(self.bytes, self.time)
    }

    /// What bounds it on a device with this roofline.
    pub fn bound(&self, roofline: &Roofline) -> Bound {
        let [arithmetic, memory, launch] = self.floors(roofline);
        match () {
            _ if launch > arithmetic.max(memory) => Bound::Launch,
            _ if arithmetic > memory => Bound::Arithmetic,
            _ => Bound::Memory,
        }
    }

    /// The share of the roofline that it reaches, 0 to 1; above where its kernel needs fewer operations than the definition, or its data
    /// lies in a cache. Launches do not count.
    pub fn share(&self, roofline: &Roofline) -> f64 {
        let [arithmetic, memory, _] = self.floors(roofline);
        if self.time.is_zero() { 0.0 } else { arithmetic.max(memory) / self.time.as_secs_f64() }
    }

    /// The seconds that its operations, its bytes and its launches take at least.
    fn floors(&self, roofline: &Roofline) -> [f64; 3] {
        let launch = self.dispatches.len() as f64 * roofline.launch.as_secs_f64();
        [self.flops as f64 * 1e-9 / roofline.gflops, self.bytes as f64 * 1e-9 / roofline.gigabytes, launch]
    }
}

fn rate(amount: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { amount as f64 * 1e-9 / time.as_secs_f64() }
}

impl Profile {
    /// The sum of all layers.
    pub fn total(&self) -> Duration {
        self.layers.iter().map(|layer| layer.time).sum()
    }
}

/// The time of each dispatch of a plan in each run, and of each node on the CPU.
#[derive(Clone, Default, Debug)]
pub(crate) struct Times {
    pub dispatches: Vec<Vec<Duration>>,
    pub nodes: HashMap<NodeId, Vec<Duration>>,
}

/// The layers of a plan with their times.
pub(crate) fn layers(plan: &Plan, times: &Times) -> Vec<LayerProfile> {
    let mut dispatches: HashMap<NodeId, Vec<(DispatchProfile, &[Duration])>> = HashMap::new();
    let steps = plan.steps.iter().filter_map(|step| match step {
        Step::Dispatch { node, dispatch } => Some((node, dispatch)),
        _ => None,
    });
    for ((node, dispatch), times) in steps.zip(&times.dispatches) {
        let kernel = dispatch.variant.kernel.name;
        let bytes = |binding: &Binding| match binding {
            Binding::Buffer { bytes, .. } => *bytes,
            Binding::Weight(at) => plan.weight_bytes(*at),
            Binding::Unused => 0,
        };
        let profile = DispatchProfile {
            kernel,
            variant: dispatch.variant.to_string(),
            workgroups: dispatch.workgroups,
            time: median(times.iter().copied()),
            bytes: dispatch.bindings.iter().map(bytes).sum(),
        };
        dispatches.entry(*node).or_default().push((profile, times));
    }
    let graph = &plan.graph;
    let layer = |(at, placed): (usize, &Placed)| {
        let (id, node) = (NodeId(at as u32), &graph.nodes()[at]);
        let outputs: Vec<_> = node.outputs.iter().flatten().map(|id| graph.tensor_type(*id)).collect();
        let dispatched = dispatches.remove(&id).unwrap_or_default();
        let runs = dispatched.iter().map(|(_, times)| times.len()).min().unwrap_or(0);
        let together = (0..runs).map(|run| dispatched.iter().map(|(_, times)| times[run]).sum());
        let time = match times.nodes.get(&id) {
            Some(times) => median(times.iter().copied()),
            None => median(together),
        };
        let values: HashSet<ValueId> = node.inputs.iter().chain(&node.outputs).flatten().copied().collect();
        let view = matches!(placed, Placed::View);
        LayerProfile {
            name: node.name.clone(),
            op: node.op.name(),
            origins: node.origins.clone(),
            flops: if view { 0 } else { node.op.operator().flops(&graph.operands(node), &outputs) },
            bytes: if view { 0 } else { values.iter().map(|id| graph.tensor_type(*id).bytes() as u64).sum() },
            outputs,
            placed: placed.clone(),
            time,
            dispatches: dispatched.into_iter().map(|(profile, _)| profile).collect(),
        }
    };
    plan.placed.iter().enumerate().map(layer).collect()
}

/// The middle of some times; zero of none.
pub(crate) fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(time: u64, flops: u64, bytes: u64, dispatches: usize) -> LayerProfile {
        let dispatch = DispatchProfile { kernel: "k", variant: "k".into(), workgroups: [1; 3], time: Duration::ZERO, bytes: 0 };
        LayerProfile {
            name: "n".into(),
            op: "Conv",
            origins: vec![],
            outputs: vec![],
            placed: Placed::View,
            time: Duration::from_micros(time),
            dispatches: vec![dispatch; dispatches],
            flops,
            bytes,
        }
    }

    #[test]
    fn layers_are_held_against_the_lower_roof() {
        let roofline = Roofline { gflops: 100.0, gigabytes: 10.0, launch: Duration::from_micros(5), kept: false };
        // 100 µs of arithmetic, 1 µs of bytes.
        let dense = layer(200, 10_000_000, 10_000, 1);
        assert_eq!((dense.bound(&roofline), dense.share(&roofline)), (Bound::Arithmetic, 0.5));
        assert_eq!(dense.gflops(), 50.0);
        // 1 µs of arithmetic, 100 µs of bytes.
        let light = layer(400, 100_000, 1_000_000, 1);
        assert_eq!((light.bound(&roofline), light.share(&roofline)), (Bound::Memory, 0.25));
        assert_eq!(light.gigabytes(), 2.5);
        let tiny = layer(20, 100_000, 10_000, 3);
        assert_eq!(tiny.bound(&roofline), Bound::Launch);
        let view = layer(0, 0, 0, 0);
        assert_eq!((view.share(&roofline), view.gflops()), (0.0, 0.0));
    }

    #[test]
    fn medians_are_of_the_middle() {
        let ms = |times: &[u64]| median(times.iter().map(|t| Duration::from_millis(*t)));
        assert_eq!((ms(&[9, 1, 4]), ms(&[7]), ms(&[])), (Duration::from_millis(4), Duration::from_millis(7), Duration::ZERO));
    }
}
