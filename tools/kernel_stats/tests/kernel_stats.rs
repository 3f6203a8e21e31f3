//! The program as users run it. Where Mesa's driver for AMD GPUs is absent, what needs it says SKIPPED.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kernel-stats"));
    command.args(arguments);
    command
}

/// Runs the program; nothing where there is no driver.
fn run(arguments: &[&str]) -> Option<Output> {
    let output = program(arguments).output().expect("the program starts");
    let missing = output.status.code() == Some(2) && text(&output.stderr).contains("mesa-vulkan-drivers");
    if missing {
        // Not `eprintln!`, which the test harness hides where tests pass.
        let _ = writeln!(std::io::stderr(), "SKIPPED kernel-stats {arguments:?}: no RADV driver");
    }
    (!missing).then_some(output)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A shader whose invocations move `elements` numbers through workgroup memory.
fn shader(name: &str, elements: u32) -> PathBuf {
    let source = format!(
        "var<workgroup> tile: array<f32, {elements}>;
        override SIZE: u32;
        @group(0) @binding(0) var<uniform> count: u32;
        @group(0) @binding(1) var<storage, read> x: array<f32>;
        @group(0) @binding(2) var<storage, read_write> y: array<f32>;
        @compute @workgroup_size(SIZE) fn main(@builtin(local_invocation_index) i: u32) {{
            for (var j = i; j < {elements}u; j += SIZE) {{ tile[j] = x[j]; }}
            workgroupBarrier();
            var sum = 0f;
            for (var j = 0u; j < count; j++) {{ sum += tile[j] * tile[i]; }}
            y[i] = sum;
        }}"
    );
    let file = std::env::temp_dir().join(format!("kernel-stats-{}-{name}.wgsl", std::process::id()));
    std::fs::write(&file, source).unwrap();
    file
}

#[test]
fn a_kernel_is_measured() {
    let Some(output) = run(&["--kernel", "conv2d_pointwise", "--plain", "--variant", "f32 ROLLED=0 WORKGROUP_SIZE=64", "--json"]) else {
        return;
    };
    let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&output.stderr)));
    let variants = json["variants"].as_array().expect("a list");
    assert!(!variants.is_empty());
    for variant in variants {
        assert!(variant["statistics"]["VGPRs"].as_u64() > Some(0) && variant["statistics"]["Instructions"].as_u64() > Some(0), "{variant}");
        assert!(variant["hot_loop"]["mix"]["multiply_adds"].as_u64() >= Some(16), "{variant}");
    }
}

#[test]
fn the_check_fails_where_a_bar_is_broken() {
    let (small, large) = (shader("small", 4096), shader("large", 4097));
    let of = |file: &PathBuf| run(&["--check", "--override", "SIZE=64", "--wgsl", file.to_str().unwrap()]);
    let (Some(kept), Some(broken)) = (of(&small), of(&large)) else { return };
    assert_eq!(kept.status.code(), Some(0), "{}{}", text(&kept.stdout), text(&kept.stderr));
    assert!(text(&kept.stdout).ends_with("0 of 1 variants break a bar\n"));
    assert_eq!(broken.status.code(), Some(1), "{}{}", text(&broken.stdout), text(&broken.stderr));
    assert!(text(&broken.stdout).contains("B of workgroup memory") && text(&broken.stdout).ends_with("1 of 1 variants break a bar\n"));
    for file in [small, large] {
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn the_disassembly_marks_its_hot_loop() {
    let file = shader("isa", 64);
    let Some(output) = run(&["--isa", "--override", "SIZE=64", "--wgsl", file.to_str().unwrap()]) else { return };
    let lines = text(&output.stdout);
    assert!(lines.lines().any(|line| line.starts_with('|') && line.contains("ds_read")), "{lines}");
    assert!(lines.contains("hot loop BB") && !lines.lines().any(|line| line.starts_with('|') && line.contains("s_endpgm")), "{lines}");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_shader_that_does_not_compile_says_why() {
    let file = shader("unset", 64);
    let Some(output) = run(&["--check", "--wgsl", file.to_str().unwrap()]) else { return };
    assert!(text(&output.stdout).contains("not compiled") && text(&output.stdout).contains("SIZE"), "{}", text(&output.stdout));
    assert!(text(&output.stdout).ends_with("0 of 1 variants break a bar; 1 not compiled\n"));
    std::fs::remove_file(file).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn without_a_driver_it_says_what_to_install() {
    let mut command = program(&["--kernel", "matmul"]);
    let output = command.env_remove("VK_DRIVER_FILES").env("VK_ICD_FILENAMES", "/nonexistent/radeon_icd.json").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = text(&output.stderr);
    assert!(message.contains("apt install mesa-vulkan-drivers") && message.contains("VK_DRIVER_FILES"), "{message}");
}

#[test]
fn an_unknown_family_is_an_error() {
    let Some(output) = run(&["--family", "nope", "--kernel", "matmul"]) else { return };
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("`nope` may be no family"), "{}", text(&output.stderr));
}

#[test]
fn an_unknown_kernel_is_an_error() {
    let Some(output) = run(&["--kernel", "conv3d"]) else { return };
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no kernel `conv3d`"), "{}", text(&output.stderr));
}
