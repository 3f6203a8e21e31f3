//! Networks: from a file or embedded, on a device, and what their inputs and outputs mean for pictures.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use macula::ops::{Op, Unary};
use macula::{
    CacheFolder, CompileOptions, DType, Device, DeviceInfo, DeviceKind, DeviceOptions, Dim, Graph, Pass, Session, Tensor, Value, onnx,
};

use crate::failure::{Failure, warn};
use crate::terminal;

/// The network that needs no files: CIFAR-10's ten classes.
const EMBEDDED_MODEL: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/cifar10.onnx"));

/// The picture that needs no files: Chelsea the cat.
pub const EMBEDDED_PICTURE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/chelsea.png"));

/// Which device runs the network.
#[derive(Args, Debug)]
pub struct DeviceArgs {
    /// Where to run: auto, cpu, gpu, or an adapter's number in `macula devices`
    #[arg(long, env = "MACULA_DEVICE", default_value = "auto", value_name = "NAME")]
    device: String,
    #[command(flatten)]
    compile: CompileArgs,
}

/// How a network is made ready to run.
#[derive(Args, Debug)]
pub struct CompileArgs {
    /// On a GPU, refuse a network of which a node has no GPU kernel
    #[arg(long)]
    pub strict: bool,
    /// Leave out a pass of the optimiser, such as fuse-epilogues; may be repeated
    #[arg(long = "without-pass", value_name = "NAME")]
    pub without: Vec<Pass>,
    /// On a GPU, measure every way to compute each layer first, and take the fastest; kept for later runs. Takes a minute or more
    #[arg(long)]
    pub tune: bool,
    /// The most memory that constants and the values of a run alive at once may take, in GiB
    #[arg(long, value_name = "GIB", default_value_t = 8)]
    max_memory: u64,
    #[command(flatten)]
    cache: CacheArgs,
}

/// What is kept between runs, and where.
#[derive(Args, Debug, Default)]
pub struct CacheArgs {
    /// Where compiled kernels (where the driver can) and what was measured are kept [default: the user's cache folder]
    #[arg(long, env = "MACULA_CACHE_DIR", value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Neither read nor write compiled kernels and what was measured
    #[arg(long)]
    pub no_cache: bool,
}

impl CacheArgs {
    /// The folder.
    pub fn folder(&self) -> CacheFolder {
        match &self.cache_dir {
            _ if self.no_cache => CacheFolder::Off,
            Some(folder) => CacheFolder::At(folder.clone()),
            None => CacheFolder::User,
        }
    }
}

impl DeviceArgs {
    /// The device.
    pub fn open(&self) -> Result<Device, Failure> {
        self.compile.open(&self.device)
    }

    /// As [`CompileArgs::compile_to_run`].
    pub fn compile_to_run(&self, device: &Device, graph: Graph) -> Result<Session, Failure> {
        self.compile.compile_to_run(device, graph)
    }

    /// As [`CompileArgs::compile`].
    pub fn compile(&self, device: &Device, graph: Graph) -> Result<Session, Failure> {
        self.compile.compile(device, graph)
    }

    /// As [`CompileArgs::compile`], with this kernel wherever it can serve.
    pub fn compile_preferring(&self, device: &Device, graph: Graph, kernel: &str) -> Result<Session, Failure> {
        Ok(device.compile_with(graph, self.compile.options().kernel(kernel))?)
    }
}

impl CompileArgs {
    fn options(&self) -> CompileOptions {
        let options = CompileOptions::new().strict(self.strict).without(self.without.iter().copied()).tune(self.tune);
        let options = options.max_memory(self.max_memory.saturating_mul(1 << 30));
        let bar = OnceLock::new();
        options.tune_progress(move |step| {
            let bar: &ProgressBar = bar.get_or_init(|| terminal::progress(step.of, "layers tuned"));
            bar.set_length(step.of as u64);
            bar.set_position(step.done as u64);
            if step.done == step.of {
                bar.finish_and_clear();
            }
        })
    }

    /// Makes a network ready to run, and only that: on a GPU its weights need not stay on the host.
    pub fn compile_to_run(&self, device: &Device, graph: Graph) -> Result<Session, Failure> {
        Ok(device.compile_with(graph, self.options().drop_host_weights(true))?)
    }

