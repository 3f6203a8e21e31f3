//! Running a program: uploads, one compute pass per submission, host nodes in between, downloads.

use std::collections::HashMap;
use std::ops::Range;

use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};

use super::context::Context;
use super::program::{Arena, GUARD_BYTES, POISON, Program, dispatches};
use super::transfer::{from_device, to_device};
use crate::cpu;
use crate::error::{Error, Result};
use crate::graph::{NodeId, ValueId};
use crate::plan::{Place, Step};
use crate::tensor::{Tensor, TensorView};

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

type Mapping = OneshotReceiver<Result<(), wgpu::BufferAsyncError>>;

impl Program {
    /// Runs on `inputs`, in the order of the graph's, and returns the graph's outputs.
    pub async fn run(
        &self,
        context: &Context,
        inputs: &[TensorView<'_>],
        wait: Wait,
        trace: Option<&mut Trace<'_>>,
    ) -> Result<Vec<Tensor>> {
        let mut run = Run { context, program: self, arena: self.acquire(context)?, inputs, host: HashMap::new(), pending: 0..0, wait };
        if self.debug_memory {
            run.poison()?;
        }
        run.steps(trace).await?;
        if self.debug_memory {
            run.check_guards().await?;
        }
        let outputs = run.outputs()?;
        self.release(run.arena);
        Ok(outputs)
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

    fn record(&self, encoder: &mut wgpu::CommandEncoder, arena: &Arena, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("macula"), timestamp_writes: None });
        for (index, dispatch) in dispatches(&self.plan).enumerate().skip(range.start).take(range.len()) {
            pass.set_pipeline(&self.pipelines[index].pipeline);
            pass.set_bind_group(0, &arena.bind_groups[index], &[]);
            let [x, y, z] = dispatch.workgroups;
            pass.dispatch_workgroups(x, y, z);
        }
    }
}

