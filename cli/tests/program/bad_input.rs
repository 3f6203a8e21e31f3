//! Everything that can be wrong with what people give: one clear line, the right exit code, no panic.

use crate::support::{Scratch, cifar10, data, field, macula};

#[test]
fn files_that_are_not_there() {
    macula(["classify", "nowhere.jpg"]).fails(1, &["nowhere.jpg"]);
    macula(["classify", "nowhere/*.jpg"]).fails(1, &["nowhere/*.jpg: no file matches"]);
    macula(["classify", "--model", "nowhere.onnx"]).fails(1, &["nowhere.onnx"]);
    macula(["classify", "--labels", "nowhere.txt"]).fails(1, &["nowhere.txt"]);
    for command in ["run", "inspect"] {
        macula([command, "nowhere.onnx"]).fails(1, &["nowhere.onnx"]);
    }
    // Here 1 is an answer.
    macula(["verify", "nowhere.onnx"]).fails(2, &["nowhere.onnx"]);
    let model = cifar10();
    macula(["run", model.to_str().unwrap(), "--input", "nowhere.npy"]).fails(1, &["nowhere.npy"]);
}

#[test]
fn files_that_are_not_models() {
    let scratch = Scratch::new();
    let whole = std::fs::read(cifar10()).unwrap();
    let files = [
        scratch.file("text.onnx", "This is not a network.\n"),
        scratch.file("empty.onnx", ""),
        scratch.file("half.onnx", &whole[..whole.len() / 2]),
        scratch.file("head.onnx", &whole[..100]),
        scratch.path(""),
    ];
    for file in &files {
        for (command, code) in [("run", 1), ("verify", 2), ("inspect", 1)] {
            macula([command, file]).fails(code, &[file]);
        }
        macula(["classify", "--model", file]).fails(1, &[file]);
    }
}

#[test]
fn networks_that_take_more_than_they_may() {
    macula(["classify", "--max-memory", "0"]).fails(1, &["more than the limit of 0", "raise `max_memory`"]);
    macula(["classify", "--max-memory", "1"]).ok();
}

#[test]
fn the_broken_models_of_the_test_data() {
    for name in ["not-a-protobuf.onnx", "no-opset-import.onnx"] {
        let Some(file) = data(&format!("broken/{name}")) else { return };
        macula(["inspect", &file]).fails(1, &[name]);
        macula(["classify", "--model", &file]).fails(1, &[name]);
    }
}

#[test]
fn labels_of_the_wrong_count() {
    let scratch = Scratch::new();
    let labels = scratch.file("labels.txt", "one\ntwo\nthree\n");
    macula(["classify", "--labels", &labels]).fails(1, &["labels.txt has 3 labels", "has 10 classes"]);
    let binary = scratch.file("binary.txt", [0xff, 0xfe, 0x00]);
    macula(["classify", "--labels", &binary]).fails(1, &["binary.txt: not a text file"]);
}

#[test]
fn inputs_that_do_not_fit() {
    let (scratch, model) = (Scratch::new(), cifar10());
    let model = model.to_str().unwrap();
    let image = vec![0u8; 3 * 32 * 32 * 4];
    let good = scratch.npy("good.npy", "<f4", "(1, 3, 32, 32)", &image);
    let shape = scratch.npy("shape.npy", "<f4", "(1, 32, 32, 3)", &image);
    let dtype = scratch.npy("dtype.npy", "<i4", "(1, 3, 32, 32)", &image);
    let empty = scratch.npy("empty.npy", "<f4", "(0, 3, 32, 32)", &[]);
    let short = scratch.npy("short.npy", "<f4", "(1, 3, 32, 32)", &image[..100]);
    let text = scratch.file("text.npy", "1 2 3");
    let run = |input: &str| macula(["run", model, "--input", input]);
    run(&good).ok();
    run(&format!("image={good}")).ok();
    run(&shape).fails(1, &["input `image`: expected f32[N,3,32,32], got f32[1,32,32,3]"]);
    run(&dtype).fails(1, &["input `image`: expected f32[N,3,32,32], got i32[1,3,32,32]"]);
    run(&empty).fails(1, &["input `image`", "empty"]);
    run(&short).fails(1, &["short.npy", "does not fit the 100 bytes"]);
    run(&text).fails(1, &["text.npy: not a .npy file"]);
    run(&format!("pixels={good}")).fails(2, &["NAME of `image`"]);
    macula(["run", model]).fails(2, &["input `image` (f32[N,3,32,32]) is missing", "--random"]);
    macula(["run", model, "--input", &good, "--input", &good]).fails(2, &["given twice"]);
    macula(["run", model, "--random", "--dim", "height=3"]).fails(2, &["no open extent `height`; open are N"]);
    macula(["run", model, "--random", "--batch", "4000000000"]).fails(2, &["too large"]);
    macula(["verify", model, "--input", &shape]).fails(2, &["expected f32[N,3,32,32]"]);
}

