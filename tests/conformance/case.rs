//! The suite's cases: a model, and data sets of inputs and outputs.

use std::io::Write;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libtest_mimic::Failed;
use macula::plan::{Elem, Placed, Plan};
use macula::{Device, Graph, Node, Session, Tensor, TensorType, TensorView, onnx};

use crate::allclose::allclose;
use crate::classes;

/// The suite's folders that hold cases, and `light`, whose models are listed under `real`.
pub const SUITES: [&str; 5] = ["node", "pytorch-converted", "pytorch-operator", "simple", "light"];

/// Where tools/setup.sh puts the suite.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/onnx-1.19.1/onnx/backend/test/data");

/// Every case of the suite.
pub struct Suite {
    pub cases: Vec<Arc<Case>>,
}

/// One case.
pub struct Case {
    /// `node/test_abs`.
    pub name: String,
    /// Which of [`SUITES`].
    pub suite: &'static str,
    model: PathBuf,
    data: Data,
}

enum Data {
    /// Folders with `input_*.pb` and `output_*.pb`.
    Sets(Vec<PathBuf>),
    /// The one output for the input 0/n, 1/n, …, (n − 1)/n.
    Ramp(PathBuf),
}

/// What became of a case that gave the right results.
pub struct Ran {
    /// Nodes on the GPU, views included.
    pub on_gpu: usize,
    /// Nodes on the CPU.
    pub on_cpu: usize,
    /// Nodes on the CPU that the GPU must serve.
    pub misplaced: Vec<String>,
}

impl Suite {
    /// The suite in `ONNX_BACKEND_TESTS` or where tools/setup.sh puts it; where there is none, says so.
    pub fn find_folder() -> Option<Self> {
        let folder = std::env::var_os("ONNX_BACKEND_TESTS").map_or_else(|| PathBuf::from(FOLDER), PathBuf::from);
        if folder.join("node").is_dir() {
            return Some(Self::read(&folder));
        }
        // Not `eprintln!`, which the test harness hides where tests pass.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED the ONNX backend tests: {} is absent. tools/setup.sh fetches them; it needs Python with pip, and a network.",
            folder.display()
        );
        None
    }

    fn read(folder: &Path) -> Self {
        let mut cases = vec![];
        for suite in SUITES {
            let of = if suite == "light" { "real" } else { suite };
            let mut names: Vec<_> = std::fs::read_dir(folder.join(of)).into_iter().flatten().flatten().map(|e| e.file_name()).collect();
            names.sort();
            for name in names.iter().filter_map(|n| n.to_str()).filter(|n| n.starts_with("test_")) {
                let own = folder.join(of).join(name);
                let (model, data) = if suite == "light" {
                    let light = |tail: &str| folder.join(format!("light/light_{}{tail}", &name["test_".len()..]));
                    (light(".onnx"), Data::Ramp(light("_output_0.pb")))
                } else {
                    let sets = (0..).map(|set| own.join(format!("test_data_set_{set}"))).take_while(|set| set.is_dir());
                    (own.join("model.onnx"), Data::Sets(sets.collect()))
                };
                cases.push(Arc::new(Case { name: format!("{suite}/{name}"), suite, model, data }));
            }
        }
        Self { cases }
    }

    /// The case of this name.
    pub fn find(&self, name: &str) -> Option<&Arc<Case>> {
        self.cases.iter().find(|case| case.name == name)
    }
}

