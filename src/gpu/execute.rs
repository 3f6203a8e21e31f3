//! Running a program: uploads, one compute pass per submission, host nodes in between, downloads.

use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};

use super::arena::{Arena, Lease};
use super::context::Context;
use super::precompile::Precompiler;
use super::program::{Program, dispatches};
use super::transfer::{for_each_piece, from_device};
use crate::cpu;
use crate::error::{Error, Result};
use crate::graph::{NodeId, ValueId};
use crate::plan::{Binding, Dispatch, Place, Step};
use crate::tensor::{DataRef, Tensor, TensorView};

/// Who waits for the GPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wait {
    /// The calling thread, which has nothing else to do.
    Here,
    /// A thread of the context, while the caller awaits.
    InBackground,
}

/// Called after each node with its outputs.
pub(crate) type Trace<'a> = dyn FnMut(NodeId, Vec<Option<Tensor>>) + Send + 'a;

/// What an upload converts at a time.
const PIECE_BYTES: usize = 8 << 10;

pub(super) type Mapping = OneshotReceiver<Result<(), wgpu::BufferAsyncError>>;

impl Program {
    /// Runs on `inputs`, in the order of the graph's, and returns the graph's outputs.
    pub async fn run(
        &self,
        context: &Context,
        inputs: &[TensorView<'_>],
        wait: Wait,
        trace: Option<&mut Trace<'_>>,
    ) -> Result<Vec<Tensor>> {
        Ok(self.run_timed(context, inputs, wait, trace).await?.0)
    }

    /// As [`Program::run`]; also how long each node on the CPU took.
    pub async fn run_timed(
        &self,
        context: &Context,
        inputs: &[TensorView<'_>],
        wait: Wait,
        trace: Option<&mut Trace<'_>>,
    ) -> Result<(Vec<Tensor>, Vec<(NodeId, Duration)>)> {
        let traced = trace.is_some();
        let mut run = Run {
            context,
            program: self,
            arena: self.acquire(context)?,
            inputs,
            host: HashMap::new(),
            host_times: vec![],
            encoder: None,
            pending: 0..0,
            sent: vec![],
            wait,
        };
        if self.debug_memory {
            run.poison()?;
        }
        run.steps(trace).await?;
        if self.debug_memory {
            run.check_guards().await?;
        }
        let (outputs, times) = (run.outputs()?, std::mem::take(&mut run.host_times));
        self.precompiler.iter().for_each(Precompiler::stop);
        // The staging buffers of a traced run hold every value of the network.
        if !traced {
            run.arena.give_back();
        }
        Ok((outputs, times))
    }

    /// Records a run on buffers that are on the GPU already. The plan must have no host steps.
    pub fn encode(
        &self,
        context: &Context,
        encoder: &mut wgpu::CommandEncoder,
        inputs: &[(ValueId, &wgpu::Buffer)],
        outputs: &[(ValueId, &wgpu::Buffer)],
    ) -> Result<()> {
        let arena = self.encoding_arena(context)?;
        context.scoped("encoding a run", || {
            for (value, source) in inputs {
                if let Some(Place::Buffer { buffer, offset }) = self.plan.places[value.index()] {
                    encoder.copy_buffer_to_buffer(source, 0, &arena.buffers[buffer], offset, self.plan.device_bytes(*value));
                }
            }
            self.record(encoder, &arena, 0..arena.bind_groups.len());
            for (value, target) in outputs {
                let Some((source, offset)) = self.source(&arena, *value) else { continue };
                encoder.copy_buffer_to_buffer(source, offset, target, 0, self.plan.device_bytes(*value));
            }
        })
    }

    /// The buffer that holds a value, and where it begins there.
    fn source<'a>(&'a self, arena: &'a Arena, value: ValueId) -> Option<(&'a wgpu::Buffer, u64)> {
        match self.plan.places[value.index()]? {
            Place::Buffer { buffer, offset } => Some((&arena.buffers[buffer], offset)),
            Place::Weight(weight) => Some((self.weight(weight), 0)),
        }
    }

    pub(super) fn record(&self, encoder: &mut wgpu::CommandEncoder, arena: &Arena, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("macula"), timestamp_writes: None });
        for (index, dispatch) in dispatches(&self.plan).enumerate().skip(range.start).take(range.len()) {
            self.dispatch(&mut pass, arena, index, dispatch);
        }
    }

    pub(super) fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>, arena: &Arena, index: usize, dispatch: &Dispatch<Binding>) {
        pass.set_pipeline(&self.pipelines[index].pipeline);
        pass.set_bind_group(0, &arena.bind_groups[index], &[]);
        let [x, y, z] = dispatch.workgroups;
        pass.dispatch_workgroups(x, y, z);
    }
}