#[test]
fn weights_that_are_not_numbers() {
    let scratch = Scratch::new();
    let mut bytes = std::fs::read(cifar10()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 12].copy_from_slice(&[0xff; 12]);
    let model = scratch.file("nan.onnx", bytes);
    let run = macula(["classify", "--model", &model, "--preset", "cifar10", "--json"]).fails(1, &["not a number (NaN)"]);
    assert!(run.json()[0]["error"].is_string());
    let run = macula(["run", &model, "--random", "--json"]).ok();
    assert_eq!(run.json()[0]["outputs"][0]["not_finite"], 10);
}

#[test]
fn outputs_that_cannot_be_written() {
    let (scratch, model) = (Scratch::new(), cifar10());
    let file = scratch.file("file", "");
    macula(["run", model.to_str().unwrap(), "--random", "--output", &file]).fails(1, &["cannot be made a directory"]);
    // The output's name is taken by a directory.
    std::fs::create_dir(scratch.path("logits.npy")).unwrap();
    macula(["run", model.to_str().unwrap(), "--random", "--output", &scratch.path("")]).fails(1, &["logits.npy: cannot be written"]);
    let left: Vec<_> = std::fs::read_dir(scratch.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "half-written files are removed: {left:?}");
}

#[test]
fn command_lines_that_mean_nothing() {
    macula(["classify", "--device", "tpu"]).fails(2, &["`tpu` is not a device; use auto, cpu, gpu"]);
    macula(["classify", "--device", "99"]).fails(1, &["no adapter 99"]);
    macula(["classify", "--resize", "16"]).fails(2, &["--resize 16 is smaller than the input, 32×32"]);
    macula(["classify", "--size", "64"]).fails(2, &["fixed at 32"]);
    macula(["classify", "--mean", "1,2"]).fails(2, &["--mean has 2 values"]);
    for arguments in
        [&["classify", "--top", "0"][..], &["classify", "--scale", "x"], &["run"], &["nonsense"], &["run", "--random", "m.onnx"]]
    {
        macula(arguments).fails(2, &[]);
    }
    let directory = Scratch::new();
    macula(["classify", &directory.path("")]).fails(1, &["no pictures in this directory"]);
}

#[test]
fn operators_that_are_not_supported_are_listed() {
    let node = |name: &str, op: &str| {
        field(1, &[field(1, b"x"), field(2, name.as_bytes()), field(3, name.as_bytes()), field(4, op.as_bytes())].concat())
    };
    let float = field(2, &field(1, &[8, 1]));
    let graph = [
        node("recurrent", "LSTM"),
        node("looping", "Loop"),
        field(11, &[field(1, b"x"), float].concat()),
        field(12, &field(1, b"looping")),
    ];
    let opset_17 = field(8, &[16, 17]);
    let scratch = Scratch::new();
    let model = scratch.file("unsupported.onnx", [field(7, &graph.concat()), opset_17].concat());
    let expected = ["2 nodes are not supported", "`recurrent` (LSTM)", "`looping` (Loop)"];
    macula(["inspect", &model]).fails(1, &expected);
    macula(["classify", "--model", &model]).fails(1, &expected);
}

#[test]
fn networks_that_do_not_classify() {
    let Some(model) = data("models/ultraface-rfb-320/model.onnx") else { return };
    macula(["classify", "--model", &model]).fails(1, &["is not one score a class; use `macula run`"]);
}
