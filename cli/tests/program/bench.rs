//! `macula bench`: lines, figures, and figures of another day beside them.

use serde_json::Value;

use crate::support::{Run, Scratch, cifar10, data, field, has_gpu, macula};

fn bench(arguments: &[&str]) -> Run {
    macula([&["bench", "--runs", "3"], arguments].concat())
}

fn benched(arguments: &[&str]) -> Vec<Value> {
    records(&bench(&[arguments, &["--json", "-"]].concat()).ok().stdout)
}

fn records(json: &str) -> Vec<Value> {
    serde_json::from_str(json).unwrap_or_else(|e| panic!("{e}: {json}"))
}

fn number(record: &Value, field: &str) -> f64 {
    record[field].as_f64().unwrap_or_else(|| panic!("no number `{field}` in {record}"))
}

#[test]
fn a_line_for_each_device_and_batch() {
    let (devices, batches) = (if has_gpu() { vec!["cpu", "gpu"] } else { vec!["cpu"] }, [1, 3]);
    let lines = benched(&["--device", "all", "--batch", "1,3,1"]);
    assert_eq!(lines.len() % batches.len(), 0);
    for device in devices {
        for batch in batches {
            let line = lines.iter().find(|line| line["device"] == device && line["batch"] == batch).expect("a line");
            let [min, p10, median, p90] = ["min_ms", "p10_ms", "median_ms", "p90_ms"].map(|field| number(line, field));
            assert!(0.0 < min && min <= p10 && p10 <= median && median <= p90, "{line}");
            assert!((number(line, "images_per_s") * median / 1e3 / batch as f64 - 1.0).abs() < 1e-6, "{line}");
            assert!(number(line, "first_ms") > 0.0 && number(line, "compile_ms") > 0.0 && number(line, "weights_bytes") > 1e5, "{line}");
            assert_eq!((&line["runs"], &line["size"]), (&3.into(), &serde_json::json!([32, 32])));
            assert_eq!(line["peak_bytes"].is_null(), device == "cpu", "{line}");
            assert_eq!(line["fallbacks"], serde_json::json!([]));
            assert!(line["adapter"].as_str().is_some_and(|name| !name.is_empty()) && line["model"].is_string());
        }
    }
    assert!(lines.iter().filter(|line| line["device"] == "cpu").count() == 2, "batches asked for twice are measured once");
}

#[test]
fn activations_grow_with_the_batch() {
    if has_gpu() {
        let lines = benched(&["--device", "gpu,0,gpu", "--batch", "2,5"]);
        assert_eq!(lines.len(), 2, "a device of two names is one");
        assert!(number(&lines[1], "peak_bytes") > 2.0 * number(&lines[0], "peak_bytes"));
    }
}

#[test]
fn tables_name_what_was_measured() {
    let model = cifar10();
    let run = bench(&[model.to_str().unwrap(), "--batch", "2", "--quiet"]).ok();
    for what in ["cifar10.onnx", "CPU, ", "medians of 3 runs", "images/s", "first run", "compile", "32×32"] {
        assert!(run.stdout.contains(what), "no `{what}` in\n{}", run.stdout);
    }
    assert!(run.stderr.is_empty() && !run.stdout.contains('\u{1b}'), "{}{}", run.stderr, run.stdout);
    assert!(!run.stdout.contains("on the CPU") && !run.stdout.contains("old ÷ new"), "{}", run.stdout);
}

#[test]
fn figures_of_another_day_stand_beside() {
    let scratch = Scratch::new();
    let file = scratch.path("old.json");
    let table = bench(&["--batch", "1,2", "--json", &file]).ok().stdout;
    assert!(table.contains("images/s"), "{table}");
    let mut old = records(&std::fs::read_to_string(&file).unwrap());
    // Whole, which JSON keeps as it is.
    let (slow, other) = ((number(&old[0], "median_ms") * 1e3).round(), old[1].clone());
    // A thousand times slower; a batch that is not measured again; one that was not measured then.
    old[0]["median_ms"] = slow.into();
    old[1]["batch"] = 7.into();
    let changed = scratch.file("changed.json", serde_json::json!(old).to_string());
    let lines = benched(&["--batch", "1,2", "--compare", &changed]);
    assert_eq!(number(&lines[0], "old_median_ms"), slow);
    assert!(number(&lines[0], "ratio") > 20.0, "{}", lines[0]);
    assert!(lines[1]["ratio"].is_null(), "{}", lines[1]);
    let table = bench(&["--batch", "1,2", "--compare", &changed]).ok().stdout;
    for what in ["old ÷ new", "  new", "1 line is new", "Not measured now: the embedded CIFAR-10 network on CPU, ", "batch 7, 32×32."] {
        assert!(table.contains(what), "no `{what}` in\n{table}");
    }
    old[1] = other;
    let same = scratch.file("same.json", serde_json::json!(old).to_string());
    let table = bench(&["--batch", "1,2", "--compare", &same]).ok().stdout;
    assert!(table.contains("old ÷ new") && !table.contains("new:") && !table.contains("Not measured"), "{table}");

    for (text, why) in [("{}", "not figures"), ("[{\"model\": \"a\"}]", "missing field `device`"), ("", "not figures")] {
        let broken = scratch.file("broken.json", text);
        bench(&["--compare", &broken]).fails(1, &["broken.json", why]);
    }
    let zero = scratch.file("zero.json", std::fs::read_to_string(&same).unwrap().replace(&slow.to_string(), "0"));
    bench(&["--compare", &zero]).fails(1, &["zero.json", "a median of 0 ms"]);
    bench(&["--compare", &scratch.path("none.json")]).fails(1, &["none.json"]);
}

