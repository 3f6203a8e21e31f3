//! The memory of runs in flight: activations, bind groups, and the staging buffers that uploads and downloads go through.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::context::Context;
use crate::error::Result;
use crate::graph::ValueId;

/// The memory of one run in flight.
pub(super) struct Arena {
    pub buffers: Vec<wgpu::Buffer>,
    pub bind_groups: Vec<wgpu::BindGroup>,
    uploads: HashMap<ValueId, wgpu::Buffer>,
    downloads: HashMap<ValueId, wgpu::Buffer>,
}

impl Arena {
    pub fn new(buffers: Vec<wgpu::Buffer>, bind_groups: Vec<wgpu::BindGroup>) -> Self {
        Self { buffers, bind_groups, uploads: HashMap::new(), downloads: HashMap::new() }
    }

    /// The buffer that a value is uploaded through: mapped while no run uses it.
    pub fn upload(&mut self, context: &Context, value: ValueId, bytes: u64) -> Result<&wgpu::Buffer> {
        let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
        staging(&mut self.uploads, context, value, bytes, usage)
    }

    /// The buffer of an upload of this run.
    pub fn uploading(&self, value: ValueId) -> &wgpu::Buffer {
        &self.uploads[&value]
    }

    /// The buffer of a download of this run.
    pub fn downloading(&self, value: ValueId) -> &wgpu::Buffer {
        &self.downloads[&value]
    }

    /// The buffer that a value is downloaded through.
    pub fn download(&mut self, context: &Context, value: ValueId, bytes: u64) -> Result<&wgpu::Buffer> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        staging(&mut self.downloads, context, value, bytes, usage)
    }
}

fn staging<'a>(
    buffers: &'a mut HashMap<ValueId, wgpu::Buffer>,
    context: &Context,
    value: ValueId,
    bytes: u64,
    usage: wgpu::BufferUsages,
) -> Result<&'a wgpu::Buffer> {
    use std::collections::hash_map::Entry;
    match buffers.entry(value) {
        Entry::Occupied(known) => Ok(known.into_mut()),
        Entry::Vacant(entry) => {
            let mapped_at_creation = usage.contains(wgpu::BufferUsages::MAP_WRITE);
            let descriptor = wgpu::BufferDescriptor { label: Some("macula staging"), size: bytes, usage, mapped_at_creation };
            let buffer = context.scoped("allocating a staging buffer", || context.create_buffer(&descriptor))?;
            Ok(entry.insert(buffer))
        }
    }
}

/// How many uses the demand is remembered for.
const REMEMBERED_USES: u32 = 32;

/// What runs take and give back. As many idle ones are kept as runs overlapped lately, so that a burst is forgotten and a steady
/// load allocates nothing.
pub(super) struct Pool<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    idle: Vec<T>,
    in_use: usize,
    /// The most in use at once, in this period of [`REMEMBERED_USES`] and in the one before.
    most: [usize; 2],
    uses: u32,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { idle: vec![], in_use: 0, most: [0; 2], uses: 0 }) }
    }
}

impl<T> Pool<T> {
    /// One that is idle, or a new one.
    pub fn take(&self, make: impl FnOnce() -> Result<T>) -> Result<Lease<'_, T>> {
        let mut state = self.lock();
        state.in_use += 1;
        state.uses += 1;
        if state.uses > REMEMBERED_USES {
            state.most = [0, state.most[0]];
            state.uses = 1;
        }
        state.most[0] = state.most[0].max(state.in_use);
        let idle = state.idle.pop();
        drop(state);
        let mut lease = Lease { pool: self, item: idle };
        if lease.item.is_none() {
            lease.item = Some(make()?);
        }
        Ok(lease)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something taken from a pool. Dropped, it is gone: nobody knows what a run that failed has left behind.
pub(super) struct Lease<'a, T> {
    pool: &'a Pool<T>,
    item: Option<T>,
}

impl<T> Lease<'_, T> {
    /// Gives it back for the next run.
    pub fn give_back(mut self) {
        let mut state = self.pool.lock();
        state.idle.extend(self.item.take());
        let wanted = state.most[0].max(state.most[1]).saturating_sub(state.in_use - 1);
        let kept = wanted.min(state.idle.len());
        let surplus = state.idle.split_off(kept);
        drop(state);
        // Outside the lock: freeing memory takes a driver its time.
        drop(surplus);
    }
}

impl<T> Drop for Lease<'_, T> {
    fn drop(&mut self) {
        self.pool.lock().in_use -= 1;
    }
}

impl<T> Deref for Lease<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.item.as_ref().expect("present until given back")
    }
}

impl<T> DerefMut for Lease<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.item.as_mut().expect("present until given back")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::error::Error;

    struct Counted<'a> {
        made: &'a AtomicUsize,
        pool: Pool<usize>,
    }

    impl Counted<'_> {
        /// So many overlapping uses.
        fn burst(&self, uses: usize) {
            let leases: Vec<_> = (0..uses).map(|_| self.pool.take(|| Ok(self.made.fetch_add(1, Ordering::Relaxed))).unwrap()).collect();
            leases.into_iter().for_each(Lease::give_back);
        }

        fn idle(&self) -> usize {
            self.pool.lock().idle.len()
        }
    }

    #[test]
    fn a_steady_load_makes_nothing_new_and_a_burst_is_forgotten() {
        let made = AtomicUsize::new(0);
        let counted = Counted { made: &made, pool: Pool::default() };
        for _ in 0..100 {
            counted.burst(3);
        }
        assert_eq!((made.load(Ordering::Relaxed), counted.idle()), (3, 3));
        counted.burst(20);
        assert_eq!((made.load(Ordering::Relaxed), counted.idle()), (20, 20));
        for _ in 0..REMEMBERED_USES {
            counted.burst(2);
        }
        assert_eq!((made.load(Ordering::Relaxed), counted.idle()), (20, 2));
    }

    #[test]
    fn what_fails_or_is_dropped_is_not_used_again() {
        let pool: Pool<usize> = Pool::default();
        assert!(pool.take(|| Err(Error::Tensor("no memory".into()))).is_err());
        drop(pool.take(|| Ok(1)).unwrap());
        let lease = pool.take(|| Ok(2)).unwrap();
        assert_eq!(*lease, 2);
        lease.give_back();
        let state = pool.lock();
        assert_eq!((state.in_use, &state.idle[..]), (0, &[2][..]));
    }
}
