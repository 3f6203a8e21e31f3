//! Plans for the shapes that come: made at the first run of each, kept for the next.

use std::sync::{Arc, PoisonError};

use super::Session;
use super::stages::Stages;
use super::tune::tune;
use crate::cpu;
use crate::error::{Error, Result};
use crate::gpu::Program;
use crate::graph::{Graph, InputSpec, Specialized, TensorType, ValueId};
use crate::optimize::{self, Pass};
use crate::plan::{self, LowerOptions, Plan};
use crate::tensor::TensorView;

/// So many shapes keep their plans and buffers; the least recently used goes first.
const CACHED_PLANS: usize = 16;

/// What runs these inputs.
pub(super) enum Ready {
    Plan(Arc<Prepared>),
    Stages(Arc<Stages>),
}

/// What a graph is for some inputs.
pub(super) enum Outcome {
    Graph(Vec<InputSpec>, Graph),
    /// Shapes depend on the elements of inputs, which are not at hand.
    Unknown,
    /// Shapes depend on this value, which nodes compute.
    Computed(ValueId),
}

/// A plan, and what runs it: a program on the GPU, packed weights on the CPU.
pub(super) struct Prepared {
    pub plan: Arc<Plan>,
    pub program: Option<Program>,
    pub cpu_weights: cpu::Weights,
}

impl Prepared {
    /// The program, if no node of it runs on the CPU.
    pub fn all_on_gpu(&self) -> Result<&Program> {
        let on_cpu: Vec<_> = self.plan.host_nodes().map(|(n, why)| format!("`{}` ({}): {why}", n.name, n.op.name())).collect();
        match &self.program {
            Some(program) if on_cpu.is_empty() => Ok(program),
            _ => Err(Error::Strict(on_cpu)),
        }
    }
}

impl Session {
    pub(super) fn ready_for(&self, views: &[TensorView<'_>]) -> Result<Ready> {
        if let Some(stages) = self.stages.get() {
            return Ok(Ready::Stages(stages.clone()));
        }
        let types: Vec<_> = views.iter().map(|v| TensorType::new(v.dtype(), v.shape())).collect();
        let same = |spec: &InputSpec, view: &TensorView<'_>| spec.value.as_ref().is_none_or(|v| v.bytes() == view.bytes());
        if let Some(found) =
            self.cached(|specs| specs.iter().map(|s| &s.ty).eq(&types) && specs.iter().zip(views).all(|(spec, view)| same(spec, view)))
        {
            return Ok(Ready::Plan(found));
        }
        let specs = types.into_iter().map(|ty| InputSpec { ty, value: None }).collect();
        match self.specialize(specs, Some(views))? {
            Outcome::Graph(specs, graph) => Ok(Ready::Plan(self.prepare(specs, graph, false)?)),
            Outcome::Computed(value) => {
                let stages = Arc::new(Stages::new(self, value)?);
                Ok(Ready::Stages(self.stages.get_or_init(|| stages).clone()))
            }
            Outcome::Unknown => unreachable!("the elements of inputs are at hand"),
        }
    }

    pub(super) fn prepared_for_types(&self, inputs: &[(&str, TensorType)]) -> Result<Arc<Prepared>> {
        let types = self.matched(inputs.to_vec())?;
        if let Some(found) = self.cached(|specs| specs.iter().map(|s| (&s.ty, s.value.is_none())).eq(types.iter().map(|t| (t, true)))) {
            return Ok(found);
        }
        let specs = types.into_iter().map(|ty| InputSpec { ty, value: None }).collect();
        match self.specialize(specs, None)? {
            Outcome::Graph(specs, graph) => self.prepare(specs, graph, false),
            _ => Err(Error::NeedsElements(self.graph.name().into())),
        }
    }

    fn cached(&self, matches: impl Fn(&[InputSpec]) -> bool) -> Option<Arc<Prepared>> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let at = prepared.iter().position(|(specs, _)| matches(specs))?;
        prepared[..=at].rotate_right(1);
        Some(prepared[0].1.clone())
    }

    /// The graph for these inputs, with the values that shapes depend on taken from `views`.
    pub(super) fn specialize(&self, mut specs: Vec<InputSpec>, views: Option<&[TensorView<'_>]>) -> Result<Outcome> {
        if self.dropped_weights {
            self.graph.bind_inputs(&specs, &mut self.graph.clone())?;
        }
        self.needs_weights()?;
        loop {
            match (self.graph.specialize(&specs)?, views) {
                (Specialized::Graph(graph), _) => return Ok(Outcome::Graph(specs, graph)),
                (Specialized::NeedsRun(value), _) => return Ok(Outcome::Computed(value)),
                (Specialized::NeedsValues(_), None) => return Ok(Outcome::Unknown),
                (Specialized::NeedsValues(needed), Some(views)) => {
                    for at in needed {
                        specs[at].value = Some(views[at].to_tensor());
                    }
                }
            }
        }
    }

    pub(super) fn prepare(&self, specs: Vec<InputSpec>, mut graph: Graph, drop_host_weights: bool) -> Result<Arc<Prepared>> {
        let context = self.device.context();
        // No watchdog stops the CPU device.
        let passes: Vec<_> = Pass::LATE.iter().copied().filter(|p| context.is_some() || *p != Pass::BoundDispatches).collect();
        let late = optimize::optimize(&mut graph, &passes, &self.options.without)?;
        graph.check_run()?;
        if let (Some(context), true) = (context, self.options.tune) {
            let told = self.options.tune_progress.as_ref();
            tune(&self.device, context, &graph, &|step| told.map_or((), |told| (told.0)(step)))?;
        }
        let tuning = context.map(|c| c.tuning()).unwrap_or_default();
        let options = LowerOptions { strict: self.options.strict, kernel: self.options.kernel.clone(), tuning, ..LowerOptions::default() };
        let mut plan = plan::lower(graph, context.map(|c| c.capabilities()), &options)?;
        plan.passes = [self.passes.clone(), late].concat();
        let mut plan = Arc::new(plan);
        let program = match context {
            Some(context) => {
                for (node, reason) in plan.host_nodes() {
                    log::warn!("node `{}` ({}) runs on the CPU: {reason}", node.name, node.op.name());
                }
                let mut program = Program::new(context, plan, &self.weights, self.options.debug_memory)?;
                if let (true, Some(plan)) = (drop_host_weights, Arc::get_mut(&mut program.plan)) {
                    plan.drop_host_weights();
                }
                plan = program.plan.clone();
                Some(program)
            }
            None => None,
        };
        let cpu_weights = if program.is_none() { self.cpu_weights.prepare(&plan) } else { cpu::Weights::default() };
        let prepared = Arc::new(Prepared { plan, program, cpu_weights });
        let mut cache = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have prepared the same meanwhile. A lock around preparation instead would be held while other
        // threads of a pool compile, one of which may ask for it.
        let same = |known: &[InputSpec]| known.iter().map(|s| (&s.ty, &s.value)).eq(specs.iter().map(|s| (&s.ty, &s.value)));
        if let Some((_, known)) = cache.iter().find(|(known, _)| same(known)) {
            return Ok(known.clone());
        }
        cache.insert(0, (specs, prepared.clone()));
        cache.truncate(CACHED_PLANS);
        Ok(prepared)
    }
}
