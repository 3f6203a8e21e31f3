//! A compiled network: plans per input shape, runs, encoded runs, verification.

use std::ops::Index;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cpu;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::gpu::{Program, Trace, Wait, WeightStore};
use crate::graph::{Graph, InputSpec, Specialized, TensorType, ValueId};
use crate::inspect::{Verifier, VerifyReport};
use crate::optimize;
use crate::plan::{self, LowerOptions, Plan};
use crate::tensor::{Tensor, TensorView};

/// How a network is compiled.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CompileOptions {
    /// Refuse a network of which a node has no GPU kernel.
    pub strict: bool,
    /// Prefer the kernel of this name wherever it can serve.
    pub kernel: Option<String>,
    /// Leave the graph as the file has it.
    pub skip_optimization: bool,
    /// Poison buffers with NaN before every run and check guard words after it. Slow; for tests and for hunting bugs.
    pub debug_memory: bool,
}

impl CompileOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`CompileOptions::strict`].
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Sets [`CompileOptions::kernel`].
    pub fn kernel(mut self, name: impl Into<String>) -> Self {
        self.kernel = Some(name.into());
        self
    }

    /// Sets [`CompileOptions::skip_optimization`].
    pub fn skip_optimization(mut self, skip: bool) -> Self {
        self.skip_optimization = skip;
        self
    }

    /// Sets [`CompileOptions::debug_memory`].
    pub fn debug_memory(mut self, debug: bool) -> Self {
        self.debug_memory = debug;
        self
    }
}

/// So many shapes keep their plans and buffers; the least recently used goes first.
const CACHED_PLANS: usize = 16;

/// A network compiled for a device. Send and Sync: runs may overlap.
pub struct Session {
    device: Device,
    graph: Graph,
    options: CompileOptions,
    weights: WeightStore,
    prepared: Mutex<Vec<(Vec<InputSpec>, Arc<Prepared>)>>,
}

