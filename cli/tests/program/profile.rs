//! `macula profile`: tables, JSON, traces and plots; and what `--tune` measures.

use serde_json::Value;

use crate::support::{Scratch, has_gpu, macula};

fn profiled(arguments: &[&str]) -> Value {
    macula([&["profile", "--json", "--runs", "2"], arguments].concat()).ok().json().remove(0)
}

fn devices() -> Vec<&'static str> {
    if has_gpu() { vec!["cpu", "gpu"] } else { vec!["cpu"] }
}

#[test]
fn layers_and_kernels_add_up() {
    for device in devices() {
        let json = profiled(&["--device", device]);
        let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
        let sum = |what: &Value, field: &str| what.as_array().unwrap().iter().map(|entry| number(&entry[field])).sum::<f64>();
        assert!((sum(&json["layers"], "share") - 1.0).abs() < 1e-6, "{json}");
        assert!((sum(&json["layers"], "ms") - number(&json["layers_ms"])).abs() < 1e-6);
        let convolution = &json["layers"][0];
        assert_eq!(convolution["op"], "Conv");
        // 32 × 32 pixels of 32 channels, each 3 · 9 multiply-adds, a bias and an activation.
        assert_eq!(number(&convolution["flops"]), 32.0 * 32.0 * 32.0 * (2.0 * 27.0 + 2.0), "{convolution}");
        let rate = number(&convolution["flops"]) / number(&convolution["ms"]) * 1e-6;
        assert!((rate / number(&convolution["gflops"]) - 1.0).abs() < 1e-3);
        for roof in ["gflops", "gigabytes_per_s"] {
            assert!(number(&json["roofline"][roof]) > 0.0);
        }
        let dispatches = sum(&json["kernels"], "dispatches");
        let launched: usize = json["layers"].as_array().unwrap().iter().map(|l| l["dispatches"].as_array().unwrap().len()).sum();
        if device == "gpu" {
            assert!(launched > 5 && dispatches as usize == launched, "{json}");
            assert!(["timestamps", "submissions"].contains(&json["clock"].as_str().unwrap()));
        } else {
            assert!(launched == 0 && json["clock"] == "host");
        }
    }
}

#[test]
fn the_tables_name_the_slowest_and_the_roof() {
    let run = macula(["profile", "--runs", "1", "--top", "3"]).ok();
    for what in ["GFLOP/s of multiply-adds", "by the host's clock", "The slowest 3 of", "bound by", "Conv on the CPU"] {
        assert!(run.stdout.contains(what), "no `{what}` in\n{}", run.stdout);
    }
}

#[test]
fn traces_and_plots_are_whole_files() {
    let scratch = Scratch::new();
    let [trace, svg, png] = ["t.json", "r.svg", "r.png"].map(|name| scratch.path(name));
    let json = profiled(&["--trace", &trace, "--svg", &svg, "--png", &png]);
    let trace: Value = serde_json::from_slice(&std::fs::read(trace).unwrap()).unwrap();
    let spans: Vec<&Value> = trace["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == "X").collect();
    assert!(spans.len() > 5);
    let end = |span: &Value| span["ts"].as_f64().unwrap() + span["dur"].as_f64().unwrap();
    assert!(spans.windows(2).all(|two| two[1]["ts"].as_f64().unwrap() >= end(two[0]) - 1e-6), "layers follow one another");
    let total = json["layers_ms"].as_f64().unwrap() * 1e3;
    assert!((end(spans[spans.len() - 1]) / total - 1.0).abs() < 1e-3);
    let svg = std::fs::read_to_string(svg).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>") && svg.contains("GFLOP/s"));
    let picture = image::open(png).unwrap().to_rgb8();
    let coloured = picture.pixels().filter(|p| p.0[0].abs_diff(p.0[1]) > 40 || p.0[2].abs_diff(p.0[1]) > 40).count();
    assert!(coloured > 100, "dots are coloured, {coloured} pixels are");
    macula(["profile", "--svg", &scratch.path("no/such/folder.svg")]).fails(1, &["folder.svg", "cannot be written"]);
}

#[test]
fn the_roof_is_kept_for_later_programs() {
    let scratch = Scratch::new();
    let cache = scratch.path("cache");
    let roof = |more: &[&str]| profiled(&[more, &["--cache-dir", &cache]].concat())["roofline"].clone();
    assert_eq!(roof(&["--device", "cpu"])["kept"], false);
    if !has_gpu() {
        return;
    }
    let measured = roof(&["--device", "gpu"]);
    assert_eq!(measured["kept"], false);
    let mut kept = roof(&["--device", "gpu"]);
    assert_eq!(kept["kept"].take(), true);
    assert_eq!(kept["gflops"], measured["gflops"], "read, not measured");
    assert_eq!(roof(&["--device", "gpu", "--measure-roofline"])["kept"], false);
    assert_eq!(roof(&["--device", "gpu", "--no-cache"])["kept"], false);
    let text = |more: &[&str]| macula([&["profile", "--device", "gpu", "--runs", "1", "--cache-dir", &cache], more].concat()).ok().stdout;
    assert!(
        text(&[]).contains("(measured earlier; --measure-roofline measures anew)")
            && text(&["--measure-roofline"]).contains("(measured now)")
    );
}

#[test]
fn tuning_the_cpu_device_is_not_silent() {
    let run = macula(["inspect", "--tune"]).ok();
    assert!(run.stderr.contains("--tune does nothing on the CPU device"), "{}", run.stderr);
}

#[test]
fn tuned_kernels_have_times_and_are_remembered() {
    if !has_gpu() {
        return;
    }
    let scratch = Scratch::new();
    let cache = scratch.path("cache");
    let inspect = |more: &[&str]| macula([&["inspect", "--device", "gpu", "--cache-dir", &cache], more].concat()).ok();
    let untuned = inspect(&["--kernels"]).stdout;
    assert!(untuned.contains("computed by") && untuned.contains("conv2d_direct"), "{untuned}");
    let tuned = inspect(&["--tune", "--json"]).json().remove(0);
    let of = |json: &Value| json["layers"][0]["candidates"].as_array().unwrap().clone();
    let candidates = of(&tuned);
    assert!(candidates.len() > 2 && candidates.iter().all(|c| c["nanoseconds"].as_u64().is_some_and(|ns| ns > 0)), "{candidates:?}");
    assert_eq!(candidates.iter().filter(|c| c["chosen"] == true).count(), 1);
    assert_eq!(of(&inspect(&["--json"]).json().remove(0)), candidates, "the next program knows");
    let table = macula(["devices", "--tuned", "gpu", "--cache-dir", &cache]).ok().stdout;
    assert!(table.starts_with("macula tuning 1\n") && table.trim_end().lines().last().unwrap().starts_with("end "), "{table}");
    macula(["devices", "--tuned", "cpu"]).fails(2, &["--tuned cpu", "one way"]);
}
