//! Measuring which way to compute each node is the fastest on a device.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::options::{CompileOptions, TuneStep};
use super::prepare::{Prepared, Ready};
use super::{Session, Wait};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::gpu::Context;
use crate::graph::{Graph, NodeId, TensorType};
use crate::inspect::Comparison;
use crate::optimize::Pass;
use crate::plan::{Candidate, LowerOptions, Trial, lower, signature};
use crate::tensor::{DType, Tensor, TensorView};

/// Candidates this much slower than the fastest in their first run are not measured further.
const HOPELESS: u32 = 2;
/// Rounds in which each contender has its turn, and for how long at least; its fastest round counts.
const ROUNDS: usize = 7;
const TURN: Duration = Duration::from_millis(4);
const MOST_REPEATS: u128 = 1000;

/// Measures every candidate of those nodes of a specialised graph of which not all were measured on this device yet.
///
/// A candidate's output is held against the CPU device's, within the operator's tolerance, before it may be chosen.
pub(super) fn tune(device: &Device, context: &Context, graph: &Graph, progress: &dyn Fn(&TuneStep<'_>)) -> Result<()> {
    let plan = lower(graph.clone(), Some(context.capabilities()), &LowerOptions::default())?;
    let known = context.measured();
    let mut seen = HashSet::new();
    let open: Vec<(NodeId, String, &[Candidate])> = (graph.nodes().iter().enumerate().zip(&plan.candidates))
        .filter(|(_, candidates)| candidates.len() > 1)
        .map(|((at, node), candidates)| (NodeId(at as u32), signature(graph, node), &candidates[..]))
        .filter(|(_, signature, candidates)| !known.has_tried(signature, candidates.iter().map(|c| c.name.as_str())))
        .filter(|(_, signature, _)| seen.insert(signature.clone()))
        .collect();
    for (done, (id, signature, candidates)) in open.iter().enumerate() {
        let node = graph.node(*id);
        if let Some(trials) = trials(device, context, &graph.alone(*id), candidates)? {
            for trial in &trials {
                log::debug!("`{}` ({}): {:?} {}", node.name, node.op.name(), trial.time, trial.candidate);
            }
            context.learn(signature.clone(), trials);
        }
        progress(&TuneStep { node: &node.name, op: node.op.name(), candidates: candidates.len(), done: done + 1, of: open.len() });
    }
    if !open.is_empty() {
        context.keep_tuning();
    }
    Ok(())
}

/// A candidate that works, with its fastest run so far.
struct Contender<'a> {
    trial: &'a mut Trial,
    prepared: Arc<Prepared>,
    fastest: Duration,
}

impl Contender<'_> {
    fn run(&mut self, context: &Context, repeats: usize) -> Result<()> {
        let took = self.prepared.all_on_gpu()?.time(context, repeats)?;
        self.fastest = self.fastest.min(took / repeats as u32);
        Ok(())
    }
}

/// Each candidate of a network of one node with its time; `None` where its inputs cannot be made up.
fn trials(device: &Device, context: &Context, graph: &Graph, candidates: &[Candidate]) -> Result<Option<Vec<Trial>>> {
    let types = graph.inputs().iter().map(|id| graph.tensor_type(*id));
    let inputs: Vec<Tensor> = types.enumerate().map(|(at, ty)| noise(at as u64, &ty)).collect::<Result<_>>()?;
    let views: Vec<TensorView<'_>> = inputs.iter().map(Tensor::view).collect();
    let alone = |device: &Device, options: CompileOptions| Session::new(device.clone(), graph.clone(), options.without(Pass::all()));
    let right = match alone(&Device::cpu(), CompileOptions::new()).and_then(|cpu| pollster::block_on(cpu.run_ordered(&views, Wait::Here))) {
        Ok(outputs) => outputs,
        Err(error) => {
            log::debug!("`{}` is not tuned, it takes no made-up inputs: {error}", graph.nodes()[0].name);
            return Ok(None);
        }
    };
    let mut trials: Vec<_> = candidates.iter().map(|c| Trial { candidate: c.name.clone(), time: None }).collect();
    let mut contenders = vec![];
    for trial in &mut trials {
        let session = alone(device, CompileOptions::new().kernel(&trial.candidate));
        match session.and_then(|session| first_run(&session, &views, &right)) {
            Ok(prepared) => {
                let mut contender = Contender { trial, prepared, fastest: Duration::MAX };
                contender.run(context, 1)?;
                contenders.push(contender);
            }
            Err(error @ (Error::DeviceLost(_) | Error::Timeout(_))) => return Err(error),
            Err(error) => log::warn!("`{}`: {} is not taken: {error}", graph.nodes()[0].name, trial.candidate),
        }
    }
    let fastest = contenders.iter().map(|c| c.fastest).min().unwrap_or_default();
    let hopeful = |c: &&mut Contender<'_>| c.fastest <= fastest * HOPELESS;
    for _ in 0..ROUNDS {
        for contender in contenders.iter_mut().filter(hopeful) {
            let repeats = TURN.as_nanos().div_ceil(contender.fastest.as_nanos().max(1)).min(MOST_REPEATS);
            contender.run(context, repeats as usize)?;
        }
    }
    for contender in contenders {
        contender.trial.time = Some(contender.fastest);
    }
    Ok(Some(trials))
}

