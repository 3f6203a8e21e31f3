//! Whole networks on the CPU device and on the GPU: real models and the small networks of `tests/networks` against stored outputs,
//! other batches and sizes against single pictures and the other device.
//!
//! Each network × device × data set is a test of its own, ignored where the data is absent.

#[path = "support/data.rs"]
mod data;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use libtest_mimic::{Arguments, Failed, Trial};
use macula::ops::Tolerance;
use macula::{Comparison, CompileOptions, DType, Device, Graph, Pass, Session, Tensor, onnx};

/// Real models, and their numbers of data sets.
const MODELS: &[(&str, usize)] = &[
    ("mnist-8", 2),
    ("mobilenet-v2-1.0-224", 1),
    ("portrait-matting", 1),
    ("resnet20-cifar10", 2),
    ("shufflenet-v2-int8", 1),
    ("squeezenet1.1", 2),
    ("squeezenet1.1-f16", 1),
    ("style-candy", 1),
    ("super-resolution", 1),
    ("twinlitenet", 1),
    ("ultraface-rfb-320", 1),
    ("yolox-nano", 1),
];

/// Models whose batch is free.
const FREE_BATCH: &[&str] = &["mobilenet-v2-1.0-224", "portrait-matting", "resnet20-cifar10", "style-candy", "super-resolution"];

/// How many small networks there are, so that none is lost in silence.
const SMALL_NETWORKS: usize = 20;

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

/// A network compiled for a device, every node of it on the GPU where there is one.
struct Network {
    session: Session,
    input: String,
}

impl Network {
    fn new(device: &Device, graph: Graph) -> Result<Self, Failed> {
        let [input] = graph.inputs() else { return Err(format!("has {} inputs", graph.inputs().len()).into()) };
        let input = graph.value(*input).name.clone();
        Ok(Self { session: device.compile(graph)?, input })
    }

    fn run(&self, input: &Tensor) -> Result<Vec<Tensor>, Failed> {
        let inputs = [(self.input.as_str(), input.view())];
        if self.session.device().wgpu().is_some() {
            for plan in self.session.plans_for(&inputs)? {
                if let Some((node, reason)) = plan.host_nodes().next() {
                    return Err(format!("`{}` ({}) is on the CPU: {reason}", node.name, node.op.name()).into());
                }
            }
        }
        Ok(self.session.run(&inputs)?.into_tensors())
    }
}

fn compare(got: &[Tensor], expected: &[Tensor]) -> Result<(), Failed> {
    if got.len() != expected.len() {
        return Err(format!("{} outputs, expected {}", got.len(), expected.len()).into());
    }
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        let comparison = Comparison::new(got, expected, tolerance(expected.dtype()));
        if !comparison.passed() {
            return Err(format!("output {index}: {comparison}").into());
        }
    }
    Ok(())
}

/// A data set gives its stored outputs.
fn stored(device: &Device, model: &Path, set: &Path) -> Result<(), Failed> {
    let network = Network::new(device, onnx::load(model)?)?;
    let (inputs, expected) = (tensors(set, "input")?, tensors(set, "output")?);
    match inputs.as_slice() {
        [input] => compare(&network.run(input)?, &expected),
        _ => Err(format!("{} holds {} inputs", set.display(), inputs.len()).into()),
    }
}

/// The passes of the optimiser leave fewer nodes, or as many, which compute what the file's do.
fn passes(model: &Path, set: &Path) -> Result<(), Failed> {
    let input = tensors(set, "input")?.remove(0);
    let run = |options| {
        let graph = onnx::load(model)?;
        let name = graph.value(graph.inputs()[0]).name.clone();
        let session = Device::cpu().compile_with(graph, options)?;
        let inputs = [(name.as_str(), input.view())];
        let nodes: usize = session.plans_for(&inputs)?.iter().map(|plan| plan.graph.nodes().len()).sum();
        Ok::<_, Failed>((session.run(&inputs)?.into_tensors(), nodes))
    };
    let (plain, nodes) = run(CompileOptions::new().without(Pass::all()))?;
    let (optimized, left) = run(CompileOptions::new())?;
    if left > nodes {
        return Err(format!("{nodes} nodes became {left}").into());
    }
    compare(&optimized, &plain)
}

