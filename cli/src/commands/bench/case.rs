//! What is measured in one line, and measuring it.

use std::fmt;
use std::time::{Duration, Instant};

use macula::plan::{Placed, Plan};
use macula::{Session, Summary, TensorType, TensorView};

use super::Place;
use super::record::{Fallback, Record};
use crate::failure::{Failure, warn};
use crate::inputs::{self, DimArgs};
use crate::model::{CompileArgs, Model, device_name};
use crate::preprocess::Size;
use crate::times::quantile;

/// The fewest runs that quantiles are of, where the number is not asked for.
const LEAST_RUNS: usize = 10;

/// Runs that are not counted: at least one, and so long, which has clocks rise and threads wake up.
const WARM_UP: Duration = Duration::from_millis(250);

/// Inputs of one batch and size.
pub struct Case {
    /// The extent of the first input's first axis.
    pub batch: usize,
    /// Height and width of the first input `[N, C, height, width]`.
    pub size: Option<[usize; 2]>,
    types: Vec<(String, TensorType)>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch {}", self.batch)?;
        self.size.map_or(Ok(()), |[height, width]| write!(f, ", {height}×{width}"))
    }
}

/// How many runs are counted.
#[derive(Clone, Copy, Debug)]
pub enum Amount {
    /// So many.
    Runs(u32),
    /// So many as take so long, but no fewer than [`LEAST_RUNS`].
    Seconds(f64),
}

impl Amount {
    /// How much of it some runs are that took so long; 1 where they are enough.
    fn share(self, runs: usize, elapsed: Duration) -> f64 {
        let share = match self {
            Amount::Runs(asked) => runs as f64 / f64::from(asked),
            Amount::Seconds(seconds) if elapsed.as_secs_f64() >= seconds => runs as f64 / LEAST_RUNS as f64,
            Amount::Seconds(seconds) => (elapsed.as_secs_f64() / seconds).min(runs as f64 / LEAST_RUNS as f64),
        };
        share.min(1.0)
    }
}

/// What a network can be measured on of the batches and sizes that are asked for, each once; what it cannot is said.
pub fn cases(model: &Model, batches: &[usize], sizes: &[Size], dims: &[(String, usize)]) -> Result<Vec<Case>, Failure> {
    let batches = or_any(batches.iter().copied());
    let sizes = or_any(sizes.iter().map(|size| size.0));
    if let Some(input) = model.graph.inputs().iter().map(|&id| model.graph.value(id)).find(|value| value.dims.is_none()) {
        return Err(Failure::failed(format!(
            "{}: input `{}` has no declared shape, so none can be made up for it",
            model.name, input.name
        )));
    }
    let mut cases: Vec<Case> = vec![];
    let mut left_out: Vec<String> = vec![];
    for &size in &sizes {
        for &batch in &batches {
            match case(model, batch, size, dims)? {
                Ok(case) if cases.iter().all(|other| other.types != case.types) => cases.push(case),
                Ok(_) => {}
                Err(why) if left_out.contains(&why) => {}
                Err(why) => left_out.push(why),
            }
        }
    }
    left_out.iter().for_each(|why| warn(&format!("{}: {why}", model.name)));
    Ok(cases)
}

/// What is asked for, or `None`, which asks for nothing.
fn or_any<T>(asked: impl ExactSizeIterator<Item = T>) -> Vec<Option<T>> {
    if asked.len() == 0 { vec![None] } else { asked.map(Some).collect() }
}

/// The inner error says why there is none.
fn case(model: &Model, batch: Option<usize>, size: Option<[usize; 2]>, dims: &[(String, usize)]) -> Result<Result<Case, String>, Failure> {
    let mut extents = dims.to_vec();
    if let Some(size) = size {
        let refused = |why| format!("--size {}x{} is left out: {why}", size[0], size[1]);
        match inputs::spatial_dims(&model.graph, size).map_err(refused) {
            // What `--dim` says goes before.
            Ok(spatial) => extents.extend(spatial.into_iter().filter(|(name, _)| dims.iter().all(|(other, _)| other != name))),
            Err(why) => return Ok(Err(why)),
        }
    }
    let types = inputs::missing_types(&model.graph, &[], &DimArgs { dims: extents, batch }).map_err(|failure| match failure {
        Failure::Usage(message) => Failure::Usage(format!("{}: {message}", model.name)),
        other => other,
    })?;
    let shapes = || types.iter().map(|(_, ty)| ty.shape.dims());
    let is = shapes().find_map(|dims| if let [_, _, height, width] = *dims { Some([height, width]) } else { None });
    if let (Some(asked), Some(is)) = (size, is.filter(|is| Some(*is) != size)) {
        return Ok(Err(format!("--size {}x{} is left out: its input is {}×{}", asked[0], asked[1], is[0], is[1])));
    }
    let first = shapes().next().and_then(|dims| dims.first().copied()).unwrap_or(1);
    match batch.filter(|asked| *asked != first) {
        Some(asked) => Ok(Err(format!("--batch {asked} is left out: its batch is {first}"))),
        None => Ok(Ok(Case { batch: first, size: is, types })),
    }
}

