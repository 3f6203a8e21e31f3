//! Compute pipelines, compiled once per variant and shared by all programs of a context.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::context::Context;
use crate::error::Result;
use crate::plan::{Access, Variant};

/// A compiled variant.
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// The pipelines of a context: a slot for each variant, locked while it is compiled so that nobody else compiles it too.
#[derive(Default)]
pub(super) struct Pipelines {
    slots: Mutex<HashMap<Variant, Arc<Slot>>>,
}

type Slot = Mutex<Option<Arc<Pipeline>>>;

impl Context {
    /// Compiles whatever of `variants` is not compiled yet, in parallel, and returns all of them in order.
    pub(super) fn pipelines(&self, variants: &[&Variant]) -> Result<Vec<Arc<Pipeline>>> {
        let mut slots = HashMap::new();
        {
            let mut known = self.pipelines.slots.lock().unwrap_or_else(PoisonError::into_inner);
            for &variant in variants {
                slots.entry(variant).or_insert_with(|| known.entry(variant.clone()).or_default().clone());
            }
        }
        let pipelines: HashMap<&Variant, Arc<Pipeline>> =
            slots.into_par_iter().map(|(variant, slot)| Ok((variant, self.pipeline(variant, &slot)?))).collect::<Result<_>>()?;
        Ok(variants.iter().map(|variant| pipelines[variant].clone()).collect())
    }

    /// The pipeline of a slot, compiled where it is not yet; after an error the next who asks tries again.
    fn pipeline(&self, variant: &Variant, slot: &Slot) -> Result<Arc<Pipeline>> {
        // No work is handed to other threads under this lock, so whoever waits for it waits for a compiler only.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = &*slot {
            return Ok(pipeline.clone());
        }
        let pipeline = Arc::new(self.compile(variant)?);
        *slot = Some(pipeline.clone());
        Ok(pipeline)
    }

    fn compile(&self, variant: &Variant) -> Result<Pipeline> {
        let (kernel, device) = (variant.kernel, &self.device);
        self.scoped(&format!("compiling kernel `{variant}`"), || {
            let descriptor =
                wgpu::ShaderModuleDescriptor { label: Some(kernel.name), source: wgpu::ShaderSource::Wgsl(variant.source().into()) };
            // SAFETY: the kernels are this crate's own; tests prove on every variant that their loops end and that they stay
            // inside their bindings, which is what the checks switched off here would enforce at a cost on every access.
            let module = unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) };
            let uniform = (0, wgpu::BufferBindingType::Uniform);
            let storage = kernel
                .storage()
                .into_iter()
                .enumerate()
                .map(|(i, access)| (i as u32 + 1, wgpu::BufferBindingType::Storage { read_only: access == Access::Read }));
            let entries: Vec<_> = std::iter::once(uniform)
                .chain(storage)
                .map(|(binding, ty)| wgpu::BindGroupLayoutEntry {
                    binding,
                    visibility: wgpu::ShaderStages::COMPUTE,
                    ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
                    count: None,
                })
                .collect();
            let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(kernel.name), entries: &entries });
            let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(kernel.name),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            let pipeline = self.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(kernel.name),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &variant.constants(),
                    zero_initialize_workgroup_memory: false,
                },
                cache: None,
            });
            Pipeline { pipeline, layout }
        })
    }
}
