//! Plans of real networks and of the small ones of `tests/networks`.

use std::path::Path;

use macula::plan::{Capabilities, LowerOptions, Placed, Plan, lower};
use macula::{Device, Dim, Shape, TensorType, onnx};

use super::{data, replay};

/// The plan of a network, optimised as sessions do, for a device that has everything; open extents are 1 and 96.
fn plan(model: &Path, storage_alignment: u64, reuse_memory: bool) -> Plan {
    let session = Device::cpu().compile(onnx::load(model).unwrap()).unwrap();
    let extent = |(axis, dim): (usize, &Dim)| match dim {
        Dim::Fixed(extent) => *extent,
        _ => [1, 96][usize::from(axis > 0)],
    };
    let input = |id: &macula::ValueId| {
        let value = session.graph().value(*id);
        let extents: Vec<usize> = value.dims.iter().flatten().enumerate().map(extent).collect();
        (value.name.as_str(), TensorType::new(value.dtype.unwrap(), Shape::from(extents)))
    };
    let types: Vec<_> = session.graph().inputs().iter().map(input).collect();
    let graph = session.plan(&types).unwrap().graph.clone();
    let capabilities = Capabilities { f16: true, i64: true, storage_alignment, ..Capabilities::default() };
    let plan = lower(graph, Some(&capabilities), &LowerOptions { reuse_memory, ..LowerOptions::default() }).unwrap();
    if let Err(message) = replay(&plan, &capabilities) {
        panic!("{} aligned to {storage_alignment}: {message}", model.display());
    }
    assert!(plan.lower_bound_bytes <= plan.peak_bytes() && plan.peak_bytes() <= plan.no_reuse_bytes, "{}", model.display());
    plan
}

/// A model of the data folder, where it is there.
fn stored(model: &str) -> Option<std::path::PathBuf> {
    Some(data::find(&format!("models/{model}"))?.join("model.onnx"))
}

const MODELS: &[&str] = &[
    "mnist-8",
    "mobilenet-v2-1.0-224",
    "portrait-matting",
    "resnet20-cifar10",
    "shufflenet-v2-int8",
    "squeezenet1.1",
    "squeezenet1.1-f16",
    "style-candy",
    "super-resolution",
    "twinlitenet",
    "ultraface-rfb-320",
    "yolox-nano",
];

#[test]
fn models_replay() {
    for model in MODELS.iter().filter_map(|model| stored(model)) {
        plan(&model, 32, true);
    }
}

#[test]
fn a_model_replays_however_it_is_planned() {
    let Some(model) = stored("squeezenet1.1") else { return };
    plan(&model, 256, true);
    plan(&model, 256, false);
}

#[test]
fn small_networks_replay() {
    let folders = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/networks")).unwrap();
    let models: Vec<_> = folders.map(|entry| entry.unwrap().path().join("model.onnx")).filter(|path| path.exists()).collect();
    assert!(models.len() >= 20, "{models:?}");
    let mut shared = 0;
    for model in &models {
        let plan = plan(model, 32, true);
        shared += usize::from(plan.peak_bytes() < plan.no_reuse_bytes / 2);
    }
    assert!(shared > models.len() / 2, "only {shared} networks need less than half of what they would without sharing");
}

#[test]
fn peaks_are_near_the_lower_bound() {
    // In YOLOX the halves of slices of the picture may lie neither beside the picture nor beside what they become.
    for (model, percent) in [("mobilenet-v2-1.0-224", 115), ("squeezenet1.1", 115), ("yolox-nano", 115)] {
        let Some(path) = stored(model) else { continue };
        let plan = plan(&path, 32, true);
        let (peak, bound) = (plan.peak_bytes(), plan.lower_bound_bytes);
        assert!(100 * peak <= percent * bound, "{model}: {peak} of at least {bound} bytes");
    }
}

#[test]
fn concatenations_of_squeezenet_cost_nothing() {
    let Some(path) = stored("squeezenet1.1") else { return };
    let plan = plan(&path, 32, true);
    let concats = plan.graph.nodes().iter().zip(&plan.placed).filter(|(node, _)| node.op.name() == "Concat");
    let placed: Vec<_> = concats.map(|(_, placed)| placed).collect();
    assert!(placed.len() == 8 && placed.iter().all(|p| **p == Placed::View), "{placed:?}");
}
