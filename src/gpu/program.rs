//! A plan made ready for one context: pipelines compiled, weights and parameters uploaded, bind groups built.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::context::Context;
use super::pipelines::Pipeline;
use super::transfer::to_device;
use crate::error::Result;
use crate::graph::ValueId;
use crate::plan::{Binding, Dispatch, Packing, Plan, Step};
use crate::tensor::Tensor;

/// Words past the end of every buffer under [`Program::debug_memory`], which no kernel may touch.
pub(super) const GUARD_BYTES: u64 = 64;

/// What fills buffers under [`Program::debug_memory`]: NaN as `f32` and as `f16`.
pub(super) const POISON: u32 = 0x7FFF_7FFF;

/// Weights are submitted in pieces of this size, which bounds the staging memory they take.
const STAGING_BYTES: usize = 64 << 20;

/// The weights of a session on the GPU, shared by its programs.
#[derive(Default)]
pub(crate) struct WeightStore {
    uploaded: Mutex<HashMap<(usize, Packing), Uploaded>>,
}

/// A weight on the GPU, with its tensor, whose address is the key and so must stay taken.
struct Uploaded {
    _tensor: Tensor,
    buffer: Arc<wgpu::Buffer>,
}

/// A plan ready to run.
pub(crate) struct Program {
    pub plan: Arc<Plan>,
    pub(super) pipelines: Vec<Arc<Pipeline>>,
    params: wgpu::Buffer,
    params_at: Vec<u64>,
    weights: Vec<Arc<wgpu::Buffer>>,
    idle: Mutex<Vec<Arena>>,
    encoding: Mutex<Option<Arc<Arena>>>,
    /// Whether buffers are poisoned before every run and their guards checked after it.
    pub debug_memory: bool,
}

/// The memory of one run in flight.
pub(super) struct Arena {
    pub buffers: Vec<wgpu::Buffer>,
    pub bind_groups: Vec<wgpu::BindGroup>,
    pub staging: HashMap<ValueId, wgpu::Buffer>,
}

impl Program {
    pub fn new(context: &Context, plan: Arc<Plan>, store: &WeightStore, debug_memory: bool) -> Result<Self> {
        let dispatches: Vec<&Dispatch<Binding>> = dispatches(&plan).collect();
        let variants: Vec<_> = dispatches.iter().map(|d| &d.variant).collect();
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
            let buffer = context.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("macula params"),
                size: bytes.len().max(16) as u64,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            context.queue.write_buffer(&buffer, 0, &bytes);
            buffer
        })?;
        let weights = store.upload(context, &plan)?;
        Ok(Self { pipelines, params, params_at, weights, idle: Mutex::default(), encoding: Mutex::default(), debug_memory, plan })
    }

    /// Memory for one run: a run's that has ended, or new.
    pub(super) fn acquire(&self, context: &Context) -> Result<Arena> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| self.arena(context), Ok)
    }

    /// Gives a run's memory back. A run that failed drops it instead: nobody knows what it holds.
    pub(super) fn release(&self, arena: Arena) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(arena);
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
                    context.device.create_buffer(&wgpu::BufferDescriptor {
                        label: Some("macula activations"),
                        size: bytes + guard,
                        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                        mapped_at_creation: false,
                    })
                })
                .collect();
            let bind_groups =
                dispatches(&self.plan).enumerate().map(|(index, dispatch)| self.bind(context, &buffers, index, dispatch)).collect();
            Arena { buffers, bind_groups, staging: HashMap::new() }
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
        context.device.create_bind_group(&wgpu::BindGroupDescriptor {
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

impl WeightStore {
    fn upload(&self, context: &Context, plan: &Plan) -> Result<Vec<Arc<wgpu::Buffer>>> {
        let mut uploaded = self.uploaded.lock().unwrap_or_else(PoisonError::into_inner);
        // Tables and folded constants of shapes whose plans are gone.
        uploaded.retain(|_, weight| Arc::strong_count(&weight.buffer) > 1);
        let mut staged = 0;
        let mut buffers = Vec::with_capacity(plan.weights.len());
        for weight in &plan.weights {
            let key = (weight.tensor.identity(), weight.packing);
            if let Some(known) = uploaded.get(&key) {
                buffers.push(known.buffer.clone());
                continue;
            }
            let packed = weight.packing.apply(&weight.tensor);
            let bytes = to_device(packed.data_ref());
            let buffer = context.scoped(&format!("uploading a weight of {} bytes", bytes.len()), || {
                let buffer = context.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("macula weight"),
                    size: (bytes.len() as u64).next_multiple_of(32).max(32),
                    usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
                    mapped_at_creation: false,
                });
                context.queue.write_buffer(&buffer, 0, &bytes);
                buffer
            })?;
            staged += bytes.len();
            if staged > STAGING_BYTES {
                let submission = context.scoped("uploading weights", || context.queue.submit([]))?;
                context.wait(submission)?;
                staged = 0;
            }
            let buffer = Arc::new(buffer);
            uploaded.insert(key, Uploaded { _tensor: weight.tensor.clone(), buffer: buffer.clone() });
            buffers.push(buffer);
        }
        Ok(buffers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{GraphBuilder, InputSpec, Specialized, TensorType};
    use crate::ops::{Resize, ResizeMode};
    use crate::plan::{LowerOptions, lower};
    use crate::{DType, Device};

    /// A linear resize, whose tables of taps are made anew for every shape.
    fn plan(context: &Context, height: usize) -> Arc<Plan> {
        let mut b = GraphBuilder::new("resize");
        let x = b.input("x", DType::F32, ["N".into(), crate::Dim::from(3), "H".into(), 7.into()]);
        let scales = b.constant("scales", Tensor::vector(vec![1f32, 1.0, 1.5, 2.5]));
        let op = Resize { mode: ResizeMode::Linear, ..Resize::default() };
        let y = b.nodes("y", op, &[Some(x), None, Some(scales)], 1).unwrap()[0];
        b.output("y", y);
        let spec = InputSpec { ty: TensorType::new(DType::F32, [2, 3, height, 7]), value: None };
        let Ok(Specialized::Graph(graph)) = b.finish().unwrap().specialize(&[spec]) else { panic!("the scales are constant") };
        Arc::new(lower(graph, Some(context.capabilities()), &LowerOptions::default()).unwrap())
    }

    #[test]
    fn weights_of_dead_programs_are_dropped() {
        let device = Device::from_name(&std::env::var("MACULA_DEVICE").unwrap_or_else(|_| "gpu".into())).expect("run tools/test.sh");
        let context = device.context().expect("a GPU has a context");
        let store = WeightStore::default();
        let kept = || store.uploaded.lock().unwrap().len();
        let first = Program::new(context, plan(context, 5), &store, false).unwrap();
        let tables = kept();
        assert!(tables > 0, "a linear resize reads tables");
        let second = Program::new(context, plan(context, 9), &store, false).unwrap();
        assert_eq!(kept(), 2 * tables, "both programs are alive");
        drop((first, second));
        let _third = Program::new(context, plan(context, 11), &store, false).unwrap();
        assert_eq!(kept(), tables, "only the last one is");
    }
}
