//! Compute pipelines, compiled once per variant and shared by all programs of a context, and kept on disk between programs.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::cache_folder::hash;
use super::context::Context;
use super::pipeline_file::{Contents, PipelineFile};
use crate::error::Result;
use crate::plan::{Access, Variant};

/// A compiled variant.
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// The pipelines of a context: a slot for each variant, locked while it is compiled so that nobody else compiles it too.
#[derive(Default)]
pub(super) struct Pipelines {
    slots: Mutex<HashMap<Variant, Arc<Slot>>>,
    kept: Option<Kept>,
}

type Slot = Mutex<Option<Arc<Pipeline>>>;

/// The driver's pipeline cache and its file.
struct Kept {
    cache: wgpu::PipelineCache,
    file: PipelineFile,
    /// The variants whose pipelines were in the file when the device was opened.
    read: BTreeSet<u64>,
    saved: Mutex<Saved>,
}

/// What the file holds by now.
struct Saved {
    variants: BTreeSet<u64>,
    /// A hash of the data.
    data: u64,
    at: Option<Instant>,
}

/// The file is written at most so often while kernels are compiled, and once more when the device goes.
const BETWEEN_WRITES: Duration = Duration::from_secs(5);

/// What wgpu gives for a driver that keeps nothing: its header and Vulkan's.
const BARE_HEADERS: usize = 64 + 32;

impl Pipelines {
    /// Pipelines that are kept in a file in `folder`, where there is one and the driver can.
    pub fn new(device: &wgpu::Device, folder: Option<&Path>) -> Self {
        let kept = folder.filter(|_| device.features().contains(wgpu::Features::PIPELINE_CACHE)).and_then(|folder| {
            let file = PipelineFile::new(folder, &device.adapter_info());
            let mut read = file.read();
            let cache = open(device, &read.data).or_else(|why| {
                log::warn!("the driver does not take its pipelines back, they are compiled anew: {why}");
                read = Contents::default();
                open(device, &[])
            });
            let saved = Mutex::new(Saved { variants: read.variants.clone(), data: hash(&read.data), at: None });
            match cache {
                Ok(cache) => Some(Kept { cache, file, read: read.variants, saved }),
                Err(why) => {
                    log::warn!("pipelines are not cached: {why}");
                    None
                }
            }
        });
        Self { slots: Mutex::default(), kept }
    }
}

fn open(device: &wgpu::Device, data: &[u8]) -> Result<wgpu::PipelineCache> {
    let data = Some(data).filter(|data| !data.is_empty());
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("macula"), data, fallback: false };
    super::context::scoped(device, "opening the pipeline cache", || {
        // SAFETY: the data is what `get_data` gave for this adapter and driver: the file's key says so, and its checksum that it is
        // whole; it lies in a folder of the user's own.
        unsafe { device.create_pipeline_cache(&descriptor) }
    })
}

impl Kept {
    /// Writes the file where the driver has something new to keep.
    fn save(&self, variants: impl Iterator<Item = u64>, at_last: bool) {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        saved.variants.extend(variants);
        if !at_last && saved.at.is_some_and(|at| at.elapsed() < BETWEEN_WRITES) {
            return;
        }
        let Some(data) = self.cache.get_data().filter(|data| data.len() > BARE_HEADERS && hash(data) != saved.data) else {
            return;
        };
        (saved.data, saved.at) = (hash(&data), Some(Instant::now()));
        if let Err(error) = self.file.write(&Contents { variants: saved.variants.clone(), data }) {
            log::warn!("{}: {error}; compiled pipelines are not kept", self.file.path().display());
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.save(std::iter::empty(), true);
    }
}

/// What tells a variant from others between programs: a shader that has changed is another one.
fn identity(variant: &Variant) -> u64 {
    hash(format!("{variant}\n{}", variant.source()).as_bytes())
}

impl Context {
    /// Whether a variant is compiled, or being so.
    pub(super) fn knows(&self, variant: &Variant) -> bool {
        self.pipelines.slots.lock().unwrap_or_else(PoisonError::into_inner).contains_key(variant)
    }