pub(super) struct Run<'a> {
    pub(super) context: &'a Context,
    program: &'a Program,
    pub(super) arena: Lease<'a, Arena>,
    inputs: &'a [TensorView<'a>],
    host: HashMap<ValueId, Tensor>,
    host_times: Vec<(NodeId, Duration)>,
    /// The commands of the next submission.
    encoder: Option<wgpu::CommandEncoder>,
    /// Dispatches counted but not recorded yet.
    pending: Range<usize>,
    /// Values uploaded since the host last waited, whose staging buffers are to be mapped again.
    sent: Vec<Sent>,
    wait: Wait,
}

/// An upload under way.
enum Sent {
    Recorded(ValueId),
    Submitted(Mapping),
}

impl Run<'_> {
    async fn steps(&mut self, mut trace: Option<&mut Trace<'_>>) -> Result<()> {
        let program = self.program;
        let (graph, steps) = (&program.plan.graph, &program.plan.steps);
        let mut downloads = vec![];
        for (at, step) in steps.iter().enumerate() {
            let next = steps.get(at + 1);
            match step {
                Step::Dispatch { node, .. } => {
                    self.pending.end += 1;
                    let more = matches!(next, Some(Step::Dispatch { node: other, .. }) if other == node);
                    if let (Some(trace), false) = (&mut trace, more) {
                        let outputs = &graph.node(*node).outputs;
                        let known: Vec<ValueId> = outputs.iter().copied().flatten().collect();
                        let mut tensors = self.download(&known).await?.into_iter();
                        trace(*node, outputs.iter().map(|id| id.and_then(|_| tensors.next())).collect());
                    } else if program.submits_after(self.pending.end) && !matches!(next, None | Some(Step::Download { .. })) {
                        self.submit(&[])?;
                    }
                }
                Step::Upload { value } => self.upload(*value)?,
                Step::Download { value } => {
                    downloads.push(*value);
                    if !matches!(next, Some(Step::Download { .. })) {
                        let tensors = self.download(&downloads).await?;
                        self.host.extend(downloads.drain(..).zip(tensors));
                    }
                }
                Step::Host { node } => {
                    let inputs = self.host_inputs(*node)?;
                    let inputs: Vec<_> = inputs.iter().map(Option::as_ref).collect();
                    let start = Instant::now();
                    let outputs = cpu::run_node(graph, *node, &inputs)?;
                    self.host_times.push((*node, start.elapsed()));
                    for (id, tensor) in graph.node(*node).outputs.iter().zip(&outputs) {
                        self.host.extend(id.map(|id| (id, tensor.clone())));
                    }
                    if let Some(trace) = &mut trace {
                        trace(*node, outputs.into_iter().map(Some).collect());
                    }
                }
            }
        }
        // Uploads that no download has waited for.
        if !self.sent.is_empty() {
            self.download(&[]).await?;
        }
        Ok(())
    }

    fn host_inputs(&self, node: NodeId) -> Result<Vec<Option<Tensor>>> {
        self.program.plan.graph.node(node).inputs.iter().map(|id| id.map(|id| self.on_host(id)).transpose()).collect()
    }

    /// A value as the host has it: computed or downloaded before, a constant, or an input of this run.
    fn on_host(&self, value: ValueId) -> Result<Tensor> {
        let graph = &self.program.plan.graph;
        let input = || graph.inputs().iter().position(|id| *id == value).map(|at| self.inputs[at].to_tensor());
        let known = self.host.get(&value).cloned().or_else(|| graph.value(value).constant.clone()).or_else(input);
        known.ok_or_else(|| Error::Graph {
            graph: graph.name().into(),
            message: format!("`{}` is not on the host", graph.value(value).name),
        })
    }

    fn upload(&mut self, value: ValueId) -> Result<()> {
        let (context, program) = (self.context, self.program);
        let Some(Place::Buffer { buffer, offset }) = program.plan.places[value.index()] else { return Ok(()) };
        let bytes = program.plan.device_bytes(value);
        let staging = self.arena.upload(context, value, bytes)?.clone();
        match program.plan.graph.inputs().iter().position(|id| *id == value) {
            Some(at) => fill(&staging, self.inputs[at].data_ref())?,
            None => fill(&staging, self.on_host(value)?.data_ref())?,
        }
        self.sent.push(Sent::Recorded(value));
        context.scoped("uploading", || {
            let target = self.arena.buffers[buffer].clone();
            self.commands().copy_buffer_to_buffer(&staging, 0, &target, offset, bytes);
        })
    }

    /// The encoder of the next submission, with all dispatches so far recorded.
    fn commands(&mut self) -> &mut wgpu::CommandEncoder {
        let encoder = self
            .encoder
            .get_or_insert_with(|| self.context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("macula") }));
        let dispatches = self.pending.clone();
        self.pending.start = self.pending.end;
        self.program.record(encoder, &self.arena, dispatches);
        encoder
    }

    /// Submits what is pending, and copies of `values` to staging buffers after it.
    fn submit(&mut self, values: &[ValueId]) -> Result<wgpu::SubmissionIndex> {
        let (context, program) = (self.context, self.program);
        for value in values {
            self.arena.download(context, *value, program.plan.device_bytes(*value))?;
        }
        context.scoped("submitting", || {
            self.commands();
            let mut encoder = self.encoder.take().expect("there are commands");
            for value in values {
                let Some((source, offset)) = program.source(&self.arena, *value) else { continue };
                let target = self.arena.downloading(*value);
                encoder.copy_buffer_to_buffer(source, offset, target, 0, program.plan.device_bytes(*value));
            }
            let submission = context.submit(encoder.finish());
            for sent in &mut self.sent {
                if let Sent::Recorded(value) = sent {
                    *sent = Sent::Submitted(map(self.arena.uploading(*value), wgpu::MapMode::Write));
                }
            }
            submission
        })
    }

    async fn download(&mut self, values: &[ValueId]) -> Result<Vec<Tensor>> {
        let submission = self.submit(values)?;
        let uploads = self.sent.drain(..).filter_map(|sent| match sent {
            Sent::Submitted(mapping) => Some(mapping),
            Sent::Recorded(_) => None,
        });
        let mut mappings: Vec<Mapping> = uploads.collect();
        mappings.extend(values.iter().map(|value| map(self.arena.downloading(*value), wgpu::MapMode::Read)));
        self.settle(submission, mappings).await?;
        let mut tensors = Vec::with_capacity(values.len());
        for value in values {
            let (staging, ty) = (self.arena.downloading(*value), self.program.plan.tensor_type(*value));
            tensors.push(read(staging, |bytes| from_device(bytes, ty.dtype, &ty.shape))?);
        }
        Ok(tensors)
    }

    /// Waits until a submission's buffers are mapped.
    pub(super) async fn settle(&self, submission: wgpu::SubmissionIndex, mappings: Vec<Mapping>) -> Result<()> {
        match self.wait {
            Wait::Here => self.context.wait(submission)?,
            Wait::InBackground => self.context.wait_in_background(submission).await?,
        }
        for mapping in mappings {
            let mapped = mapping.receive().await;
            self.context.check_lost()?;
            if !matches!(mapped, Some(Ok(()))) {
                return Err(Error::DeviceLost("a buffer could not be mapped".into()));
            }
        }
        Ok(())
    }

    fn outputs(&self) -> Result<Vec<Tensor>> {
        self.program.plan.graph.outputs().iter().map(|&value| self.on_host(value)).collect()
    }
}

