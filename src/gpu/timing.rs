//! The time that a program takes on the GPU alone, all of it and dispatch by dispatch.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::arena::Arena;
use super::context::Context;
use super::execute::{map, read};
use super::program::{Program, dispatches};
use crate::error::Result;

/// Dispatches whose timestamps one query set holds.
const MOST_TIMED: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

impl Program {
    /// Submits all dispatches so many times over, on what the last run left in its buffers, and waits.
    pub fn time(&self, context: &Context, repeats: usize) -> Result<Duration> {
        let arena = self.acquire(context)?;
        let commands = context.scoped("encoding runs to be timed", || {
            let mut encoder = context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("macula") });
            for _ in 0..repeats {
                self.record(&mut encoder, &arena, 0..arena.bind_groups.len());
            }
            encoder.finish()
        })?;
        let start = Instant::now();
        let submission = context.scoped("submitting", || context.submit(commands))?;
        context.wait(submission)?;
        let time = start.elapsed();
        arena.give_back();
        Ok(time)
    }

    /// Whether the GPU can say how long a dispatch takes.
    pub fn has_timestamps(context: &Context) -> bool {
        context.device.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// How long each dispatch takes, on what the last run left in its buffers: by timestamps around a pass of its own, or where the
    /// adapter has none, by a submission of its own.
    pub fn time_each(&self, context: &Context) -> Result<Vec<Duration>> {
        let arena = self.acquire(context)?;
        let count = arena.bind_groups.len();
        let mut times = Vec::with_capacity(count);
        while times.len() < count {
            let first = times.len();
            if Self::has_timestamps(context) {
                // A submission ends where a watchdog would look, and where the query set is full.
                let ends = |at: &usize| self.submits_after(*at);
                let end = (first + 1..count).find(ends).unwrap_or(count).min(first + MOST_TIMED);
                times.extend(self.timestamps(context, &arena, first..end)?);
            } else {
                times.push(self.alone(context, &arena, first)?);
            }
        }
        arena.give_back();
        Ok(times)
    }

    /// One dispatch in a submission of its own.
    fn alone(&self, context: &Context, arena: &Arena, dispatch: usize) -> Result<Duration> {
        let commands = context.scoped("encoding a dispatch to be timed", || {
            let mut encoder = context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("macula") });
            self.record(&mut encoder, arena, dispatch..dispatch + 1);
            encoder.finish()
        })?;
        let start = Instant::now();
        let submission = context.scoped("submitting", || context.submit(commands))?;
        context.wait(submission)?;
        Ok(start.elapsed())
    }

    fn timestamps(&self, context: &Context, arena: &Arena, range: Range<usize>) -> Result<Vec<Duration>> {
        let count = 2 * range.len() as u32;
        let bytes = u64::from(count) * size_of::<u64>() as u64;
        let (staging, submission) = context.scoped("timing dispatches", || {
            let device = &context.device;
            let descriptor = wgpu::QuerySetDescriptor { label: Some("macula timestamps"), ty: wgpu::QueryType::Timestamp, count };
            let queries = device.create_query_set(&descriptor);
            let buffer = |usage| {
                device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("macula timestamps"),
                    size: bytes,
                    usage,
                    mapped_at_creation: false,
                })
            };
            let resolved = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
            let staging = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("macula") });
            for (at, dispatch) in dispatches(&self.plan).enumerate().skip(range.start).take(range.len()) {
                let first = 2 * (at - range.start) as u32;
                let timestamp_writes = Some(wgpu::ComputePassTimestampWrites {
                    query_set: &queries,
                    beginning_of_pass_write_index: Some(first),
                    end_of_pass_write_index: Some(first + 1),
                });
                let mut pass = encoder
                    .begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(dispatch.variant.kernel.name), timestamp_writes });
                self.dispatch(&mut pass, arena, at, dispatch);
            }
            encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
            encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, bytes);
            let submission = context.submit(encoder.finish());
            (staging, submission)
        })?;
        let _mapping = map(&staging, wgpu::MapMode::Read);
        context.wait(submission)?;
        let ticks: Vec<u64> = read(&staging, bytemuck::pod_collect_to_vec)?;
        let period = f64::from(context.queue.get_timestamp_period());
        // Clocks of some devices go backwards now and then.
        let elapsed = |pair: &[u64]| Duration::from_nanos((pair[1].saturating_sub(pair[0]) as f64 * period) as u64);
        Ok(ticks.chunks_exact(2).map(elapsed).collect())
    }
}