    /// Compiles whatever of `variants` is not compiled yet, in parallel, and returns all of them in order.
    pub(super) fn pipelines(&self, variants: &[&Variant]) -> Result<Vec<Arc<Pipeline>>> {
        let mut slots = HashMap::new();
        {
            let mut known = self.pipelines.slots.lock().unwrap_or_else(PoisonError::into_inner);
            for &variant in variants {
                slots.entry(variant).or_insert_with(|| known.entry(variant.clone()).or_default().clone());
            }
        }
        let before = self.statistics().pipelines;
        let pipelines: HashMap<&Variant, Arc<Pipeline>> =
            slots.into_par_iter().map(|(variant, slot)| Ok((variant, self.pipeline(variant, &slot)?))).collect::<Result<_>>()?;
        if let Some(kept) = self.pipelines.kept.as_ref().filter(|_| self.statistics().pipelines > before) {
            kept.save(pipelines.keys().map(|variant| identity(variant)), false);
        }
        Ok(variants.iter().map(|variant| pipelines[variant].clone()).collect())
    }

    /// The pipeline of a slot, compiled where it is not yet; after an error the next who asks tries again.
    fn pipeline(&self, variant: &Variant, slot: &Slot) -> Result<Arc<Pipeline>> {
        // No work is handed to other threads under this lock, so whoever waits for it waits for a compiler only.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = &*slot {
            return Ok(pipeline.clone());
        }
        let pipeline = Arc::new(self.compile(variant)?);
        *slot = Some(pipeline.clone());
        Ok(pipeline)
    }

    fn compile(&self, variant: &Variant) -> Result<Pipeline> {
        let device = &self.device;
        let kept = self.pipelines.kept.as_ref();
        let known = kept.is_some_and(|kept| !kept.read.is_empty() && kept.read.contains(&identity(variant)));
        self.scoped(&format!("compiling kernel `{variant}`"), || {
            let (pipeline, layout) = create(device, variant, kept.map(|kept| &kept.cache));
            self.count_pipeline(known);
            Pipeline { pipeline, layout }
        })
    }
}

/// A pipeline of a variant, and the layout of its bindings.
pub(super) fn create(
    device: &wgpu::Device,
    variant: &Variant,
    cache: Option<&wgpu::PipelineCache>,
) -> (wgpu::ComputePipeline, wgpu::BindGroupLayout) {
    let kernel = variant.kernel;
    let descriptor = wgpu::ShaderModuleDescriptor { label: Some(kernel.name), source: wgpu::ShaderSource::Wgsl(variant.source().into()) };
    // SAFETY: the kernels are this crate's own; tests prove on every variant that their loops end and that they stay
    // inside their bindings, which is what the checks switched off here would enforce at a cost on every access.
    let module = unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) };
    let uniform = (0, wgpu::BufferBindingType::Uniform);
    let storage = kernel
        .storage()
        .into_iter()
        .enumerate()
        .map(|(i, access)| (i as u32 + 1, wgpu::BufferBindingType::Storage { read_only: access == Access::Read }));
    let entries: Vec<_> = std::iter::once(uniform)
        .chain(storage)
        .map(|(binding, ty)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        })
        .collect();
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(kernel.name), entries: &entries });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(kernel.name),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let descriptor = wgpu::ComputePipelineDescriptor {
        label: Some(kernel.name),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions { constants: &variant.constants(), zero_initialize_workgroup_memory: false },
        cache,
    };
    (device.create_compute_pipeline(&descriptor), layout)
}

#[cfg(test)]
mod tests {
    use super::super::cache_folder::tests::Folder;
    use super::*;
    use crate::ops::{Binary, Unary};
    use crate::plan::{Kernel, Part};
    use crate::{CacheFolder, DType, Device, DeviceOptions, Error, GraphBuilder, Tensor};

    fn open_device(cache: CacheFolder) -> Device {
        let name = std::env::var("MACULA_DEVICE").unwrap_or_else(|_| "gpu".into());
        Device::from_name_with(&name, &DeviceOptions::new().cache(cache)).expect("run tools/test.sh")
    }

    fn at(folder: &Folder) -> CacheFolder {
        CacheFolder::At(folder.0.clone())
    }