    /// Makes a network ready to run on the device that `open` gave.
    pub fn compile(&self, device: &Device, graph: Graph) -> Result<Session, Failure> {
        Ok(device.compile_with(graph, self.options())?)
    }

    /// The device of this name.
    pub fn open(&self, name: &str) -> Result<Device, Failure> {
        if !is_device(name) {
            let message = format!("`{name}` is not a device; use auto, cpu, gpu, or an adapter's number in `macula devices`");
            return Err(Failure::usage(message));
        }
        let device = self.open_again(name)?;
        if self.tune && device.info().kind == DeviceKind::Cpu {
            warn("--tune does nothing on the CPU device, which has one way to compute each layer; a GPU is asked for with --device gpu");
        }
        Ok(device)
    }

    /// A device of its own of a name that was opened before; nothing is said again.
    pub fn open_again(&self, name: &str) -> Result<Device, Failure> {
        Ok(Device::from_name_with(name, &DeviceOptions::new().cache(self.cache.folder()))?)
    }
}

/// Whether a device may be called so, there or not.
pub fn is_device(name: &str) -> bool {
    let name = name.trim();
    ["auto", "cpu", "gpu"].iter().any(|known| name.eq_ignore_ascii_case(known)) || name.parse::<usize>().is_ok()
}

/// A device in a few words: `CPU, 8 threads` or `llvmpipe (software GPU, Vulkan)`.
pub fn device_name(info: &DeviceInfo) -> String {
    match info.kind {
        macula::DeviceKind::Cpu => info.name.clone(),
        kind => format!("{} ({kind}, {})", info.name, info.backend),
    }
}

/// A network as its file has it.
pub struct Model {
    /// The file's name, or that of the embedded network.
    pub name: String,
    /// The network.
    pub graph: Graph,
    /// How long reading it took.
    pub load_time: Duration,
}

impl Model {
    /// Reads a file, or the embedded network.
    pub fn load(path: Option<&PathBuf>) -> Result<Self, Failure> {
        let start = Instant::now();
        let (name, graph) = match path {
            Some(path) => (short_name(path), onnx::load(path)?),
            None => ("the embedded CIFAR-10 network".to_owned(), onnx::from_bytes(EMBEDDED_MODEL)?),
        };
        Ok(Self { name, graph, load_time: start.elapsed() })
    }

    /// The only input, as a batch of pictures.
    pub fn image_input(&self) -> Result<ImageInput, Failure> {
        let inputs: Vec<&Value> = self.graph.inputs().iter().map(|&id| self.graph.value(id)).collect();
        let [input] = inputs[..] else {
            let names: Vec<_> = inputs.iter().map(|v| format!("`{}`", v.name)).collect();
            return Err(Failure::failed(format!(
                "{} has {} inputs ({}), pictures fit a network with one; use `macula run`",
                self.name,
                names.len(),
                names.join(", ")
            )));
        };
        ImageInput::of(input)
            .map_err(|why| Failure::failed(format!("{}: input `{}` is {}: {why}", self.name, input.name, input.declared())))
    }
}

/// A file's name, with its folder where the name alone says little.
fn short_name(path: &Path) -> String {
    let name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().into_owned());
    match (name(path), path.parent().and_then(name)) {
        (Some(file), Some(folder)) if file == "model.onnx" => format!("{folder}/{file}"),
        (Some(file), _) => file,
        _ => path.display().to_string(),
    }
}

/// An input that takes pictures: `[N, C, H, W]`.
#[derive(Clone, PartialEq, Debug)]
pub struct ImageInput {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub dtype: DType,
    /// How many pictures at once, where the network fixes it.
    pub batch: Option<usize>,
    /// 1 or 3; 4 with a mask.
    pub channels: usize,
    /// Height and width, where the network fixes them.
    pub size: [Option<usize>; 2],
}

impl ImageInput {
    fn of(value: &Value) -> Result<Self, String> {
        Self::with_channels(value, false)
    }

    /// An input that may have a fourth channel, which a mask fills.
    pub fn with_mask(value: &Value) -> Result<Self, String> {
        Self::with_channels(value, true)
    }

