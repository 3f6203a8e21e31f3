//! What a device can do at most: multiply-adds and bytes a second, measured on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::context::Context;
use super::pipelines::Pipeline;
use crate::error::Result;
use crate::plan::roofline::{COPY, CopyParams, MULTIPLY_ADD, MULTIPLY_ADDS, MultiplyAddParams};
use crate::plan::{Kernel, Variant, WORKGROUP_SIZE, workgroups_1d};

/// What a device reaches at most in `f32`, for the share that a kernel reaches of it.
/// Source: S. Williams, A. Waterman, D. Patterson, Roofline, CACM 52 (2009).
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct Roofline {
    /// Multiply-adds in `f32` on numbers in registers, 10⁹ operations a second; one multiply-add is two.
    pub gflops: f64,
    /// A copy in vectors of four between buffers that outgrow the caches, 10⁹ bytes a second, read and written bytes together.
    pub gigabytes: f64,
    /// What one more dispatch in a pass costs at least; zero on the CPU device.
    pub launch: Duration,
    /// Whether an earlier program measured it and the device's [`CacheFolder`](crate::CacheFolder) kept it.
    pub kept: bool,
}

/// A measurement takes at least so long, which dwarfs a submission, and the fastest of so many counts.
const AT_LEAST: Duration = Duration::from_millis(20);
const MEASUREMENTS: usize = 5;

/// Invocations of the multiply-add kernel: enough to fill the widest GPU.
const INVOCATIONS: usize = 1 << 20;
/// Rounds of one dispatch; software devices end loops at 65,535 iterations, and a watchdog looks on elsewhere.
const MOST_ROUNDS: u32 = 256;
/// The bytes of each buffer of the copy: past any cache, within the largest binding that every device has.
const COPIED_BYTES: u64 = 128 << 20;

/// One kernel on buffers of its own.
struct Bench<'a> {
    context: &'a Context,
    pipeline: Arc<Pipeline>,
    buffers: Vec<wgpu::Buffer>,
    workgroups: [u32; 3],
}

impl Context {
    /// Measures the roofs, and has the device know them; takes a fraction of a second.
    pub fn measure_roofline(&self) -> Result<Roofline> {
        let roofline = Roofline { gflops: self.multiply_adds()?, gigabytes: self.copied()?, launch: self.launched()?, kept: false };
        self.roofline.learn(roofline);
        Ok(roofline)
    }

    fn launched(&self) -> Result<Duration> {
        let bench = Bench::new(self, &COPY, 1, &[64, 64])?;
        let params = CopyParams { vectors: 1 };
        bench.time(&params, 1)?;
        Ok(Duration::from_secs_f64(bench.fastest(&params)?))
    }

    fn multiply_adds(&self) -> Result<f64> {
        let bench = Bench::new(self, &MULTIPLY_ADD, INVOCATIONS, &[16 * INVOCATIONS as u64])?;
        let params = |rounds| MultiplyAddParams { rounds, scale: 0.75, offset: 0.5 };
        // The first dispatch of a pipeline may compile it.
        bench.time(&params(1), 1)?;
        let mut rounds = 1;
        while rounds < MOST_ROUNDS && bench.time(&params(rounds), 1)? < AT_LEAST {
            rounds *= 2;
        }
        let seconds = bench.fastest(&params(rounds))?;
        Ok(2.0 * (INVOCATIONS * MULTIPLY_ADDS) as f64 * f64::from(rounds) / seconds * 1e-9)
    }

    fn copied(&self) -> Result<f64> {
        let bytes = COPIED_BYTES.min(self.capabilities.max_binding);
        let vectors = bytes / 16;
        let bench = Bench::new(self, &COPY, vectors as usize, &[bytes, bytes])?;
        let params = CopyParams { vectors: vectors as u32 };
        bench.time(&params, 1)?;
        let seconds = bench.fastest(&params)?;
        Ok(2.0 * bytes as f64 / seconds * 1e-9)
    }
}

impl<'a> Bench<'a> {
    fn new(context: &'a Context, kernel: &'static Kernel, invocations: usize, bytes: &[u64]) -> Result<Self> {
        let variant = Variant::new(kernel, vec![], None, vec![WORKGROUP_SIZE]);
        let pipeline = context.pipelines(&[&variant])?.remove(0);
        let workgroups = workgroups_1d(invocations, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups)
            .expect("what is measured fits the least of devices");
        let buffers = context.scoped("allocating buffers to measure the device on", || {
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
            let create =
                |&size| context.create_buffer(&wgpu::BufferDescriptor { label: Some(kernel.name), size, usage, mapped_at_creation: false });
            bytes.iter().map(create).collect()
        })?;
        Ok(Self { context, pipeline, buffers, workgroups })
    }

    /// The seconds of one dispatch: of so many in one submission that it takes a while, the fastest of some.
    fn fastest(&self, params: &impl bytemuck::Pod) -> Result<f64> {
        let mut repeats = 1;
        let mut fastest = self.time(params, repeats)?;
        while fastest < AT_LEAST {
            repeats *= 2;
            fastest = self.time(params, repeats)?;
        }
        for _ in 1..MEASUREMENTS {
            fastest = fastest.min(self.time(params, repeats)?);
        }
        Ok(fastest.as_secs_f64() / f64::from(repeats))
    }

