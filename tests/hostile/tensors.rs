//! Initializers that are not what they say, files beside the model that are not the model's, numbers that are none.

use super::*;
use std::path::{Path, PathBuf};

fn added(weight: TensorProto) -> ModelProto {
    model(vec![node("Add", "x w", "y", vec![])], vec![weight])
}

fn weight(dims: &[i64], data_type: i32) -> TensorProto {
    TensorProto { name: "w".into(), dims: dims.into(), data_type, ..TensorProto::default() }
}

#[test]
fn tensors_are_as_large_as_their_data() {
    let huge = added(weight(&[1 << 40], 1));
    assert!(huge.encoded_len() < 150);
    refused(&huge, &["initializer `w`: f32[1099511627776] has 1099511627776 elements, float_data has 0"]);
    let raw = TensorProto { raw_data: vec![0; 16].into(), ..weight(&[1 << 20, 1 << 20], 1) };
    refused(&added(raw), &["takes 4398046511104 bytes, raw_data has 16"]);
    for dims in [&[1i64 << 40, 1 << 40][..], &[i64::MAX, 2], &[i64::MAX]] {
        refused(&added(weight(dims, 1)), &["initializer `w`: shape [", "is too large"]);
    }
    refused(&added(weight(&[-1], 1)), &["extent -1 of shape [-1] is negative"]);
    refused(&added(weight(&[i64::MIN, 0], 1)), &["is negative"]);
    refused(&added(weight(&vec![1; 100_000], 1)), &["has 100000 axes, more than the limit of 64"]);
    let attribute = AttributeProto { name: "value".into(), t: Some(weight(&[1 << 40], 1)), kind: 4, ..AttributeProto::default() };
    let constant = model(vec![node("Constant", "", "w", vec![attribute]), node("Add", "x w", "y", vec![])], vec![]);
    refused(&constant, &["`n_w` (Constant)", "has 1099511627776 elements, float_data has 0"]);
}

