//! Working memory that outlives one operator, so that the system need not map fresh pages each time.

use std::any::Any;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use crate::tensor::{DType, Element};

static FREE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// At most so many buffers wait for the next use: about two for each task that can run at once …
const KEPT: usize = 64;

/// … and so many elements, or four times the last buffer's: the activations of a network.
const KEPT_ELEMENTS: usize = 1 << 24;

/// Fewer elements are quickly allocated.
const SMALL: usize = 1 << 10;

/// `len` elements with arbitrary values, in the smallest buffer that waits and is no more than twice as large.
pub(crate) fn buffer(len: usize) -> Vec<f32> {
    if len < SMALL {
        return vec![0.0; len];
    }
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let fitting = free.iter().enumerate().filter(|(_, b)| (len..=2 * len).contains(&b.capacity()));
    let Some(at) = fitting.min_by_key(|(_, b)| b.capacity()).map(|(at, _)| at) else {
        drop(free);
        return vec![0.0; len];
    };
    let mut buffer = free.remove(at);
    drop(free);
    buffer.resize(len, 0.0);
    buffer
}

/// As [`buffer`], of any type: those of other types are new.
pub(crate) fn elements<T: Element>(len: usize) -> Vec<T> {
    if T::DTYPE != DType::F32 {
        return vec![T::default(); len];
    }
    let mut buffer = buffer(len);
    let same: &mut dyn Any = &mut buffer;
    same.downcast_mut::<Vec<T>>().map(std::mem::take).expect("the type is f32")
}

/// Keeps a buffer for the next use.
pub(crate) fn give(buffer: Vec<f32>) {
    if buffer.capacity() < SMALL {
        return;
    }
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let most = KEPT_ELEMENTS.max(4 * buffer.capacity());
    free.push(buffer);
    while free.len() > KEPT || free.iter().map(Vec::capacity).sum::<usize>() > most {
        // The one that waits longest.
        free.remove(0);
    }
}

/// Gives all memory that waits back to the system.
pub(crate) fn clear() {
    FREE.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// A buffer of `f32` with arbitrary contents, kept for the next use when dropped. Tasks that wait may run others on the same
/// thread, so it belongs to the task, not the thread.
pub(crate) struct Scratch(Vec<f32>);

impl Scratch {
    /// A buffer of `len` elements.
    pub(crate) fn take(len: usize) -> Self {
        Self(buffer(len))
    }
}

impl Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.0));
    }
}
