//! The harness of the operator tests: one node, every kernel that can serve it, the CPU device, all against the reference.

// Each test binary uses its own part of this.
#![allow(dead_code)]

pub mod reach;

use std::sync::OnceLock;

use macula::ops::Op;
use macula::plan::{Placed, Plan, Step};
use macula::{CacheFolder, Comparison, CompileOptions, DType, Device, DeviceOptions, Error, Graph, GraphBuilder, Shape, Tensor};

/// The GPU that tests run on: `MACULA_DEVICE`, or the best adapter, a software one included.
pub fn gpu() -> &'static Device {
    static GPU: OnceLock<Device> = OnceLock::new();
    GPU.get_or_init(|| {
        let name = std::env::var("MACULA_DEVICE").unwrap_or_else(|_| "gpu".into());
        // What runs of the tests before have compiled is no concern of this one.
        Device::from_name_with(&name, &DeviceOptions::new().cache(CacheFolder::Off))
            .unwrap_or_else(|error| panic!("{error}\nThe tests need a Vulkan driver: run tools/test.sh, which installs one."))
    })
}

/// A program's own device with just WebGPU's default limits.
pub fn own_device() -> (wgpu::Device, wgpu::Queue) {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).unwrap();
    pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap()
}

/// Seeded uniform values (SplitMix64), the same on every machine.
pub fn random(seed: u64, shape: impl Into<Shape>, range: std::ops::Range<f32>) -> Tensor {
    let shape = shape.into();
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        range.start + (range.end - range.start) * ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    };
    let values = (0..shape.elements()).map(|_| next()).collect();
    Tensor::new(shape, values).unwrap()
}

/// The same values as another type, rounded.
pub fn to_dtype(tensor: &Tensor, dtype: DType) -> Tensor {
    Tensor::from_f64(dtype, tensor.shape(), tensor.to_f64()).unwrap()
}

/// The same values in half precision.
pub fn to_f16(tensor: &Tensor) -> Tensor {
    to_dtype(tensor, DType::F16)
}

/// A list of axes, extents or positions.
pub fn integers(values: &[i64]) -> Tensor {
    Tensor::vector(values.to_vec())
}

/// Seeded values of every element type that this GPU stores.
pub fn every_type(seed: u64, shape: impl Into<Shape>) -> Vec<Tensor> {
    let features = gpu().wgpu().map_or(wgpu::Features::empty(), |(device, _)| device.features());
    let stored = |dtype: &DType| match dtype {
        DType::F64 | DType::U64 => false,
        DType::F16 => features.contains(wgpu::Features::SHADER_F16),
        DType::I64 => features.contains(wgpu::Features::SHADER_INT64),
        _ => true,
    };
    let values = random(seed, shape, -100.0..100.0);
    let of = |dtype: DType| match dtype {
        DType::Bool => Tensor::new(values.shape(), values.to_f64().iter().map(|x| *x > 0.0).collect()).unwrap(),
        _ => to_dtype(&values, dtype),
    };
    DType::ALL.iter().copied().filter(stored).map(of).collect()
}

enum Input {
    Runtime(Tensor),
    Constant(Tensor),
    Absent,
}

impl Input {
    fn tensor(&self) -> Option<&Tensor> {
        match self {
            Input::Runtime(t) | Input::Constant(t) => Some(t),
            Input::Absent => None,
        }
    }
}

/// One node under test.
pub struct Case {
    op: Op,
    inputs: Vec<Input>,
    outputs: usize,
}

/// A node with no inputs yet and one output.
pub fn case(op: impl Into<Op>) -> Case {
    Case { op: op.into(), inputs: vec![], outputs: 1 }
}

impl Case {
    /// The next input is given at run time.
    pub fn runtime(mut self, tensor: Tensor) -> Self {
        self.inputs.push(Input::Runtime(tensor));
        self
    }

    /// The next input is a constant of the graph.
    pub fn constant(mut self, tensor: Tensor) -> Self {
        self.inputs.push(Input::Constant(tensor));
        self
    }