impl Case {
    /// The names of the operators in the model; that of a case whose function is expanded are those of the function.
    pub fn operators(&self) -> Vec<&'static str> {
        let path = self.model.to_string_lossy();
        let whole = path.find("_expanded").map(|at| PathBuf::from(format!("{}/model.onnx", &path[..at])));
        let model = whole.filter(|path| path.exists()).unwrap_or_else(|| self.model.clone());
        onnx::load(model).map(|graph| graph.nodes().iter().map(|node| node.op.name()).collect()).unwrap_or_default()
    }

    /// Runs every data set and compares all outputs; on a GPU also with every input but the first as a constant of the graph, as
    /// weights are, because other kernels serve those.
    pub fn run(&self, device: &Device) -> Result<Ran, Failed> {
        let graph = onnx::load(&self.model)?;
        let sets = self.sets(&graph)?;
        let session = device.compile(graph.clone())?;
        let mut ran = Ran { on_gpu: 0, on_cpu: 0, misplaced: vec![] };
        for set in &sets {
            set.check(&session, 0..)?;
            session.plans_for(&set.views(0..))?.iter().for_each(|plan| ran.count(plan));
        }
        for set in sets.iter().filter(|set| set.inputs.len() > 1 && device.wgpu().is_some()) {
            let mut frozen = graph.clone();
            set.inputs[1..].iter().try_for_each(|(name, tensor)| frozen.freeze_input(name, tensor.clone()))?;
            set.check(&device.compile(frozen)?, 0..1)
                .map_err(|problem| format!("with constants: {}", problem.message().unwrap_or_default()))?;
        }
        Ok(ran)
    }

    fn sets(&self, graph: &Graph) -> Result<Vec<Set>, Failed> {
        let names: Vec<_> = graph.inputs().iter().map(|&id| graph.value(id).name.clone()).collect();
        let named = |tensors: Vec<Tensor>| -> Result<_, Failed> {
            match tensors.len() == names.len() {
                true => Ok(names.iter().cloned().zip(tensors).collect()),
                false => Err(format!("the data has {} inputs, the model {}", tensors.len(), names.len()).into()),
            }
        };
        let sets: Vec<Set> = match &self.data {
            Data::Sets(folders) => {
                let set = |folder: &PathBuf| Ok(Set { inputs: named(tensors(folder, "input")?)?, outputs: tensors(folder, "output")? });
                folders.iter().map(set).collect::<Result<_, Failed>>()?
            }
            Data::Ramp(output) => {
                let types = graph.inputs().iter().map(|&id| graph.value(id).ty.as_ref().ok_or("the input's shape is not fixed"));
                let inputs = types.map(|ty| Ok(ramp(ty?)?)).collect::<Result<_, Failed>>()?;
                vec![Set { inputs: named(inputs)?, outputs: vec![onnx::load_tensor(output)?.1] }]
            }
        };
        if sets.is_empty() { Err("has no data".into()) } else { Ok(sets) }
    }
}

/// 0/n, 1/n, …, (n − 1)/n.
fn ramp(ty: &TensorType) -> macula::Result<Tensor> {
    let n = ty.shape.elements();
    Tensor::from_f64(ty.dtype, ty.shape.clone(), (0..n).map(|i| i as f64 / n as f64).collect())
}

/// Inputs by name, and what they should give.
struct Set {
    inputs: Vec<(String, Tensor)>,
    outputs: Vec<Tensor>,
}

impl Set {
    fn views(&self, range: impl RangeBounds<usize>) -> Vec<(&str, TensorView<'_>)> {
        let within = |at: &usize| range.contains(at);
        self.inputs.iter().enumerate().filter(|(at, _)| within(at)).map(|(_, (name, tensor))| (name.as_str(), tensor.view())).collect()
    }

    /// Runs on the inputs in `range`, the others being constants.
    fn check(&self, session: &Session, range: impl RangeBounds<usize>) -> Result<(), Failed> {
        let outputs = session.run(&self.views(range))?;
        if outputs.len() != self.outputs.len() {
            return Err(format!("has {} outputs, the data {}", outputs.len(), self.outputs.len()).into());
        }
        for ((name, got), expected) in outputs.iter().zip(&self.outputs) {
            allclose(got, expected).map_err(|problem| format!("output `{name}`: {problem}"))?;
        }
        Ok(())
    }
}

impl Ran {
    fn count(&mut self, plan: &Plan) {
        for (node, placed) in plan.graph.nodes().iter().zip(&plan.placed) {
            let Placed::Cpu(reason) = placed else {
                self.on_gpu += 1;
                continue;
            };
            self.on_cpu += 1;
            if classes::belongs_on_gpu(node.op.name()) && storable(plan, node) {
                self.misplaced.push(format!("{} ({reason})", node.op.name()));
            }
        }
    }
}

/// Whether all of a node's tensors are of types that WGSL has, and hold elements.
fn storable(plan: &Plan, node: &Node) -> bool {
    let mut values = node.inputs.iter().chain(&node.outputs).flatten().map(|&id| plan.tensor_type(id));
    values.all(|ty| Elem::storing(ty.dtype).is_some() && ty.shape.elements() > 0)
}

/// The tensors `<kind>_0.pb`, `<kind>_1.pb`, … of a data set.
fn tensors(set: &Path, kind: &str) -> Result<Vec<Tensor>, Failed> {
    let paths = (0..).map(|index| set.join(format!("{kind}_{index}.pb"))).take_while(|path| path.exists());
    paths.map(|path| Ok(onnx::load_tensor(path)?.1)).collect()
}