#[test]
fn types_that_no_network_computes_with_are_named() {
    let text = TensorProto { raw_data: vec![0; 4].into(), ..weight(&[1], 8) };
    refused(&added(text), &["1 node is not supported", "initializer `w`: element type string is not supported"]);
    refused(&added(weight(&[1], 0)), &["initializer `w`: the element type is missing"]);
    refused(&added(weight(&[1], -7)), &["initializer `w`: element type number -7 is not supported"]);
    let input = with(added(full("w", &[1], 1.0)), |graph| graph.input = vec![value("x", 8, &[1])]);
    refused(&input, &["input `x`: element type string is not supported"]);
    let sequence = with(added(full("w", &[1], 1.0)), |graph| graph.input[0].r#type = Some(TypeProto::default()));
    refused(&sequence, &["input `x`: a type other than a tensor is not supported"]);
    let cast = model(vec![node("Cast", "x", "y", vec![int("to", 8)])], vec![]);
    refused(&cast, &["`n_y` (Cast)", "element type string is not supported"]);
}

#[test]
fn tensors_of_a_file_are_counted_together() {
    let all = with(added(full("w", &[7], 1.0)), |graph| {
        let raw_data = vec![0u8; 4 << 20];
        graph.initializer =
            (0..4).map(|at| TensorProto { name: format!("w{at}"), raw_data: raw_data.clone().into(), ..weight(&[1 << 20], 1) }).collect();
        graph.node = vec![node("Sum", "w0 w1 w2 w3", "y", vec![])];
    });
    let bytes = all.encode_to_vec();
    let options = |limit| LoadOptions::new().max_memory(limit);
    let expected = ["initializer `w3`: its data would bring what is loaded to", "more than the limit of 16777216; raise `max_memory`"];
    refused_within(4 * bytes.len() + SMALL, &bytes, &options(16 << 20), CompileOptions::new(), &expected);
    assert!(macula::onnx::from_bytes_with(&bytes, &options(17 << 20)).is_ok());
    // A tensor that nothing reads is not decoded.
    let unread = with(all, |graph| graph.node = vec![node("Sum", "w0 w1", "y", vec![])]);
    assert!(macula::onnx::from_bytes_with(&unread.encode_to_vec(), &options(16 << 20)).is_ok());
}

/// A folder `model/` with a secret beside it, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("macula-hostile-{name}-{}", std::process::id()));
        std::fs::create_dir_all(root.join("model")).unwrap();
        std::fs::write(root.join("secret.bin"), [1u8; 4096]).unwrap();
        std::fs::write(root.join("model/weights.bin"), [1u8; 4096]).unwrap();
        Self(root)
    }

    fn load(&self, dims: &[i64], entries: &[(&str, &str)], options: &LoadOptions) -> Result<Graph, Error> {
        let external_data = entries.iter().map(|&(k, v)| StringStringEntryProto { key: k.into(), value: v.into() }).collect();
        let path = self.0.join("model/model.onnx");
        std::fs::write(&path, added(TensorProto { external_data, data_location: 1, ..weight(dims, 2) }).encode_to_vec()).unwrap();
        macula::onnx::load_with(path, options)
    }

    #[track_caller]
    fn refuses(&self, dims: &[i64], entries: &[(&str, &str)], expected: &str) {
        let (result, peak) = peak_of(|| self.load(dims, entries, &LoadOptions::new()));
        let message = result.unwrap_err().to_string();
        assert!(message.contains("model.onnx: initializer `w`: external data") && message.contains(expected), "{message}");
        assert!(peak < SMALL, "{peak} bytes allocated for: {message}");
    }

    #[track_caller]
    fn refuses_place(&self, location: &str, expected: &str) {
        self.refuses(&[4], &[("location", location)], expected);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_outside_the_model_folder_are_never_read() {
    let folder = Folder::new("outside");
    let outside = "only files inside the model's folder are read";
    let absolute = folder.0.join("secret.bin");
    for place in ["../secret.bin", "./../secret.bin", "sub/../../secret.bin", "/etc/passwd", "", "..", absolute.to_str().unwrap()] {
        folder.refuses_place(place, outside);
    }
    folder.refuses_place(".", "is not a file");
    folder.refuses_place("absent.bin", "absent.bin");
    folder.refuses_place("nul\0byte", "nul");
    #[cfg(unix)]
    {
        let link = |target: &Path, name: &str| std::os::unix::fs::symlink(target, folder.0.join("model").join(name)).unwrap();
        link(Path::new("../secret.bin"), "link.bin");
        link(Path::new(".."), "up");
        link(Path::new("/dev/zero"), "zero");
        link(Path::new("loop"), "loop");
        folder.refuses_place("link.bin", "a link leads out of the model's folder");
        folder.refuses_place("up/secret.bin", "a link leads out of the model's folder");
        folder.refuses_place("zero", "a link leads out of the model's folder");
        folder.refuses_place("loop", "loop");
    }
    assert!(folder.load(&[4], &[("location", "weights.bin")], &LoadOptions::new()).is_ok());
}

#[test]
fn offsets_and_lengths_of_files_are_checked() {
    let folder = Folder::new("ranges");
    let location = ("location", "weights.bin");
    folder.refuses(&[4], &[], "has no location");
    folder.refuses(&[4], &[location, ("offset", "4093")], "ends at byte 4096, before 4093 + 4");
    folder.refuses(&[4], &[location, ("offset", "18446744073709551615")], "ends at byte 4096");
    folder.refuses(&[4], &[location, ("offset", "99999999999999999999999")], "is not a number");
    folder.refuses(&[4], &[location, ("offset", "-1")], "offset `-1` is not a number");
    folder.refuses(&[4], &[location, ("length", "18446744073709551615")], "has 18446744073709551615 bytes, the tensor takes 4");
    folder.refuses(&[1 << 40], &[location], "ends at byte 4096, before 0 + 1099511627776");
    folder.refuses(&[1 << 40], &[location, ("length", "1099511627776")], "ends at byte 4096");
    let error = folder.load(&[4096], &[location], &LoadOptions::new().max_memory(4096)).unwrap_err().to_string();
    assert!(error.contains("initializer `w`: its data would bring what is loaded to"), "{error}");
}

#[test]
fn a_file_larger_than_the_limit_is_not_read() {
    let folder = Folder::new("large");
    let path = folder.0.join("model/sparse.onnx");
    std::fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    let options = LoadOptions::new().max_memory(1 << 20);
    let (result, peak) = peak_of(|| macula::onnx::load_with(&path, &options));
    let message = result.unwrap_err().to_string();
    assert!(message.contains("has 1073741824 bytes, more than the limit of 1048576; raise `max_memory`"), "{message}");
    assert!(peak < SMALL, "{peak}");
}

#[test]
fn weights_that_are_no_numbers_run_as_the_reference_says() {
    for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE / 2.0] {
        let conv = node("Conv", "x w b", "c", vec![ints("pads", &[1, 1, 1, 1])]);
        let norm = node("BatchNormalization", "c s b2 m v", "n", vec![float("epsilon", 0.0)]);
        let tail = vec![
            node("Relu", "n", "r", vec![]),
            node("MaxPool", "r", "p", vec![ints("kernel_shape", &[2, 2])]),
            node("Softmax", "p", "y", vec![]),
        ];
        let constants = |at: usize| {
            let part = |name: &str, dims: &[i64], position| full(name, dims, if position == at { number } else { 0.25 });
            let names = ["b", "s", "b2", "m", "v"];
            let mut all: Vec<_> = names.iter().enumerate().map(|(position, name)| part(name, &[2], position)).collect();
            all.push(part("w", &[2, 3, 3, 3], 5));
            all
        };
        // Zeros of the padding are multiplied on the CPU device, so a weight that makes them NaN is not asked for.
        for at in 0..if number.is_infinite() { 5 } else { 6 } {
            runs_within(SMALL, &model([vec![conv.clone(), norm.clone()], tail.clone()].concat(), constants(at)));
        }
        for op in ["Add", "Mul", "Div", "Pow", "Max", "Mod"] {
            let attributes = if op == "Mod" { vec![int("fmod", 1)] } else { vec![] };
            runs_within(SMALL, &model(vec![node(op, "x c", "y", attributes)], vec![full("c", &[3, 1, 1], number)]));
        }
        runs_within(SMALL, &model(vec![node("Clip", "x a b", "y", vec![])], vec![full("a", &[], number), full("b", &[], 1.0)]));
        runs_within(SMALL, &model(vec![node("MatMul", "x w", "y", vec![])], vec![full("w", &[7, 4], number)]));
    }
}

#[test]
fn attributes_that_are_no_numbers_run_as_the_reference_says() {
    for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0] {
        for (op, name) in [
            ("LeakyRelu", "alpha"),
            ("Elu", "alpha"),
            ("Celu", "alpha"),
            ("Selu", "gamma"),
            ("HardSigmoid", "beta"),
            ("ThresholdedRelu", "alpha"),
        ] {
            runs_within(SMALL, &model(vec![node(op, "x", "y", vec![float(name, number)])], vec![]));
        }
        let constants = vec![full("s", &[3], 1.0), full("b", &[3], 0.5)];
        runs_within(SMALL, &model(vec![node("InstanceNormalization", "x s b", "y", vec![float("epsilon", number)])], constants));
        let grid = vec![full("g", &[1, 4, 4, 2], number)];
        runs_within(SMALL, &model(vec![node("GridSample", "x g", "y", vec![text("padding_mode", "reflection")])], grid));
    }
}

#[test]
fn scales_that_are_no_numbers_are_refused() {
    for scale in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -2.0, 0.0, f32::MAX] {
        refused(&model(vec![node("Resize", "x - s", "y", vec![])], vec![floats("s", &[1.0, 1.0, scale, 1.0])]), &["`n_y` (Resize)"]);
    }
}