pub(super) fn map(buffer: &wgpu::Buffer, mode: wgpu::MapMode) -> Mapping {
    let (sender, receiver) = oneshot_channel();
    buffer.map_async(mode, .., move |result| {
        // The receiver is gone only when the run was dropped: nobody wants the answer.
        let _ = sender.send(result);
    });
    receiver
}

/// Writes a tensor into a staging buffer that is mapped, and unmaps it.
fn fill(staging: &wgpu::Buffer, data: DataRef<'_>) -> Result<()> {
    let mut view =
        staging.get_mapped_range_mut(..).map_err(|error| Error::Gpu { during: "uploading".into(), message: error.to_string() })?;
    for_each_piece(data, PIECE_BYTES, |offset, bytes| {
        view.slice(offset..offset + bytes.len()).copy_from_slice(bytes);
        Ok(())
    })?;
    drop(view);
    staging.unmap();
    Ok(())
}

pub(super) fn read<T>(buffer: &wgpu::Buffer, use_bytes: impl FnOnce(&[u8]) -> T) -> Result<T> {
    let value = match buffer.get_mapped_range(..) {
        Ok(range) => use_bytes(&range),
        Err(error) => return Err(Error::Gpu { during: "reading back".into(), message: error.to_string() }),
    };
    buffer.unmap();
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::weights::WeightStore;
    use super::*;
    use crate::graph::{GraphBuilder, InputSpec, Specialized, TensorType};
    use crate::ops::{Cast, Gemm, Unary};
    use crate::plan::{LowerOptions, Pace, lower};
    use crate::{CacheFolder, DType, Device, DeviceOptions};

    /// Five matrix products with a node on the CPU between the third and the fourth.
    fn program(context: &Context) -> Program {
        let mut b = GraphBuilder::new("products");
        let mut value = b.input("x", DType::F32, [5, 33]);
        let w = b.constant("w", Tensor::of([33, 33], (0..33 * 33).map(|i| ((i * 7919) % 101) as f32 / 500.0 - 0.1).collect()));
        for index in 0..5 {
            value = b.node(format!("product {index}"), Gemm::default(), &[value, w]).unwrap();
            if index == 2 {
                let wide = b.node("wide", Cast { to: DType::F64 }, &[value]).unwrap();
                let exp = b.node("exp", Unary::Exp, &[wide]).unwrap();
                value = b.node("narrow", Cast { to: DType::F32 }, &[exp]).unwrap();
            }
        }
        b.output("y", value);
        let spec = InputSpec { ty: TensorType::new(DType::F32, [5, 33]), value: None };
        let Specialized::Graph(graph) = b.finish().unwrap().specialize(&[spec]).unwrap() else { panic!("no values are needed") };
        let plan = lower(graph, Some(context.capabilities()), &LowerOptions::default()).unwrap();
        Program::new(context, Arc::new(plan), &WeightStore::default(), true).unwrap()
    }

    #[test]
    fn runs_cut_into_submissions_give_the_same() {
        let device = Device::from_name(&std::env::var("MACULA_DEVICE").unwrap_or_else(|_| "gpu".into())).expect("run tools/test.sh");
        let (device, queue) = device.wgpu().expect("a GPU has a device");
        let mut context = Context::share(device.clone(), queue.clone(), &DeviceOptions::new().cache(CacheFolder::Off)).unwrap();
        let x = Tensor::of([5, 33], (0..165).map(|i| (i as f32 * 0.37).sin()).collect());
        let product = 2.0 * 5.0 * 33.0 * 33.0;
        let mut first = None;
        for (products, submissions) in [(None, 2), (Some(1.5), 5), (Some(2.5), 3), (Some(100.0), 2)] {
            context.pace = products.map(|products| Pace { flops: 2.0 * products * product, bytes: f64::INFINITY });
            let program = program(&context);
            for wait in [Wait::Here, Wait::InBackground] {
                let before = context.statistics().submissions;
                let y = pollster::block_on(program.run(&context, &[x.view()], wait, None)).unwrap();
                // One more looks at the guards.
                assert_eq!(context.statistics().submissions - before, submissions + 1, "{products:?}");
                assert_eq!(y, *first.get_or_insert(y.clone()));
            }
        }
    }
}
