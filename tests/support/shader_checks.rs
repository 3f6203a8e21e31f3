//! What must hold for every kernel and every variant of it, without a GPU. Each check says what is wrong in numbers.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use macula::plan::{Access, EPILOGUE_PARAMS, Elem, Kernel, Subgroups, Variant};
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, ArraySize, Expression, GlobalVariable, Literal, Module, ResourceBinding, ShaderStage, StorageAccess, TypeInner};
use rayon::prelude::*;

use crate::shader_translation::{hlsl, msl, spir_v};
use crate::uniformity;

/// A class of requirements; each is one test.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Check {
    Naming,
    Compiles,
    Bindings,
    Params,
    Overrides,
    Barriers,
    Literals,
    WorkgroupSize,
    WorkgroupMemory,
    SpirV,
    Msl,
    Hlsl,
}

/// A requirement that a kernel, or one of its variants, does not meet.
#[derive(Clone, PartialEq, Debug)]
pub struct Failure {
    pub check: Check,
    pub kernel: &'static str,
    /// The variant, or what its source is made of.
    pub subject: String,
    pub message: String,
}

/// Every failure of every variant of `kernels`; sources are parsed once, variants are checked on all cores.
pub fn check_all(kernels: &[&'static Kernel]) -> Vec<Failure> {
    let mut sources: BTreeMap<(usize, String), (Variant, Vec<Variant>)> = BTreeMap::new();
    let mut failures = vec![];
    for (index, kernel) in kernels.iter().enumerate() {
        let of_kernel = |(check, message)| Failure { check, kernel: kernel.name, subject: kernel.body.file.into(), message };
        failures.extend(check_kernel(kernel).into_iter().map(of_kernel));
        for variant in kernel.variants() {
            let source = Variant { overrides: vec![], ..variant.clone() };
            sources.entry((index, source.to_string())).or_insert_with(|| (source, vec![])).1.push(variant);
        }
    }
    let sources: Vec<_> = sources.into_values().collect();
    failures.par_extend(sources.par_iter().flat_map(|(source, variants)| check_source(source, variants)));
    failures
}

type Found = Vec<(Check, String)>;

/// Collects what a check finds.
fn note(found: &mut Found, check: Check, result: Result<(), String>) {
    if let Err(message) = result {
        found.push((check, message));
    }
}

fn check_kernel(kernel: &'static Kernel) -> Found {
    let mut found = vec![];
    note(&mut found, Check::Naming, naming(kernel));
    if kernel.variants().is_empty() {
        found.push((Check::Overrides, "a type role or an override without values leaves the kernel without variants".into()));
    }
    found
}

fn check_source(source: &Variant, variants: &[Variant]) -> Vec<Failure> {
    let kernel = source.kernel;
    let failure = |subject: &Variant, (check, message)| Failure { check, kernel: kernel.name, subject: subject.to_string(), message };
    let text = source.source();
    let (module, info) = match compile(&text, features(source)) {
        Ok(compiled) => compiled,
        Err(message) => return vec![failure(source, (Check::Compiles, message))],
    };
    let mut found = vec![];
    note(&mut found, Check::Bindings, bindings(kernel, &module));
    note(&mut found, Check::Params, params(kernel, &module));
    note(&mut found, Check::Overrides, overrides(kernel, &module));
    match module.entry_points.as_slice() {
        [main] if main.name == "main" && main.stage == ShaderStage::Compute => {
            note(&mut found, Check::Barriers, uniformity::check(&module, &main.function, &text));
        }
        others => {
            let names: Vec<_> = others.iter().map(|e| e.name.as_str()).collect();
            found.push((Check::Compiles, format!("expected one compute entry point `main`, found {names:?}")));
        }
    }
    let declared = found.iter().all(|(check, _)| !matches!(check, Check::Overrides | Check::Compiles));
    let mut failures: Vec<_> = found.into_iter().map(|f| failure(source, f)).collect();
    if declared {
        let of_variant = |v: &Variant| check_variant(v, &module, &info).into_iter().map(|f| failure(v, f)).collect::<Vec<_>>();
        failures.par_extend(variants.par_iter().flat_map(of_variant));
    }
    failures
}

fn check_variant(variant: &Variant, module: &Module, info: &ModuleInfo) -> Found {
    let mut found = vec![];
    let constants = variant.constants().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let main = Some((ShaderStage::Compute, "main"));
    let (module, info) = match naga::back::pipeline_constants::process_overrides(module, info, main, &constants) {
        Ok(resolved) => resolved,
        Err(error) => return vec![(Check::Overrides, chain(&error))],
    };
    note(&mut found, Check::Literals, literals(&module));
    note(&mut found, Check::WorkgroupSize, workgroup_size(&module));
    note(&mut found, Check::WorkgroupMemory, workgroup_memory(&module));
    note(&mut found, Check::SpirV, guarded(|| spir_v(variant.kernel, features(variant), &module, &info)));
    note(&mut found, Check::Msl, guarded(|| msl(variant.kernel, &module, &info)));
    note(&mut found, Check::Hlsl, guarded(|| hlsl(variant.kernel, features(variant), &module, &info)));
    found
}

/// naga panics on some modules that it has validated; one of them may not hide the failures of the others.
pub fn guarded(translate: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(translate)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(format!("naga panicked: {}", text.unwrap_or("no message")))
    })
}

