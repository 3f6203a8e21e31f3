//! Which node is wrong: every node's outputs held against the reference on the inputs that the node had.

use std::fmt;

use super::Comparison;
use crate::error::Result;
use crate::graph::{Graph, Node, NodeId, ValueId};
use crate::plan::Plan;
use crate::tensor::{DType, Tensor, TensorView};

/// One output of one node, held against the reference.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeCheck {
    /// The node's name in the file.
    pub node: String,
    /// The nodes of the file that it stands for, itself included; several where passes have merged them.
    pub origins: Vec<String>,
    /// The operator.
    pub op: &'static str,
    /// The kernels that computed it, or that it ran on the CPU and why.
    pub kernel: String,
    /// The output's name.
    pub output: String,
    /// The output's type.
    pub dtype: DType,
    /// The difference.
    pub comparison: Comparison,
}

/// What [`Session::verify`](crate::Session::verify) found, in execution order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Every output of every node.
    pub nodes: Vec<NodeCheck>,
    /// Every kernel that can serve each node, where [`Session::verify_kernels`](crate::Session::verify_kernels) tried them; else empty.
    pub kernels: Vec<KernelCheck>,
    /// The elements of the output that is furthest beyond its tolerance, the first of equals; `None` where every element is as expected.
    pub worst_values: Option<WorstValues>,
}

/// An output of a node with what it should be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorstValues {
    /// Which of [`VerifyReport::nodes`].
    pub check: usize,
    /// What was computed.
    pub got: Tensor,
    /// What is right.
    pub expected: Tensor,
}

/// One way to compute a node, held against the reference on the inputs that the node had in the run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KernelCheck {
    /// The node's name in the file.
    pub node: String,
    /// The operator.
    pub op: &'static str,
    /// The kernel that does the main work.
    pub kernel: &'static str,
    /// Every variant that it dispatches: [`Candidate::name`](crate::plan::Candidate::name).
    pub candidate: String,
    /// Whether it is what runs.
    pub chosen: bool,
    /// The worst of the node's outputs, or why it did not run.
    pub outcome: Result<Comparison, String>,
}

impl KernelCheck {
    /// Whether it ran and is within the operator's tolerance.
    pub fn passed(&self) -> bool {
        self.outcome.as_ref().is_ok_and(Comparison::passed)
    }

    /// The largest error in units of the tolerance; infinite where it did not run.
    pub fn severity(&self) -> f64 {
        self.outcome.as_ref().map_or(f64::INFINITY, |comparison| comparison.severity)
    }
}

impl VerifyReport {
    /// Whether every node, and every kernel that was tried, is within its operator's tolerance.
    pub fn passed(&self) -> bool {
        self.first_failure().is_none() && self.kernels.iter().all(KernelCheck::passed)
    }

    /// The first node beyond its operator's tolerance.
    pub fn first_failure(&self) -> Option<&NodeCheck> {
        self.nodes.iter().find(|n| !n.comparison.passed())
    }

    /// The `count` nodes with the largest errors in units of their tolerance, the worst first.
    pub fn worst(&self, count: usize) -> Vec<&NodeCheck> {
        let mut nodes: Vec<_> = self.nodes.iter().collect();
        nodes.sort_by(|a, b| b.comparison.severity.total_cmp(&a.comparison.severity));
        nodes.truncate(count);
        nodes
    }

    /// Adds what was found of the nodes behind these.
    pub(crate) fn extend(&mut self, rest: VerifyReport) {
        let severity = |report: &VerifyReport| report.worst_values.as_ref().map(|worst| report.nodes[worst.check].comparison.severity);
        if severity(&rest) > severity(self) {
            self.worst_values = rest.worst_values.map(|worst| WorstValues { check: worst.check + self.nodes.len(), ..worst });
        }
        self.nodes.extend(rest.nodes);
        self.kernels.extend(rest.kernels);
    }
}

impl NodeCheck {
    /// Holds an output of a node of a specialised graph against the reference's.
    pub(super) fn new(graph: &Graph, node: &Node, output: ValueId, kernel: String, got: &Tensor, expected: &Tensor) -> Self {
        Self {
            node: node.name.clone(),
            origins: node.origins.clone(),
            op: node.op.name(),
            kernel,
            output: graph.value(output).name.clone(),
            dtype: expected.dtype(),
            comparison: Comparison::new(got, expected, node.op.operator().tolerance(expected.dtype())),
        }
    }

    /// Whether it stands for several nodes of the file. Compiled without the passes that merged them
    /// ([`CompileOptions::without`](crate::CompileOptions::without)), the network has them one by one.
    pub fn is_merged(&self) -> bool {
        self.origins.len() > 1
    }
}

impl fmt::Display for NodeCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node `{}` ({}", self.node, self.op)?;
        if self.is_merged() {
            write!(f, ", stands for `{}`", self.origins.join("`, `"))?;
        }
        write!(f, ") output `{}` {}{} by {}: {}", self.output, self.dtype, self.comparison.shape, self.kernel, self.comparison)
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first_failure() {
            Some(node) => write!(f, "first node beyond tolerance: {node}"),
            None => write!(f, "all {} node outputs are within tolerance", self.nodes.len()),
        }
    }
}

