//! Which node is wrong: node by node, kernel by kernel, or by halves.

use super::options::CompileOptions;
use super::prepare::Ready;
use super::tune::run_candidate;
use super::{Session, Wait};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId};
use crate::inspect::{Bisection, Comparison, KernelCheck, Verdict, Verifier, VerifyReport, bisect, run_reference};
use crate::optimize::Pass;
use crate::plan::{Candidate, Plan};
use crate::tensor::{Tensor, TensorView};

impl Session {
    /// Runs the network here and every node on the reference, on the inputs that the node had here, and compares.
    ///
    /// # Errors
    /// As [`Session::run`], and [`Error::WeightsDropped`]. A node that differs is no error: see [`VerifyReport::first_failure`].
    pub fn verify(&self, inputs: &[(&str, TensorView<'_>)]) -> Result<VerifyReport> {
        Ok(self.verify_ordered(&self.order(inputs)?, false)?.0)
    }

    /// As [`Session::verify`]; also runs every kernel that can serve each node, by itself on the inputs that the node had, and holds it
    /// against the same reference: [`VerifyReport::kernels`]. The CPU device has one way to compute each node, which `verify` checks.
    ///
    /// # Errors
    /// As [`Session::verify`]. A kernel that fails to run is no error: see [`KernelCheck::outcome`].
    pub fn verify_kernels(&self, inputs: &[(&str, TensorView<'_>)]) -> Result<VerifyReport> {
        Ok(self.verify_ordered(&self.order(inputs)?, true)?.0)
    }

    /// Searches for the first wrong node by halves, asking the reference for single nodes only.
    ///
    /// A part of the network, at first the whole, runs here and on the CPU device (on the reference where this is the CPU device), from
    /// the values that this device had before it. Where what leaves the part is beyond the tolerance of its loosest node, its first half is
    /// searched, then its second; a single node is held against the reference, within its own tolerance, as [`Session::verify`] does. So a
    /// node that is named is wrong, and of several the first whose error reaches the ends of the parts around it is named; an error that
    /// the nodes behind it wipe out is not seen. One wrong node among `n` takes at most `1 + 2·⌈log₂ n⌉` runs of parts, which together are
    /// about three runs of the network. Each part is planned anew with the kernels that the nodes have in the whole: an error that only
    /// the whole's buffers show ends in [`Verdict::Spread`].
    ///
    /// # Errors
    /// As [`Session::verify`].
    pub fn bisect(&self, inputs: &[(&str, TensorView<'_>)]) -> Result<Bisection> {
        self.bisect_ordered(&self.order(inputs)?)
    }

    fn verify_ordered(&self, views: &[TensorView<'_>], kernels: bool) -> Result<(VerifyReport, Vec<Tensor>)> {
        self.needs_weights()?;
        match self.ready_for(views)? {
            Ready::Plan(prepared) => {
                let plan = &prepared.plan;
                let try_kernels = |id: NodeId, inputs: &[Option<&Tensor>], right: &[Tensor]| self.try_kernels(plan, id, inputs, right);
                let mut verifier = Verifier::new(plan, views, if kernels { Some(&try_kernels) } else { None });
                let mut trace = |node, outputs| verifier.check(node, outputs);
                let outputs = pollster::block_on(self.run_plan(&prepared, views, Wait::Here, Some(&mut trace)))?;
                Ok((verifier.finish()?, outputs))
            }
            Ready::Stages(stages) => {
                let (mut report, computed) = stages.first.verify_ordered(&stages.first_views(views), kernels)?;
                let (rest, outputs) = stages.second.verify_ordered(&stages.second_views(views, &computed), kernels)?;
                report.extend(rest);
                Ok((report, outputs))
            }
        }
    }

    /// Every candidate of a node on its inputs in the run.
    fn try_kernels(&self, plan: &Plan, id: NodeId, inputs: &[Option<&Tensor>], right: &[Tensor]) -> Result<Vec<KernelCheck>> {
        let candidates = &plan.candidates[id.index()];
        let (Some(_), false) = (self.device.context(), candidates.is_empty()) else { return Ok(vec![]) };
        let (node, alone) = (plan.graph.node(id), plan.graph.alone(id));
        let tensor = |value| node.inputs.iter().position(|input| *input == Some(value)).and_then(|at| inputs[at]);
        let views: Vec<TensorView<'_>> = alone.inputs().iter().filter_map(|value| tensor(*value).map(Tensor::view)).collect();
        let right: Vec<&Tensor> = node.outputs.iter().zip(right).filter(|(output, _)| output.is_some()).map(|(_, right)| right).collect();
        let run = |candidate: &Candidate| {
            let options = CompileOptions::new().kernel(&candidate.name).without(Pass::all());
            run_candidate(&Session::new(self.device.clone(), alone.clone(), options)?, &views)
        };
        let mut checks = vec![];
        for candidate in candidates {
            let outcome = match run(candidate) {
                Ok((_, outputs)) => {
                    let held = outputs
                        .iter()
                        .zip(&right)
                        .map(|(got, right)| Comparison::new(got, right, node.op.operator().tolerance(right.dtype())));
                    held.reduce(|worst, next| if next.severity > worst.severity { next } else { worst }).ok_or("has no output".to_owned())
                }
                Err(error @ (Error::DeviceLost(_) | Error::Timeout(_))) => return Err(error),
                Err(error) => Err(error.to_string()),
            };
            checks.push(KernelCheck {
                node: node.name.clone(),
                op: node.op.name(),
                kernel: candidate.kernel,
                candidate: candidate.name.clone(),
                chosen: candidate.chosen,
                outcome,
            });
        }
        Ok(checks)
    }

    fn bisect_ordered(&self, views: &[TensorView<'_>]) -> Result<Bisection> {
        self.needs_weights()?;
        match self.ready_for(views)? {
            Ready::Plan(prepared) => {
                let plan = &prepared.plan;
                let options = CompileOptions { tune: false, ..self.options.clone() }.without(Pass::all());
                let run = |device: &Device, options: &CompileOptions, part: &Graph, inputs: &[TensorView<'_>]| {
                    let session = Session::new(device.clone(), part.clone(), options.clone())?;
                    pollster::block_on(session.run_ordered(inputs, Wait::Here))
                };
                let mut tested = |part: &Graph, inputs: &[TensorView<'_>]| run(&self.device, &options, part, inputs);
                let other = CompileOptions::new().without(Pass::all());
                let on_gpu = self.device.context().is_some();
                let mut right = |part: &Graph, inputs: &[TensorView<'_>]| {
                    if on_gpu { run(&Device::cpu(), &other, part, inputs) } else { run_reference(part, inputs) }
                };
                bisect(&plan.graph, views, &mut tested, &mut right, &|id| plan.placed[id.index()].to_string())
            }
            Ready::Stages(stages) => {
                let views_of_first = stages.first_views(views);
                let mut found = stages.first.bisect_ordered(&views_of_first)?;
                if matches!(found.verdict, Verdict::Node(_)) {
                    return Ok(found);
                }
                let computed = pollster::block_on(stages.first.run_ordered(&views_of_first, Wait::Here))?;
                let mut rest = stages.second.bisect_ordered(&stages.second_views(views, &computed))?;
                let behind = |probe: &mut crate::inspect::Probe| {
                    probe.nodes = probe.nodes.start + found.nodes..probe.nodes.end + found.nodes;
                };
                rest.probes.iter_mut().for_each(behind);
                if let Verdict::Spread(probe) = &mut rest.verdict {
                    behind(probe);
                }
                // Of two parts in which roundings add up the first is told.
                if matches!(found.verdict, Verdict::Agrees) || matches!(rest.verdict, Verdict::Node(_)) {
                    found.verdict = rest.verdict;
                }
                found.probes.extend(rest.probes);
                found.nodes += rest.nodes;
                Ok(found)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Conv, MaxPool, NonZero, Padding, Spatial, Transpose, Unary, Window};
    use crate::{DType, GraphBuilder, TensorType};

    fn gpu() -> Device {
        Device::from_name(&std::env::var("MACULA_DEVICE").unwrap_or_else(|_| "gpu".into())).expect("run tools/test.sh")
    }

    fn network() -> (Graph, Tensor) {
        let mut b = GraphBuilder::new("net");
        let mut value = b.input("x", DType::F32, [2, 8, 9, 12]);
        for name in ["first", "second"] {
            let w = b.constant(format!("{name} w"), Tensor::of([8, 8, 3, 3], (0..576).map(|i| (i as f32 * 0.7).sin()).collect()));
            let conv = Conv { padding: Padding::symmetric([1, 1]), ..Conv::default() };
            value = b.node(name, conv, &[value, w]).unwrap();
            value = b.node(format!("{name} relu"), Unary::Relu, &[value]).unwrap();
        }
        let [kernel_size, stride, dilation] = [2, 2, 1].map(|n| Spatial::splat(2, n));
        let window = Window { kernel_size, stride, dilation, padding: Padding::Valid, ceil_mode: false };
        let y = b.node("pool", MaxPool { window, column_major: false }, &[value]).unwrap();
        b.output("y", y);
        (b.finish().unwrap(), Tensor::of([2, 8, 9, 12], (0..1728).map(|i| (i as f32 * 0.37).sin()).collect()))
    }

    #[test]
    fn every_candidate_of_every_node_is_tried_on_the_values_of_the_run() {
        let (graph, x) = network();
        let session = gpu().compile(graph).unwrap();
        let report = session.verify_kernels(&[("x", x.view())]).unwrap();
        assert!(report.passed(), "{report}");
        let plan = session.plan(&[("x", TensorType::new(DType::F32, x.shape()))]).unwrap();
        let mut tried = report.kernels.iter();
        for (node, candidates) in plan.graph.nodes().iter().zip(&plan.candidates) {
            for candidate in candidates {
                let check = tried.next().expect("no candidate is left out");
                assert_eq!((&check.node, &check.candidate, check.chosen), (&node.name, &candidate.name, candidate.chosen));
                assert!(check.severity() < 1.0);
            }
        }
        assert!(tried.next().is_none() && report.kernels.len() > 2 * report.nodes.len(), "{}", report.kernels.len());
        assert!(session.verify(&[("x", x.view())]).unwrap().kernels.is_empty());
        let worst = report.worst_values.as_ref().expect("a convolution is rounded");
        assert_eq!(report.nodes[worst.check].node, report.worst(1)[0].node);
        let again = Comparison::new(&worst.got, &worst.expected, report.nodes[worst.check].comparison.tolerance);
        assert_eq!(again, report.nodes[worst.check].comparison);
    }

    #[test]
    fn a_candidate_that_is_wrong_or_does_not_run_fails() {
        let (graph, x) = network();
        let session = gpu().compile_with(graph, CompileOptions::new().without(Pass::all())).unwrap();
        let plan = session.plan(&[("x", TensorType::new(DType::F32, x.shape()))]).unwrap();
        let node = &plan.graph.nodes()[0];
        let inputs: Vec<Option<&Tensor>> =
            node.inputs.iter().map(|id| id.map(|id| plan.graph.value(id).constant.as_ref().unwrap_or(&x))).collect();
        let right = node.op.operator().reference(&inputs, 1).unwrap();
        let checks = session.try_kernels(&plan, NodeId(0), &inputs, &right).unwrap();
        assert!(checks.len() > 2 && checks.iter().all(KernelCheck::passed));
        let mut values = right[0].data::<f32>().unwrap().to_vec();
        values[100] += 1e-2;
        let wrong = [Tensor::new(right[0].shape(), values).unwrap()];
        let checks = session.try_kernels(&plan, NodeId(0), &inputs, &wrong).unwrap();
        assert!(checks.iter().all(|check| !check.passed() && check.outcome.as_ref().unwrap().beyond == 1));
        let mut other =
            Plan { candidates: plan.candidates.clone(), ..crate::plan::lower(plan.graph.clone(), None, &Default::default()).unwrap() };
        other.candidates[0].truncate(1);
        other.candidates[0][0].name = "no such candidate".into();
        let checks = session.try_kernels(&other, NodeId(0), &inputs, &right).unwrap();
        assert!(checks[0].outcome.as_ref().is_err_and(|why| why.contains("another candidate")) && checks[0].severity().is_infinite());
    }

    #[test]
    fn right_devices_agree_in_one_run() {
        for device in [Device::cpu(), gpu()] {
            let (graph, x) = network();
            let found = device.compile(graph).unwrap().bisect(&[("x", x.view())]).unwrap();
            assert!(matches!(found.verdict, Verdict::Agrees) && found.probes.len() == 1, "{found:?}");
            assert_eq!(found.probes[0].nodes, 0..found.nodes);
        }
    }

    /// Half precision: each node within its own tolerance, on both devices.
    #[test]
    fn a_network_in_half_precision_is_within_its_tolerances() {
        for device in [Device::cpu(), gpu()] {
            let (graph, x) = network();
            let x = Tensor::from_f64(DType::F16, x.shape(), x.to_f64()).unwrap();
            let report = device.compile(graph.to_f16()).unwrap().verify(&[("x", x.view())]).unwrap();
            assert!(report.passed() && report.nodes.iter().all(|node| node.dtype == DType::F16), "{report}");
        }
    }

    #[test]
    fn stages_are_searched_one_after_the_other() {
        let mut b = GraphBuilder::new("stages");
        let x = b.input("x", DType::F32, [64, 100]);
        let relu = b.node("relu", Unary::Relu, &[x]).unwrap();
        let at = b.node("at", NonZero, &[relu]).unwrap();
        let turned = b.node("turned", Transpose { permutation: vec![1, 0] }, &[at]).unwrap();
        b.output("y", turned);
        let session = Device::cpu().compile(b.finish().unwrap()).unwrap();
        // Too large to be a shape: what is computed from it is run, not folded.
        let x = Tensor::of([64, 100], (0..6400).map(|i| (i as f32).sin()).collect());
        let found = session.bisect(&[("x", x.view())]).unwrap();
        let reached = found.probes.last().map_or(0, |probe| probe.nodes.end);
        assert!(matches!(found.verdict, Verdict::Agrees) && reached == found.nodes, "{found:?}");
        assert_eq!(session.verify(&[("x", x.view())]).unwrap().nodes.len(), found.nodes);
    }
}