pub fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |e| e.source()).map(|e| e.to_string()).collect::<Vec<_>>().join(": ")
}

/// The optional features that a variant's types and its kernel ask for.
fn features(variant: &Variant) -> Capabilities {
    let mut features = Capabilities::empty();
    features.set(Capabilities::SHADER_FLOAT16, variant.types.contains(&Elem::F16));
    features.set(Capabilities::SHADER_INT64, variant.types.contains(&Elem::I64));
    features.set(Capabilities::SUBGROUP, variant.kernel.subgroups != Subgroups::None);
    features
}

/// Parses and validates with no more than `features`.
fn compile(source: &str, features: Capabilities) -> Result<(Module, ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|e| e.emit_to_string(source))?;
    let mut validator = Validator::new(ValidationFlags::all(), features);
    if features.contains(Capabilities::SUBGROUP) {
        validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(SubgroupOperationSet::all());
    }
    let info = validator.validate(&module).map_err(|e| e.emit_to_string(source))?;
    Ok((module, info))
}

/// File stem = kernel name; a header comment that names every override, since it must give their units.
pub fn naming(kernel: &Kernel) -> Result<(), String> {
    if kernel.body.file != format!("{}.wgsl", kernel.name) {
        return Err(format!("kernel `{}` is in `{}`, expected `{0}.wgsl`", kernel.name, kernel.body.file));
    }
    let header: Vec<_> = kernel.body.source.lines().take_while(|line| line.starts_with("//")).collect();
    if header.len() < 3 {
        return Err(format!("the header comment has {} lines; say formula, layout and overrides", header.len()));
    }
    let own = kernel
        .overrides
        .iter()
        .map(|o| o.name)
        .chain(kernel.has_epilogue().then_some("epilogue"))
        .chain(kernel.in_place.filter(|_| !kernel.has_epilogue()).map(|_| "IN_PLACE"));
    match own.into_iter().find(|name| !header.iter().any(|line| line.contains(name))) {
        Some(missing) => Err(format!("the header comment does not name the override {missing}")),
        None => Ok(()),
    }
}