    fn with_channels(value: &Value, mask: bool) -> Result<Self, String> {
        let dims = value.dims.as_deref().unwrap_or_default();
        let fixed = |dim: &Dim| if let Dim::Fixed(n) = dim { Some(*n) } else { None };
        let [n, c, h, w] = dims else {
            return Err("a batch of pictures has the axes [N,C,H,W]; use `macula run`".into());
        };
        let channels = match (fixed(c), fixed(w)) {
            (Some(channels @ (1 | 3)), _) => channels,
            (Some(4), _) if mask => 4,
            (_, Some(1 | 3)) => return Err("the channels come last, macula takes [N,C,H,W]; export the model that way".into()),
            (Some(_), _) => return Err("pictures have 1 or 3 channels; use `macula run`".into()),
            (None, _) => 3,
        };
        let dtype = value.dtype.unwrap_or(DType::F32);
        if !dtype.is_float() {
            return Err("prepared pictures are floating-point numbers; use `macula run`".into());
        }
        if [n, h, w].into_iter().any(|dim| fixed(dim) == Some(0)) {
            return Err("an axis is empty".into());
        }
        Ok(Self { name: value.name.clone(), dtype, batch: fixed(n), channels, size: [fixed(h), fixed(w)] })
    }

    /// Prepared pictures as this input, `[batch, channels, height, width]`.
    pub fn tensor(&self, values: Vec<f32>, batch: usize, [height, width]: [usize; 2]) -> Result<Tensor, Failure> {
        let shape = [batch, self.channels, height, width];
        Ok(match self.dtype {
            DType::F32 => Tensor::new(shape, values)?,
            other => Tensor::from_f64(other, shape, values.into_iter().map(f64::from).collect())?,
        })
    }

    /// Height and width, from the network or from `--size`.
    pub fn size(&self, asked: Option<[usize; 2]>) -> Result<[usize; 2], Failure> {
        let mut size = [0; 2];
        for (axis, what) in ["height", "width"].into_iter().enumerate() {
            size[axis] = match (self.size[axis], asked.map(|s| s[axis])) {
                (Some(fixed), Some(asked)) if fixed != asked => {
                    return Err(Failure::usage(format!("--size asks for a {what} of {asked}, input `{}` is fixed at {fixed}", self.name)));
                }
                (Some(fixed), _) => fixed,
                (None, Some(asked)) => asked,
                (None, None) => {
                    return Err(Failure::usage(format!("input `{}` leaves its {what} open; give --size HEIGHTxWIDTH", self.name)));
                }
            };
        }
        Ok(size)
    }
}

/// What a classifier's output holds for each class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scores {
    /// Probabilities: the network ends in a softmax or a sigmoid.
    Probabilities,
    /// Logarithms of probabilities: it ends in a log-softmax.
    Logarithms,
    /// Anything else, which a softmax turns into probabilities.
    Logits,
}

impl Scores {
    /// What the network's first output holds, looking through nodes that only change its shape.
    pub fn of(graph: &Graph) -> Self {
        let Some(mut value) = graph.outputs().first().copied() else {
            return Scores::Logits;
        };
        for node in graph.nodes().iter().rev() {
            if !node.outputs.contains(&Some(value)) {
                continue;
            }
            match (&node.op, node.inputs.first()) {
                (Op::Softmax(softmax), _) if softmax.log => return Scores::Logarithms,
                (Op::Softmax(_) | Op::Unary(Unary::Sigmoid), _) => return Scores::Probabilities,
                (
                    Op::Reshape(_) | Op::Flatten(_) | Op::Squeeze(_) | Op::Unsqueeze(_) | Op::Identity(_) | Op::Cast(_),
                    Some(Some(input)),
                ) => {
                    value = *input;
                }
                _ => return Scores::Logits,
            }
        }
        Scores::Logits
    }

    /// Probabilities from one picture's scores.
    pub fn probabilities(self, scores: &[f64]) -> Vec<f64> {
        match self {
            Scores::Probabilities => scores.to_vec(),
            Scores::Logarithms => scores.iter().map(|x| x.exp()).collect(),
            Scores::Logits => {
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let powers: Vec<f64> = scores.iter().map(|x| (x - largest).exp()).collect();
                let sum: f64 = powers.iter().sum();
                powers.iter().map(|p| p / sum).collect()
            }
        }
    }
}

