//! Compiling ahead of Mesa's software driver, on a second device.
//!
//! llvmpipe compiles a pipeline at its first dispatch, one after another on the one thread of the device's queue, and looks into its cache
//! on disk before. So a second device compiles the same pipelines from the last one on while the first one runs the network; where they
//! meet, the rest comes from the cache. Without that cache (`MESA_SHADER_CACHE_DISABLE`) the second device works in vain.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::context::{Context, poll, scoped};
use super::pipelines::create;
use crate::error::{Error, Result};
use crate::plan::{Binding, Dispatch, Variant};

/// From how many new pipelines on a second device is worth opening.
const ENOUGH: usize = 4;

/// What every binding holds: more than any kernel's parameters.
const BYTES: u64 = 1024;

/// The work of the second device, which ends early once this is dropped.
pub(super) struct Precompiler {
    stop: Arc<AtomicBool>,
    /// Gives how many pipelines were compiled.
    thread: Option<JoinHandle<Result<usize>>>,
}

/// Whether a driver compiles as llvmpipe does, and a processor is free to help it.
pub(super) fn helps(adapter: &wgpu::Adapter) -> bool {
    adapter.get_info().driver == "llvmpipe" && thread::available_parallelism().is_ok_and(|threads| threads.get() > 1)
}

impl Precompiler {
    /// Begins where `dispatches` need enough pipelines that the context lacks.
    pub fn start<'a>(context: &Context, dispatches: impl Iterator<Item = &'a Dispatch<Binding>>) -> Option<Self> {
        let adapter = context.compiler.clone()?;
        let mut seen = HashSet::new();
        let mut variants: Vec<(Variant, Vec<u8>)> = dispatches
            .filter(|dispatch| !context.knows(&dispatch.variant) && seen.insert(&dispatch.variant))
            .map(|dispatch| (dispatch.variant.clone(), dispatch.params.clone()))
            .collect();
        if variants.len() < ENOUGH {
            return None;
        }
        variants.reverse();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let timeout = context.timeout;
        let thread = thread::spawn(move || {
            let compiled = compile_all(&adapter, &variants, &stopped, timeout);
            compiled.inspect_err(|error| log::warn!("compiling ahead: {error}"))
        });
        Some(Self { stop, thread: Some(thread) })
    }

    /// Ends after the pipeline at hand: a run has needed them all.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Drop for Precompiler {
    fn drop(&mut self) {
        self.stop();
        // A driver does not bear that the process ends while it compiles.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn compile_all(adapter: &wgpu::Adapter, variants: &[(Variant, Vec<u8>)], stop: &AtomicBool, timeout: Duration) -> Result<usize> {
    let opened = pollster::block_on(adapter.request_device(&super::context::descriptor(adapter)));
    let (device, queue) = opened.map_err(|error| Error::Device(format!("a second device is refused: {error}")))?;
    let running = variants.iter().take_while(|_| !stop.load(Ordering::Relaxed));
    running.map(|(variant, params)| compile(&device, &queue, variant, params, timeout)).try_fold(0, |count, done| done.map(|()| count + 1))
}

/// Dispatches no workgroup of a variant, which compiles it.
fn compile(device: &wgpu::Device, queue: &wgpu::Queue, variant: &Variant, params: &[u8], timeout: Duration) -> Result<()> {
    let during = format!("compiling kernel `{variant}` ahead");
    let submission = scoped(device, &during, || {
        let (pipeline, layout) = create(device, variant, None);
        let buffer = |usage| device.create_buffer(&wgpu::BufferDescriptor { label: None, size: BYTES, usage, mapped_at_creation: false });
        let mut buffers = vec![buffer(wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST)];
        buffers.extend(variant.kernel.storage().iter().map(|_| buffer(wgpu::BufferUsages::STORAGE)));
        // llvmpipe compiles another kernel where folding other parameters into it would shorten it much.
        queue.write_buffer(&buffers[0], 0, params);
        let entries: Vec<_> =
            (0..).zip(&buffers).map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() }).collect();
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &entries });
        let mut encoder = device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(0, 1, 1);
        drop(pass);
        queue.submit([encoder.finish()])
    })?;
    poll(device, submission, timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{GraphBuilder, InputSpec, Specialized, TensorType};
    use crate::ops::{Gemm, Unary};
    use crate::plan::{LowerOptions, Plan, lower};
    use crate::{CacheFolder, DType, Device, DeviceOptions, Tensor};

    use super::super::program::dispatches;

    /// A network of so many kernels, five at most.
    fn plan(context: &Context, count: usize) -> Plan {
        let mut b = GraphBuilder::new("kernels");
        let x = b.input("x", DType::F32, [5, 33]);
        let w = b.constant("w", Tensor::of([33, 33], (0..33 * 33).map(|i| ((i * 7919) % 101) as f32 / 500.0 - 0.1).collect()));
        let mut values = vec![
            b.node("product", Gemm::default(), &[x, w]).unwrap(),
            b.node("exp", Unary::Exp, &[x]).unwrap(),
            b.node("sin", Unary::Sin, &[x]).unwrap(),
            b.node("cos", Unary::Cos, &[x]).unwrap(),
            b.node("tan", Unary::Tan, &[x]).unwrap(),
        ];
        values.truncate(count);
        for (index, value) in values.into_iter().enumerate() {
            b.output(format!("y{index}"), value);
        }
        let spec = InputSpec { ty: TensorType::new(DType::F32, [5, 33]), value: None };
        let Specialized::Graph(graph) = b.finish().unwrap().specialize(&[spec]).unwrap() else { panic!("no values are needed") };
        lower(graph, Some(context.capabilities()), &LowerOptions::default()).unwrap()
    }

    #[test]
    fn every_pipeline_is_compiled_once_and_the_rest_is_left() {
        let name = std::env::var("MACULA_DEVICE").unwrap_or_else(|_| "gpu".into());
        let device = Device::from_name_with(&name, &DeviceOptions::new().cache(CacheFolder::Off)).expect("run tools/test.sh");
        let context = device.context().expect("a GPU has a context");
        assert!(context.compiler.is_some() || !device.info().driver.starts_with("llvmpipe"), "{}", device.info().driver);
        let few = plan(context, ENOUGH - 1);
        assert!(Precompiler::start(context, dispatches(&few)).is_none());
        let many = plan(context, ENOUGH + 1);
        let variants: Vec<_> = dispatches(&many).map(|dispatch| &dispatch.variant).collect();
        if let Some(mut ahead) = Precompiler::start(context, dispatches(&many)) {
            assert_eq!(ahead.thread.take().unwrap().join().unwrap().unwrap(), variants.len());
        }
        context.pipelines(&variants).unwrap();
        assert!(Precompiler::start(context, dispatches(&many)).is_none(), "the context has them all");
    }
}
