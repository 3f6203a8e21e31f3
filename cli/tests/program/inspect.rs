//! `macula inspect`: the table, the graph for Graphviz and JSON.

use serde_json::{Value, json};

use crate::support::{cifar10, data, has_gpu, macula};

fn inspected(arguments: &[&str]) -> Value {
    macula([&["inspect", "--json"], arguments].concat()).ok().json().remove(0)
}

#[test]
fn the_table_has_layers_sums_and_passes() {
    let run = macula(["inspect"]).ok();
    for what in [
        "input   image  f32[N,3,32,32], here f32[1,3,32,32]",
        "here f32[1,10]",
        "Conv + BatchNormalization + Relu",
        "layers from 31 nodes of the file, 611,882 parameters",
        "on the CPU",
    ] {
        assert!(run.stdout.contains(what), "no `{what}` in\n{}", run.stdout);
    }
    let fold: Vec<_> = run.stdout.lines().find(|line| line.starts_with("fold-affine")).unwrap().split_whitespace().collect();
    assert_eq!(fold, ["fold-affine", "31", "→", "23", "8"]);
    let conv = run.stdout.lines().find(|line| line.starts_with("/res1/a/a.0/Conv")).unwrap();
    let cells: Vec<&str> = conv.split_whitespace().collect();
    let from = cells.iter().position(|cell| *cell == "[1,64,16,16]").unwrap();
    // 64 · (3 · 3 · 64 + 2) parameters; 2 · 576 + 2 operations for each output; 12 pixels, 2 apart.
    assert_eq!(cells[from + 1..], ["36,992", "18.9", "12×12", "2", "0.5", "CPU"], "{conv}");
    assert!(run.stdout.lines().any(|line| line.starts_with("/GlobalAveragePool") && line.contains("whole")), "{}", run.stdout);
    // Plain where it is no terminal: no escapes, nothing shortened.
    assert!(!run.stdout.contains('\u{1b}') && !run.stdout.lines().skip(4).any(|line| line.contains('…')), "{}", run.stdout);
}

