//! Where a run is cut into submissions, so that none keeps the GPU longer than the driver's watchdog allows.

use std::ops::Range;

use super::{Binding, Dispatch, Elem, Plan, Step};

/// What the slowest GPU of a kind is sure to do in a second.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pace {
    /// Floating-point operations.
    pub flops: f64,
    /// Bytes read and written.
    pub bytes: f64,
}

impl Pace {
    /// GPUs that share the processor's memory, and those nobody knows anything about: the slowest in use peak at 100 GFLOP/s and
    /// 10 GB/s; a tenth of the arithmetic and half of the bandwidth are always reached.
    pub const INTEGRATED: Pace = Pace { flops: 10e9, bytes: 5e9 };

    /// GPUs with memory of their own: the slowest in use peak at 500 GFLOP/s and 20 GB/s.
    pub const DISCRETE: Pace = Pace { flops: 50e9, bytes: 10e9 };

    fn seconds(&self, work: Work) -> f64 {
        work.flops / self.flops + work.bytes / self.bytes
    }
}

/// The longest a submission is meant to take. Windows resets a GPU that answers nothing for 2 s (TDR); other programs draw
/// in between, and estimates are wrong by a factor.
const SECONDS_PER_SUBMISSION: f64 = 0.5;

/// What a dispatch has to do.
#[derive(Clone, Copy, Debug)]
struct Work {
    flops: f64,
    bytes: f64,
}

impl Plan {
    /// The submissions of a run, as ranges of its dispatches in order: cut where the host waits for a download, and where more work
    /// would come together than a GPU of this pace does within the watchdog's time; without a pace there is no watchdog.
    ///
    /// A dispatch that is longer than that has a submission of its own.
    pub fn submissions(&self, pace: Option<Pace>) -> Vec<Range<usize>> {
        let (mut submissions, mut current, mut seconds) = (vec![], 0..0, 0.0);
        let mut work = self.work().into_iter();
        for step in &self.steps {
            let cost = match step {
                Step::Dispatch { .. } => work.next().map(|work| pace.map_or(0.0, |pace| pace.seconds(work))),
                Step::Download { .. } => None,
                Step::Host { .. } | Step::Upload { .. } => continue,
            };
            let full = cost.is_none_or(|cost| seconds + cost > SECONDS_PER_SUBMISSION);
            if full && !current.is_empty() {
                submissions.push(current.clone());
                current = current.end..current.end;
                seconds = 0.0;
            }
            if let Some(cost) = cost {
                current.end += 1;
                seconds += cost;
            }
        }
        if !current.is_empty() {
            submissions.push(current);
        }
        submissions
    }

    /// What each dispatch has to do; the arithmetic of a node is shared out evenly between its dispatches.
    fn work(&self) -> Vec<Work> {
        let dispatches: Vec<_> = self
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Dispatch { node, dispatch } => Some((*node, dispatch)),
                _ => None,
            })
            .collect();
        let mut parts = vec![0u32; self.graph.nodes().len()];
        for (node, _) in &dispatches {
            parts[node.index()] += 1;
        }
        let flops = |node| {
            let node = self.graph.node(node);
            let operands = self.graph.operands(node);
            self.graph.output_types(node).map_or(0, |outputs| node.op.operator().flops(&operands, &outputs))
        };
        dispatches
            .into_iter()
            .map(|(node, dispatch)| Work { flops: flops(node) as f64 / f64::from(parts[node.index()]), bytes: self.bytes(dispatch) as f64 })
            .collect()
    }

    fn bytes(&self, dispatch: &Dispatch<Binding>) -> u64 {
        let of = |binding: &Binding| match binding {
            Binding::Buffer { bytes, .. } => *bytes,
            Binding::Weight(at) => {
                let weight = &self.weights[*at];
                let size = Elem::storing(weight.packing.dtype(weight.tensor.dtype())).map_or(0, Elem::size);
                (weight.packing.elements(weight.tensor.len()) * size) as u64
            }
            Binding::Unused => 0,
        };
        dispatch.bindings.iter().map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{GraphBuilder, InputSpec, Specialized, TensorType};
    use crate::ops::{Binary, Cast, Gemm, Unary};
    use crate::plan::{Capabilities, LowerOptions, lower};
    use crate::{DType, Tensor};

    /// Four matrix products of 2 · 6 · 64 · 64 operations each, and where `crossing` a node on the CPU after the second.
    fn plan(crossing: bool) -> Plan {
        let mut b = GraphBuilder::new("products");
        let mut value = b.input("x", DType::F32, [6, 64]);
        let w = b.constant("w", Tensor::full([64, 64], 0.5f32));
        for index in 0..4 {
            value = b.node(format!("product {index}"), Gemm::default(), &[value, w]).unwrap();
            if crossing && index == 1 {
                let wide = b.node("wide", Cast { to: DType::F64 }, &[value]).unwrap();
                let exp = b.node("exp", Unary::Exp, &[wide]).unwrap();
                let narrow = b.node("narrow", Cast { to: DType::F32 }, &[exp]).unwrap();
                value = b.node("sum", Binary::Add, &[narrow, value]).unwrap();
            }
        }
        b.output("y", value);
        let spec = InputSpec { ty: TensorType::new(DType::F32, [6, 64]), value: None };
        let Specialized::Graph(graph) = b.finish().unwrap().specialize(&[spec]).unwrap() else { panic!("no values are needed") };
        lower(graph, Some(&Capabilities::default()), &LowerOptions::default()).unwrap()
    }

    /// Where the submissions end, which follow on each other.
    fn ends(plan: &Plan, pace: Option<Pace>) -> Vec<usize> {
        let submissions = plan.submissions(pace);
        assert!(submissions[0].start == 0 && submissions.windows(2).all(|w| w[0].end == w[1].start), "{submissions:?}");
        submissions.into_iter().map(|dispatches| dispatches.end).collect()
    }

    const PRODUCT: f64 = 2.0 * 6.0 * 64.0 * 64.0;

    #[test]
    fn without_a_watchdog_only_downloads_cut() {
        assert_eq!(ends(&plan(false), None), [4]);
        assert_eq!(ends(&plan(true), None), [2, 5]);
    }

    #[test]
    fn work_is_bounded_in_operations() {
        let pace = |products: f64| Some(Pace { flops: products * PRODUCT / SECONDS_PER_SUBMISSION, bytes: f64::INFINITY });
        assert_eq!(ends(&plan(false), pace(4.0)), [4]);
        assert_eq!(ends(&plan(false), pace(3.9)), [3, 4]);
        assert_eq!(ends(&plan(false), pace(2.0)), [2, 4]);
        assert_eq!(ends(&plan(true), pace(2.5)), [2, 5], "what came before a download counts no more");
        assert_eq!(ends(&plan(false), pace(0.3)), [1, 2, 3, 4], "a dispatch is never cut");
    }

    #[test]
    fn work_is_bounded_in_bytes() {
        let product = 4.0 * (6.0 * 64.0 + 64.0 * 64.0 + 6.0 * 64.0);
        let pace = |products: f64| Some(Pace { flops: f64::INFINITY, bytes: products * product / SECONDS_PER_SUBMISSION });
        assert_eq!(ends(&plan(false), pace(4.1)), [4]);
        assert_eq!(ends(&plan(false), pace(2.1)), [2, 4]);
    }
}
