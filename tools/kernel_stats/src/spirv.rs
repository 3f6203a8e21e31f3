//! From WGSL to the SPIR-V that wgpu hands to the driver.

use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage};

/// A shader that is parsed and validated, before its overrides have values.
pub struct Parsed {
    module: Module,
    info: ModuleInfo,
}

/// A shader as the driver takes it.
pub struct SpirV {
    /// The module.
    pub words: Vec<u32>,
    /// The bindings of group 0: their numbers, and whether they are uniform buffers and not storage.
    pub bindings: Vec<(u32, bool)>,
}

/// The first line of an error and all that caused it.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Parses and validates.
pub fn parse(source: &str) -> Result<Parsed, String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|e| e.emit_to_string(source))?;
    let features = Capabilities::SHADER_FLOAT16 | Capabilities::SHADER_INT64 | Capabilities::SUBGROUP;
    let info = Validator::new(ValidationFlags::all(), features).validate(&module).map_err(|e| e.emit_to_string(source))?;
    Ok(Parsed { module, info })
}

impl Parsed {
    /// Gives the overrides their values and translates, as wgpu does for Vulkan 1.3 and as macula's executor has it: without run-time checks.
    pub fn translate(&self, constants: impl IntoIterator<Item = (String, f64)>) -> Result<SpirV, String> {
        let main = (ShaderStage::Compute, "main");
        let constants = constants.into_iter().collect();
        let (module, info) =
            naga::back::pipeline_constants::process_overrides(&self.module, &self.info, Some(main), &constants).map_err(|e| chain(&e))?;
        let buffers = module.global_variables.iter().filter_map(|(_, global)| Some((global.binding?, global.space)));
        let bindings: Vec<_> = buffers.map(|(binding, space)| (binding, space == AddressSpace::Uniform)).collect();
        let target = |binding| spv::BindingInfo { descriptor_set: 0, binding, binding_array_size: None };
        let options = spv::Options {
            lang_version: (1, 6),
            flags: spv::WriterFlags::LABEL_VARYINGS,
            binding_map: bindings.iter().map(|(resource, _)| (*resource, target(resource.binding))).collect(),
            bounds_check_policies: BoundsCheckPolicies {
                index: BoundsCheckPolicy::Unchecked,
                buffer: BoundsCheckPolicy::Unchecked,
                image_load: BoundsCheckPolicy::Unchecked,
                binding_array: BoundsCheckPolicy::Unchecked,
            },
            zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
            force_loop_bounding: false,
            emit_int_div_checks: false,
            ..Default::default()
        };
        let pipeline = spv::PipelineOptions { shader_stage: main.0, entry_point: main.1.into() };
        let words = spv::write_vec(&module, &info, &options, Some(&pipeline)).map_err(|e| chain(&e))?;
        Ok(SpirV { words, bindings: bindings.into_iter().map(|(resource, uniform)| (resource.binding, uniform)).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOUBLE: &str = "override SIZE: u32;
        @group(0) @binding(0) var<uniform> factor: f32;
        @group(0) @binding(1) var<storage, read_write> y: array<f32>;
        @compute @workgroup_size(SIZE) fn main(@builtin(global_invocation_id) id: vec3<u32>) { y[id.x] *= factor; }";

    #[test]
    fn a_shader_becomes_spir_v_with_its_bindings() {
        let spirv = parse(DOUBLE).unwrap().translate([("SIZE".to_owned(), 64.0)]).unwrap();
        assert_eq!(spirv.words[0], 0x0723_0203);
        assert_eq!(spirv.bindings, [(0, true), (1, false)]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(parse("fn main( {").is_err_and(|e| e.contains("expected")));
        assert!(parse(DOUBLE).unwrap().translate([]).is_err_and(|e| e.contains("SIZE")));
    }
}