#[test]
fn what_a_network_does_not_allow_is_left_out_and_said() {
    let run = bench(&["--size", "32,64x48", "--json", "-"]).ok();
    assert_eq!(records(&run.stdout).len(), 1);
    assert!(run.stderr.contains("--size 64x48 is left out: input `image` is f32[N,3,32,32]"), "{}", run.stderr);
    let run = bench(&["--dim", "N=4", "--batch", "2,4", "--json", "-"]).ok();
    assert_eq!(records(&run.stdout)[0]["batch"], 4);
    assert!(run.stderr.contains("--batch 2 is left out: its batch is 4"), "{}", run.stderr);
    let run = bench(&["--size", "64"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.ends_with("error: nothing was measured\n"), "{}", run.stderr);
}

/// A network of one node on two numbers of 64 bits, for which GPUs have no kernel.
fn on_f64(scratch: &Scratch) -> String {
    let shape = field(2, &field(1, &[8, 2]));
    let value = |name: &str| [field(1, name.as_bytes()), field(2, &field(1, &[&[8, 11][..], &shape].concat()))].concat();
    let node = field(1, &[field(1, b"x"), field(2, b"y"), field(3, b"wide"), field(4, b"Tanh")].concat());
    let graph = [node, field(11, &value("x")), field(12, &value("y"))].concat();
    scratch.file("f64.onnx", [field(7, &graph), field(8, &[16, 17])].concat())
}

#[test]
fn nodes_that_fall_back_to_the_cpu_are_not_silent() {
    if !has_gpu() {
        return;
    }
    let scratch = Scratch::new();
    let model = on_f64(&scratch);
    let line = benched(&[&model, "--device", "gpu"]).remove(0);
    assert_eq!((&line["fallbacks"][0]["node"], &line["fallbacks"][0]["op"]), (&"wide".into(), &"Tanh".into()), "{line}");
    assert!(line["fallbacks"][0]["reason"].as_str().is_some_and(|reason| reason.contains("f64")), "{line}");
    assert_eq!(benched(&[&model, "--device", "cpu"])[0]["fallbacks"], serde_json::json!([]));
    let table = bench(&[&model, "--device", "gpu"]).ok().stdout;
    assert!(table.contains("1 node") && table.contains("f64.onnx on gpu runs nodes on the CPU:\n  `wide` (Tanh): "), "{table}");
    // What cannot be measured does not take the rest with it.
    let embedded = cifar10();
    let run = bench(&[&model, embedded.to_str().unwrap(), "--device", "gpu", "--strict", "--json", "-"])
        .fails(1, &["f64.onnx on gpu, batch 2: "]);
    assert_eq!(records(&run.stdout).len(), 1);
}

#[test]
fn command_lines_that_mean_nothing() {
    let (scratch, model) = (Scratch::new(), cifar10());
    let model = model.to_str().unwrap();
    bench(&["--device", "tpu"]).fails(2, &["tpu", "expected all, auto, cpu, gpu"]);
    bench(&["--device", "cpu,99"]).fails(1, &["no adapter 99"]);
    bench(&["--batch", "1,0"]).fails(2, &["expected a whole number from 1 on"]);
    bench(&["--size", "12y4"]).fails(2, &["HEIGHTxWIDTH"]);
    bench(&["--seconds", "1"]).fails(2, &["--runs", "--seconds"]);
    bench(&["--dim", "height=3"]).fails(2, &["no open extent `height`; open are N"]);
    bench(&["nowhere.onnx"]).fails(1, &["nowhere.onnx"]);
    bench(&[model, "--batch", "4000000000"]).fails(1, &["too large"]);
    bench(&["--json", model]).fails(2, &["cifar10.onnx", "written over"]);
    // Before anything is measured.
    let run = bench(&["--json", &scratch.path("no/such/folder.json")]).fails(1, &["folder.json", "cannot be written"]);
    assert!(run.stdout.is_empty(), "{}", run.stdout);
    bench(&["--json", &scratch.path("")]).fails(1, &["cannot be written"]);
}

#[test]
fn sizes_that_a_network_leaves_open() {
    let Some(model) = data("models/portrait-matting/model.onnx") else { return };
    bench(&[&model]).fails(2, &["portrait-matting/model.onnx: input `bgrm` is f32[batch_size,4,height,width]; give --dim height"]);
    let lines = benched(&[&model, "--size", "32x64,128,128", "--batch", "2"]);
    let sizes: Vec<_> = lines.iter().map(|line| line["size"].clone()).collect();
    assert_eq!(sizes, [serde_json::json!([32, 64]), serde_json::json!([128, 128])]);
    assert!(number(&lines[1], "min_ms") > number(&lines[0], "min_ms"));
    let lines = benched(&[&model, "--dim", "height=64", "--size", "64x32", "--size", "32"]);
    assert_eq!((lines.len(), &lines[0]["size"]), (1, &serde_json::json!([64, 32])));
}
