//! Mixed work under load: threads that run, await, queue and compile networks on the CPU device and on the GPU, every output held to
//! the first one bit by bit, the memory of the process watched.
//!
//! `cargo bench -p macula --bench endurance -- --minutes 10 --threads 8`; the GPU is `--device`, `MACULA_DEVICE`, or the best one, a software
//! one included. The small networks of `tests/networks` and, where the test data lies (`MACULA_DATA`), real ones. To warm up,
//! all threads do the same at once, each of these with each network: no later moment needs much more memory. Exit code 1 where an output differed,
//! a run failed, or memory grew by more than 2 % from the first tenth of the time after that to the last (read on Linux alone).

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use macula::{Device, Graph, Session, Tensor, onnx};

/// The real networks: small enough that a minute holds many runs of each.
const MODELS: [&str; 6] =
    ["mnist-8", "resnet20-cifar10", "squeezenet1.1", "mobilenet-v2-1.0-224", "ultraface-rfb-320", "shufflenet-v2-int8"];

/// By how much memory may grow.
const MAX_GROWTH: f64 = 1.02;

type Failure = Box<dyn Error + Send + Sync>;

/// A network on a device, and what it computed when nothing else ran.
struct Network {
    name: String,
    model: PathBuf,
    session: Session,
    input: String,
    images: Vec<(Tensor, Vec<Tensor>)>,
}

impl Network {
    /// Runs the first data set beside the model, as it is and mirrored.
    fn new(device: &Device, model: PathBuf) -> Result<Self, Failure> {
        let folder = model.parent().ok_or("a model without a folder")?;
        let (_, first) = onnx::load_tensor(folder.join("test_data_set_0/input_0.pb"))?;
        let graph = onnx::load(&model)?;
        let input = input_name(&graph);
        let session = device.compile(graph)?;
        let mirrored =
            Tensor::new(first.shape().to_vec(), first.data::<f32>().ok_or("an input that is not f32")?.iter().rev().copied().collect())?;
        let images = [first, mirrored].into_iter().map(|image| {
            let outputs = session.run(&[(&input, image.view())])?.into_tensors();
            Ok((image, outputs))
        });
        let images = images.collect::<Result<_, Failure>>()?;
        let name = format!("{} on {}", folder.file_name().unwrap_or_default().display(), device.info().name);
        Ok(Self { name, model, session, input, images })
    }

