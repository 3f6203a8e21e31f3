//! Where networks run: a GPU through wgpu, or this machine's processor.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::cpu;
use crate::error::{Error, Result};
use crate::gpu::{self, AdapterReport, Candidate, Context, DeviceKind, DeviceStatistics, Roofline};
use crate::graph::Graph;
use crate::plan::Tuning;
use crate::session::{CompileOptions, Session};

/// What a device is and why it was chosen.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// The adapter's name, or `CPU`.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// The graphics API, or `native` for the CPU device.
    pub backend: String,
    /// The driver's name and version; empty for the CPU device.
    pub driver: String,
    /// Why this device was chosen.
    pub reason: String,
}

/// Choices of the caller in opening a device.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct DeviceOptions {
    /// Where compiled pipelines, and what was measured, are kept between programs.
    pub cache: CacheFolder,
    /// The longest wait for one submission, of which a run has one or a few: past it the run ends with [`Error::Timeout`]. 10 minutes by
    /// default.
    pub timeout: Duration,
    /// The percentage of the memory that the driver grants this program past which an allocation fails with [`Error::OutOfMemory`], counting what
    /// other parts of the program use; `None` leaves it to the driver, and of a program's own device to its instance. 95 by default. Vulkan
    /// (where the driver tells) and DX12 only.
    pub memory_percent: Option<u8>,
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self { cache: CacheFolder::default(), timeout: Duration::from_secs(600), memory_percent: Some(95) }
    }
}

/// Where compiled pipelines, what was measured in tuning and the roofline are kept between programs: a file each for each adapter and driver. A
/// file that is not what macula wrote for them is ignored with a warning. Only Vulkan drivers give their pipelines away.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum CacheFolder {
    /// In the user's folder for such files: `macula` in `$XDG_CACHE_HOME` or `~/.cache`, `~/Library/Caches`, `%LOCALAPPDATA%`.
    #[default]
    User,
    /// In this folder, which must not be writable by those who are not trusted.
    At(PathBuf),
    /// Nowhere.
    Off,
}

impl DeviceOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`DeviceOptions::cache`].
    pub fn cache(mut self, cache: CacheFolder) -> Self {
        self.cache = cache;
        self
    }

    /// Sets [`DeviceOptions::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets [`DeviceOptions::memory_percent`].
    pub fn memory_percent(mut self, percent: impl Into<Option<u8>>) -> Self {
        self.memory_percent = percent.into();
        self
    }
}

/// A device to compile networks for. Clones are the same device.
#[derive(Clone)]
pub struct Device {
    info: Arc<DeviceInfo>,
    context: Option<Arc<Context>>,
}

impl Device {
    /// The best device of this machine: a discrete, integrated or virtual GPU, else the CPU device.
    ///
    /// A software graphics driver is never chosen: it is slower than the CPU device. [`DeviceInfo::reason`] says why.
    pub fn auto() -> Self {
        Self::auto_with(&DeviceOptions::new())
    }

    fn auto_with(options: &DeviceOptions) -> Self {
        let candidates = gpu::candidates(options.memory_percent);
        let Some(best) = candidates.first() else {
            return Self::cpu_because("no GPU adapter was found");
        };
        if best.report.kind == DeviceKind::SoftwareGpu {
            return Self::cpu_because(&format!(
                "the only GPU is a software driver ({}), which is slower; ask for it with `gpu`",
                best.report.name
            ));
        }
        match Self::open(best, "the best GPU of this machine", options) {
            Ok(device) => device,
            Err(error) => Self::cpu_because(&format!("the GPU could not be used: {error}")),
        }
    }

    /// The CPU device: every core, no driver.
    pub fn cpu() -> Self {
        Self::cpu_because("asked for")
    }

