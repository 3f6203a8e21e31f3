//! `macula run`, `verify` and `devices`.

use crate::support::{Scratch, cifar10, data, macula};

#[test]
fn outputs_are_written_and_the_same_for_the_same_seed() {
    let (scratch, model) = (Scratch::new(), cifar10());
    let run = |seed: &str, directory: &str| {
        let directory = scratch.path(directory);
        let arguments = ["run", model.to_str().unwrap(), "--random", seed, "--batch", "3", "--json", "--output", &directory];
        let json = macula(arguments).ok().json().remove(0);
        assert_eq!(json["outputs"][0]["shape"], serde_json::json!([3, 10]));
        assert_eq!(json["outputs"][0]["name"], "logits");
        std::fs::read(format!("{directory}/logits.npy")).unwrap()
    };
    let (first, again, other) = (run("1", "a/b"), run("1", "c"), run("2", "d"));
    assert!(first == again && first != other);
    assert!(first.starts_with(b"\x93NUMPY\x01\x00") && first.len() == 128 + 3 * 10 * 4);
    assert!(String::from_utf8_lossy(&first).contains("'descr': '<f4', 'fortran_order': False, 'shape': (3, 10), }"));
}

#[test]
fn outputs_feed_inputs() {
    let (scratch, model) = (Scratch::new(), cifar10());
    let image: Vec<u8> = (0..2 * 3 * 32 * 32).flat_map(|i| ((i % 255) as f32 / 255.0).to_le_bytes()).collect();
    let input = scratch.npy("x.npy", "<f4", "(2, 3, 32, 32)", &image);
    let run = macula(["run", model.to_str().unwrap(), "--input", &format!("image={input}"), "--output", &scratch.path("out")]).ok();
    assert!(run.stdout.contains("logits") && run.stdout.contains("f32[2,10]") && run.stdout.contains("logits.npy"), "{}", run.stdout);
}

/// The outputs that ONNX Runtime stored, through `run` and `.npy` files.
#[test]
fn stored_outputs_come_out() {
    let (Some(model), Some(input)) =
        (data("models/resnet20-cifar10/model.onnx"), data("models/resnet20-cifar10/test_data_set_1/input_0.pb"))
    else {
        return;
    };
    let json = macula(["run", &model, "--input", &input, "--json"]).ok().json().remove(0);
    assert_eq!(json["outputs"][0]["not_finite"], 0);
    assert_eq!(json["outputs"][0]["shape"].as_array().unwrap().len(), 2);
}

#[test]
fn the_embedded_network_verifies() {
    let run = macula(["verify"]).ok();
    // Every node has a kernel, so that strict has nothing to refuse.
    macula(["verify", "--device", "gpu", "--strict"]).ok();
    assert!(run.stdout.contains("node outputs are within tolerance"), "{}", run.stdout);
    assert!(run.stdout.contains("Conv + BatchNormalization"), "{}", run.stdout);
    // Without any pass the nodes are the file's.
    let passes = macula(["inspect", "--json"]).ok().json().remove(0)["passes"].clone();
    let mut arguments: Vec<_> = ["verify", "--random", "3", "--batch", "2", "--json"].map(str::to_owned).to_vec();
    for pass in passes.as_array().unwrap() {
        arguments.extend(["--without-pass".to_owned(), pass["pass"].as_str().unwrap().to_owned()]);
    }
    arguments.insert(1, cifar10().to_str().unwrap().to_owned());
    let json = macula(&arguments).ok().json().remove(0);
    assert_eq!(json["passed"], true);
    let nodes = json["nodes"].as_array().unwrap();
    assert!(nodes.len() == 31 && nodes.iter().all(|node| node["origins"].as_array().unwrap().len() == 1));
    macula(["verify", "--without-pass", "fold"]).fails(2, &["`fold` is not a pass", "fold-affine"]);
}

#[test]
fn the_cpu_device_is_always_listed() {
    let run = macula(["devices"]).ok();
    assert!(run.stdout.contains("cpu") && run.stdout.contains("`auto` takes "), "{}", run.stdout);
    let json = macula(["devices", "--json"]).ok().json().remove(0);
    assert!(json["devices"].as_array().unwrap().iter().any(|d| d["device"] == "cpu"));
    assert!(json["auto"]["reason"].is_string());
}