/// Group 0: binding 0 is the uniform `params`, then the declared storage buffers and nothing else.
pub fn bindings(kernel: &Kernel, module: &Module) -> Result<(), String> {
    let limit = wgpu::Limits::default().max_storage_buffers_per_shader_stage as usize - 1;
    let storage = kernel.storage();
    if storage.len() > limit {
        return Err(format!("{} storage buffers, at most {limit} are portable (Metal needs one)", storage.len()));
    }
    if kernel.bindings.windows(2).any(|pair| pair == [Access::Write, Access::Read]) {
        return Err("outputs must come after all inputs".into());
    }
    let mut found: BTreeMap<u32, String> = BTreeMap::new();
    for (_, global) in module.global_variables.iter() {
        let Some(ResourceBinding { group, binding }) = global.binding else { continue };
        if group != 0 {
            return Err(format!("`{}` is in group {group}, expected 0", name(global)));
        }
        found.insert(binding, describe(global));
    }
    let expected = |access: &Access| match access {
        Access::Read => "storage, read",
        Access::Write => "storage, read_write",
    };
    let mut wanted = vec!["params: uniform".to_owned()];
    wanted.extend(storage.iter().map(|a| expected(a).to_owned()));
    for (binding, want) in (0..).zip(&wanted) {
        match found.remove(&binding) {
            None => return Err(format!("no binding {binding}; the kernel declares {want}")),
            // Only `params` has a name that the host prescribes.
            Some(is) if is == *want || (binding > 0 && is.ends_with(&format!(": {want}"))) => {}
            Some(is) => return Err(format!("binding {binding} is `{is}`, the kernel declares {want}")),
        }
    }
    match found.first_key_value() {
        Some((binding, is)) => Err(format!("binding {binding} (`{is}`) is not declared by the kernel")),
        None => Ok(()),
    }
}

fn name(global: &GlobalVariable) -> &str {
    global.name.as_deref().unwrap_or("?")
}

fn describe(global: &GlobalVariable) -> String {
    let space = match global.space {
        AddressSpace::Uniform => "uniform",
        AddressSpace::Storage { access } if access == StorageAccess::LOAD => "storage, read",
        AddressSpace::Storage { access } if access == StorageAccess::LOAD | StorageAccess::STORE => "storage, read_write",
        _ => "something else",
    };
    format!("{}: {space}", name(global))
}

/// Names, offsets, types and size of `Params` in WGSL are those of the Rust struct.
pub fn params(kernel: &Kernel, module: &Module) -> Result<(), String> {
    let uniform = module.global_variables.iter().find(|(_, g)| g.space == AddressSpace::Uniform);
    let Some((_, global)) = uniform else { return Err("no uniform variable".into()) };
    let ty = &module.types[global.ty];
    let TypeInner::Struct { members, span } = &ty.inner else { return Err("`params` is not a struct".into()) };
    if ty.name.as_deref() != Some("Params") {
        return Err(format!("`params` has the type `{}`, expected `Params`", ty.name.as_deref().unwrap_or("?")));
    }
    let wgsl = members.iter().map(|m| format!("{}: {} @ {}", m.name.as_deref().unwrap_or("?"), type_name(module, m.ty), m.offset));
    let rust = kernel.params.fields.iter().map(|f| format!("{}: {} @ {}", f.name, f.wgsl, f.offset));
    let epilogue = EPILOGUE_PARAMS.iter().enumerate().filter(|_| kernel.has_epilogue());
    let epilogue = epilogue.map(|(i, name)| format!("{name}: f32 @ {}", kernel.params.size + 4 * i));
    let (wgsl, rust): (Vec<_>, Vec<_>) = (wgsl.collect(), rust.chain(epilogue).collect());
    if wgsl != rust {
        return Err(format!("Params is {wgsl:?} in WGSL, {rust:?} in Rust (name: type @ offset)"));
    }
    // The binding is padded to 16 bytes, so only whole tails may differ.
    let (host, shader) = (kernel.params_size(), *span as usize);
    if host > shader || host.next_multiple_of(16) != shader.next_multiple_of(16) {
        return Err(format!("Params has {shader} bytes in WGSL, {host} in Rust"));
    }
    Ok(())
}

