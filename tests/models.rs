//! Real models: every stored data set, on the CPU device and on the GPU, against the stored outputs.
//!
//! Each model × device × data set is a test of its own, ignored where the data is absent.

#[path = "support/data.rs"]
mod data;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use libtest_mimic::{Arguments, Failed, Trial};
use macula::ops::Tolerance;
use macula::{Comparison, DType, Device, Tensor, onnx};

/// Models of which every operator is implemented, and their numbers of data sets.
const MODELS: &[(&str, usize)] = &[
    ("mnist-8", 2),
    ("mobilenet-v2-1.0-224", 1),
    ("resnet20-cifar10", 2),
    ("squeezenet1.1", 2),
    ("squeezenet1.1-f16", 1),
    ("super-resolution", 1),
    ("ultraface-rfb-320", 1),
    ("yolox-nano", 1),
];

/// The bound of a whole network: rounding adds up over its layers.
fn tolerance(dtype: DType) -> Tolerance {
    match dtype {
        DType::F16 => Tolerance { rtol: 2e-2, atol: 1e-2 },
        _ => Tolerance { rtol: 1e-3, atol: 1e-4 },
    }
}

fn cpu() -> Result<Device, Failed> {
    Ok(Device::cpu())
}

/// The GPU that tests run on: `MACULA_DEVICE`, or the best adapter, a software one included.
fn gpu() -> Result<Device, Failed> {
    static GPU: OnceLock<Result<Device, String>> = OnceLock::new();
    let name = || std::env::var("MACULA_DEVICE").unwrap_or_else(|_| "gpu".into());
    Ok(GPU.get_or_init(|| Device::from_name(&name()).map_err(|error| error.to_string())).clone()?)
}

/// The tensors `<kind>_0.pb`, `<kind>_1.pb`, … of a data set.
fn tensors(set: &Path, kind: &str) -> Result<Vec<Tensor>, Failed> {
    let paths = (0..).map(|index| set.join(format!("{kind}_{index}.pb"))).take_while(|path| path.exists());
    paths.map(|path| Ok(onnx::load_tensor(path)?.1)).collect()
}

fn check(device: &Device, model: &Path, set: &Path) -> Result<(), Failed> {
    let graph = onnx::load(model)?;
    let names: Vec<_> = graph.inputs().iter().map(|&id| graph.value(id).name.clone()).collect();
    let (inputs, expected) = (tensors(set, "input")?, tensors(set, "output")?);
    if inputs.len() != names.len() || expected.len() != graph.outputs().len() {
        return Err(format!("{} holds {} inputs and {} outputs", set.display(), inputs.len(), expected.len()).into());
    }
    let inputs: Vec<_> = names.iter().zip(&inputs).map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
    let outputs = device.compile(graph)?.run(&inputs)?;
    for ((name, got), expected) in outputs.iter().zip(&expected) {
        let comparison = Comparison::new(got, expected, tolerance(expected.dtype()));
        if !comparison.passed() {
            return Err(format!("output `{name}`: {comparison}").into());
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![];
    for &(model, sets) in MODELS {
        let folder = data::find(&format!("models/{model}"));
        for set in (0..sets).map(|set| format!("test_data_set_{set}")) {
            for (name, device) in [("cpu", cpu as fn() -> _), ("gpu", gpu)] {
                let folder: PathBuf = folder.clone().unwrap_or_default();
                let (file, set_folder) = (folder.join("model.onnx"), folder.join(&set));
                let absent = !file.exists();
                let run = move || check(&device()?, &file, &set_folder);
                trials.push(Trial::test(format!("{model}::{set}::{name}"), run).with_ignored_flag(absent));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
