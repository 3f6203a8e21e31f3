//! `macula verify`: what is wrong is found, and the exit code says so.

use crate::support::{Scratch, cifar10, has_gpu, macula};

/// The embedded network's outputs for the random input of `verify`, as a `.npy` file.
fn outputs(scratch: &Scratch) -> String {
    macula(["run", cifar10().to_str().unwrap(), "--random", "0", "--output", &scratch.path("")]).ok();
    scratch.path("logits.npy")
}

#[test]
fn stored_outputs_are_compared() {
    let (scratch, model) = (Scratch::new(), cifar10());
    let model = model.to_str().unwrap();
    let stored = outputs(&scratch);
    let run = macula(["verify", model, "--random", "0", "--expect", &stored]).ok();
    assert!(run.stdout.contains("The output is as expected.") && run.stdout.contains("logits"), "{}", run.stdout);
    let json = macula(["verify", model, "--random", "0", "--json", "--expect", &format!("logits={stored}")]).ok().json().remove(0);
    assert_eq!((json["expected"][0]["output"].as_str(), json["expected"][0]["beyond"].as_i64()), (Some("logits"), Some(0)));

    // One element is wrong.
    let mut bytes = std::fs::read(&stored).unwrap();
    let last = bytes.len() - 4;
    let value = f32::from_le_bytes(bytes[last..].try_into().unwrap());
    bytes[last..].copy_from_slice(&(value + 10.0).to_le_bytes());
    let spoiled = scratch.file("spoiled.npy", &bytes);
    let run = macula(["verify", model, "--random", "0", "--expect", &spoiled]);
    assert_eq!(run.code, 1, "{}", run.stdout);
    assert!(run.stdout.contains("The output is not as expected.") && run.stdout.contains("[0, 9]"), "{}", run.stdout);
    assert!(run.stdout.contains("node outputs are within tolerance"), "the nodes are right: {}", run.stdout);

    let turned = scratch.npy("turned.npy", "<f4", "(10, 1)", &bytes[bytes.len() - 40..]);
    let run = macula(["verify", model, "--random", "0", "--json", "--expect", &turned]);
    assert_eq!(run.code, 1);
    assert_eq!(run.json()[0]["expected"][0]["mismatch"], "got f32[1,10], expected f32[10,1]");
    let integers = scratch.npy("integers.npy", "<i4", "(1, 10)", &[0; 40]);
    let run = macula(["verify", model, "--random", "0", "--expect", &integers]);
    assert_eq!(run.code, 1);
    assert!(run.stdout.contains("got f32[1,10], expected i32[1,10]"), "{}", run.stdout);
}

#[test]
fn what_cannot_be_found_out_exits_with_two() {
    let (scratch, model) = (Scratch::new(), cifar10());
    let model = model.to_str().unwrap();
    let stored = outputs(&scratch);
    macula(["verify", model, "--expect", "nowhere.npy"]).fails(2, &["nowhere.npy"]);
    macula(["verify", model, "--expect", &format!("probabilities={stored}")]).fails(2, &["--expect", "NAME of `logits`"]);
    macula(["verify", model, "--heatmap", "error.txt"]).fails(2, &["error.txt", "out.png"]);
    macula(["verify", model, "--bisect", "--kernel", "all"]).fails(2, &["--bisect searches with one kernel"]);
    macula(["verify", model, "--kernel", "conv2d_direct"]).fails(2, &["no node can be computed by it", "no node runs on a GPU"]);
    macula(["verify", model, "--bisect", "--heatmap", "error.png"]).fails(2, &["cannot be used with"]);
    macula(["verify", model, "--rtol", "1"]).fails(2, &["--rtol and --atol are bounds of outputs; give --expect or --f16"]);
    for bound in ["-1", "inf", "nan", "much"] {
        macula(["verify", model, "--expect", &stored, &format!("--atol={bound}")]).fails(2, &["expected a number from 0 on"]);
    }
}