/// Runs a network of one node and compares its outputs; the first run may compile.
fn first_run(session: &Session, views: &[TensorView<'_>], right: &[Tensor]) -> Result<Arc<Prepared>> {
    let (prepared, outputs) = run_candidate(session, views)?;
    let node = &prepared.plan.graph.nodes()[0];
    for (got, expected) in outputs.iter().zip(right) {
        let comparison = Comparison::new(got, expected, node.op.operator().tolerance(expected.dtype()));
        if !comparison.passed() {
            let message = format!("its output is wrong: {comparison}");
            return Err(Error::Gpu { during: format!("tuning `{}` ({})", node.name, node.op.name()), message });
        }
    }
    Ok(prepared)
}

/// Runs a network of one node by the candidate that the session was compiled for, and no other.
pub(super) fn run_candidate(session: &Session, views: &[TensorView<'_>]) -> Result<(Arc<Prepared>, Vec<Tensor>)> {
    let (Ready::Plan(prepared), Some(context)) = (session.ready_for(views)?, session.device.context()) else {
        return Err(Error::NeedsElements(session.graph.name().into()));
    };
    let asked = session.options.kernel.as_deref();
    if !prepared.plan.candidates.first().is_some_and(|all| all.iter().any(|c| c.chosen && Some(c.name.as_str()) == asked)) {
        let during = asked.unwrap_or_default().to_owned();
        return Err(Error::Gpu { during, message: "another candidate serves where the node is alone".into() });
    }
    let outputs = pollster::block_on(prepared.all_on_gpu()?.run(context, views, Wait::Here, None))?;
    Ok((prepared, outputs))
}

/// Made-up elements: real numbers in −1…1, bytes over their whole range, other integers and truth values 0 or 1, which are valid as indices.
fn noise(seed: u64, ty: &TensorType) -> Result<Tensor> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |n: u64| {
        // Xorshift: any numbers will do that have no pattern.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % n
    };
    let value = |_| match ty.dtype {
        dtype if dtype.is_float() => below(1 << 24) as f64 / f64::from(1 << 23) - 1.0,
        DType::U8 => below(256) as f64,
        DType::I8 => below(256) as f64 - 128.0,
        _ => below(2) as f64,
    };
    Tensor::from_f64(ty.dtype, &ty.shape, (0..ty.shape.elements()).map(value).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::gpu::Folder;
    use crate::ops::{Conv, Gather, Padding, Unary};
    use crate::{CacheFolder, DeviceOptions, GraphBuilder, Tensor};

    fn opened(folder: &Folder) -> Device {
        let name = std::env::var("MACULA_DEVICE").unwrap_or_else(|_| "gpu".into());
        Device::from_name_with(&name, &DeviceOptions::new().cache(CacheFolder::At(folder.0.clone()))).expect("run tools/test.sh")
    }

    /// Two convolutions that are alike, and an activation that has one kernel.
    fn network() -> Graph {
        let mut b = GraphBuilder::new("twice");
        let mut value = b.input("x", DType::F32, [1, 8, 7, 12]);
        for name in ["first", "second"] {
            let w = b.constant(format!("{name} w"), Tensor::of([8, 8, 3, 3], (0..576).map(|i| (i as f32 * 0.7).sin()).collect()));
            let conv = Conv { padding: Padding::symmetric([1, 1]), ..Conv::default() };
            value = b.node(name, conv, &[value, w]).unwrap();
        }
        let y = b.node("tanh", Unary::Tanh, &[value]).unwrap();
        b.output("y", y);
        b.finish().unwrap()
    }

    fn candidates(device: &Device, options: CompileOptions) -> Vec<Vec<Candidate>> {
        let session = device.compile_with(network(), options.without(Pass::all())).unwrap();
        session.plan(&[("x", TensorType::new(DType::F32, [1, 8, 7, 12]))]).unwrap().candidates.clone()
    }

    #[test]
    fn nodes_that_are_alike_are_measured_once_and_remembered() {
        let folder = Folder::new("tune-remembered");
        let device = opened(&folder);
        assert!(candidates(&device, CompileOptions::new()).iter().flatten().all(|c| !c.wrong));
        let told = Arc::new(Mutex::new(vec![]));
        let record = told.clone();
        let options = CompileOptions::new()
            .tune(true)
            .tune_progress(move |step| record.lock().unwrap().push((step.node.to_owned(), step.op, step.candidates, step.done, step.of)));
        let tuned = candidates(&device, options.clone());
        assert_eq!(*told.lock().unwrap(), [("first".to_owned(), "Conv", tuned[0].len(), 1, 1)]);
        for node in &tuned[..2] {
            assert!(node.len() > 2 && node.iter().all(|c| c.time.is_some() && !c.wrong), "{node:?}");
            let chosen = node.iter().find(|c| c.chosen).unwrap();
            let fastest = node.iter().filter_map(|c| c.time).min().unwrap();
            assert!(chosen.time.unwrap().as_secs_f64() <= fastest.as_secs_f64() * 1.03, "{node:?}");
        }
        assert!(tuned[2].iter().all(|c| c.time.is_none()), "there is nothing to choose");
        candidates(&device, options);
        assert_eq!(told.lock().unwrap().len(), 1, "nothing is measured twice");
        assert_eq!(candidates(&opened(&folder), CompileOptions::new()), tuned, "the next program knows");
        assert_eq!(opened(&folder).tuning(), device.tuning());
        assert_eq!(device.tuning().map(|t| t.len()), Some(1));
    }

    #[test]
    fn a_candidate_whose_output_is_wrong_is_refused() {
        let folder = Folder::new("tune-wrong");
        let device = opened(&folder);
        let graph = network().alone(NodeId(0));
        let x = noise(3, &TensorType::new(DType::F32, [1, 8, 7, 12])).unwrap();
        let views = [x.view()];
        let name = candidates(&device, CompileOptions::new())[0][1].name.clone();
        let session = |kernel: &str| device.compile_with(graph.clone(), CompileOptions::new().kernel(kernel).without(Pass::all())).unwrap();
        let right = Device::cpu().compile(graph.clone()).unwrap().run(&[("x", x.view())]).unwrap().into_tensors();
        assert!(first_run(&session(&name), &views, &right).is_ok());
        let mut values = right[0].data::<f32>().unwrap().to_vec();
        values[100] += 1e-2;
        let wrong = [Tensor::new(right[0].shape(), values).unwrap()];
        let error = first_run(&session(&name), &views, &wrong).err().unwrap().to_string();
        assert!(error.contains("first") && error.contains("wrong"), "{error}");
        let error = first_run(&session("no such candidate"), &views, &right).err().unwrap().to_string();
        assert!(error.contains("another candidate"), "{error}");
    }

    #[test]
    fn what_takes_no_made_up_inputs_is_left_alone() {
        let folder = Folder::new("tune-indices");
        let mut b = GraphBuilder::new("gather");
        let (x, at) = (b.input("x", DType::F32, [1, 5]), b.input("at", DType::I32, [64]));
        let y = b.node("gather", Gather { axis: 0 }, &[x, at]).unwrap();
        b.output("y", y);
        let session = opened(&folder).compile_with(b.finish().unwrap(), CompileOptions::new().tune(true)).unwrap();
        let (x, at) = (Tensor::full([1, 5], 2f32), Tensor::full([64], 0i32));
        assert_eq!(session.run(&[("x", x.view()), ("at", at.view())]).unwrap()[0], Tensor::full([64, 5], 2f32));
    }
}
