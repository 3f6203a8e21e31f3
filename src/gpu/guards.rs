//! The checks of [`Program::debug_memory`](super::Program): buffers start poisoned, and nobody writes past their ends.

use super::execute::{Run, map, read};
use crate::error::{Error, Result};

/// Bytes past the end of every checked buffer, which no kernel may touch.
pub(super) const GUARD_BYTES: u64 = 64;

/// What fills checked buffers: NaN as `f32` and as `f16`.
const POISON: u32 = 0x7FFF_7FFF;

impl Run<'_> {
    pub(super) fn poison(&self) -> Result<()> {
        self.context.scoped("poisoning buffers", || {
            for buffer in &self.arena.buffers {
                let words = vec![POISON; (buffer.size() / 4) as usize];
                self.context.queue.write_buffer(buffer, 0, bytemuck::cast_slice(&words));
            }
        })
    }

    /// That no kernel wrote past the end of a buffer.
    pub(super) async fn check_guards(&self) -> Result<()> {
        let (buffers, device) = (&self.arena.buffers, &self.context.device);
        if buffers.is_empty() {
            return Ok(());
        }
        let (staging, submission) = self.context.scoped("checking guards", || {
            let staging = self.context.create_buffer(&wgpu::BufferDescriptor {
                label: Some("macula guards"),
                size: buffers.len() as u64 * GUARD_BYTES,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let mut encoder = device.create_command_encoder(&Default::default());
            for (i, buffer) in buffers.iter().enumerate() {
                encoder.copy_buffer_to_buffer(buffer, buffer.size() - GUARD_BYTES, &staging, i as u64 * GUARD_BYTES, GUARD_BYTES);
            }
            let submission = self.context.submit(encoder.finish());
            (staging, submission)
        })?;
        self.settle(submission, vec![map(&staging, wgpu::MapMode::Read)]).await?;
        let intact = read(&staging, |bytes| bytemuck::pod_collect_to_vec::<u8, u32>(bytes).iter().all(|&word| word == POISON))?;
        if intact {
            return Ok(());
        }
        Err(Error::Gpu { during: "a run with memory checks".into(), message: "a kernel wrote past the end of a buffer".into() })
    }
}