    /// Computes in one of the ways there are, and compares.
    fn work(&self, image: usize, way: Way) -> Result<u64, Failure> {
        let (image, expected) = &self.images[image % self.images.len()];
        let inputs = [(self.input.as_str(), image.view())];
        let outputs = match way {
            Way::CompiledAnew => vec![self.session.device().compile(onnx::load(&self.model)?)?.run(&inputs)?],
            Way::Queued => self.session.run_all((0..3).map(|_| [(self.input.as_str(), image.clone())]), 2).collect::<Result<_, _>>()?,
            Way::Awaited => vec![pollster::block_on(self.session.run_async(&inputs))?],
            Way::Run => vec![self.session.run(&inputs)?],
        };
        let runs = outputs.len() as u64;
        match outputs.into_iter().all(|outputs| outputs.into_tensors() == *expected) {
            true => Ok(runs),
            false => Err(format!("{}, {way:?}: another output than at first", self.name).into()),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Way {
    CompiledAnew,
    Queued,
    Awaited,
    Run,
}

impl Way {
    /// One of sixteen times compiled, three queued, four awaited.
    fn of(random: u64) -> Self {
        match random % 16 {
            0 => Self::CompiledAnew,
            1..4 => Self::Queued,
            4..8 => Self::Awaited,
            _ => Self::Run,
        }
    }
}

fn input_name(graph: &Graph) -> String {
    graph.value(graph.inputs()[0]).name.clone()
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1));
    let minutes: f64 = option("--minutes").map_or(Ok(10.0), |text| text.parse())?;
    let threads: u64 = option("--threads").map_or(Ok(8), |text| text.parse())?;
    let gpu = option("--device").cloned().or_else(|| std::env::var("MACULA_DEVICE").ok()).unwrap_or_else(|| "gpu".into());
    let networks = networks(&[Device::cpu(), Device::from_name(&gpu)?])?;

    let (runs, failures) = (AtomicU64::new(0), Mutex::new(vec![]));
    // A panic is a failure as any other, and must not leave the other threads waiting.
    let work = |network: &Network, image: usize, way: Way| match catch_unwind(AssertUnwindSafe(|| network.work(image, way))) {
        Ok(Ok(count)) => _ = runs.fetch_add(count, Ordering::Relaxed),
        failed => {
            let failure = failed.map_or_else(|_| format!("{}, {way:?}: a panic", network.name), |result| result.unwrap_err().to_string());
            failures.lock().unwrap_or_else(|e| e.into_inner()).push(failure);
        }
    };
    let together = Barrier::new(threads as usize);
    let warming = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads as usize {
            let (networks, together, work) = (&networks, &together, &work);
            scope.spawn(move || {
                for network in networks {
                    for way in [Way::CompiledAnew, Way::Queued, Way::Awaited, Way::Run] {
                        together.wait();
                        work(network, thread, way);
                    }
                }
            });
        }
    });
    println!("warmed up in {:.0} s, {} runs", warming.elapsed().as_secs_f64(), runs.swap(0, Ordering::Relaxed));

    let (start, end) = (Instant::now(), Duration::from_secs_f64(minutes * 60.0));
    let mut memory = vec![];
    std::thread::scope(|scope| {
        for thread in 1..=threads {
            let (networks, work) = (&networks, &work);
            scope.spawn(move || {
                let mut random = thread;
                while start.elapsed() < end {
                    random = next(random);
                    work(&networks[(random >> 32) as usize % networks.len()], (random >> 8) as usize, Way::of(random >> 16));
                }
            });
        }
        let mut said = 0;
        while start.elapsed() < end {
            std::thread::sleep(Duration::from_millis(500).min(end));
            memory.extend(resident_bytes().map(|bytes| bytes as f64 / f64::from(1 << 20)));
            if start.elapsed().as_secs() / 30 > said {
                said = start.elapsed().as_secs() / 30;
                let now = memory.last().map_or("not known here".into(), |now| format!("{now:.1} MiB"));
                println!("{:4} s  {:8} runs, memory {now}", said * 30, runs.load(Ordering::Relaxed));
            }
        }
    });
    let failures = failures.into_inner()?;
    println!("{} runs in {minutes} minutes from {threads} threads, {} failed", runs.into_inner(), failures.len());
    failures.iter().take(20).for_each(|failure| println!("  {failure}"));
    Ok(failures.is_empty() && flat(&memory))
}

fn networks(devices: &[Device]) -> Result<Vec<Network>, Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut models: Vec<PathBuf> =
        std::fs::read_dir(root.join("tests/networks"))?.map(|entry| Ok(entry?.path())).collect::<Result<_, Failure>>()?;
    models.retain(|folder| folder.is_dir());
    let data = std::env::var_os("MACULA_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
    for model in MODELS.map(|name| data.join("models").join(name)) {
        match model.exists() {
            true => models.push(model),
            false => println!("left out: {} is absent", model.display()),
        }
    }
    let mut networks = vec![];
    for device in devices {
        let before = networks.len();
        for model in &models {
            networks.push(Network::new(device, model.join("model.onnx")).map_err(|error| format!("{}: {error}", model.display()))?);
        }
        println!("{}: {} networks", device.info().name, networks.len() - before);
    }
    Ok(networks)
}

/// Whether memory has stayed as it was in the first tenth of the time, by medians.
fn flat(memory: &[f64]) -> bool {
    let tenth = memory.len() / 10;
    if tenth == 0 {
        println!("memory: not known, on this system or after so short a time");
        return true;
    }
    let median = |samples: &[f64]| {
        let mut samples = samples.to_vec();
        samples.sort_by(f64::total_cmp);
        samples[samples.len() / 2]
    };
    let (warm, last) = (median(&memory[..tenth]), median(&memory[memory.len() - tenth..]));
    let most = memory.iter().copied().fold(0.0, f64::max);
    println!("memory: {warm:.1} MiB after the warm-up, {last:.1} MiB at the end (× {:.3}), {most:.1} MiB at most", last / warm);
    last <= warm * MAX_GROWTH
}

/// The resident set of this process; on other systems than Linux it is not known.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// xorshift64.
fn next(state: u64) -> u64 {
    let state = state ^ state << 13;
    let state = state ^ state >> 7;
    state ^ state << 17
}