    /// Runs a network of two kernels and gives what tells their variants.
    fn run(device: &Device) -> BTreeSet<u64> {
        let mut b = GraphBuilder::new("two kernels");
        let (x, w) = (b.input("x", DType::F32, [2, 3, 5]), b.constant("w", Tensor::full([3, 5], 2f32)));
        let y = b.node("y", Binary::Mul, &[x, w]).unwrap();
        let z = b.node("z", Unary::Erf, &[y]).unwrap();
        b.output("y", y);
        b.output("z", z);
        let x = Tensor::full([2, 3, 5], 1.5f32);
        let outputs = device.compile(b.finish().unwrap()).unwrap().run(&[("x", x.view())]).unwrap();
        assert_eq!(outputs[0], Tensor::full([2, 3, 5], 3f32));
        let context = device.context().expect("a GPU has a context");
        context.pipelines.slots.lock().unwrap().keys().map(identity).collect()
    }

    #[test]
    fn a_kernel_that_does_not_compile_is_an_error_and_harms_no_other() {
        static BROKEN: Kernel = Kernel { name: "broken", body: Part { file: "broken.wgsl", source: "fn main( {" }, ..Kernel::BASE };
        let device = open_device(CacheFolder::Off);
        let variant = Variant::new(&BROKEN, vec![], None, vec![]);
        let context = device.context().expect("a GPU has a context");
        for _ in 0..2 {
            let Err(Error::Gpu { during, message }) = context.pipelines(&[&variant]) else { panic!("it must not compile") };
            assert!(during.contains("compiling kernel `broken") && message.contains("parsing error"), "{during}: {message}");
        }
        assert_eq!(run(&device).len(), 3);
    }

    fn driver_data(device: &Device) -> Option<Vec<u8>> {
        device.context().and_then(|context| context.pipelines.kept.as_ref()).and_then(|kept| kept.cache.get_data())
    }

    /// Not `eprintln!`, which the test harness hides where tests pass.
    fn skipped() {
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "SKIPPED the driver's pipeline cache: it has none");
    }

    fn file(folder: &Folder, device: &Device) -> PipelineFile {
        PipelineFile::new(&folder.0, &device.wgpu().expect("a GPU has a device").0.adapter_info())
    }

    #[test]
    fn what_a_driver_gives_is_kept_and_known_again() {
        let folder = Folder::new("kept");
        let device = open_device(at(&folder));
        let variants = run(&device);
        assert_eq!((variants.len(), device.statistics().cached_pipelines), (device.statistics().pipelines as usize, 0));
        let Some(data) = driver_data(&device) else { return skipped() };
        let file = file(&folder, &device);
        drop(device);
        // A driver that keeps nothing gives its header, which is not worth a file; here it stands for more.
        assert_eq!(folder.files().len(), usize::from(data.len() > BARE_HEADERS));
        file.write(&Contents { variants, data }).unwrap();
        let device = open_device(at(&folder));
        run(&device);
        assert_eq!(device.statistics().cached_pipelines, device.statistics().pipelines);
        let off = open_device(CacheFolder::Off);
        run(&off);
        assert_eq!(off.statistics().cached_pipelines, 0, "the file is not read");
    }

    #[test]
    fn without_a_folder_nothing_is_read_or_written() {
        let device = open_device(CacheFolder::Off);
        run(&device);
        assert!(device.context().unwrap().pipelines.kept.is_none());
    }

    #[test]
    fn what_the_driver_does_not_take_back_is_compiled_anew() {
        let folder = Folder::new("rejected");
        let device = open_device(at(&folder));
        let variants = run(&device);
        let (Some(data), file) = (driver_data(&device), file(&folder, &device)) else { return skipped() };
        let mut newer = data.clone();
        newer[8] ^= 1;
        for data in [vec![0x5a; 1000], newer, data[..data.len() - 1].to_vec()] {
            file.write(&Contents { variants: variants.clone(), data }).unwrap();
            let device = open_device(at(&folder));
            assert_eq!(run(&device), variants);
            assert_eq!(device.statistics().cached_pipelines, 0);
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_harms_no_run() {
        let folder = Folder::new("a-file");
        std::fs::write(&folder.0, "a file where the folder would be").unwrap();
        let device = open_device(at(&folder));
        run(&device);
        drop(device);
        std::fs::remove_file(&folder.0).unwrap();
    }
}
