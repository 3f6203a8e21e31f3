//! Networks whose shapes depend on what they compute: sessions one behind the other.

use super::Session;
use crate::error::{Error, Result};
use crate::graph::{Source, Split, ValueId};
use crate::optimize::Pass;
use crate::tensor::{Tensor, TensorView};

/// Each stage plans what is left of the network, and runs inside of the one before.
const MAX_STAGES: usize = 64;

/// A network whose shapes depend on what it computes, in two parts; the second may have parts of its own.
pub(super) struct Stages {
    pub first: Session,
    first_inputs: Vec<usize>,
    pub second: Session,
    second_inputs: Vec<Source>,
}

impl Stages {
    /// The network of `session` in two parts, the second of which starts with `value` known.
    pub fn new(session: &Session, value: ValueId) -> Result<Self> {
        if session.depth == MAX_STAGES {
            let message = format!("shapes depend on what it computes more than {MAX_STAGES} times in turn");
            return Err(Error::Graph { graph: session.graph.name().into(), message });
        }
        let Split { first, first_inputs, second, second_inputs } = session.graph.split_at(value);
        log::info!("shapes depend on `{}`: the network runs in stages", session.graph.value(value).name);
        let options = session.options.clone().without(Pass::EARLY.iter().copied());
        let stage = |graph| Session::stage(session.device.clone(), graph, options.clone(), session.depth + 1);
        Ok(Self { first: stage(first)?, first_inputs, second: stage(second)?, second_inputs })
    }

    pub fn first_views<'a>(&self, views: &[TensorView<'a>]) -> Vec<TensorView<'a>> {
        self.first_inputs.iter().map(|&at| views[at].clone()).collect()
    }

    pub fn second_views<'a>(&self, views: &[TensorView<'a>], computed: &'a [Tensor]) -> Vec<TensorView<'a>> {
        let view = |source: &Source| match *source {
            Source::Input(at) => views[at].clone(),
            Source::First(at) => computed[at].view(),
        };
        self.second_inputs.iter().map(view).collect()
    }
}