/// Holds each node's outputs against the reference as a run goes on.
pub(crate) struct Verifier<'a> {
    plan: &'a Plan,
    values: Vec<Option<Tensor>>,
    uses: Vec<usize>,
    report: Result<VerifyReport>,
    try_kernels: Option<&'a TryKernels<'a>>,
    next: usize,
}

/// Tries every way to compute a node on its inputs, given what is right.
pub(crate) type TryKernels<'a> = dyn Fn(NodeId, &[Option<&Tensor>], &[Tensor]) -> Result<Vec<KernelCheck>> + Sync + 'a;

impl<'a> Verifier<'a> {
    pub fn new(plan: &'a Plan, inputs: &[TensorView<'_>], try_kernels: Option<&'a TryKernels<'a>>) -> Self {
        let graph = &plan.graph;
        let mut values: Vec<_> = graph.values().iter().map(|v| v.constant.clone()).collect();
        for (id, input) in graph.inputs().iter().zip(inputs) {
            values[id.index()] = Some(input.to_tensor());
        }
        let mut uses = vec![0; values.len()];
        graph.nodes().iter().flat_map(|n| n.inputs.iter().flatten()).for_each(|id| uses[id.index()] += 1);
        let report = Ok(VerifyReport { nodes: vec![], kernels: vec![], worst_values: None });
        Self { plan, values, uses, report, try_kernels, next: 0 }
    }

    /// Takes the outputs of a node; views, which have no step, are done on the way.
    pub fn check(&mut self, id: NodeId, outputs: Vec<Option<Tensor>>) {
        while self.next < id.index() && self.report.is_ok() {
            self.step(NodeId(self.next as u32), None);
        }
        if self.report.is_ok() {
            self.step(id, Some(outputs));
        }
    }

    /// The report, once the run is over.
    pub fn finish(mut self) -> Result<VerifyReport> {
        while self.next < self.plan.graph.nodes().len() && self.report.is_ok() {
            self.step(NodeId(self.next as u32), None);
        }
        self.report
    }

    fn step(&mut self, id: NodeId, got: Option<Vec<Option<Tensor>>>) {
        self.next = id.index() + 1;
        let graph = &self.plan.graph;
        let node = graph.node(id);
        let inputs: Vec<Option<&Tensor>> = node.inputs.iter().map(|id| id.and_then(|id| self.values[id.index()].as_ref())).collect();
        let reference = node.op.operator().reference(&inputs, node.outputs.len()).map_err(|source| graph.node_error(node, source));
        let tried = reference.and_then(|expected| {
            let kernels = self.try_kernels.map_or(Ok(vec![]), |try_kernels| try_kernels(id, &inputs, &expected))?;
            Ok((expected, kernels))
        });
        let (expected, kernels) = match tried {
            Ok(tried) => tried,
            Err(error) => {
                self.report = Err(error);
                return;
            }
        };
        let Ok(report) = &mut self.report else { return };
        report.kernels.extend(kernels);
        for (index, (output, expected)) in node.outputs.iter().zip(expected).enumerate() {
            let Some(output) = *output else { continue };
            let got = got.as_ref().map_or(Some(&expected), |got| got.get(index).and_then(Option::as_ref));
            let Some(got) = got.cloned() else { continue };
            let check = NodeCheck::new(graph, node, output, self.plan.placed[id.index()].to_string(), &got, &expected);
            let most = report.worst_values.as_ref().map_or(0.0, |worst| report.nodes[worst.check].comparison.severity);
            if check.comparison.severity > most {
                report.worst_values = Some(WorstValues { check: report.nodes.len(), got: got.clone(), expected });
            }
            report.nodes.push(check);
            self.values[output.index()] = Some(got);
        }
        for id in node.inputs.iter().flatten() {
            self.release(*id);
        }
    }

    fn release(&mut self, id: ValueId) {
        self.uses[id.index()] -= 1;
        if self.uses[id.index()] == 0 {
            self.values[id.index()] = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::gpu::{Program, Wait, WeightStore};
    use crate::graph::{Graph, InputSpec, Specialized};
    use crate::ops::{BatchNormalization, Conv, Unary};
    use crate::optimize::{Pass, optimize};
    use crate::plan::{LowerOptions, Step, lower};
    use crate::{Device, GraphBuilder, TensorType};

    /// `exp(sigmoid(relu(x)))`, the plan changed by `sabotage` before it runs.
    fn report(sabotage: impl Fn(&mut Plan)) -> VerifyReport {
        let mut b = GraphBuilder::new("chain");
        let mut value = b.input("x", DType::F32, [2, 3, 5, 7]);
        for (name, op) in [("relu", Unary::Relu), ("sigmoid", Unary::Sigmoid), ("exp", Unary::Exp)] {
            value = b.node(name, op, &[value]).unwrap();
        }
        b.output("y", value);
        report_of(b.finish().unwrap(), sabotage)
    }

    fn report_of(graph: Graph, sabotage: impl Fn(&mut Plan)) -> VerifyReport {
        let device = Device::from_name(&std::env::var("MACULA_DEVICE").unwrap_or_else(|_| "gpu".into())).expect("run tools/test.sh");
        let context = device.context().expect("a GPU device has a context");
        let x = Tensor::of([2, 3, 5, 7], (0..210).map(|i| (i as f32 * 0.37).sin() * 3.0).collect());
        let spec = InputSpec { ty: TensorType::new(DType::F32, x.shape()), value: None };
        let Specialized::Graph(graph) = graph.specialize(&[spec]).unwrap() else { panic!("no values are needed") };
        let mut plan = lower(graph, Some(context.capabilities()), &LowerOptions::default()).unwrap();
        sabotage(&mut plan);
        let program = Program::new(context, Arc::new(plan), &WeightStore::default(), false).unwrap();
        let views = [x.view()];
        let mut verifier = Verifier::new(&program.plan, &views, None);
        let mut trace = |node, outputs| verifier.check(node, outputs);
        pollster::block_on(program.run(context, &views, Wait::Here, Some(&mut trace))).unwrap();
        verifier.finish().unwrap()
    }

    fn sigmoid(plan: &mut Plan) -> &mut crate::plan::Dispatch<crate::plan::Binding> {
        let mut dispatches = plan.steps.iter_mut().filter_map(|step| match step {
            Step::Dispatch { dispatch, .. } => Some(dispatch),
            _ => None,
        });
        dispatches.nth(1).unwrap()
    }

    #[test]
    fn right_kernels_pass() {
        assert!(report(|_| ()).passed());
    }

    #[test]
    fn a_kernel_that_computes_something_else_is_named_and_no_node_after_it() {
        let tanh = Unary::Tanh.code().0;
        let report = report(|plan| sigmoid(plan).variant.overrides[0] = tanh);
        let failures: Vec<_> = report.nodes.iter().filter(|n| !n.comparison.passed()).map(|n| n.node.as_str()).collect();
        assert_eq!(failures, ["sigmoid"], "{report}");
        let text = report.to_string();
        assert!(text.contains("`sigmoid` (Sigmoid)") && text.contains("unary") && text.contains("f32[2,3,5,7]"), "{text}");
        assert_eq!(report.worst(1)[0].node, "sigmoid");
    }

    #[test]
    fn a_merged_node_is_mapped_back_to_the_nodes_of_the_file() {
        let network = || {
            let mut b = GraphBuilder::new("conv and norm");
            let x = b.input("x", DType::F32, [2, 3, 5, 7]);
            let w = b.constant("w", Tensor::of([4, 3, 3, 3], (0..108).map(|i| (i as f32 * 0.7).sin()).collect()));
            let conv = b.node("conv1", Conv::default(), &[x, w]).unwrap();
            let statistics = [0.9, 0.1, 0.2, 1.5].map(|v| b.constant(format!("s{v}"), Tensor::vector(vec![v as f32; 4])));
            let norm = BatchNormalization { eps: 1e-5, momentum: 0.9, training: false };
            let norm = b.node("bn1", norm, &[conv, statistics[0], statistics[1], statistics[2], statistics[3]]).unwrap();
            b.output("y", norm);
            b.finish().unwrap()
        };
        // The kernels write nothing at all.
        let sabotage = |plan: &mut Plan| {
            for step in &mut plan.steps {
                if let Step::Dispatch { dispatch, .. } = step {
                    dispatch.workgroups = [0; 3];
                }
            }
        };
        let mut folded = network();
        optimize(&mut folded, Pass::EARLY, &BTreeSet::new()).unwrap();
        let report = report_of(folded, sabotage);
        let failure = report.first_failure().unwrap();
        assert!(failure.is_merged() && failure.origins == ["conv1", "bn1"], "{failure}");
        assert!(report.to_string().contains("node `conv1` (Conv, stands for `conv1`, `bn1`) output"), "{report}");
        // Left out, the pass leaves each node to itself.
        let mut whole = network();
        optimize(&mut whole, Pass::EARLY, &BTreeSet::from([Pass::FoldAffine])).unwrap();
        let report = report_of(whole, sabotage);
        assert!(report.nodes.iter().all(|node| !node.is_merged()) && report.nodes.len() == 2);
        assert!(report.to_string().contains("node `conv1` (Conv) output"), "{report}");
    }

    #[test]
    fn a_kernel_that_stops_early_is_caught_at_its_first_missing_element() {
        let report = report(|plan| sigmoid(plan).params[..4].copy_from_slice(&20u32.to_ne_bytes()));
        let failure = report.first_failure().expect("elements from 80 on were not written");
        assert_eq!(failure.node, "sigmoid");
        assert!(failure.comparison.beyond > 0 && failure.comparison.beyond <= 130, "{failure}");
    }
}
