//! Translation of resolved kernels to what Vulkan, Metal and DirectX 12 take, with the settings that the executor has wgpu use.

use macula::plan::{Access, Kernel};
use naga::back::{hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo};
use naga::{Module, ResourceBinding, ShaderStage};

use crate::shader_checks::chain;

/// One slot of Metal's 31 stays free of bindings for the sizes of runtime arrays.
const MSL_SIZES_SLOT: u8 = 30;

/// Bindings as the executor lays them out: params, then the storage buffers.
fn slots(kernel: &Kernel) -> impl Iterator<Item = (ResourceBinding, u32, bool)> {
    let writes = kernel.storage().into_iter().map(|a| a == Access::Write);
    (0..).zip(std::iter::once(false).chain(writes)).map(|(i, mutable)| (ResourceBinding { group: 0, binding: i }, i, mutable))
}

/// The executor switches wgpu's run-time checks off.
const UNCHECKED: BoundsCheckPolicies = BoundsCheckPolicies {
    index: BoundsCheckPolicy::Unchecked,
    buffer: BoundsCheckPolicy::Unchecked,
    image_load: BoundsCheckPolicy::Unchecked,
    binding_array: BoundsCheckPolicy::Unchecked,
};

/// Translates as wgpu does for Vulkan, with no capability beyond those that the variant's types ask for.
pub fn spir_v(kernel: &Kernel, features: Capabilities, module: &Module, info: &ModuleInfo) -> Result<(), String> {
    let mut capabilities = vec![spv::Capability::Shader, spv::Capability::Matrix];
    capabilities.extend(features.contains(Capabilities::SHADER_FLOAT16).then_some(spv::Capability::Float16));
    capabilities.extend(features.contains(Capabilities::SHADER_INT64).then_some(spv::Capability::Int64));
    if features.contains(Capabilities::SUBGROUP) {
        use spv::Capability as C;
        capabilities.extend([C::GroupNonUniform, C::GroupNonUniformArithmetic, C::GroupNonUniformShuffle]);
    }
    let target = |i| spv::BindingInfo { descriptor_set: 0, binding: i, binding_array_size: None };
    let options = spv::Options {
        lang_version: (1, 3),
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        fake_missing_bindings: false,
        binding_map: slots(kernel).map(|(binding, i, _)| (binding, target(i))).collect(),
        capabilities: Some(capabilities.into_iter().collect()),
        bounds_check_policies: UNCHECKED,
        force_loop_bounding: false,
        ..Default::default()
    };
    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into() };
    let words = spv::write_vec(module, info, &options, Some(&pipeline)).map_err(|e| chain(&e))?;
    if words.first() == Some(&0x0723_0203) { Ok(()) } else { Err("no SPIR-V magic number".into()) }
}

/// Translates as wgpu does for Metal.
pub fn msl(kernel: &Kernel, module: &Module, info: &ModuleInfo) -> Result<(), String> {
    let target = |i: u32, mutable| msl::BindTarget { buffer: Some(i as u8), mutable, ..Default::default() };
    let resources = msl::EntryPointResources {
        resources: slots(kernel).map(|(binding, i, mutable)| (binding, target(i, mutable))).collect(),
        immediates_buffer: None,
        sizes_buffer: Some(MSL_SIZES_SLOT),
    };
    let options = msl::Options {
        lang_version: (2, 4),
        zero_initialize_workgroup_memory: false,
        fake_missing_bindings: false,
        per_entry_point_map: [("main".to_owned(), resources)].into(),
        bounds_check_policies: UNCHECKED,
        force_loop_bounding: false,
        ..Default::default()
    };
    let pipeline = msl::PipelineOptions { entry_point: Some((ShaderStage::Compute, "main".into())), ..Default::default() };
    let (_, written) = msl::write_string(module, info, &options, &pipeline).map_err(|e| chain(&e))?;
    entry_point(written.entry_point_names.first())
}

/// Translates as wgpu does for DirectX 12; f32 kernels down to shader model 5.1, which the FXC compiler takes.
pub fn hlsl(kernel: &Kernel, features: Capabilities, module: &Module, info: &ModuleInfo) -> Result<(), String> {
    let target = |i| hlsl::BindTarget { space: 0, register: i, ..Default::default() };
    let options = hlsl::Options {
        shader_model: if features.is_empty() { hlsl::ShaderModel::V5_1 } else { hlsl::ShaderModel::V6_2 },
        fake_missing_bindings: false,
        binding_map: slots(kernel).map(|(binding, i, _)| (binding, target(i))).collect(),
        zero_initialize_workgroup_memory: false,
        restrict_indexing: false,
        force_loop_bounding: false,
        // num_workgroups and the like are constants that the host sets.
        special_constants_binding: Some(hlsl::BindTarget { space: 1, ..Default::default() }),
        ..Default::default()
    };
    let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, "main".into())) };
    let mut text = String::new();
    let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None).map_err(|e| chain(&e))?;
    entry_point(written.entry_point_names.first())
}

fn entry_point<E: std::error::Error>(name: Option<&Result<String, E>>) -> Result<(), String> {
    match name {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(chain(error)),
        None => Err("the translation has no entry point".into()),
    }
}