struct Run<'a> {
    context: &'a Context,
    program: &'a Program,
    arena: Arena,
    inputs: &'a [TensorView<'a>],
    host: HashMap<ValueId, Tensor>,
    /// Dispatches counted but not submitted yet.
    pending: Range<usize>,
    wait: Wait,
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
                    }
                }
                Step::Upload { value } => {
                    // A write lands before everything of the next submission, so what is recorded so far goes first.
                    if !self.pending.is_empty() {
                        self.submit(&[])?;
                    }
                    self.upload(*value)?;
                }
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
                    let outputs = cpu::run_node(graph, *node, &inputs)?;
                    for (id, tensor) in graph.node(*node).outputs.iter().zip(&outputs) {
                        self.host.extend(id.map(|id| (id, tensor.clone())));
                    }
                    if let Some(trace) = &mut trace {
                        trace(*node, outputs.into_iter().map(Some).collect());
                    }
                }
            }
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

    fn upload(&self, value: ValueId) -> Result<()> {
        let Some(Place::Buffer { buffer, offset }) = self.program.plan.places[value.index()] else { return Ok(()) };
        let target = &self.arena.buffers[buffer];
        let write = |bytes: &[u8]| self.context.scoped("uploading", || self.context.queue.write_buffer(target, offset, bytes));
        match self.program.plan.graph.inputs().iter().position(|id| *id == value) {
            Some(at) => write(&to_device(self.inputs[at].data_ref())),
            None => write(&to_device(self.on_host(value)?.data_ref())),
        }
    }

    /// Submits what is pending, and copies of `values` to staging buffers after it.
    fn submit(&mut self, values: &[ValueId]) -> Result<wgpu::SubmissionIndex> {
        let Self { context, program, arena, pending, .. } = self;
        for value in values {
            if !arena.staging.contains_key(value) {
                let size = program.plan.device_bytes(*value);
                let buffer = context.scoped("allocating a staging buffer", || {
                    context.device.create_buffer(&wgpu::BufferDescriptor {
                        label: Some("macula staging"),
                        size,
                        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                        mapped_at_creation: false,
                    })
                })?;
                arena.staging.insert(*value, buffer);
            }
        }
        let range = std::mem::replace(pending, pending.end..pending.end);
        context.scoped("submitting", || {
            let mut encoder = context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("macula") });
            program.record(&mut encoder, arena, range);
            for value in values {
                let Some((source, offset)) = program.source(arena, *value) else { continue };
                encoder.copy_buffer_to_buffer(source, offset, &arena.staging[value], 0, program.plan.device_bytes(*value));
            }
            context.queue.submit([encoder.finish()])
        })
    }

    async fn download(&mut self, values: &[ValueId]) -> Result<Vec<Tensor>> {
        let submission = self.submit(values)?;
        let mappings: Vec<Mapping> = values.iter().map(|value| map(&self.arena.staging[value])).collect();
        self.settle(submission, mappings).await?;
        let mut tensors = Vec::with_capacity(values.len());
        for value in values {
            let (staging, ty) = (&self.arena.staging[value], self.program.plan.tensor_type(*value));
            tensors.push(read(staging, |bytes| from_device(bytes, ty.dtype, &ty.shape))?);
        }
        Ok(tensors)
    }

    /// Waits until a submission's buffers are mapped.
    async fn settle(&self, submission: wgpu::SubmissionIndex, mappings: Vec<Mapping>) -> Result<()> {
        match self.wait {
            Wait::Here => self.context.wait(submission)?,
            Wait::InBackground => self.context.wait_in_background(submission),
        }
        for mapping in mappings {
            let mapped = mapping.receive().await;
            self.context.check_lost()?;
            if !matches!(mapped, Some(Ok(()))) {
                return Err(Error::DeviceLost("a buffer could not be read back".into()));
            }
        }
        Ok(())
    }

    fn outputs(&self) -> Result<Vec<Tensor>> {
        self.program.plan.graph.outputs().iter().map(|&value| self.on_host(value)).collect()
    }

    fn poison(&self) -> Result<()> {
        self.context.scoped("poisoning buffers", || {
            for buffer in &self.arena.buffers {
                let words = vec![POISON; (buffer.size() / 4) as usize];
                self.context.queue.write_buffer(buffer, 0, bytemuck::cast_slice(&words));
            }
        })
    }

    /// That no kernel wrote past the end of a buffer.
    async fn check_guards(&self) -> Result<()> {
        let (buffers, device) = (&self.arena.buffers, &self.context.device);
        if buffers.is_empty() {
            return Ok(());
        }
        let (staging, submission) = self.context.scoped("checking guards", || {
            let staging = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("macula guards"),
                size: buffers.len() as u64 * GUARD_BYTES,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let mut encoder = device.create_command_encoder(&Default::default());
            for (i, buffer) in buffers.iter().enumerate() {
                encoder.copy_buffer_to_buffer(buffer, buffer.size() - GUARD_BYTES, &staging, i as u64 * GUARD_BYTES, GUARD_BYTES);
            }
            let submission = self.context.queue.submit([encoder.finish()]);
            (staging, submission)
        })?;
        self.settle(submission, vec![map(&staging)]).await?;
        let intact = read(&staging, |bytes| bytemuck::pod_collect_to_vec::<u8, u32>(bytes).iter().all(|&word| word == POISON))?;
        if intact {
            return Ok(());
        }
        Err(Error::Gpu { during: "a run with memory checks".into(), message: "a kernel wrote past the end of a buffer".into() })
    }
}

fn map(buffer: &wgpu::Buffer) -> Mapping {
    let (sender, receiver) = oneshot_channel();
    buffer.map_async(wgpu::MapMode::Read, .., move |result| {
        // The receiver is gone only when the run was dropped: nobody wants the answer.
        let _ = sender.send(result);
    });
    receiver
}

fn read<T>(buffer: &wgpu::Buffer, use_bytes: impl FnOnce(&[u8]) -> T) -> Result<T> {
    let value = match buffer.get_mapped_range(..) {
        Ok(range) => use_bytes(&range),
        Err(error) => return Err(Error::Gpu { during: "reading back".into(), message: error.to_string() }),
    };
    buffer.unmap();
    Ok(value)
}
