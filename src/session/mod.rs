//! A compiled network: plans per input shape, runs, encoded runs, verification.

mod options;
mod prepare;
mod profile;
mod run_all;
mod stages;
mod tune;
mod verify;

use std::ops::Index;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crate::cpu;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::gpu::{Trace, Wait, WeightStore};
use crate::graph::{Graph, InputSpec, TensorType, ValueId};
use crate::inspect::Profile;
use crate::optimize::{self, Pass, PassReport};
use crate::plan::Plan;
use crate::tensor::{Tensor, TensorView};

pub use options::{CompileOptions, TuneProgress, TuneStep};
use prepare::{Outcome, Prepared, Ready};
pub use run_all::RunAll;
use stages::Stages;

/// A network compiled for a device. Send and Sync: runs may overlap.
pub struct Session {
    device: Device,
    graph: Graph,
    options: CompileOptions,
    /// What the early passes did.
    passes: Vec<PassReport>,
    /// Whether graph and plan have lost the elements of their weights.
    dropped_weights: bool,
    weights: WeightStore,
    cpu_weights: cpu::WeightStore,
    prepared: Mutex<Vec<(Vec<InputSpec>, Arc<Prepared>)>>,
    stages: OnceLock<Arc<Stages>>,
    /// How many sessions this one is a stage of.
    depth: usize,
}

/// A value on the GPU that the caller owns, for [`Session::encode`].
#[derive(Clone, Debug)]
pub struct GpuTensor<'a> {
    /// The elements, dense and row-major from offset 0: `f32`, `f16`, `i32`, `u32` as they are, `i64` in 8 bytes, smaller
    /// integers and `bool` one to a 32-bit word. Needs `COPY_SRC` as an input, `COPY_DST` as an output.
    pub buffer: &'a wgpu::Buffer,
    /// Type and shape.
    pub ty: TensorType,
}

/// The outputs of a run, in the network's order.
#[derive(Clone, Debug)]
pub struct Outputs {
    names: Vec<String>,
    tensors: Vec<Tensor>,
}

impl Outputs {
    /// The output of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.names.iter().position(|n| n == name).map(|at| &self.tensors[at])
    }

    /// Names and tensors in the network's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.names.iter().map(String::as_str).zip(&self.tensors)
    }

    /// How many outputs there are.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The tensors in the network's order.
    pub fn into_tensors(self) -> Vec<Tensor> {
        self.tensors
    }
}

impl Index<usize> for Outputs {
    type Output = Tensor;
    fn index(&self, index: usize) -> &Tensor {
        &self.tensors[index]
    }
}

impl Session {
    pub(crate) fn new(device: Device, graph: Graph, options: CompileOptions) -> Result<Self> {
        Self::stage(device, graph, options, 0)
    }

    /// A session that is run by as many others.
    fn stage(device: Device, mut graph: Graph, options: CompileOptions, depth: usize) -> Result<Self> {
        graph.check()?;
        graph.limit_memory(options.max_memory);
        let passes = optimize::optimize(&mut graph, Pass::EARLY, &options.without)?;
        let (weights, cpu_weights, prepared) = (WeightStore::default(), cpu::WeightStore::default(), Mutex::default());
        let mut session =
            Self { device, graph, options, passes, dropped_weights: false, weights, cpu_weights, prepared, stages: OnceLock::new(), depth };
        let fixed: Option<Vec<_>> = session.graph.inputs().iter().map(|id| session.graph.value(*id).ty.clone()).collect();
        if let Some(types) = fixed {
            let specs = types.into_iter().map(|ty| InputSpec { ty, value: None }).collect();
            match session.specialize(specs, None)? {
                Outcome::Graph(specs, graph) => {
                    let drops = session.options.drop_host_weights && session.device.context().is_some();
                    session.prepare(specs, graph, drops)?;
                    if drops {
                        session.graph.drop_elements(|_| false);
                        session.weights.forget();
                        session.dropped_weights = true;
                    }
                }
                _ => log::debug!("shapes depend on elements: the plan waits for the first run"),
            }
        }
        Ok(session)
    }

    /// The network as it runs, after optimisation.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The same network, compiled with the same options for another device, such as a new one after [`Error::DeviceLost`]; no file is read.
    ///
    /// # Errors
    /// As [`Device::compile_with`], and [`Error::WeightsDropped`].
    pub fn rebuild(&self, device: &Device) -> Result<Self> {
        self.needs_weights()?;
        device.compile_with(self.graph.clone(), self.options.clone())
    }

