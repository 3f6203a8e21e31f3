//! A plan made ready for one context: pipelines compiled, weights and parameters uploaded, bind groups built.

use std::sync::{Arc, Mutex, PoisonError};

use super::arena::{Arena, Lease, Pool};
use super::context::Context;
use super::guards::GUARD_BYTES;
use super::pipelines::Pipeline;
use super::precompile::Precompiler;
use super::weights::WeightStore;
use crate::error::Result;
use crate::plan::{Binding, Dispatch, Plan, Step};

/// A plan ready to run.
pub(crate) struct Program {
    pub plan: Arc<Plan>,
    pub(super) pipelines: Vec<Arc<Pipeline>>,
    params: wgpu::Buffer,
    params_at: Vec<u64>,
    weights: Vec<Arc<wgpu::Buffer>>,
    /// How many dispatches are recorded at the end of each submission.
    submissions: Vec<usize>,
    arenas: Pool<Arena>,
    encoding: Mutex<Option<Arc<Arena>>>,
    /// Until the first run.
    pub(super) precompiler: Option<Precompiler>,
    /// Whether buffers are poisoned before every run and their guards checked after it.
    pub debug_memory: bool,
}

impl Program {
    pub fn new(context: &Context, plan: Arc<Plan>, store: &WeightStore, debug_memory: bool) -> Result<Self> {
        let dispatches: Vec<&Dispatch<Binding>> = dispatches(&plan).collect();
        let variants: Vec<_> = dispatches.iter().map(|d| &d.variant).collect();
        let precompiler = Precompiler::start(context, dispatches.iter().copied());
        let pipelines = context.pipelines(&variants)?;
        let alignment = context.device.limits().min_uniform_buffer_offset_alignment as usize;
        let (mut bytes, mut params_at) = (vec![], vec![]);
        for dispatch in &dispatches {
            bytes.resize(bytes.len().next_multiple_of(alignment), 0);
            params_at.push(bytes.len() as u64);
            bytes.extend_from_slice(&dispatch.params);
            bytes.resize(bytes.len().next_multiple_of(16).max(16), 0);
        }
        let params = context.scoped("uploading parameters", || {
            let buffer = context.create_buffer(&wgpu::BufferDescriptor {
                label: Some("macula params"),
                size: bytes.len().max(16) as u64,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            context.queue.write_buffer(&buffer, 0, &bytes);
            buffer
        })?;
        let weights = store.upload(context, &plan)?;
        let submissions = plan.submissions(context.pace).into_iter().map(|dispatches| dispatches.end).collect();
        let (arenas, encoding) = (Pool::default(), Mutex::default());
        Ok(Self { precompiler, pipelines, params, params_at, weights, submissions, arenas, encoding, debug_memory, plan })
    }

    /// Memory for one run: that of a run that has ended, or new.
    pub(super) fn acquire(&self, context: &Context) -> Result<Lease<'_, Arena>> {
        self.arenas.take(|| self.arena(context))
    }

    /// Whether a submission ends after so many dispatches.
    pub(super) fn submits_after(&self, dispatches: usize) -> bool {
        self.submissions.binary_search(&dispatches).is_ok()
    }

    /// The memory that encoded runs share: the queue orders them, and no other run touches it.
    pub(super) fn encoding_arena(&self, context: &Context) -> Result<Arc<Arena>> {
        let mut encoding = self.encoding.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(arena) = &*encoding {
            return Ok(arena.clone());
        }
        let arena = Arc::new(self.arena(context)?);
        *encoding = Some(arena.clone());
        Ok(arena)
    }

    fn arena(&self, context: &Context) -> Result<Arena> {
        context.scoped(&format!("allocating {} bytes of activations", self.plan.peak_bytes()), || {
            let guard = if self.debug_memory { GUARD_BYTES } else { 0 };
            let buffers: Vec<_> = self
                .plan
                .buffers
                .iter()
                .map(|&bytes| {
                    context.create_buffer(&wgpu::BufferDescriptor {
                        label: Some("macula activations"),
                        size: bytes + guard,
                        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                        mapped_at_creation: false,
                    })
                })
                .collect();
            let bind_groups =
                dispatches(&self.plan).enumerate().map(|(index, dispatch)| self.bind(context, &buffers, index, dispatch)).collect();
            Arena::new(buffers, bind_groups)
        })
    }

    fn bind(&self, context: &Context, buffers: &[wgpu::Buffer], index: usize, dispatch: &Dispatch<Binding>) -> wgpu::BindGroup {
        let size = |bytes: u64| wgpu::BufferSize::new(bytes);
        let params = wgpu::BufferBinding {
            buffer: &self.params,
            offset: self.params_at[index],
            size: size((dispatch.params.len() as u64).next_multiple_of(16)),
        };
        let storage = dispatch.bindings.iter().map(|binding| match binding {
            Binding::Buffer { buffer, offset, bytes } => {
                wgpu::BufferBinding { buffer: &buffers[*buffer], offset: *offset, size: size(*bytes) }
            }
            Binding::Weight(weight) => self.weights[*weight].as_entire_buffer_binding(),
            Binding::Unused => context.unused.as_entire_buffer_binding(),
        });
        let entries: Vec<_> = std::iter::once(params)
            .chain(storage)
            .enumerate()
            .map(|(binding, buffer)| wgpu::BindGroupEntry { binding: binding as u32, resource: wgpu::BindingResource::Buffer(buffer) })
            .collect();
        context.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(dispatch.variant.kernel.name),
            layout: &self.pipelines[index].layout,
            entries: &entries,
        })
    }

    /// The buffer of a weight, for graph outputs that are constants.
    pub(super) fn weight(&self, index: usize) -> &wgpu::Buffer {
        &self.weights[index]
    }
}

/// The dispatches of a plan in order.
pub(super) fn dispatches(plan: &Plan) -> impl Iterator<Item = &Dispatch<Binding>> {
    plan.steps.iter().filter_map(|step| match step {
        Step::Dispatch { dispatch, .. } => Some(dispatch),
        _ => None,
    })
}