    /// How long one submission of so many dispatches takes.
    fn time(&self, params: &impl bytemuck::Pod, repeats: u32) -> Result<Duration> {
        let context = self.context;
        let commands = context.scoped("measuring the device", || {
            let mut bytes = bytemuck::bytes_of(params).to_vec();
            bytes.resize(bytes.len().next_multiple_of(16), 0);
            let uniform = context.create_buffer(&wgpu::BufferDescriptor {
                label: Some("macula params"),
                size: bytes.len() as u64,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            context.queue.write_buffer(&uniform, 0, &bytes);
            let entries: Vec<_> = std::iter::once(&uniform)
                .chain(&self.buffers)
                .enumerate()
                .map(|(binding, buffer)| wgpu::BindGroupEntry { binding: binding as u32, resource: buffer.as_entire_binding() })
                .collect();
            let descriptor = wgpu::BindGroupDescriptor { label: Some("macula roofline"), layout: &self.pipeline.layout, entries: &entries };
            let group = context.create_bind_group(&descriptor);
            let mut encoder = context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("macula roofline") });
            {
                let mut pass =
                    encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("macula roofline"), timestamp_writes: None });
                pass.set_pipeline(&self.pipeline.pipeline);
                pass.set_bind_group(0, &group, &[]);
                let [x, y, z] = self.workgroups;
                for _ in 0..repeats {
                    pass.dispatch_workgroups(x, y, z);
                }
            }
            encoder.finish()
        })?;
        let start = Instant::now();
        let submission = context.submit(commands);
        context.wait(submission)?;
        Ok(start.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CacheFolder, Device, DeviceOptions};

    fn device() -> Device {
        let name = std::env::var("MACULA_DEVICE").unwrap_or_else(|_| "gpu".into());
        Device::from_name_with(&name, &DeviceOptions::new().cache(CacheFolder::Off)).expect("run tools/test.sh")
    }

    impl Bench<'_> {
        fn read(&self, buffer: usize) -> Vec<f32> {
            let source = &self.buffers[buffer];
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            let device = &self.context.device;
            let staging =
                device.create_buffer(&wgpu::BufferDescriptor { label: None, size: source.size(), usage, mapped_at_creation: false });
            let mut encoder = device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(source, 0, &staging, 0, source.size());
            let submission = self.context.submit(encoder.finish());
            let _mapping = super::super::execute::map(&staging, wgpu::MapMode::Read);
            self.context.wait(submission).unwrap();
            super::super::execute::read(&staging, bytemuck::pod_collect_to_vec).unwrap()
        }
    }

    #[test]
    fn every_multiply_add_is_done() {
        let device = device();
        let bench = Bench::new(device.context().unwrap(), &MULTIPLY_ADD, 640, &[16 * 640]).unwrap();
        for (rounds, scale) in [(1, 1.0), (3, 1.0), (2, 0.5)] {
            bench.time(&MultiplyAddParams { rounds, scale, offset: 1.0 }, 1).unwrap();
            let expected = |i: usize| (0..32 * rounds).fold((i % 4) as f32, |v, _| v.mul_add(scale, 1.0));
            for (at, value) in bench.read(0).into_iter().enumerate() {
                assert_eq!(value, expected(at / 4), "element {at}, {rounds} rounds");
            }
        }
    }

    #[test]
    fn every_byte_is_copied() {
        let device = device();
        let context = device.context().unwrap();
        let (vectors, padding) = (321, 16);
        let bytes = (vectors + padding) as u64 * 16;
        let bench = Bench::new(context, &COPY, vectors, &[bytes, bytes]).unwrap();
        let x: Vec<f32> = (1..=4 * (vectors + padding)).map(|i| i as f32).collect();
        context.queue.write_buffer(&bench.buffers[0], 0, bytemuck::cast_slice(&x));
        bench.time(&CopyParams { vectors: vectors as u32 }, 3).unwrap();
        let y = bench.read(1);
        assert_eq!(y[..4 * vectors], x[..4 * vectors]);
        assert!(y[4 * vectors..].iter().all(|v| *v == 0.0), "nothing is written past the last vector");
    }

    #[test]
    fn roofs_are_measured_once() {
        let device = device();
        let roofline = device.measure_roofline().unwrap();
        assert!(roofline.gflops > 0.1 && roofline.gflops < 1e6, "{roofline:?}");
        assert!(roofline.gigabytes > 0.1 && roofline.gigabytes < 1e5, "{roofline:?}");
        assert!(roofline.launch > Duration::ZERO && roofline.launch < Duration::from_millis(100), "{roofline:?}");
        assert_eq!(device.roofline().unwrap(), roofline, "measured once");
        let cpu = Device::cpu().roofline().unwrap();
        assert!(cpu.gflops > 0.1 && cpu.gigabytes > 0.1 && cpu.launch.is_zero(), "{cpu:?}");
        assert_eq!(Device::cpu().roofline().unwrap(), cpu);
    }
}