    fn needs_weights(&self) -> Result<()> {
        if self.dropped_weights { Err(Error::WeightsDropped(self.graph.name().into())) } else { Ok(()) }
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Runs the network and blocks until its outputs are on the host.
    ///
    /// `inputs` are matched by name; each must have the declared type and shape, free extents taking any value.
    ///
    /// # Errors
    /// [`Error::Input`] for inputs that do not fit, [`Error::Node`] where an operator rejects these shapes,
    /// [`Error::Gpu`], [`Error::OutOfMemory`], [`Error::Timeout`] and [`Error::DeviceLost`] where the GPU fails.
    pub fn run(&self, inputs: &[(&str, TensorView<'_>)]) -> Result<Outputs> {
        Ok(self.named(pollster::block_on(self.run_ordered(&self.order(inputs)?, Wait::Here))?))
    }

    /// Runs the network; the future resolves when its outputs are on the host, and blocks no thread meanwhile
    /// (on the CPU device it computes when first polled).
    ///
    /// # Errors
    /// As [`Session::run`].
    pub async fn run_async(&self, inputs: &[(&str, TensorView<'_>)]) -> Result<Outputs> {
        Ok(self.named(self.run_ordered(&self.order(inputs)?, Wait::InBackground).await?))
    }

    async fn run_owned(&self, inputs: Vec<Tensor>) -> Result<Outputs> {
        let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
        Ok(self.named(self.run_ordered(&views, Wait::InBackground).await?))
    }

    fn named(&self, tensors: Vec<Tensor>) -> Outputs {
        Outputs { names: self.graph.outputs().iter().map(|id| self.graph.value(*id).name.clone()).collect(), tensors }
    }

    /// Runs on inputs in the network's order.
    async fn run_ordered(&self, views: &[TensorView<'_>], wait: Wait) -> Result<Vec<Tensor>> {
        match self.ready_for(views)? {
            Ready::Plan(prepared) => self.run_plan(&prepared, views, wait, None).await,
            Ready::Stages(stages) => {
                let computed = Box::pin(stages.first.run_ordered(&stages.first_views(views), wait)).await?;
                Box::pin(stages.second.run_ordered(&stages.second_views(views, &computed), wait)).await
            }
        }
    }

    async fn run_plan(
        &self,
        prepared: &Prepared,
        views: &[TensorView<'_>],
        wait: Wait,
        trace: Option<&mut Trace<'_>>,
    ) -> Result<Vec<Tensor>> {
        match (&prepared.program, self.device.context()) {
            (Some(program), Some(context)) => program.run(context, views, wait, trace).await,
            _ => cpu::run_prepared(&prepared.plan, &prepared.cpu_weights, views, trace),
        }
    }

    /// Records the network into a command encoder, on buffers that are on the GPU already; nothing goes through the host.
    ///
    /// The work happens when the caller submits the encoder to the queue of this session's device.
    ///
    /// # Errors
    /// [`Error::Input`] for names, types or buffers that do not fit; [`Error::Strict`] where a node would run on the CPU.
    pub fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        inputs: &[(&str, GpuTensor<'_>)],
        outputs: &[(&str, &wgpu::Buffer)],
    ) -> Result<()> {
        let Some(context) = self.device.context() else {
            return Err(Error::Device("the CPU device encodes nothing; compile for a GPU".into()));
        };
        let types: Vec<_> = inputs.iter().map(|(name, tensor)| (*name, tensor.ty.clone())).collect();
        let prepared = self.prepared_for_types(&types)?;
        let program = prepared.all_on_gpu()?;
        let bind = |name: &str, ids: &[ValueId], buffer: &'_ wgpu::Buffer, usage: wgpu::BufferUsages| {
            let fail = |message: String| Error::Input { name: name.to_owned(), message };
            let id = ids.iter().copied().find(|id| self.graph.value(*id).name == name).ok_or_else(|| fail("no such value".into()))?;
            let needed = prepared.plan.device_bytes(id);
            let elements = prepared.plan.tensor_type(id).shape.elements() as u64;
            if prepared.plan.places[id.index()].is_none() && !self.graph.inputs().contains(&id) {
                return Err(fail("is not computed on the GPU".into()));
            }
            if buffer.size() < needed {
                return Err(fail(format!("its buffer has {} bytes, {} elements need {needed} (whole vectors)", buffer.size(), elements)));
            }
            if !buffer.usage().contains(usage) {
                return Err(fail(format!("its buffer lacks the usage {usage:?}")));
            }
            Ok(id)
        };
        let inputs: Vec<_> = inputs
            .iter()
            .map(|(name, t)| Ok((bind(name, self.graph.inputs(), t.buffer, wgpu::BufferUsages::COPY_SRC)?, t.buffer)))
            .collect::<Result<_>>()?;
        let outputs: Vec<_> = outputs
            .iter()
            .map(|(name, buffer)| Ok((bind(name, self.graph.outputs(), buffer, wgpu::BufferUsages::COPY_DST)?, *buffer)))
            .collect::<Result<_>>()?;
        program.encode(context, encoder, &inputs, &outputs)
    }

    /// How long the dispatches of `repeats` runs take, in one submission and waited for: no upload, no download. One run with these
    /// inputs comes first.
    ///
    /// # Errors
    /// As [`Session::run`]; [`Error::Device`] on the CPU device, [`Error::Strict`] where a node would run on the CPU,
    /// [`Error::NeedsElements`] where shapes depend on what the network computes.
    pub fn time_dispatches(&self, inputs: &[(&str, TensorView<'_>)], repeats: usize) -> Result<Duration> {
        let Some(context) = self.device.context() else {
            return Err(Error::Device("the CPU device dispatches nothing; compile for a GPU".into()));
        };
        let views = self.order(inputs)?;
        match self.ready_for(&views)? {
            Ready::Plan(prepared) => {
                let program = prepared.all_on_gpu()?;
                pollster::block_on(program.run(context, &views, Wait::Here, None))?;
                program.time(context, repeats)
            }
            Ready::Stages(_) => Err(Error::NeedsElements(self.graph.name().into())),
        }
    }

    /// Where the time of a run goes: the median of `runs` runs, for each layer and each dispatch, beside what the device reaches at most.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn profile(&self, inputs: &[(&str, TensorView<'_>)], runs: usize) -> Result<Profile> {
        let roofline = self.device.roofline()?;
        profile::profile(self, &self.order(inputs)?, runs.max(1), roofline)
    }

    /// The plan for inputs of these types: what runs where, with which kernels and buffers.
    ///
    /// # Errors
    /// [`Error::Input`] and [`Error::Node`] where the types do not fit, [`Error::NeedsElements`] where types are not enough.
    pub fn plan(&self, inputs: &[(&str, TensorType)]) -> Result<Arc<Plan>> {
        Ok(self.prepared_for_types(inputs)?.plan.clone())
    }

    /// The plans for these inputs in execution order: one, or several where shapes depend on what the network computes, all but
    /// the last of which are run for it.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn plans_for(&self, inputs: &[(&str, TensorView<'_>)]) -> Result<Vec<Arc<Plan>>> {
        self.plans_ordered(&self.order(inputs)?)
    }

    fn plans_ordered(&self, views: &[TensorView<'_>]) -> Result<Vec<Arc<Plan>>> {
        match self.ready_for(views)? {
            Ready::Plan(prepared) => Ok(vec![prepared.plan.clone()]),
            Ready::Stages(stages) => {
                let views_of_first = stages.first_views(views);
                let mut plans = stages.first.plans_ordered(&views_of_first)?;
                let computed = pollster::block_on(stages.first.run_ordered(&views_of_first, Wait::Here))?;
                plans.extend(stages.second.plans_ordered(&stages.second_views(views, &computed))?);
                Ok(plans)
            }
        }
    }

    /// The inputs in the network's order.
    fn order<'a>(&self, inputs: &[(&str, TensorView<'a>)]) -> Result<Vec<TensorView<'a>>> {
        self.matched(inputs.iter().map(|(name, view)| (*name, view.clone())).collect())
    }

    fn matched<T>(&self, mut given: Vec<(&str, T)>) -> Result<Vec<T>> {
        let names: Vec<&str> = self.graph.inputs().iter().map(|id| self.graph.value(*id).name.as_str()).collect();
        let fail =
            |name: &str, message: &str| Error::Input { name: name.into(), message: format!("{message}; the network has {}", list(&names)) };
        for (at, (name, _)) in given.iter().enumerate() {
            if !names.contains(name) {
                return Err(fail(name, "no such input"));
            }
            if given[..at].iter().any(|(other, _)| other == name) {
                return Err(fail(name, "given twice"));
            }
        }
        let mut ordered = Vec::with_capacity(names.len());
        for name in &names {
            match given.iter().position(|(n, _)| n == name) {
                Some(at) => ordered.push(given.swap_remove(at).1),
                None => return Err(fail(name, "missing")),
            }
        }
        Ok(ordered)
    }
}

fn list(names: &[&str]) -> String {
    match names {
        [] => "no inputs".into(),
        [one] => format!("`{one}`"),
        many => many.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", "),
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("graph", &self.graph.name()).field("device", &self.device).finish()
    }
}