    /// The next input, an optional one, is left out.
    pub fn absent(mut self) -> Self {
        self.inputs.push(Input::Absent);
        self
    }

    /// How many outputs the node declares.
    pub fn outputs(mut self, outputs: usize) -> Self {
        self.outputs = outputs;
        self
    }

    /// Every kernel that serves the node, and the CPU device, agree with the reference, which reads no more than the operator says. The
    /// node must be on the GPU.
    #[track_caller]
    pub fn check(self) {
        let expected = self.expected();
        let plan = self.plan();
        assert!(!plan.placed.is_empty(), "{}: the node was folded; give at least one input at run time", self.describe());
        if let Some((node, reason)) = plan.host_nodes().next() {
            panic!("{} runs {} on the CPU: {reason}", self.describe(), node.name);
        }
        let mut kernels: Vec<_> = plan.candidates.iter().flatten().map(|c| c.kernel).collect();
        kernels.sort_unstable();
        kernels.dedup();
        // A kernel that is asked for makes its copies and works on buffers of its own; without, copies may be views and work in place.
        let in_place = |step: &Step| matches!(step, Step::Dispatch { dispatch, .. } if dispatch.variant.in_place);
        if kernels.is_empty() || plan.placed.contains(&Placed::View) || plan.steps.iter().any(in_place) {
            self.compare(gpu(), CompileOptions::new(), "the planner's choice", &expected);
        }
        for kernel in kernels {
            self.compare(gpu(), CompileOptions::new().kernel(kernel), kernel, &expected);
        }
        self.compare(&Device::cpu(), CompileOptions::new(), "CPU device", &expected);
    }

    /// As [`Case::check`], with every candidate of every kernel: all tiles that a rule or a tuner may take.
    #[track_caller]
    pub fn check_every_candidate(self) {
        let expected = self.expected();
        for candidate in self.plan().candidates.iter().flatten() {
            self.compare(gpu(), CompileOptions::new().kernel(&candidate.name), &candidate.name, &expected);
        }
        self.check();
    }

    /// Each of the variants with these beginnings serves the node and agrees with the reference.
    #[track_caller]
    pub fn check_variants(self, variants: impl IntoIterator<Item = String>) {
        let expected = self.expected();
        for variant in variants {
            assert!(self.offers(&variant), "{} is not served by {variant}", self.describe());
            self.compare(gpu(), CompileOptions::new().kernel(&variant), &variant, &expected);
        }
    }

    /// Whether a variant with this beginning serves the node.
    pub fn offers(&self, variant: &str) -> bool {
        matches!(&self.plan_with(CompileOptions::new().kernel(variant)).placed[..], [placed @ Placed::Gpu(_)] if placed.to_string().starts_with(variant))
    }

    /// As [`Case::check`], but a software device may leave the node to the CPU: it ends long loops.
    #[track_caller]
    pub fn check_where_loops_may_be_long(self) {
        match &self.plan().placed[..] {
            [Placed::Cpu(reason)] if reason.contains("the software device ends loops") => self.check_on_cpu(),
            _ => self.check(),
        }
    }

    /// The node has no kernel; the CPU device agrees with the reference, and so does the fallback inside a GPU session.
    #[track_caller]
    pub fn check_on_cpu(self) {
        let expected = self.expected();
        if let Some(Placed::Gpu(kernels)) = self.plan().placed.iter().find(|p| matches!(p, Placed::Gpu(_))) {
            panic!("{} was expected on the CPU and runs on the GPU: {kernels:?}", self.describe());
        }
        self.compare(gpu(), CompileOptions::new(), "CPU fallback", &expected);
        self.compare(&Device::cpu(), CompileOptions::new(), "CPU device", &expected);
    }

