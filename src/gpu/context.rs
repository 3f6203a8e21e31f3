//! A wgpu device and queue with what sessions share: capabilities, pipelines, the record of its loss.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use futures_intrusive::channel::shared::{OneshotReceiver, OneshotSender, oneshot_channel};

use super::adapters::{Candidate, WANTED_FEATURES, capabilities, pace};
use super::cache_folder::user_folder;
use super::known_roofline::KnownRoofline;
use super::pipelines::Pipelines;
use super::precompile;
use super::tuning::DeviceTuning;
use crate::device::{CacheFolder, DeviceOptions};
use crate::error::{Error, Result};
use crate::plan::{Capabilities, Pace};

/// What macula has done on a device since it was opened. A run of shapes seen before, with no more runs in flight than before,
/// creates nothing.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct DeviceStatistics {
    /// Buffers: weights, activations, staging.
    pub buffers: u64,
    /// Bind groups, one for each dispatch of a run in flight.
    pub bind_groups: u64,
    /// Compute pipelines, one for each kernel variant.
    pub pipelines: u64,
    /// Of these, how many were in the cache file that was read when the device was opened.
    pub cached_pipelines: u64,
    /// Submissions of runs to the queue.
    pub submissions: u64,
}

/// What [`DeviceStatistics`] is read from.
#[derive(Default)]
struct Done {
    buffers: AtomicU64,
    bind_groups: AtomicU64,
    pipelines: AtomicU64,
    cached_pipelines: AtomicU64,
    submissions: AtomicU64,
}

/// A submission to wait for, and who is told how that went.
type Waited = (wgpu::SubmissionIndex, OneshotSender<Result<()>>);

/// A device that programs are prepared for and run on.
pub(crate) struct Context {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) capabilities: Capabilities,
    /// How much work one submission may hold.
    pub(super) pace: Option<Pace>,
    pub(super) pipelines: Pipelines,
    pub(super) tuning: DeviceTuning,
    /// What the device reaches at most, once that was measured.
    pub roofline: KnownRoofline,
    done: Done,
    /// A few zero bytes for bindings that a kernel declares and a node leaves out.
    pub(super) unused: wgpu::Buffer,
    lost: Arc<Mutex<Option<String>>>,
    /// The longest wait for one submission.
    pub(super) timeout: Duration,
    poller: Mutex<Option<mpsc::Sender<Waited>>>,
    /// The adapter, where a second device of it helps to compile.
    pub(super) compiler: Option<wgpu::Adapter>,
}