/// One element off by a tenth: within a bound of a quarter, beyond the one that holds by default, with and without `--bisect`.
#[test]
fn bounds_of_outputs_are_given_and_told() {
    let (scratch, model) = (Scratch::new(), cifar10());
    let model = model.to_str().unwrap();
    let stored = outputs(&scratch);
    let mut bytes = std::fs::read(&stored).unwrap();
    let last = bytes.len() - 4;
    let value = f32::from_le_bytes(bytes[last..].try_into().unwrap());
    bytes[last..].copy_from_slice(&(value * 1.1).to_le_bytes());
    let off = scratch.file("off.npy", &bytes);
    let base = ["verify", model, "--random", "0", "--expect", &off];
    for bisect in [&[][..], &["--bisect"]] {
        let run = |more: &[&'static str]| macula(base.iter().chain(bisect).chain(more));
        let (tight, wide) = (run(&[]), run(&["--rtol", "0.25", "--atol", "0"]));
        assert_eq!((tight.code, wide.code), (1, 0), "{}{}", tight.stdout, wide.stdout);
        assert!(tight.stdout.contains("1e-3 + 1e-4") && tight.stdout.contains("The output is not as expected."), "{}", tight.stdout);
        assert!(wide.stdout.contains("2.5e-1 + 0") && wide.stdout.contains("The output is as expected."), "{}", wide.stdout);
        let json = run(&["--json", "--rtol", "0.25"]).ok().json().remove(0);
        assert_eq!((json["expected"][0]["rtol"].as_f64(), json["expected"][0]["atol"].as_f64()), (Some(0.25), Some(1e-4)), "{json}");
    }
}

#[test]
fn halves_in_half_precision_are_held_against_single_precision() {
    let run = macula(["verify", "--f16", "--bisect"]).ok();
    assert!(run.stdout.contains("after 1 run of parts of") && run.stdout.contains("single precision"), "{}", run.stdout);
    let json = macula(["verify", "--f16", "--bisect", "--json", "--rtol", "0", "--atol", "0"]);
    assert_eq!(json.code, 1, "half precision is not single precision: {}", json.stdout);
    let json = json.json().remove(0);
    assert_eq!((json["verdict"].as_str(), json["expected"][0]["passed"].as_bool()), (Some("agrees"), Some(false)), "{json}");
}

#[test]
fn halves_agree_where_nothing_is_wrong() {
    let run = macula(["verify", "--bisect"]).ok();
    assert!(run.stdout.contains("The outputs agree, after 1 run of parts of"), "{}", run.stdout);
    let json = macula(["verify", "--bisect", "--json"]).ok().json().remove(0);
    assert_eq!((json["verdict"].as_str(), json["probes"].as_array().unwrap().len()), (Some("agrees"), 1));
}

#[test]
fn every_operator_has_a_row() {
    let run = macula(["verify"]).ok();
    assert!(run.stdout.contains("By operator"), "{}", run.stdout);
    let json = macula(["verify", "--json"]).ok().json().remove(0);
    let ops = json["ops"].as_array().unwrap();
    let outputs: u64 = ops.iter().map(|op| op["outputs"].as_u64().unwrap()).sum();
    assert_eq!(outputs as usize, json["nodes"].as_array().unwrap().len());
    for op in ops {
        let counts = op["histogram"]["counts"].as_array().unwrap();
        let counted: u64 = counts.iter().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!((counts.len(), counted + op["exact"].as_u64().unwrap()), (10, op["outputs"].as_u64().unwrap()));
    }
}

#[test]
fn half_precision_is_held_against_single() {
    let run = macula(["verify", "--f16"]).ok();
    assert!(run.stdout.contains("f16[") && !run.stdout.contains("f32["), "{}", run.stdout);
    assert!(run.stdout.contains("single precision") && run.stdout.contains("The output is as expected."), "{}", run.stdout);
}

#[test]
fn the_heat_map_is_a_picture() {
    let scratch = Scratch::new();
    let file = scratch.path("error.png");
    let run = macula(["verify", "--heatmap", &file]).ok();
    assert!(run.stdout.contains("error.png: where `"), "{}", run.stdout);
    let picture = image::open(&file).unwrap();
    assert!(picture.width() >= 700 && picture.height() > 100);
}

#[test]
fn every_kernel_is_tried() {
    if !has_gpu() {
        return;
    }
    let json = macula(["verify", "--device", "gpu", "--kernel", "all", "--json"]).ok().json().remove(0);
    let kernels = json["kernels"].as_array().unwrap();
    assert!(kernels.len() > json["nodes"].as_array().unwrap().len(), "{}", kernels.len());
    assert!(kernels.iter().all(|kernel| kernel["passed"] == true));
    // A kernel of the list is taken wherever it can serve.
    let other = kernels.iter().find(|kernel| kernel["chosen"] == false).unwrap();
    let name = other["kernel"].as_str().unwrap();
    let json = macula(["verify", "--device", "gpu", "--kernel", name, "--json"]).ok().json().remove(0);
    let node = json["nodes"].as_array().unwrap().iter().find(|node| node["node"] == other["node"]).unwrap().clone();
    assert!(node["kernel"].as_str().unwrap().contains(name), "{node}");
    macula(["verify", "--device", "gpu", "--kernel", "no_such_kernel"]).fails(2, &["no node can be computed by it", "kernels that can: "]);
}
