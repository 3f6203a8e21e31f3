//! Loading ONNX files: real models, and files that are not what they should be.

#[path = "support/data.rs"]
mod data;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use macula::{DType, Dim, Error, Graph, onnx};

/// A folder of this test's own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("macula-onnx-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, contents).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The model of the repository.
fn cifar10() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/cifar10.onnx")).unwrap()
}

fn inputs(graph: &Graph) -> Vec<String> {
    graph.inputs().iter().map(|&id| format!("{} {}", graph.value(id).name, graph.value(id).declared())).collect()
}

#[track_caller]
fn error_of(result: macula::Result<Graph>, expected: &[&str]) -> Error {
    let error = result.expect_err("the file must not load");
    let message = error.to_string();
    for text in expected {
        assert!(message.contains(text), "`{message}` does not contain `{text}`");
    }
    error
}

#[test]
fn the_embedded_model_loads() {
    let graph = onnx::from_bytes(&cifar10()).unwrap();
    assert_eq!(inputs(&graph), ["image f32[N,3,32,32]"]);
    assert_eq!(graph.value(graph.outputs()[0]).name, "logits");
    assert_eq!(graph.nodes().len(), 31);
    assert_eq!(graph.parameters(), 611_882);
}

#[test]
fn real_models_load() {
    // Name, nodes that are not constants, inputs that a run must supply.
    let expected: &[(&str, usize, &str)] = &[
        ("squeezenet1.1", 66, "data_0 f32[1,3,224,224]"),
        ("squeezenet1.1-f16", 66, "data_0 f16[1,3,224,224]"),
        ("mobilenet-v2-1.0-224", 101, "input f32[N,3,224,224]"),
        ("resnet20-cifar10", 73, "input f32[N,3,32,32]"),
        ("mnist-8", 12, "Input3 f32[1,1,28,28]"),
        ("super-resolution", 10, "input f32[batch_size,1,224,224]"),
        ("ultraface-rfb-320", 211, "input f32[1,3,240,320]"),
        ("yolox-nano", 369, "images f32[1,3,416,416]"),
        ("portrait-matting", 100, "bgrm f32[batch_size,4,height,width]"),
        ("shufflenet-v2-int8", 189, "input f32[1,3,224,224]"),
        ("style-candy", 59, "inputImage f32[?,3,720,720]"),
        ("twinlitenet", 153, "input f32[1,3,320,320]"),
    ];
    for &(name, nodes, input) in expected {
        let Some(path) = data::find(&format!("models/{name}/model.onnx")) else { continue };
        let start = Instant::now();
        let graph = onnx::load(&path).unwrap_or_else(|error| panic!("{error}"));
        assert!(start.elapsed() < Duration::from_secs(1), "{name} took {:?}", start.elapsed());
        assert_eq!(inputs(&graph), [input], "{name}");
        assert_eq!(graph.nodes().len(), nodes, "{name}");
    }
}

#[test]
fn tensor_files_load() {
    let Some(path) = data::find("models/resnet20-cifar10/test_data_set_0/input_0.pb") else { return };
    let (_, tensor) = onnx::load_tensor(path).unwrap();
    assert_eq!(tensor.dtype(), DType::F32);
    assert_eq!(tensor.shape()[1..], [3, 32, 32]);
}

#[test]
fn names_of_extents_are_kept() {
    let Some(path) = data::find("models/super-resolution/model.onnx") else { return };
    let graph = onnx::load(path).unwrap();
    let dims = graph.value(graph.inputs()[0]).dims.clone().unwrap();
    assert_eq!(dims[0], Dim::Symbol("batch_size".into()));
    assert_eq!(dims[1], Dim::Fixed(1));
}

#[test]
fn broken_models_say_what_to_do() {
    if let Some(path) = data::find("broken/not-a-protobuf.onnx") {
        error_of(onnx::load(path), &["not-a-protobuf.onnx: is not an ONNX model", "ZIP archive"]);
    }
    if let Some(path) = data::find("broken/no-opset-import.onnx") {
        error_of(onnx::load(path), &["has no opset_import", "Export it again"]);
    }
}

#[test]
fn missing_files_and_folders_are_named() {
    let scratch = Scratch::new("missing");
    let error = error_of(onnx::load(scratch.0.join("absent.onnx")), &["absent.onnx"]);
    assert!(matches!(error, Error::Io { .. }));
    assert!(matches!(error_of(onnx::load(&scratch.0), &[]), Error::Io { .. }));
}

#[test]
fn files_of_other_kinds_are_recognised() {
    let scratch = Scratch::new("kinds");
    let cases: &[(&[u8], &str)] = &[
        (b"", "is empty"),
        (b"import torch\nmodel = torch.load('x')\n", "starts with the text \"import torch\\n"),
        (b"<!DOCTYPE html><html>Not Found</html>", "starts with the text \"<!DOCTYPE html>"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\x89PNG\r\n\x1a\n0000", "PNG"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "gzip"),
        (b"\x80\x02}q\0.", "pickle"),
    ];
    for (contents, expected) in cases {
        let error = error_of(onnx::load(scratch.file("model.onnx", contents)), &["model.onnx: is not an ONNX model", expected]);
        assert!(matches!(error, Error::Model { .. }));
    }
}

#[test]
fn truncated_models_are_errors_everywhere() {
    let model = cifar10();
    // Every position at the ends, where structure is dense, and a stride of awkward length between them.
    let dense = 600;
    let cuts = (0..dense).chain((dense..model.len()).step_by(40_009)).chain(model.len() - dense..model.len());
    let start = Instant::now();
    for cut in cuts {
        let error = onnx::from_bytes(&model[..cut]).err();
        assert!(matches!(error, Some(Error::Model { .. })), "cut at {cut} of {}: {error:?}", model.len());
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn corrupt_bytes_never_panic() {
    let model = cifar10();
    for at in (0..model.len()).step_by(24_007).chain(0..400) {
        let mut damaged = model.clone();
        damaged[at] ^= 0xFF;
        // Damage inside weights is not detectable; anywhere else it must end in an error rather than a panic.
        let _ = onnx::from_bytes(&damaged);
    }
}
