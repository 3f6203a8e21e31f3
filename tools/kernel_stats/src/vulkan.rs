//! The compiler of a GPU that is not there: Mesa's RADV opens a device without hardware, which compiles and tells what came out.

use std::collections::BTreeMap;
use std::ffi::CStr;

use ash::{khr, vk};

use crate::spirv::SpirV;

/// Why there is no compiler.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no Vulkan loader.
    #[error("no Vulkan loader: {0}")]
    Loader(#[from] ash::LoadingError),
    /// Vulkan refused.
    #[error("Vulkan: {0}")]
    Vulkan(#[from] vk::Result),
    /// There are other devices only.
    #[error("no device without hardware among {0:?}")]
    NoNullDevice(Vec<String>),
    /// The driver does not tell what it compiles.
    #[error("the driver has no VK_KHR_pipeline_executable_properties")]
    Silent,
}

/// What a driver says of a shader, by the names it gives: `VGPRs`, `Spilled VGPRs`, `LDS size`, `Instructions`, …
#[derive(Clone, PartialEq, Default, Debug, serde::Serialize)]
#[serde(transparent)]
pub struct Statistics(pub BTreeMap<String, u64>);

impl Statistics {
    /// One of them; 0 where the driver does not give it.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }
}

/// A shader that was compiled.
pub struct Compiled {
    /// What the driver says of it.
    pub statistics: Statistics,
    /// The disassembly; empty where the driver has no disassembler for the GPU.
    pub assembly: String,
}

/// A device without hardware.
pub struct Compiler {
    device: ash::Device,
    executables: khr::pipeline_executable_properties::Device,
    instance: ash::Instance,
    /// The device's name and the driver's.
    pub name: String,
    /// Whether shaders may use 16-bit floats, in storage too.
    pub f16: bool,
    /// Whether shaders may use 64-bit integers.
    pub i64: bool,
    // The functions of the others are in this library.
    _entry: ash::Entry,
}

/// The name that RADV gives to a device of a family without hardware ends so.
const NULL_HARDWARE: &str = "NULL HARDWARE";

/// How Mesa begins what it gives instead, where its LLVM does not know the GPU.
const NO_DISASSEMBLER: &str = "Shader disassembly is not supported";

impl Compiler {
    /// Opens the first device without hardware that Vulkan shows.
    pub fn open() -> Result<Self, OpenError> {
        // SAFETY: the loader is the system's; nothing else in this process has loaded or unloads it.
        let entry = unsafe { ash::Entry::load() }?;
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
        // SAFETY: the structures live until the call returns; the instance is destroyed in `drop`, after its device.
        let instance = unsafe { entry.create_instance(&vk::InstanceCreateInfo::default().application_info(&application), None) }?;
        Self::with(entry, instance)
    }

    fn with(entry: ash::Entry, instance: ash::Instance) -> Result<Self, OpenError> {
        // SAFETY: the instance is alive; the names are those of its devices.
        let devices = unsafe { instance.enumerate_physical_devices() }?;
        let mut names = vec![];
        for physical in devices {
            let mut driver = vk::PhysicalDeviceDriverProperties::default();
            let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
            // SAFETY: as above.
            unsafe { instance.get_physical_device_properties2(physical, &mut properties) };
            let name = text(properties.properties.device_name_as_c_str());
            if name.to_uppercase().contains(NULL_HARDWARE) {
                let name = format!("{name}, {}", text(driver.driver_info_as_c_str()));
                return Self::with_device(entry, instance, physical, name);
            }
            names.push(name);
        }
        Err(OpenError::NoNullDevice(names))
    }

    fn with_device(entry: ash::Entry, instance: ash::Instance, physical: vk::PhysicalDevice, name: String) -> Result<Self, OpenError> {
        // SAFETY: the device is of this instance.
        let extensions = unsafe { instance.enumerate_device_extension_properties(physical) }?;
        let has = |name: &CStr| extensions.iter().any(|e| e.extension_name_as_c_str() == Ok(name));
        if !has(khr::pipeline_executable_properties::NAME) {
            return Err(OpenError::Silent);
        }
        let mut half = vk::PhysicalDeviceVulkan12Features::default();
        let mut storage = vk::PhysicalDeviceVulkan11Features::default();
        let mut offered = vk::PhysicalDeviceFeatures2::default().push_next(&mut half).push_next(&mut storage);
        // SAFETY: as above.
        unsafe { instance.get_physical_device_features2(physical, &mut offered) };
        let i64 = offered.features.shader_int64 == vk::TRUE;
        let f16 = half.shader_float16 == vk::TRUE
            && storage.storage_buffer16_bit_access == vk::TRUE
            && storage.uniform_and_storage_buffer16_bit_access == vk::TRUE;

        // What wgpu switches on and compilers look at: robust buffers keep the compiler from joining loads.
        let core = vk::PhysicalDeviceFeatures::default().robust_buffer_access(true).shader_int64(i64);
        let mut statistics = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
        let mut robust = vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(true);
        let mut storage =
            vk::PhysicalDeviceVulkan11Features::default().storage_buffer16_bit_access(f16).uniform_and_storage_buffer16_bit_access(f16);
        let mut half = vk::PhysicalDeviceVulkan12Features::default().shader_float16(f16);
        let mut newest = vk::PhysicalDeviceVulkan13Features::default()
            .shader_zero_initialize_workgroup_memory(true)
            .shader_integer_dot_product(true)
            .subgroup_size_control(true)
            .maintenance4(true);
        let mut extensions = vec![khr::pipeline_executable_properties::NAME.as_ptr()];
        let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
        let mut info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_features(&core)
            .push_next(&mut statistics)
            .push_next(&mut storage)
            .push_next(&mut half)
            .push_next(&mut newest);
        if has(ash::ext::robustness2::NAME) {
            extensions.push(ash::ext::robustness2::NAME.as_ptr());
            info = info.push_next(&mut robust);
        }
        // SAFETY: every structure of the chain lives until the call returns; the device is destroyed in `drop`.
        let device = unsafe { instance.create_device(physical, &info.enabled_extension_names(&extensions), None) }?;
        let executables = khr::pipeline_executable_properties::Device::new(&instance, &device);
        Ok(Self { device, executables, instance, name, f16, i64, _entry: entry })
    }

    /// Compiles a shader and asks the driver what came out.
    pub fn compile(&self, spirv: &SpirV) -> Result<Compiled, vk::Result> {
        let bindings: Vec<_> = spirv
            .bindings
            .iter()
            .map(|&(binding, uniform)| {
                let ty = if uniform { vk::DescriptorType::UNIFORM_BUFFER } else { vk::DescriptorType::STORAGE_BUFFER };
                let stages = vk::ShaderStageFlags::COMPUTE;
                vk::DescriptorSetLayoutBinding::default().binding(binding).descriptor_type(ty).descriptor_count(1).stage_flags(stages)
            })
            .collect();
        let device = &self.device;
        // SAFETY: every structure lives until its call returns. What is created here is destroyed below, after its last use: a layout and
        // a module may go once the pipeline is made. Of what comes from other calls, an error leaves nothing to use, and the process ends.
        unsafe {
            let set = device.create_descriptor_set_layout(&vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings), None)?;
            let sets = [set];
            let layout = device.create_pipeline_layout(&vk::PipelineLayoutCreateInfo::default().set_layouts(&sets), None)?;
            let module = device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(&spirv.words), None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                // As wgpu has it where subgroups are on.
                .flags(vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE)
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            let capture = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
            let info = vk::ComputePipelineCreateInfo::default().flags(capture).stage(stage).layout(layout);
            let made = device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            device.destroy_shader_module(module, None);
            device.destroy_pipeline_layout(layout, None);
            device.destroy_descriptor_set_layout(set, None);
            let pipelines = made.map_err(|(_, error)| error)?;
            let compiled = self.describe(pipelines[0]);
            device.destroy_pipeline(pipelines[0], None);
            compiled
        }
    }

    /// What the driver says of a pipeline of one shader.
    fn describe(&self, pipeline: vk::Pipeline) -> Result<Compiled, vk::Result> {
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(0);
        // SAFETY: the pipeline is alive, was created with both flags, and has one executable.
        let (statistics, mut texts) = unsafe {
            let statistics = self.executables.get_pipeline_executable_statistics(&info)?;
            (statistics, self.executables.get_pipeline_executable_internal_representations(&info)?)
        };
        let mut buffers: Vec<Vec<u8>> = texts.iter().map(|t| vec![0; t.data_size]).collect();
        for (text, buffer) in texts.iter_mut().zip(&mut buffers) {
            text.p_data = buffer.as_mut_ptr().cast();
        }
        let mut count = texts.len() as u32;
        let read = self.executables.fp().get_pipeline_executable_internal_representations_khr;
        // SAFETY: as above; each text has a buffer as long as its size says, which outlives the call.
        unsafe { read(self.executables.device(), &info, &mut count, texts.as_mut_ptr()) }.result()?;
        let named = texts.iter().zip(&buffers).find(|(t, _)| text(t.name_as_c_str()) == "Assembly");
        let assembly = named.map(|(_, buffer)| String::from_utf8_lossy(buffer).trim_end_matches('\0').to_owned());
        let assembly = assembly.filter(|text| !text.starts_with(NO_DISASSEMBLER)).unwrap_or_default();
        let values = statistics.iter().filter(|s| s.format == vk::PipelineExecutableStatisticFormatKHR::UINT64).map(|s| {
            // SAFETY: the format says which member of the union is valid.
            (text(s.name_as_c_str()), unsafe { s.value.u64 })
        });
        Ok(Compiled { statistics: Statistics(values.collect()), assembly })
    }
}

fn text<E>(name: Result<&CStr, E>) -> String {
    name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

impl Drop for Compiler {
    fn drop(&mut self) {
        // SAFETY: whatever was made of the device is destroyed where it was made, and the device goes before its instance.
        unsafe {
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}