impl Context {
    /// Opens an adapter with all its limits and the features macula knows how to use.
    pub fn open(candidate: &Candidate, options: &DeviceOptions) -> Result<Self> {
        let adapter = &candidate.adapter;
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor(adapter)))
            .map_err(|e| Error::Device(format!("adapter {} ({}) refuses a device: {e}", candidate.report.index, candidate.report.name)))?;
        let lost = Arc::new(Mutex::new(None));
        let record = lost.clone();
        device.set_device_lost_callback(move |reason, message| {
            *record.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{reason:?} {message}").trim().to_owned());
        });
        device.on_uncaptured_error(Arc::new(|error: wgpu::Error| log::error!("uncaptured GPU error: {error}")));
        let compiler = precompile::helps(adapter).then(|| adapter.clone());
        Ok(Self { compiler, ..Self::new(device, queue, lost, options)? })
    }

    /// Shares a program's own device; its error handler and lost callback stay as they are.
    pub fn share(device: wgpu::Device, queue: wgpu::Queue, options: &DeviceOptions) -> Result<Self> {
        Self::new(device, queue, Arc::default(), options)
    }

    fn new(device: wgpu::Device, queue: wgpu::Queue, lost: Arc<Mutex<Option<String>>>, options: &DeviceOptions) -> Result<Self> {
        let unused = scoped(&device, "creating a device", || {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("macula unused"),
                size: 32,
                usage: wgpu::BufferUsages::STORAGE,
                mapped_at_creation: false,
            })
        })?;
        let (capabilities, pace) = (capabilities(&device), pace(device.adapter_info().device_type.into()));
        let folder: Option<PathBuf> = match &options.cache {
            CacheFolder::User => user_folder(),
            CacheFolder::At(folder) => Some(folder.clone()),
            CacheFolder::Off => None,
        };
        let tuning = DeviceTuning::new(&device.adapter_info(), &capabilities, folder.as_deref());
        let roofline = KnownRoofline::new(&device.adapter_info(), folder.as_deref());
        let (pipelines, done, poller) = (Pipelines::new(&device, folder.as_deref()), Done::default(), Mutex::default());
        let (timeout, compiler) = (options.timeout, None);
        Ok(Self { device, queue, capabilities, pace, pipelines, tuning, roofline, done, unused, lost, timeout, poller, compiler })
    }

    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The device itself, for programs that share it.
    pub fn wgpu(&self) -> (&wgpu::Device, &wgpu::Queue) {
        (&self.device, &self.queue)
    }

    /// What has been created so far.
    pub fn statistics(&self) -> DeviceStatistics {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        DeviceStatistics {
            buffers: of(&self.done.buffers),
            bind_groups: of(&self.done.bind_groups),
            pipelines: of(&self.done.pipelines),
            cached_pipelines: of(&self.done.cached_pipelines),
            submissions: of(&self.done.submissions),
        }
    }

    pub(super) fn submit(&self, commands: wgpu::CommandBuffer) -> wgpu::SubmissionIndex {
        self.done.submissions.fetch_add(1, Ordering::Relaxed);
        self.queue.submit([commands])
    }

    pub(super) fn create_buffer(&self, descriptor: &wgpu::BufferDescriptor<'_>) -> wgpu::Buffer {
        self.done.buffers.fetch_add(1, Ordering::Relaxed);
        self.device.create_buffer(descriptor)
    }

    pub(super) fn create_bind_group(&self, descriptor: &wgpu::BindGroupDescriptor<'_>) -> wgpu::BindGroup {
        self.done.bind_groups.fetch_add(1, Ordering::Relaxed);
        self.device.create_bind_group(descriptor)
    }

    pub(super) fn count_pipeline(&self, cached: bool) {
        self.done.cached_pipelines.fetch_add(cached.into(), Ordering::Relaxed);
        self.done.pipelines.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs wgpu calls and turns what they raise into an error that says what was being done.
    pub(super) fn scoped<T>(&self, during: &str, calls: impl FnOnce() -> T) -> Result<T> {
        self.check_lost()?;
        let result = scoped(&self.device, during, calls);
        self.check_lost()?;
        result
    }

    /// An error when the driver has reported the device lost.
    pub(super) fn check_lost(&self) -> Result<()> {
        match &*self.lost.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(reason) => Err(Error::DeviceLost(reason.clone())),
            None => Ok(()),
        }
    }

    /// Blocks until a submission is done and its callbacks have run.
    pub(super) fn wait(&self, submission: wgpu::SubmissionIndex) -> Result<()> {
        let waited = poll(&self.device, submission, self.timeout);
        self.check_lost()?;
        waited
    }

    /// Waits as [`Context::wait`] does, in a thread of this context.
    pub(super) async fn wait_in_background(&self, submission: wgpu::SubmissionIndex) -> Result<()> {
        let waited = self.hand_over(submission).receive().await;
        self.check_lost()?;
        waited.unwrap_or_else(|| Err(Error::Device("the thread that waits for the GPU is gone".into())))
    }

    fn hand_over(&self, submission: wgpu::SubmissionIndex) -> OneshotReceiver<Result<()>> {
        let mut poller = self.poller.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = poller.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel::<Waited>();
            let (device, timeout) = (self.device.clone(), self.timeout);
            std::thread::spawn(move || {
                while let Ok((submission, told)) = receiver.recv() {
                    // Nobody listens where the run was dropped.
                    let _ = told.send(poll(&device, submission, timeout));
                }
            });
            sender
        });
        let (told, waited) = oneshot_channel();
        if sender.send((submission, told)).is_err() {
            *poller = None;
        }
        waited
    }
}

/// All limits of an adapter and the features macula knows how to use.
pub(super) fn descriptor(adapter: &wgpu::Adapter) -> wgpu::DeviceDescriptor<'static> {
    wgpu::DeviceDescriptor {
        label: Some("macula"),
        required_features: adapter.features() & WANTED_FEATURES,
        required_limits: adapter.limits(),
        ..Default::default()
    }
}

/// Blocks until a submission is done and its callbacks have run.
pub(super) fn poll(device: &wgpu::Device, submission: wgpu::SubmissionIndex, timeout: Duration) -> Result<()> {
    match device.poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(timeout) }) {
        Ok(_) => Ok(()),
        Err(wgpu::PollError::Timeout) => Err(Error::Timeout(timeout)),
        Err(error) => {
            // A device that is lost says so when it is asked again.
            let _ = device.poll(wgpu::PollType::Poll);
            Err(Error::Gpu { during: "waiting for the GPU".into(), message: error.to_string() })
        }
    }
}

pub(super) fn scoped<T>(device: &wgpu::Device, during: &str, calls: impl FnOnce() -> T) -> Result<T> {
    let filters = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Validation];
    let guards = filters.map(|filter| device.push_error_scope(filter));
    let value = calls();
    let mut first = None;
    for guard in guards.into_iter().rev() {
        if let Some(error) = pollster::block_on(guard.pop()) {
            first.get_or_insert(error);
        }
    }
    match first {
        Some(error) => Err(typed(during, &error)),
        None => Ok(value),
    }
}

fn typed(during: &str, error: &wgpu::Error) -> Error {
    let (during, message) = (during.to_owned(), error.to_string());
    match error {
        wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory { during, message },
        _ => Error::Gpu { during, message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_memory_is_an_error_of_its_own() {
        let full = wgpu::Error::OutOfMemory { source: "no memory is left".into() };
        let error = typed("allocating a weight of 64 bytes", &full);
        assert!(matches!(&error, Error::OutOfMemory { during, .. } if during.contains("64 bytes")), "{error:?}");
        assert!(error.to_string().contains("run smaller batches"), "{error}");
        let other = wgpu::Error::Internal { source: "odd".into(), description: "odd".into() };
        assert!(matches!(typed("a run", &other), Error::Gpu { message, .. } if message.contains("odd")));
    }
}