fn type_name(module: &Module, ty: naga::Handle<naga::Type>) -> String {
    let scalar = |s: naga::Scalar| match s.kind {
        naga::ScalarKind::Sint => format!("i{}", s.width * 8),
        naga::ScalarKind::Uint => format!("u{}", s.width * 8),
        naga::ScalarKind::Float => format!("f{}", s.width * 8),
        other => format!("{other:?}"),
    };
    match module.types[ty].inner {
        TypeInner::Scalar(s) => scalar(s),
        TypeInner::Vector { size, scalar: s } => format!("vec{}<{}>", size as u8, scalar(s)),
        TypeInner::Array { base, size: ArraySize::Constant(n), .. } => format!("array<{}, {n}>", type_name(module, base)),
        ref other => format!("{other:?}"),
    }
}

/// The shader's overrides are the kernel's, and the host gives every one a value.
pub fn overrides(kernel: &Kernel, module: &Module) -> Result<(), String> {
    let mut wgsl = vec![];
    for (_, o) in module.overrides.iter() {
        // Array sizes that compute with overrides are nameless overrides to naga.
        let Some(name) = o.name.as_deref() else { continue };
        if o.init.is_some() || o.id.is_some() {
            return Err(format!("override {name} has a default or an @id; the host names and sets every one"));
        }
        if type_name(module, o.ty) != "u32" {
            return Err(format!("override {name} is {}, expected u32", type_name(module, o.ty)));
        }
        wgsl.push(name);
    }
    let mut rust = kernel.override_names();
    wgsl.sort_unstable();
    rust.sort_unstable();
    if wgsl == rust { Ok(()) } else { Err(format!("the shader declares {wgsl:?}, the kernel {rust:?}")) }
}

/// No constant is infinite or NaN by its bits; those written as numbers are refused by the validator.
pub fn literals(module: &Module) -> Result<(), String> {
    let functions = module.functions.iter().map(|(_, f)| f).chain(module.entry_points.iter().map(|e| &e.function));
    for arena in functions.map(|f| &f.expressions).chain([&module.global_expressions]) {
        for (_, expression) in arena.iter() {
            let Expression::As { expr, kind: naga::ScalarKind::Float, convert: None } = expression else { continue };
            let bits = match arena[*expr] {
                Expression::Literal(literal) => Some(literal),
                Expression::Constant(constant) => match module.global_expressions[module.constants[constant].init] {
                    Expression::Literal(literal) => Some(literal),
                    _ => None,
                },
                _ => None,
            };
            let value = match bits {
                Some(Literal::U32(bits)) => f32::from_bits(bits),
                Some(Literal::I32(bits)) => f32::from_bits(bits as u32),
                _ => continue,
            };
            if !value.is_finite() {
                return Err(format!("a bitcast makes the constant {value}"));
            }
        }
    }
    Ok(())
}

/// The resolved workgroup is within `wgpu::Limits::default()`.
pub fn workgroup_size(module: &Module) -> Result<(), String> {
    let limits = wgpu::Limits::default();
    let most = [limits.max_compute_workgroup_size_x, limits.max_compute_workgroup_size_y, limits.max_compute_workgroup_size_z];
    let size = module.entry_points[0].workgroup_size;
    let invocations: u64 = size.iter().map(|&n| u64::from(n)).product();
    if size.iter().zip(most).any(|(&n, most)| n > most) || invocations > u64::from(limits.max_compute_invocations_per_workgroup) {
        return Err(format!(
            "workgroup {size:?} has {invocations} invocations; at most {} in {most:?}",
            limits.max_compute_invocations_per_workgroup
        ));
    }
    Ok(())
}

/// The workgroup variables together are within `wgpu::Limits::default()`.
pub fn workgroup_memory(module: &Module) -> Result<(), String> {
    let limit = u64::from(wgpu::Limits::default().max_compute_workgroup_storage_size);
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).map_err(|e| e.to_string())?;
    let shared = module.global_variables.iter().filter(|(_, g)| g.space == AddressSpace::WorkGroup);
    let sizes: Vec<_> = shared.map(|(_, g)| (name(g), u64::from(layouter[g.ty].size).next_multiple_of(16))).collect();
    let sum: u64 = sizes.iter().map(|(_, size)| size).sum();
    if sum > limit { Err(format!("{sum} bytes of workgroup memory, at most {limit}: {sizes:?}")) } else { Ok(()) }
}
