//! Proof that each check can fail: small kernels, wrong in one way each, which must be rejected for that and nothing else.

use macula::plan::{Access, Elem, Kernel, Override, ParamsField, ParamsLayout, Part, Subgroups, TypeRole};

use crate::shader_checks::{Check, check_all, guarded};

const HEADER: &str = "// y[i] = x[i] * scale\n// Layout: dense.\n// Overrides: SCALE, WORKGROUP_SIZE in invocations.\n";

const DECLARATIONS: &str = "override SCALE: u32;
override WORKGROUP_SIZE: u32;
struct Params { shape: vec4<u32>, count: u32, alpha: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;
var<workgroup> tile: array<f32, WORKGROUP_SIZE>;
";

const MAIN: &str = "@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * WORKGROUP_SIZE + local;
    tile[local] = f32(x[i]);
    workgroupBarrier();
    if i < params.count {
        y[i] = Element(tile[local] * f32(SCALE));
    }
}
";

/// A kernel that meets every requirement, to be spoiled in one place.
fn sound() -> Kernel {
    Kernel {
        name: "proof",
        body: body(&[HEADER, DECLARATIONS, MAIN]),
        parts: &[],
        types: &[TypeRole { role: "Element", allowed: &[Elem::F32, Elem::F16, Elem::I64] }],
        tiles: &[],
        too_large: &[],
        overrides: &[Override { name: "SCALE", values: &[1, 2] }, Override { name: "WORKGROUP_SIZE", values: &[64] }],
        params: ParamsLayout {
            size: 24,
            fields: &[
                ParamsField { name: "shape", offset: 0, wgsl: "vec4<u32>" },
                ParamsField { name: "count", offset: 16, wgsl: "u32" },
                ParamsField { name: "alpha", offset: 20, wgsl: "f32" },
            ],
        },
        bindings: &[Access::Read, Access::Write],
        independent: &[],
        subgroups: Subgroups::None,
        epilogue: &[],
        in_place: None,
    }
}

fn body(pieces: &[&str]) -> Part {
    Part { file: "proof.wgsl", source: Box::leak(pieces.concat().into_boxed_str()) }
}

/// The sound kernel with one piece of its text replaced.
fn spoiled(from: &str, to: &str) -> Kernel {
    let text = [HEADER, DECLARATIONS, MAIN].concat();
    assert!(text.contains(from), "{from:?} is not in the sound kernel");
    Kernel { body: body(&[&text.replace(from, to)]), ..sound() }
}

/// The sound kernel with the statements of its `main` replaced.
fn with_statements(statements: &str) -> Kernel {
    let (before, _) = MAIN.split_once("    let i").unwrap();
    Kernel { body: body(&[HEADER, DECLARATIONS, before, statements, "\n    y[local] = x[local];\n}\n"]), ..sound() }
}

/// That `kernel` fails `checks` (sorted) and no other, the first with a message that contains `text`.
#[track_caller]
fn rejects(kernel: Kernel, checks: &[Check], text: &str) {
    let failures = check_all(&[Box::leak(Box::new(kernel))]);
    let mut found: Vec<_> = failures.iter().map(|f| f.check).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, checks, "{failures:#?}");
    let first = failures.iter().filter(|f| f.check == checks[0]);
    assert!(first.clone().any(|f| f.message.contains(text)), "{text:?} is not in {:#?}", first.collect::<Vec<_>>());
}