#[test]
fn the_table_says_which_kernels_run() {
    if !has_gpu() {
        return;
    }
    let run = macula(["inspect", "--device", "gpu"]).ok();
    for what in ["conv2d_", "pool_", "view", "dispatches", "without sharing", "on the GPU"] {
        assert!(run.stdout.contains(what), "no `{what}` in\n{}", run.stdout);
    }
    let json = inspected(&["--device", "gpu"]);
    let memory = |name: &str| json["memory"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {}", json["memory"]));
    assert!(memory("lower_bound_bytes") <= memory("peak_bytes") && memory("peak_bytes") <= memory("no_reuse_bytes"));
    assert!(memory("weights_bytes") > 4 * 600_000);
    assert!(json["totals"]["dispatches"].as_u64().unwrap() > 5);
    let layers = json["layers"].as_array().unwrap();
    assert!(layers.iter().all(|layer| layer["device"] == "gpu" || layer["kernel"].is_null()));
    assert!(layers[0]["kernel"].as_str().unwrap().starts_with("conv2d_"));
}

#[test]
fn json_has_every_documented_field() {
    let json = inspected(&[]);
    assert_eq!(
        json["inputs"][0],
        json!({
            "name": "image", "declared": "f32[N,3,32,32]", "type": "f32[1,3,32,32]", "dtype": "f32", "shape": [1, 3, 32, 32]
        })
    );
    let layers = json["layers"].as_array().unwrap();
    assert_eq!(json["totals"]["parameters"], 611_882);
    assert_eq!((&json["totals"]["nodes"], &json["totals"]["file_nodes"]), (&json!(layers.len()), &json!(31)));
    assert_eq!(json["totals"]["dispatches"], 0);
    // Buffers are not planned on the CPU device: unknown, not 0.
    let memory = &json["memory"];
    assert!(memory["weights_bytes"].as_u64().unwrap() > 4 * 600_000);
    assert!(["peak_bytes", "no_reuse_bytes", "lower_bound_bytes"].iter().all(|name| memory[name].is_null()), "{memory}");
    let stem = &layers[0];
    assert_eq!(stem["name"], "/stem/stem.0/Conv");
    assert_eq!((&stem["op"], &stem["output_shape"], &stem["parameters"]), (&json!("Conv"), &json!([1, 32, 32, 32]), &json!(928)));
    // Products and sums, the bias, the activation.
    assert_eq!(stem["flops"], 32 * 32 * 32 * (2 * 27 + 1 + 1));
    assert_eq!(stem["origins"][0], json!({ "name": "/stem/stem.0/Conv", "op": "Conv" }));
    assert_eq!(stem["origins"][1]["op"], "BatchNormalization");
    let field = json!({ "input": "image", "size": [3, 3], "stride": [1.0, 1.0], "centre": [0.0, 0.0], "whole": [false, false] });
    assert_eq!((&stem["receptive_field"], &stem["receptive_fields"][0]), (&field, &field));
    assert_eq!(
        (&stem["device"], &stem["kernel"], &stem["variants"], &stem["reason"]),
        (&json!("cpu"), &Value::Null, &json!([]), &Value::Null)
    );
    let last = layers.last().unwrap();
    assert_eq!(last["receptive_field"]["whole"], json!([true, true]));
    assert_eq!(last["receptive_field"]["stride"], json!([null, null]));
    let sum = |name: &str| layers.iter().map(|layer| layer[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((json!(sum("flops")), json!(sum("parameters"))), (json["totals"]["flops"].clone(), json["totals"]["parameters"].clone()));
    let fold = json["passes"].as_array().unwrap().iter().find(|pass| pass["pass"] == "fold-affine").unwrap();
    assert_eq!(fold, &json!({ "pass": "fold-affine", "changes": 8, "nodes_before": 31, "nodes_after": 23 }));
    // The help names every field.
    let help = macula(["inspect", "--help"]).ok().stdout;
    let named = |object: &Value, prefix: &str| {
        for name in object.as_object().unwrap().keys() {
            assert!(
                help.contains(&format!("{prefix}{name}")) || help.contains(&format!(".{name}")) || help.contains(&format!(" {name}")),
                "no `{name}`"
            );
        }
    };
    named(&json, "");
    named(&json["totals"], "totals.");
    named(&json["memory"], "memory.");
    named(stem, "layers[].");
}

#[test]
fn batches_and_passes_change_what_runs_and_not_the_parameters() {
    let (one, four, whole) = (inspected(&[]), inspected(&["--batch", "4"]), inspected(&["--without-pass", "fold-affine"]));
    assert_eq!(four["inputs"][0]["type"], "f32[4,3,32,32]");
    let flops = |json: &Value| json["totals"]["flops"].as_u64().unwrap();
    assert!(flops(&four) > 3 * flops(&one) && flops(&four) <= 4 * flops(&one));
    let layers = |json: &Value| json["layers"].as_array().unwrap().len();
    assert!(flops(&whole) > flops(&one) && layers(&whole) > layers(&one));
    assert!([&four, &whole].iter().all(|json| json["totals"]["parameters"] == 611_882));
    assert!(whole["passes"].as_array().unwrap().iter().all(|pass| pass["pass"] != "fold-affine"));
}

/// What follows a name and an equals sign in Graphviz's language, or an edge: quotes balanced, statements ended.
#[test]
fn the_graph_is_one_that_graphviz_takes() {
    let run = macula(["inspect", "--dot"]).ok();
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines[0].starts_with("digraph \"") && lines[0].ends_with('{') && lines.last() == Some(&"}"), "{}", run.stdout);
    let mut declared = vec![];
    let mut edges = 0;
    for line in &lines[1..lines.len() - 1] {
        assert!(line.starts_with("  ") && line.ends_with(';'), "{line}");
        let unescaped = line.replace("\\\\", "").replace("\\\"", "");
        assert_eq!(unescaped.matches('"').count() % 2, 0, "{line}");
        let name = line.split_whitespace().next().unwrap();
        match line.split_once(" -> ") {
            Some((from, rest)) => {
                let to = rest.split(' ').next().unwrap();
                assert!(declared.contains(&from.trim()) && declared.contains(&to), "{line}");
                assert!(rest.contains("[label=\"f32["), "edges carry shapes: {line}");
                edges += 1;
            }
            None => declared.push(name),
        }
    }
    let layers = declared.iter().filter(|name| name.starts_with("node") && **name != "node").count();
    assert_eq!(layers, inspected(&[])["layers"].as_array().unwrap().len());
    assert!(declared.contains(&"input0") && declared.contains(&"output0"));
    // A chain, and two residuals.
    assert_eq!(edges, layers + 1 + 2);
    assert!(run.stdout.contains("tooltip=\"/stem/stem.0/Conv\\n"), "{}", run.stdout);
    macula(["inspect", "--dot", "--json"]).fails(2, &["cannot be used with"]);
}

#[test]
fn open_extents_are_asked_for() {
    let Some(model) = data("models/super-resolution/model.onnx") else { return };
    macula(["inspect", &model]).ok();
    let run = macula(["inspect", &model, "--batch", "2"]).ok();
    assert!(run.stdout.contains("here f32[2,1,224,224]"), "{}", run.stdout);
    assert!(run.stdout.contains("0.33"), "each pixel of the output is a third of one of the input\n{}", run.stdout);
}

/// Without shapes there are names, declared types and parameters, and a warning that says why.
#[test]
fn what_is_known_without_shapes_is_printed() {
    let Some(model) = data("models/ultraface-rfb-320/model.onnx") else { return };
    macula(["inspect", &model]).ok();
    let model = cifar10();
    let run = macula(["inspect", model.to_str().unwrap(), "--dim", "N=3"]).ok();
    assert!(run.stdout.contains("here f32[3,3,32,32]"), "{}", run.stdout);
    macula(["inspect", "--dim", "height=3"]).fails(2, &["no open extent `height`", "N"]);
}