/// Measures one line; `progress` is told how much of the counted runs is done.
pub fn measure(
    args: &CompileArgs,
    model: &Model,
    place: &Place,
    case: &Case,
    amount: Amount,
    progress: &dyn Fn(f64),
) -> Result<Record, Failure> {
    let tensors = case.types.iter().map(|(name, ty)| inputs::random(0, name, ty)).collect::<Result<Vec<_>, _>>()?;
    let views: Vec<(&str, TensorView<'_>)> =
        case.types.iter().map(|(name, _)| name.as_str()).zip(tensors.iter().map(|t| t.view())).collect();
    // Pipelines that an earlier line has made would make this one's first run fast.
    let device = args.open_again(&place.name)?;
    let graph = model.graph.clone();
    let start = Instant::now();
    let session = args.compile_to_run(&device, graph)?;
    let plans = session.plans_for(&views)?;
    let compile = start.elapsed();
    let first = timed(&session, &views)?;
    let start = Instant::now();
    timed(&session, &views)?;
    while start.elapsed() < WARM_UP {
        timed(&session, &views)?;
    }
    let (start, mut times) = (Instant::now(), vec![]);
    loop {
        times.push(timed(&session, &views)?);
        let share = amount.share(times.len(), start.elapsed());
        progress(share);
        if share >= 1.0 {
            break;
        }
    }
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let median = quantile(&times, 0.5);
    let memory: Vec<_> = plans.iter().filter_map(|plan| Summary::new(&model.graph, plan).memory).collect();
    Ok(Record {
        model: model.name.clone(),
        device: if place.is_gpu() { "gpu".into() } else { "cpu".into() },
        label: place.label.clone(),
        adapter: device_name(&place.info),
        driver: place.info.driver.clone(),
        batch: case.batch,
        size: case.size,
        runs: times.len(),
        median_ms: ms(median),
        min_ms: ms(quantile(&times, 0.0)),
        p10_ms: ms(quantile(&times, 0.1)),
        p90_ms: ms(quantile(&times, 0.9)),
        images_per_s: case.batch as f64 / median.as_secs_f64(),
        first_ms: ms(first),
        compile_ms: ms(compile),
        peak_bytes: memory.iter().filter_map(|memory| memory.peak_bytes).reduce(|a, b| a + b),
        weights_bytes: memory.iter().map(|memory| memory.weights_bytes).sum(),
        fallbacks: if place.is_gpu() { plans.iter().flat_map(|plan| fallbacks(plan)).collect() } else { vec![] },
    })
}

/// The time of one run; freeing the outputs is not part of it.
fn timed(session: &Session, views: &[(&str, TensorView<'_>)]) -> Result<Duration, Failure> {
    let start = Instant::now();
    let outputs = session.run(views)?;
    let elapsed = start.elapsed();
    drop(outputs);
    Ok(elapsed)
}

/// The nodes of a GPU's plan that run on the CPU.
fn fallbacks(plan: &Plan) -> Vec<Fallback> {
    let on_cpu = plan.graph.nodes().iter().zip(&plan.placed).filter_map(|(node, placed)| match placed {
        Placed::Cpu(reason) => Some(Fallback { node: node.name.clone(), op: node.op.name(), reason: reason.clone() }),
        _ => None,
    });
    on_cpu.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_is_what_was_asked_for() {
        let s = Duration::from_secs_f64;
        assert_eq!(Amount::Runs(4).share(1, s(99.0)), 0.25);
        assert_eq!((Amount::Runs(4).share(4, s(0.0)), Amount::Runs(4).share(5, s(0.0))), (1.0, 1.0));
        assert_eq!(Amount::Seconds(2.0).share(400, s(1.0)), 0.5);
        assert_eq!(Amount::Seconds(2.0).share(3, s(9.0)), 0.3, "quantiles need runs");
        assert_eq!((Amount::Seconds(2.0).share(10, s(2.0)), Amount::Seconds(0.0).share(9, s(0.0))), (1.0, 0.9));
    }
}