#[track_caller]
fn accepts(kernel: Kernel) {
    let failures = check_all(&[Box::leak(Box::new(kernel))]);
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn the_sound_kernel_passes() {
    accepts(sound());
}

#[test]
fn naming() {
    rejects(Kernel { name: "other", ..sound() }, &[Check::Naming], "expected `other.wgsl`");
    rejects(spoiled(HEADER, "// y = x\n"), &[Check::Naming], "has 1 lines");
    rejects(spoiled("Overrides: SCALE,", "Overrides:"), &[Check::Naming], "does not name the override SCALE");
}

#[test]
fn compilation() {
    rejects(spoiled("y[i] = ", "z[i] = "), &[Check::Compiles], "z");
    rejects(spoiled("f32(SCALE)", "SCALE"), &[Check::Compiles], "tile[local] * SCALE");
    rejects(spoiled("fn main", "fn other"), &[Check::Compiles], "entry point `main`");
    rejects(spoiled("@compute @workgroup_size(WORKGROUP_SIZE)\nfn main", "@fragment fn main"), &[Check::Compiles], "main");
    // A variant of f32 alone may use neither f16 nor i64.
    let of_f32 = |kernel| Kernel { types: &[TypeRole { role: "Element", allowed: &[Elem::F32] }], ..kernel };
    rejects(of_f32(spoiled("f32(SCALE)", "f32(i64(SCALE))")), &[Check::Compiles], "i64(SCALE)");
    rejects(of_f32(spoiled("f32(SCALE)", "f32(f16(SCALE))")), &[Check::Compiles], "f16");
    // Subgroup operations are for kernels that say so.
    let shuffled = || spoiled("f32(SCALE)", "subgroupShuffle(f32(SCALE), 1u)");
    rejects(shuffled(), &[Check::Compiles], "ubgroup");
    accepts(Kernel {
        subgroups: Subgroups::Exactly(8),
        types: &[TypeRole { role: "Element", allowed: &[Elem::F32, Elem::I64] }],
        ..shuffled()
    });
    accepts(of_f32(Kernel { subgroups: Subgroups::Any, ..spoiled("f32(SCALE)", "subgroupAdd(f32(SCALE))") }));
    // There is no such type header.
    rejects(Kernel { types: &[TypeRole { role: "Missing", allowed: &[Elem::F32] }], ..sound() }, &[Check::Compiles], "Element");
}

#[test]
fn infinity() {
    rejects(spoiled("f32(SCALE)", "1e39f"), &[Check::Compiles], "1e39f");
    rejects(spoiled("f32(SCALE)", "(3e38f * 10f)"), &[Check::Compiles], "3e38f * 10f");
    rejects(spoiled("f32(SCALE)", "bitcast<f32>(0x7f800000u)"), &[Check::Literals], "inf");
}

#[test]
fn bindings() {
    rejects(spoiled("var<storage, read> x", "var<storage, read_write> x"), &[Check::Bindings], "binding 1 is `x: storage, read_write`");
    rejects(Kernel { bindings: &[Access::Write, Access::Write], ..sound() }, &[Check::Bindings], "binding 1 is `x: storage, read`");
    rejects(spoiled("@binding(2)", "@binding(3)"), &[Check::Bindings, Check::SpirV, Check::Msl, Check::Hlsl], "no binding 2");
    rejects(
        spoiled("@group(0) @binding(2)", "@group(1) @binding(2)"),
        &[Check::Bindings, Check::SpirV, Check::Msl, Check::Hlsl],
        "group 1",
    );
    rejects(Kernel { bindings: &[Access::Read], ..sound() }, &[Check::Bindings, Check::SpirV, Check::Msl, Check::Hlsl], "not declared");
    rejects(spoiled("params", "sizes"), &[Check::Bindings], "binding 0 is `sizes: uniform`");
    let texture = DECLARATIONS.replace("var<workgroup>", "@group(0) @binding(3) var image: texture_2d<f32>;\nvar<workgroup>");
    rejects(spoiled(DECLARATIONS, &texture), &[Check::Bindings], "binding 3");
    let eight = [Access::Read; 8];
    let kernel = Kernel { bindings: Box::leak(Box::new(eight)), ..sound() };
    rejects(kernel, &[Check::Bindings], "8 storage buffers, at most 7");
}

#[test]
fn output_order() {
    let swapped =
        DECLARATIONS.replace("@binding(1)", "@binding(9)").replace("@binding(2)", "@binding(1)").replace("@binding(9)", "@binding(2)");
    let kernel = Kernel { bindings: &[Access::Write, Access::Read], ..spoiled(DECLARATIONS, &swapped) };
    rejects(kernel, &[Check::Bindings], "outputs must come after");
}

#[test]
fn params() {
    rejects(spoiled("count: u32, alpha: f32", "alpha: f32, count: u32"), &[Check::Params], "alpha: f32 @ 16");
    rejects(spoiled("alpha: f32", "alpha: u32"), &[Check::Params], "alpha: u32 @ 20");
    rejects(spoiled("alpha: f32 }", "alpha: f32, beta: f32 }"), &[Check::Params], "beta: f32 @ 24");
    rejects(spoiled("shape: vec4<u32>, count: u32", "count: u32, shape: vec4<u32>"), &[Check::Params], "shape: vec4<u32> @ 16");
    rejects(spoiled("Params", "Sizes"), &[Check::Params], "has the type `Sizes`");
    rejects(Kernel { params: ParamsLayout { size: 12, ..sound().params }, ..sound() }, &[Check::Params], "32 bytes in WGSL, 12 in Rust");
    rejects(Kernel { params: ParamsLayout { size: 48, ..sound().params }, ..sound() }, &[Check::Params], "32 bytes in WGSL, 48 in Rust");
}

#[test]
fn overrides() {
    rejects(spoiled("override SCALE: u32;", "override SCALE: u32 = 1u;"), &[Check::Overrides], "SCALE has a default");
    rejects(spoiled("override SCALE: u32;", "@id(1) override SCALE: u32;"), &[Check::Overrides], "@id");
    rejects(spoiled("override SCALE: u32;", "override SCALE: f32;"), &[Check::Overrides], "SCALE is f32");
    rejects(spoiled("override SCALE: u32;", "override SCALE: u32;\noverride MORE: u32;"), &[Check::Overrides], "MORE");
    let more = &[
        Override { name: "SCALE", values: &[1] },
        Override { name: "WORKGROUP_SIZE", values: &[64] },
        Override { name: "Layout", values: &[1] },
    ];
    rejects(Kernel { overrides: more, ..sound() }, &[Check::Overrides], "Layout");
    let none = &[Override { name: "SCALE", values: &[] }, Override { name: "WORKGROUP_SIZE", values: &[64] }];
    rejects(Kernel { overrides: none, ..sound() }, &[Check::Overrides], "without variants");
    // 1 / SCALE is a constant once SCALE is known.
    let zero = &[Override { name: "SCALE", values: &[0] }, Override { name: "WORKGROUP_SIZE", values: &[64] }];
    rejects(Kernel { overrides: zero, ..spoiled("f32(SCALE)", "f32(1u / SCALE)") }, &[Check::Overrides], "zero");
}

#[test]
fn workgroup_size() {
    let of = |values| Kernel {
        overrides: Box::leak(Box::new([Override { name: "SCALE", values: &[1] }, Override { name: "WORKGROUP_SIZE", values }])),
        ..sound()
    };
    accepts(of(&[256]));
    rejects(of(&[256, 257]), &[Check::WorkgroupSize], "257");
    rejects(spoiled("@workgroup_size(WORKGROUP_SIZE)", "@workgroup_size(WORKGROUP_SIZE, 8)"), &[Check::WorkgroupSize], "512 invocations");
    rejects(spoiled("@workgroup_size(WORKGROUP_SIZE)", "@workgroup_size(1, 1, WORKGROUP_SIZE + 1)"), &[Check::WorkgroupSize], "65");
}

#[test]
fn workgroup_memory() {
    accepts(spoiled("array<f32, WORKGROUP_SIZE>", "array<f32, WORKGROUP_SIZE * 64>"));
    let large = spoiled("array<f32, WORKGROUP_SIZE>", "array<f32, WORKGROUP_SIZE * 64 + 1>");
    rejects(large, &[Check::WorkgroupMemory], "16400 bytes of workgroup memory, at most 16384");
}

#[test]
fn barriers() {
    let early = "if local >= params.count { return; }\n workgroupBarrier();";
    rejects(with_statements(early), &[Check::Barriers], "returns early at `if local >= params.count { return; }");
    rejects(with_statements("if params.count == 0u { return; }\n workgroupBarrier();"), &[Check::Barriers], "returns early");
    rejects(with_statements("workgroupBarrier();\n if local > 3u { return; }"), &[Check::Barriers], "returns early");
    for varying in [
        "if local < 3u { workgroupBarrier(); }",
        "if tile[0] > 1.0 { workgroupBarrier(); }",
        "switch local { case 0u: { workgroupBarrier(); } default: {} }",
        "for (var i = local; i < 8u; i++) { workgroupBarrier(); }",
        "for (var i = 0u; i < 8u; i++) { workgroupBarrier(); if i == local { break; } }",
        "for (var i = 0u; i < 8u; i++) { if i == local { continue; } workgroupBarrier(); }",
        "var n = 8u; if local == 1u { n = 9u; } for (var i = 0u; i < n; i++) { workgroupBarrier(); }",
        "loop { workgroupBarrier(); continuing { break if tile[local] > 0.0; } }",
    ] {
        rejects(with_statements(varying), &[Check::Barriers], "barrier in non-uniform control flow");
    }
    let called = spoiled("    workgroupBarrier();\n    if i <", "    if i > 3u { sync(); }\n    if i <");
    let called = Kernel { body: body(&[called.body.source, "fn sync() { workgroupBarrier(); }"]), ..called };
    rejects(called, &[Check::Barriers], "barrier in non-uniform control flow");
}

#[test]
fn uniform_barriers_pass() {
    for uniform in [
        "if params.count > 3u { workgroupBarrier(); }",
        "if x[params.count] > Element(1) && group.x > 1u { workgroupBarrier(); }",
        "for (var i = SCALE; i < params.count; i *= 2u) { workgroupBarrier(); if local < i { tile[local] = 0.0; } }",
        "for (var i = 0u; i < 8u; i++) { if i == params.count { break; } workgroupBarrier(); }",
        "for (var i = 0u; i < 8u; i++) { for (var j = local; j < 9u; j++) { if j == 3u { continue; } } workgroupBarrier(); }",
        "let last = workgroupUniformLoad(&tile[1]); if last > 1.0 { workgroupBarrier(); }",
        "switch local { case 0u: { break; } default: { tile[0] = 1.0; } } workgroupBarrier();",
    ] {
        accepts(with_statements(uniform));
    }
}

#[test]
fn failures_of_all_variants_are_reported_at_once() {
    let kernel: &'static Kernel = Box::leak(Box::new(spoiled("array<f32, WORKGROUP_SIZE>", "array<f32, 9999>")));
    let other: &'static Kernel = Box::leak(Box::new(spoiled("alpha: f32", "alpha: u32")));
    let failures = check_all(&[kernel, other]);
    let of = |check| failures.iter().filter(|f| f.check == check).count();
    // Three types × two scales; three sources.
    assert_eq!((of(Check::WorkgroupMemory), of(Check::Params)), (6, 3));
}

#[test]
fn a_panic_of_a_translator_is_a_failure() {
    assert_eq!(guarded(|| panic!("index {} out of range", 7)), Err("naga panicked: index 7 out of range".into()));
}
