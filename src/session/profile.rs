//! Timing runs layer by layer.

use std::time::{Duration, Instant};

use super::prepare::{Prepared, Ready};
use super::{Session, Wait};
use crate::error::Result;
use crate::gpu::{Program, Roofline};
use crate::graph::NodeId;
use crate::inspect::{Clock, Profile, Times, layers, median};
use crate::tensor::{Tensor, TensorView};

/// The profile of a network; of the parts one after the other where shapes depend on what it computes.
pub(super) fn profile(session: &Session, views: &[TensorView<'_>], runs: usize, roofline: Roofline) -> Result<Profile> {
    match session.ready_for(views)? {
        Ready::Plan(prepared) => plan(session, &prepared, views, runs, roofline),
        Ready::Stages(stages) => {
            let of_first = stages.first_views(views);
            let first = profile(&stages.first, &of_first, runs, roofline)?;
            let computed = pollster::block_on(stages.first.run_ordered(&of_first, Wait::Here))?;
            let second = profile(&stages.second, &stages.second_views(views, &computed), runs, roofline)?;
            Ok(Profile { run: first.run + second.run, layers: [first.layers, second.layers].concat(), ..first })
        }
    }
}

fn plan(session: &Session, prepared: &Prepared, views: &[TensorView<'_>], runs: usize, roofline: Roofline) -> Result<Profile> {
    let run = || pollster::block_on(session.run_plan(prepared, views, Wait::Here, None));
    // The first run may compile.
    run()?;
    let whole = (0..runs).map(|_| {
        let start = Instant::now();
        run().map(|_| start.elapsed())
    });
    let whole: Vec<Duration> = whole.collect::<Result<_>>()?;
    let mut times = Times::default();
    let clock = match (&prepared.program, session.device.context()) {
        (Some(program), Some(context)) => {
            for _ in 0..runs {
                let (_, on_cpu) = pollster::block_on(program.run_timed(context, views, Wait::Here, None))?;
                on_cpu.into_iter().for_each(|(node, time)| times.nodes.entry(node).or_default().push(time));
                let dispatches = program.time_each(context)?;
                times.dispatches.resize(dispatches.len(), vec![]);
                times.dispatches.iter_mut().zip(dispatches).for_each(|(times, time)| times.push(time));
            }
            if Program::has_timestamps(context) { Clock::Timestamps } else { Clock::Submissions }
        }
        _ => {
            for _ in 0..runs {
                let mut since = Instant::now();
                let mut trace = |node: NodeId, _: Vec<Option<Tensor>>| {
                    times.nodes.entry(node).or_default().push(since.elapsed());
                    since = Instant::now();
                };
                pollster::block_on(session.run_plan(prepared, views, Wait::Here, Some(&mut trace)))?;
            }
            Clock::Host
        }
    };
    Ok(Profile { clock, run: median(whole.into_iter()), layers: layers(&prepared.plan, &times), roofline })
}