/// The `count` most probable classes, the first first; equals in the order of the classes.
pub fn top(probabilities: &[f64], count: usize) -> Vec<(usize, f64)> {
    let mut classes: Vec<_> = probabilities.iter().copied().enumerate().collect();
    classes.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    classes.truncate(count);
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use macula::{GraphBuilder, ops};

    fn network(ops: Vec<Op>) -> Graph {
        let mut b = GraphBuilder::new("tail");
        // An open extent keeps shape rules from being applied: the tail is all that counts here.
        let mut value = b.input("x", DType::F32, [Dim::from("N"), 5.into()]);
        for (index, op) in ops.into_iter().enumerate() {
            value = b.node(format!("n{index}"), op, &[value]).unwrap();
        }
        b.output("y", value);
        b.finish().unwrap()
    }

    #[test]
    fn no_cache_goes_before_a_folder() {
        let cache = |folder: Option<&str>, no_cache| CacheArgs { cache_dir: folder.map(PathBuf::from), no_cache }.folder();
        assert_eq!(cache(None, false), CacheFolder::User);
        assert_eq!(cache(Some("here"), false), CacheFolder::At("here".into()));
        assert_eq!(cache(Some("here"), true), CacheFolder::Off);
        assert_eq!(cache(None, true), CacheFolder::Off);
    }

    #[test]
    fn softmax_is_found_through_views() {
        let softmax = |log| Op::from(ops::Softmax { axis: 1, log, flatten: false });
        let flatten = || Op::from(ops::Flatten { axis: 1 });
        assert_eq!(Scores::of(&network(vec![softmax(false), flatten(), ops::Identity.into()])), Scores::Probabilities);
        assert_eq!(Scores::of(&network(vec![flatten(), softmax(true)])), Scores::Logarithms);
        assert_eq!(Scores::of(&network(vec![softmax(false), Unary::Relu.into()])), Scores::Logits);
        assert_eq!(Scores::of(&network(vec![Unary::Sigmoid.into(), flatten()])), Scores::Probabilities);
        assert_eq!(Scores::of(&network(vec![flatten()])), Scores::Logits);
    }

    #[test]
    fn probabilities_sum_to_one_and_survive_large_scores() {
        let p = Scores::Logits.probabilities(&[1000.0, 1000.0 + 3f64.ln(), f64::NEG_INFINITY]);
        assert!((p[0] - 0.25).abs() < 1e-12 && (p[1] - 0.75).abs() < 1e-12 && p[2] == 0.0, "{p:?}");
        assert_eq!(Scores::Logarithms.probabilities(&[0.0]), [1.0]);
        assert_eq!(top(&[0.1, 0.4, 0.1, 0.4], 3), [(1, 0.4), (3, 0.4), (0, 0.1)]);
    }

    #[test]
    fn picture_inputs_are_told_from_others() {
        let input = |dims: Vec<Dim>| {
            let mut b = GraphBuilder::new("g");
            let x = b.input("x", DType::F32, dims);
            let y = b.node("y", ops::Identity, &[x]).unwrap();
            b.output("y", y);
            Model { name: "m.onnx".into(), graph: b.finish().unwrap(), load_time: Duration::ZERO }.image_input()
        };
        let open = input(vec!["N".into(), 3.into(), "height".into(), 20.into()]).unwrap();
        assert_eq!((open.batch, open.channels, open.size), (None, 3, [None, Some(20)]));
        assert_eq!(open.size(Some([10, 20])).unwrap(), [10, 20]);
        assert!(open.size(None).unwrap_err().to_string().contains("leaves its height open; give --size"));
        assert!(open.size(Some([10, 21])).unwrap_err().to_string().contains("fixed at 20"));
        let error = |dims| input(dims).unwrap_err().to_string();
        assert!(error(vec![1.into(), 224.into(), 224.into(), 3.into()]).contains("channels come last"));
        assert!(error(vec![1.into(), 4.into(), 8.into(), 9.into()]).contains("1 or 3 channels"));
        assert!(error(vec![1.into(), 10.into()]).contains("[N,C,H,W]"));
    }
}