/// The elements of image `n` of a batch, as a batch of one.
fn image(batch: &Tensor, n: usize) -> Result<Tensor, Failed> {
    let shape: Vec<usize> = [1].into_iter().chain(batch.shape()[1..].iter().copied()).collect();
    let size = shape.iter().product::<usize>();
    Ok(Tensor::new(shape, batch.data::<f32>().ok_or("outputs are f32")?[n * size..(n + 1) * size].to_vec())?)
}

/// Two pictures together give what each gives alone.
fn batch(device: &Device, model: &Path, set: &Path) -> Result<(), Failed> {
    let network = Network::new(device, onnx::load(model)?)?;
    let first = image(&tensors(set, "input")?.remove(0), 0)?;
    let values = first.data::<f32>().ok_or("inputs are f32")?;
    let second: Vec<f32> = values.iter().rev().copied().collect();
    let shape: Vec<usize> = [2].into_iter().chain(first.shape()[1..].iter().copied()).collect();
    let both = network.run(&Tensor::new(shape, [values, &second].concat())?)?;
    for (n, values) in [values.to_vec(), second].into_iter().enumerate() {
        let alone = network.run(&Tensor::new(first.shape().to_vec(), values)?)?;
        let of_both = both.iter().map(|output| image(output, n)).collect::<Result<Vec<_>, _>>()?;
        compare(&of_both, &alone)?;
    }
    Ok(())
}

/// A picture of another size gives the same on both devices.
fn other_size(model: &Path, height: usize, width: usize) -> Result<(), Failed> {
    let shape = [1, 4, height, width];
    let values = (0..shape.iter().product::<usize>()).map(|i| (i as f32 * 0.37).sin()).collect();
    let input = Tensor::new(shape, values)?;
    let run = |device: Device| Network::new(&device, onnx::load(model)?)?.run(&input);
    let (cpu, gpu) = (run(cpu()?), run(gpu()?));
    compare(&gpu?, &cpu?)
}

type DeviceOf = fn() -> Result<Device, Failed>;

const DEVICES: [(&str, DeviceOf); 2] = [("cpu", cpu), ("gpu", gpu)];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![];
    for &(model, sets) in MODELS {
        let folder = data::find(&format!("models/{model}"));
        let absent = folder.is_none();
        let folder: PathBuf = folder.unwrap_or_default();
        let file = folder.join("model.onnx");
        for (name, device) in DEVICES {
            for set in (0..sets).map(|set| format!("test_data_set_{set}")) {
                let (file, data) = (file.clone(), folder.join(&set));
                let run = move || stored(&device()?, &file, &data);
                trials.push(Trial::test(format!("{model}::{set}::{name}"), run).with_ignored_flag(absent));
            }
            if FREE_BATCH.contains(&model) {
                let (file, data) = (file.clone(), folder.join("test_data_set_0"));
                let run = move || batch(&device()?, &file, &data);
                trials.push(Trial::test(format!("{model}::batch_of_two::{name}"), run).with_ignored_flag(absent));
            }
        }
        if model == "portrait-matting" {
            let run = move || other_size(&file, 96, 160);
            trials.push(Trial::test(format!("{model}::other_size"), run).with_ignored_flag(absent));
        }
    }
    let small = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/networks");
    let mut folders: Vec<_> = std::fs::read_dir(small).into_iter().flatten().flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    let count = folders.len();
    trials.push(Trial::test("small_networks::are_all_there", move || match count {
        SMALL_NETWORKS => Ok(()),
        _ => Err(format!("{small} has {count} networks, expected {SMALL_NETWORKS}").into()),
    }));
    for folder in folders {
        let (set, network) = (folder.join("test_data_set_0"), folder.file_name().unwrap_or_default().to_string_lossy().into_owned());
        let model = folder.join("model.onnx");
        trials.push(Trial::test(format!("small_networks::{network}::passes"), move || passes(&model, &set)));
        for (name, device) in DEVICES {
            let folder = folder.clone();
            let network = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let run = move || stored(&device()?, &folder.join("model.onnx"), &folder.join("test_data_set_0"));
            trials.push(Trial::test(format!("small_networks::{network}::{name}"), run));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
