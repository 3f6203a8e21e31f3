//! Every kernel × every variant that the planner may ask for, without a GPU; all failures at once.

#[path = "support/shader_checks.rs"]
mod shader_checks;
#[path = "support/shader_proofs.rs"]
mod shader_proofs;
#[path = "support/shader_translation.rs"]
mod shader_translation;
#[path = "support/uniformity.rs"]
mod uniformity;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use macula::plan::{KERNELS, Kernel, Part, type_header};
use shader_checks::{Check, Failure, check_all};

static FAILURES: LazyLock<Vec<Failure>> = LazyLock::new(|| check_all(KERNELS));

/// Fails with every failure of one class, grouped by kernel and message.
fn expect(check: Check) {
    let failures: Vec<_> = FAILURES.iter().filter(|f| f.check == check).collect();
    assert!(failures.is_empty(), "{}", summary(&failures));
}

fn summary(failures: &[&Failure]) -> String {
    let mut groups: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for failure in failures {
        groups.entry((failure.kernel, &failure.message)).or_default().push(&failure.subject);
    }
    let mut text = format!("{} failures:", failures.len());
    for ((kernel, message), subjects) in groups {
        text.push_str(&format!("\n{kernel}: {message}\n    in {} variants, the first: {}", subjects.len(), subjects[0]));
    }
    text
}

#[test]
fn files_are_named_and_headed() {
    expect(Check::Naming);
}

#[test]
fn every_variant_parses_and_validates() {
    expect(Check::Compiles);
}

#[test]
fn bindings_are_as_declared() {
    expect(Check::Bindings);
}

#[test]
fn params_agree_with_rust() {
    expect(Check::Params);
}

#[test]
fn overrides_are_as_declared_and_resolve() {
    expect(Check::Overrides);
}

#[test]
fn barriers_are_in_uniform_control_flow() {
    expect(Check::Barriers);
}

#[test]
fn no_constant_is_infinite() {
    expect(Check::Literals);
}

#[test]
fn workgroups_fit_the_default_limits() {
    expect(Check::WorkgroupSize);
}

#[test]
fn workgroup_memory_fits_the_default_limits() {
    expect(Check::WorkgroupMemory);
}

#[test]
fn every_variant_translates_to_spir_v() {
    expect(Check::SpirV);
}

#[test]
fn every_variant_translates_to_msl() {
    expect(Check::Msl);
}

#[test]
fn every_variant_translates_to_hlsl() {
    expect(Check::Hlsl);
}

#[test]
fn kernel_names_are_unique() {
    let mut names = BTreeSet::new();
    let twice: Vec<_> = KERNELS.iter().map(|k| k.name).filter(|name| !names.insert(*name)).collect();
    assert!(twice.is_empty(), "listed twice: {twice:?}");
}

/// Every file that some kernel is made of.
fn parts(kernels: &[&Kernel]) -> BTreeSet<String> {
    let headers = kernels.iter().flat_map(|k| k.types).flat_map(|t| t.allowed.iter().filter_map(|&elem| type_header(t.role, elem)));
    let files = kernels.iter().flat_map(|k| [&k.body].into_iter().chain(k.parts).chain(k.epilogue).chain(k.tiles).copied());
    headers.chain(files).map(|part: Part| part.file.to_owned()).collect()
}

/// Every file below `shaders/`, by its path there.
fn files(directory: &Path, root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files(&path, root),
            false => vec![path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/")],
        })
        .collect()
}

fn orphans(files: &[String], used: &BTreeSet<String>) -> Vec<String> {
    files.iter().filter(|file| *file != "README.md" && !used.contains(*file)).cloned().collect()
}

#[test]
fn every_shader_file_belongs_to_a_kernel() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let orphans = orphans(&files(&root, &root), &parts(KERNELS));
    assert!(orphans.is_empty(), "no kernel of plan::KERNELS is made of {orphans:?}");
}

#[test]
fn an_orphan_file_is_found() {
    let files = ["README.md", "unary.wgsl", "shared/forgotten.wgsl"].map(String::from);
    assert_eq!(orphans(&files, &parts(KERNELS)), ["shared/forgotten.wgsl"]);
}

#[test]
fn a_summary_lists_every_kernel_once() {
    let failure = |kernel, subject: &str| Failure { check: Check::Msl, kernel, subject: subject.into(), message: "no".into() };
    let failures = [failure("b", "b f32"), failure("a", "a f32"), failure("b", "b f16")];
    let text = summary(&failures.each_ref());
    assert_eq!(text, "3 failures:\na: no\n    in 1 variants, the first: a f32\nb: no\n    in 2 variants, the first: b f32");
}