    fn cpu_because(reason: &str) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let info = DeviceInfo {
            name: format!("CPU, {cores} {}", if cores == 1 { "thread" } else { "threads" }),
            kind: DeviceKind::Cpu,
            backend: "native".into(),
            driver: String::new(),
            reason: reason.into(),
        };
        Self { info: Arc::new(info), context: None }
    }

    /// The best GPU, a software driver included.
    ///
    /// # Errors
    /// [`Error::Device`] where there is no adapter, or it refuses.
    pub fn gpu() -> Result<Self> {
        Self::gpu_with(&DeviceOptions::new())
    }

    fn gpu_with(options: &DeviceOptions) -> Result<Self> {
        match gpu::candidates(options.memory_percent).first() {
            Some(best) => Self::open(best, "asked for", options),
            None => Err(Error::Device(
                "no GPU adapter was found; install a driver (a software one: `apt-get install mesa-vulkan-drivers`) or use the CPU device"
                    .into(),
            )),
        }
    }

    /// The device that a user names: `auto`, `cpu`, `gpu`, or the number of an adapter of [`Device::list`].
    ///
    /// # Errors
    /// [`Error::Device`] for any other name, or where the device is not there.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::from_name_with(name, &DeviceOptions::new())
    }

    /// [`Device::from_name`] with options.
    ///
    /// # Errors
    /// As [`Device::from_name`].
    pub fn from_name_with(name: &str, options: &DeviceOptions) -> Result<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "auto" | "" => Ok(Self::auto_with(options)),
            "cpu" => Ok(Self::cpu()),
            "gpu" => Self::gpu_with(options),
            other => {
                let index: usize = other
                    .parse()
                    .map_err(|_| Error::Device(format!("`{name}` is not a device; use auto, cpu, gpu or an adapter's number")))?;
                let candidates = gpu::candidates(options.memory_percent);
                match candidates.get(index) {
                    Some(candidate) => Self::open(candidate, "asked for by number", options),
                    None => Err(Error::Device(format!("there is no adapter {index}; this machine has {}", candidates.len()))),
                }
            }
        }
    }

    /// A program's own wgpu device. Its error handler and lost callback stay in place.
    ///
    /// Kernels use `SHADER_F16` and `SHADER_INT64` if the device was created with them, and its limits. Nothing is kept on disk.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device is unusable.
    pub fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        Self::from_wgpu_with(device, queue, &DeviceOptions::new().cache(CacheFolder::Off))
    }

    /// [`Device::from_wgpu`] with options. Pipelines are kept on disk if the device was created with `PIPELINE_CACHE`.
    ///
    /// # Errors
    /// As [`Device::from_wgpu`].
    pub fn from_wgpu_with(device: wgpu::Device, queue: wgpu::Queue, options: &DeviceOptions) -> Result<Self> {
        let (name, kind, backend, driver) = gpu::describe(&device.adapter_info());
        let context = Context::share(device, queue, options)?;
        let info = DeviceInfo { name, kind, backend, driver, reason: "the program's own wgpu device".into() };
        Ok(Self { info: Arc::new(info), context: Some(Arc::new(context)) })
    }

    fn open(candidate: &Candidate, reason: &str, options: &DeviceOptions) -> Result<Self> {
        let AdapterReport { name, kind, backend, driver, .. } = candidate.report.clone();
        let context = Context::open(candidate, options)?;
        let info = DeviceInfo { name, kind, backend, driver, reason: reason.into() };
        Ok(Self { info: Arc::new(info), context: Some(Arc::new(context)) })
    }

    /// Every GPU adapter of this machine, the best first.
    pub fn list() -> Vec<AdapterReport> {
        gpu::candidates(None).into_iter().map(|c| c.report).collect()
    }

    /// What this device is and why it was chosen.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// The wgpu device and queue behind a GPU device: for buffers that [`Session::encode`] shares.
    pub fn wgpu(&self) -> Option<(&wgpu::Device, &wgpu::Queue)> {
        self.context.as_ref().map(|c| c.wgpu())
    }

    /// What macula has created on a GPU device so far, for all sessions together; zeros for the CPU device.
    pub fn statistics(&self) -> DeviceStatistics {
        self.context.as_ref().map(|c| c.statistics()).unwrap_or_default()
    }

    /// What this device reaches at most, measured when it is first asked for, in a fraction of a second on two buffers of 128 MiB. That of a
    /// GPU device is kept in its [`CacheFolder`] for later programs.
    ///
    /// # Errors
    /// [`Error::Gpu`] and [`Error::DeviceLost`] where the GPU fails.
    pub fn roofline(&self) -> Result<Roofline> {
        let known = match &self.context {
            Some(context) => context.roofline.get(),
            None => *cpu_roofline(),
        };
        known.map_or_else(|| self.measure_roofline(), Ok)
    }

    /// As [`Device::roofline`], measured anew: other work on the machine may have been in the way.
    ///
    /// # Errors
    /// As [`Device::roofline`].
    pub fn measure_roofline(&self) -> Result<Roofline> {
        match &self.context {
            Some(context) => context.measure_roofline(),
            None => Ok(*cpu_roofline().insert(cpu::roofline())),
        }
    }

    /// What was measured on this GPU device by [`CompileOptions::tune`], now and, where it has a [`CacheFolder`], by earlier programs;
    /// `None` for the CPU device. Its `Display` is the format of the tables that come with macula.
    pub fn tuning(&self) -> Option<Tuning> {
        self.context.as_ref().map(|c| c.measured())
    }

    /// Makes a network ready to run here.
    ///
    /// Where all input shapes are fixed, everything is compiled now; else at the first run of each shape.
    ///
    /// # Errors
    /// [`Error::Node`] where an operator rejects its inputs, [`Error::Gpu`] where a kernel does not compile.
    pub fn compile(&self, graph: Graph) -> Result<Session> {
        self.compile_with(graph, CompileOptions::default())
    }

    /// [`Device::compile`] with options.
    ///
    /// # Errors
    /// As [`Device::compile`], and [`Error::Strict`].
    pub fn compile_with(&self, graph: Graph, options: CompileOptions) -> Result<Session> {
        Session::new(self.clone(), graph, options)
    }

    pub(crate) fn context(&self) -> Option<&Arc<Context>> {
        self.context.as_ref()
    }
}

/// That of the CPU device, once it was measured.
fn cpu_roofline() -> MutexGuard<'static, Option<Roofline>> {
    static KNOWN: Mutex<Option<Roofline>> = Mutex::new(None);
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").field("info", &self.info).finish()
    }
}
