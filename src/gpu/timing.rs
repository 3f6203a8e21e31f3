//! The time that a program takes on the GPU alone.

use std::time::{Duration, Instant};

use super::context::Context;
use super::program::Program;
use crate::error::Result;

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
}