/// A plan, and on the GPU what runs it.
struct Prepared {
    plan: Arc<Plan>,
    program: Option<Program>,
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
        graph.check()?;
        let graph = if options.skip_optimization { graph } else { optimize::optimize(graph)? };
        let session = Self { device, graph, options, weights: WeightStore::default(), prepared: Mutex::default() };
        let fixed: Option<Vec<_>> = session.graph.inputs().iter().map(|id| session.graph.value(*id).ty.clone()).collect();
        if let Some(types) = fixed {
            let specs = types.into_iter().map(|ty| InputSpec { ty, value: None }).collect();
            match session.specialize(specs, None)? {
                Some((specs, graph)) => drop(session.prepare(specs, graph)?),
                None => log::debug!("shapes depend on the elements of inputs: the plan waits for the first run"),
            }
        }
        Ok(session)
    }

    /// The network as it runs, after optimisation.
    pub fn graph(&self) -> &Graph {
        &self.graph
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
    /// [`Error::Gpu`] and [`Error::DeviceLost`] where the GPU fails.
    pub fn run(&self, inputs: &[(&str, TensorView<'_>)]) -> Result<Outputs> {
        pollster::block_on(self.run_with(inputs, Wait::Here, None))
    }

    /// Runs the network; the future resolves when its outputs are on the host, and blocks no thread meanwhile
    /// (on the CPU device it computes when first polled).
    ///
    /// # Errors
    /// As [`Session::run`].
    pub async fn run_async(&self, inputs: &[(&str, TensorView<'_>)]) -> Result<Outputs> {
        self.run_with(inputs, Wait::InBackground, None).await
    }

    async fn run_with(&self, inputs: &[(&str, TensorView<'_>)], wait: Wait, trace: Option<&mut Trace<'_>>) -> Result<Outputs> {
        let views = self.order(inputs)?;
        let prepared = self.prepared_for(&views)?;
        let tensors = match (&prepared.program, self.device.context()) {
            (Some(program), Some(context)) => program.run(context, &views, wait, trace).await?,
            _ => cpu::run(&prepared.plan, &views, trace)?,
        };
        let names = self.graph.outputs().iter().map(|id| self.graph.value(*id).name.clone()).collect();
        Ok(Outputs { names, tensors })
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
        let on_cpu: Vec<_> = prepared.plan.host_nodes().map(|(n, why)| format!("`{}` ({}): {why}", n.name, n.op.name())).collect();
        let (Some(program), true) = (&prepared.program, on_cpu.is_empty()) else {
            return Err(Error::Strict(on_cpu));
        };
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

    /// Runs the network here and every node on the reference, on the inputs that the node had here, and compares.
    ///
    /// # Errors
    /// As [`Session::run`]. A node that differs is no error: see [`VerifyReport::first_failure`].
    pub fn verify(&self, inputs: &[(&str, TensorView<'_>)]) -> Result<VerifyReport> {
        let views = self.order(inputs)?;
        let prepared = self.prepared_for(&views)?;
        let mut verifier = Verifier::new(&prepared.plan, &views);
        let mut trace = |node, outputs| verifier.check(node, outputs);
        pollster::block_on(self.run_with(inputs, Wait::Here, Some(&mut trace)))?;
        verifier.finish()
    }

    /// The plan for inputs of these types: what runs where, with which kernels and buffers.
    ///
    /// # Errors
    /// [`Error::Input`] and [`Error::Node`] where the types do not fit.
    pub fn plan(&self, inputs: &[(&str, TensorType)]) -> Result<Arc<Plan>> {
        Ok(self.prepared_for_types(inputs)?.plan.clone())
    }

    /// The plan for these inputs, for networks whose shapes depend on the elements of some.
    ///
    /// # Errors
    /// As [`Session::plan`].
    pub fn plan_for(&self, inputs: &[(&str, TensorView<'_>)]) -> Result<Arc<Plan>> {
        Ok(self.prepared_for(&self.order(inputs)?)?.plan.clone())
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

    fn prepared_for(&self, views: &[TensorView<'_>]) -> Result<Arc<Prepared>> {
        let types: Vec<_> = views.iter().map(|v| TensorType::new(v.dtype(), v.shape())).collect();
        let same = |spec: &InputSpec, view: &TensorView<'_>| spec.value.as_ref().is_none_or(|v| v.bytes() == view.bytes());
        if let Some(found) =
            self.cached(|specs| specs.iter().map(|s| &s.ty).eq(&types) && specs.iter().zip(views).all(|(spec, view)| same(spec, view)))
        {
            return Ok(found);
        }
        let specs = types.into_iter().map(|ty| InputSpec { ty, value: None }).collect();
        let (specs, graph) = self.specialize(specs, Some(views))?.expect("with values at hand, planning ends in a graph or an error");
        self.prepare(specs, graph)
    }

    fn prepared_for_types(&self, inputs: &[(&str, TensorType)]) -> Result<Arc<Prepared>> {
        let types = self.matched(inputs.to_vec())?;
        if let Some(found) = self.cached(|specs| specs.iter().map(|s| (&s.ty, s.value.is_none())).eq(types.iter().map(|t| (t, true)))) {
            return Ok(found);
        }
        let specs = types.into_iter().map(|ty| InputSpec { ty, value: None }).collect();
        match self.specialize(specs, None)? {
            Some((specs, graph)) => self.prepare(specs, graph),
            None => Err(Error::Graph {
                graph: self.graph.name().into(),
                message: "shapes depend on the elements of its inputs, so there is no plan for types alone".into(),
            }),
        }
    }

    fn cached(&self, matches: impl Fn(&[InputSpec]) -> bool) -> Option<Arc<Prepared>> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let at = prepared.iter().position(|(specs, _)| matches(specs))?;
        prepared[..=at].rotate_right(1);
        Some(prepared[0].1.clone())
    }

    /// The graph for these inputs, with the values that shapes depend on taken from `views`; `None` where they are needed
    /// and there are none.
    fn specialize(&self, mut specs: Vec<InputSpec>, views: Option<&[TensorView<'_>]>) -> Result<Option<(Vec<InputSpec>, Graph)>> {
        loop {
            match (self.graph.specialize(&specs)?, views) {
                (Specialized::Graph(graph), _) => return Ok(Some((specs, graph))),
                (Specialized::NeedsValues(_), None) => return Ok(None),
                (Specialized::NeedsValues(needed), Some(views)) => {
                    for at in needed {
                        specs[at].value = Some(views[at].to_tensor());
                    }
                }
            }
        }
    }

    fn prepare(&self, specs: Vec<InputSpec>, graph: Graph) -> Result<Arc<Prepared>> {
        let context = self.device.context();
        let options = LowerOptions { strict: self.options.strict, kernel: self.options.kernel.clone(), ..LowerOptions::default() };
        let plan = Arc::new(plan::lower(graph, context.map(|c| c.capabilities()), &options)?);
        let program = match context {
            Some(context) => {
                for (node, reason) in plan.host_nodes() {
                    log::warn!("node `{}` ({}) runs on the CPU: {reason}", node.name, node.op.name());
                }
                Some(Program::new(context, plan.clone(), &self.weights, self.options.debug_memory)?)
            }
            None => None,
        };
        let prepared = Arc::new(Prepared { plan, program });
        let mut cache = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        cache.insert(0, (specs, prepared.clone()));
        cache.truncate(CACHED_PLANS);
        Ok(prepared)
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
