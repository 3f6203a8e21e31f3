//! The adapters of this machine: what they are, what they offer, which one to choose.

use std::fmt;

use crate::plan::{Capabilities, Pace};

/// The kind of a device, as the driver reports it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum DeviceKind {
    /// A GPU with memory of its own.
    DiscreteGpu,
    /// A GPU that shares the processor's memory.
    IntegratedGpu,
    /// A GPU handed to a virtual machine.
    VirtualGpu,
    /// A graphics driver that runs on the processor.
    SoftwareGpu,
    /// A driver that does not say.
    OtherGpu,
    /// macula's own CPU device.
    Cpu,
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeviceKind::DiscreteGpu => "discrete GPU",
            DeviceKind::IntegratedGpu => "integrated GPU",
            DeviceKind::VirtualGpu => "virtual GPU",
            DeviceKind::SoftwareGpu => "software GPU",
            DeviceKind::OtherGpu => "other GPU",
            DeviceKind::Cpu => "CPU",
        })
    }
}

impl From<wgpu::DeviceType> for DeviceKind {
    fn from(kind: wgpu::DeviceType) -> Self {
        match kind {
            wgpu::DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu,
            wgpu::DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu,
            wgpu::DeviceType::VirtualGpu => DeviceKind::VirtualGpu,
            wgpu::DeviceType::Cpu => DeviceKind::SoftwareGpu,
            wgpu::DeviceType::Other => DeviceKind::OtherGpu,
        }
    }
}

/// One adapter and what macula would use of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AdapterReport {
    /// Its number for [`Device::from_name`](crate::Device::from_name).
    pub index: usize,
    /// The adapter's name.
    pub name: String,
    /// The graphics API: `Vulkan`, `Metal`, `DX12`.
    pub backend: String,
    /// What it is.
    pub kind: DeviceKind,
    /// The driver's name and version.
    pub driver: String,
    /// 16-bit floats in shaders.
    pub f16: bool,
    /// 64-bit integers in shaders.
    pub i64: bool,
    /// Subgroup operations, with the smallest and largest subgroup size.
    pub subgroups: Option<(u32, u32)>,
    /// Timestamps on the GPU.
    pub timestamps: bool,
    /// The cooperative matrices offered, as `MxNxK` texts; empty where there are none.
    pub cooperative_matrices: Vec<String>,
    /// The largest storage binding in bytes.
    pub max_binding: u64,
    /// Workgroup memory in bytes.
    pub workgroup_memory: u32,
}

/// An adapter with its report.
pub(crate) struct Candidate {
    pub adapter: wgpu::Adapter,
    pub report: AdapterReport,
}

/// Every adapter of this machine, the best first: discrete, integrated, virtual, other, software. Devices of them refuse allocations past a
/// percentage of their memory.
pub(crate) fn candidates(memory_percent: Option<u8>) -> Vec<Candidate> {
    let descriptor = wgpu::InstanceDescriptor {
        backends: wgpu::Backends::PRIMARY,
        flags: wgpu::InstanceFlags::empty().with_env(),
        memory_budget_thresholds: wgpu::MemoryBudgetThresholds { for_resource_creation: memory_percent, for_device_loss: None },
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    };
    let instance = wgpu::Instance::new(descriptor);
    let mut adapters: Vec<_> = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY))
        .into_iter()
        .filter(|a| a.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS))
        .collect();
    adapters.sort_by_key(|a| rank(a.get_info().device_type));
    adapters.into_iter().enumerate().map(|(index, adapter)| Candidate { report: report(index, &adapter), adapter }).collect()
}

fn rank(kind: wgpu::DeviceType) -> u8 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

fn report(index: usize, adapter: &wgpu::Adapter) -> AdapterReport {
    let (info, features, limits) = (adapter.get_info(), adapter.features(), adapter.limits());
    let has = |feature| features.contains(feature);
    let cooperative = has(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX).then(|| adapter.cooperative_matrix_properties());
    AdapterReport {
        index,
        driver: describe_driver(&info),
        backend: backend_name(info.backend).to_owned(),
        kind: info.device_type.into(),
        f16: has(wgpu::Features::SHADER_F16),
        i64: has(wgpu::Features::SHADER_INT64),
        subgroups: has(wgpu::Features::SUBGROUP).then_some((info.subgroup_min_size, info.subgroup_max_size)),
        timestamps: has(wgpu::Features::TIMESTAMP_QUERY),
        cooperative_matrices: cooperative
            .into_iter()
            .flatten()
            .map(|m| format!("{}x{}x{} {:?}→{:?}", m.m_size, m.n_size, m.k_size, m.ab_type, m.cr_type))
            .collect(),
        max_binding: limits.max_storage_buffer_binding_size,
        workgroup_memory: limits.max_compute_workgroup_storage_size,
        name: info.name,
    }
}

fn backend_name(backend: wgpu::Backend) -> &'static str {
    match backend {
        wgpu::Backend::Vulkan => "Vulkan",
        wgpu::Backend::Metal => "Metal",
        wgpu::Backend::Dx12 => "DX12",
        wgpu::Backend::Gl => "OpenGL",
        wgpu::Backend::BrowserWebGpu => "WebGPU",
        wgpu::Backend::Noop => "no-op",
    }
}

fn describe_driver(info: &wgpu::AdapterInfo) -> String {
    [info.driver.as_str(), info.driver_info.as_str()].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Name, kind, backend and driver of a device's adapter.
pub(crate) fn describe(info: &wgpu::AdapterInfo) -> (String, DeviceKind, String, String) {
    (info.name.clone(), info.device_type.into(), backend_name(info.backend).to_owned(), describe_driver(info))
}

/// The optional features that macula asks a device for, where the adapter has them.
pub(super) const WANTED_FEATURES: wgpu::Features = wgpu::Features::SHADER_F16
    .union(wgpu::Features::SHADER_INT64)
    .union(wgpu::Features::SUBGROUP)
    .union(wgpu::Features::TIMESTAMP_QUERY)
    .union(wgpu::Features::PIPELINE_CACHE);

/// What the planner may use of a device.
pub(super) fn capabilities(device: &wgpu::Device) -> Capabilities {
    let (features, limits, info) = (device.features(), device.limits(), device.adapter_info());
    let subgroups = features.contains(wgpu::Features::SUBGROUP);
    let one_subgroup_size = subgroups && info.subgroup_min_size == info.subgroup_max_size;
    Capabilities {
        f16: features.contains(wgpu::Features::SHADER_F16),
        i64: features.contains(wgpu::Features::SHADER_INT64),
        software: info.device_type == wgpu::DeviceType::Cpu,
        subgroup: if one_subgroup_size { info.subgroup_min_size } else { 0 },
        subgroups,
        max_binding: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
        max_workgroups: limits.max_compute_workgroups_per_dimension,
        max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
        storage_alignment: limits.min_storage_buffer_offset_alignment.into(),
    }
}

/// How much work a device is given at once; no bound where no watchdog looks on.
pub(super) fn pace(kind: DeviceKind) -> Option<Pace> {
    match kind {
        DeviceKind::SoftwareGpu | DeviceKind::Cpu => None,
        DeviceKind::DiscreteGpu => Some(Pace::DISCRETE),
        DeviceKind::IntegratedGpu | DeviceKind::VirtualGpu | DeviceKind::OtherGpu => Some(Pace::INTEGRATED),
    }
}
