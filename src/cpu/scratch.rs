//! Working memory that outlives one operator, so that the system need not map fresh pages each time.

use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

static FREE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// At most so many buffers wait for the next use: about two for each task that can run at once.
const KEPT: usize = 64;

/// A buffer of `f32` with arbitrary contents, given back when dropped.
pub(crate) struct Scratch {
    buffer: Vec<f32>,
    len: usize,
}

impl Scratch {
    /// A buffer of `len` elements. Tasks that wait may run others on the same thread, so it belongs to the task, not the thread.
    pub(crate) fn take(len: usize) -> Self {
        let mut buffer = FREE.lock().ok().and_then(|mut free| free.pop()).unwrap_or_default();
        if buffer.len() < len {
            buffer.resize(len, 0.0);
        }
        Self { buffer, len }
    }
}

impl Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.buffer[..self.len]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.buffer[..self.len]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Ok(mut free) = FREE.lock()
            && free.len() < KEPT
        {
            free.push(std::mem::take(&mut self.buffer));
        }
    }
}