    /// The shape rule rejects the node with a message that contains `text`.
    #[track_caller]
    pub fn fails_with(self, text: &str) {
        let error = match self.graph() {
            Err(error) => error,
            Ok(graph) => match Device::cpu().compile(graph).and_then(|s| s.run(&self.named()).map(drop)) {
                Err(error) => error,
                Ok(()) => panic!("{} was accepted; expected an error with `{text}`", self.describe()),
            },
        };
        let message = error.to_string();
        assert!(message.contains(text), "{}: `{message}` does not contain `{text}`", self.describe());
        assert!(message.contains(self.op.name()), "`{message}` does not name the operator");
    }

    fn names(&self) -> Vec<String> {
        (0..self.inputs.len()).map(|i| format!("in{i}")).collect()
    }

    fn graph(&self) -> Result<Graph, Error> {
        let mut b = GraphBuilder::new("case");
        let inputs: Vec<_> = self
            .inputs
            .iter()
            .zip(self.names())
            .map(|(input, name)| match input {
                Input::Runtime(t) => Some(b.input(name, t.dtype(), t.shape().to_vec())),
                Input::Constant(t) => Some(b.constant(name, t.clone())),
                Input::Absent => None,
            })
            .collect();
        for (i, output) in b.nodes("node", self.op.clone(), &inputs, self.outputs)?.into_iter().enumerate() {
            b.output(format!("out{i}"), output);
        }
        b.finish()
    }

    fn tensors(&self) -> Vec<Option<&Tensor>> {
        self.inputs.iter().map(Input::tensor).collect()
    }

    fn named(&self) -> Vec<(&'static str, macula::TensorView<'_>)> {
        const NAMES: [&str; 8] = ["in0", "in1", "in2", "in3", "in4", "in5", "in6", "in7"];
        let runtime = |input: &Input| matches!(input, Input::Runtime(_));
        NAMES
            .into_iter()
            .zip(&self.inputs)
            .filter(|(_, input)| runtime(input))
            .filter_map(|(name, input)| Some((name, input.tensor()?.view())))
            .collect()
    }

    #[track_caller]
    fn expected(&self) -> Vec<Tensor> {
        self.graph().unwrap_or_else(|error| panic!("{}: {error}", self.describe()));
        let known: Vec<bool> = self.inputs.iter().map(|input| matches!(input, Input::Constant(_))).collect();
        if let Some(lie) = reach::lie(&self.op, &self.tensors(), &known, self.outputs, |context| self.op.operator().reach(context)) {
            panic!("{} reads more than its rule says: {lie}", self.describe());
        }
        self.op.operator().reference(&self.tensors(), self.outputs).unwrap_or_else(|error| panic!("{}: {error}", self.describe()))
    }

    #[track_caller]
    fn plan(&self) -> std::sync::Arc<Plan> {
        self.plan_with(CompileOptions::new())
    }

    #[track_caller]
    fn plan_with(&self, options: CompileOptions) -> std::sync::Arc<Plan> {
        let session = gpu().compile_with(self.graph().unwrap(), options).unwrap_or_else(|error| panic!("{}: {error}", self.describe()));
        let mut plans = session.plans_for(&self.named()).unwrap_or_else(|error| panic!("{}: {error}", self.describe()));
        assert_eq!(plans.len(), 1, "{}: one node is one stage", self.describe());
        plans.remove(0)
    }

    #[track_caller]
    fn compare(&self, device: &Device, options: CompileOptions, by: &str, expected: &[Tensor]) {
        let run = || device.compile_with(self.graph()?, options.debug_memory(true))?.run(&self.named());
        let outputs = run().unwrap_or_else(|error| panic!("{} by {by}: {error}", self.describe()));
        for (index, expected) in expected.iter().take(self.outputs).enumerate() {
            let comparison = Comparison::new(&outputs[index], expected, self.op.operator().tolerance(expected.dtype()));
            assert!(comparison.passed(), "{} by {by}, output {index}: {comparison}", self.describe());
        }
    }

    fn describe(&self) -> String {
        let inputs: Vec<_> = self.tensors().iter().map(|t| t.map_or("–".into(), |t| format!("{}{}", t.dtype(), t.shape()))).collect();
        format!("{:?} on {}", self.op, inputs.join(", "))
    }
}
