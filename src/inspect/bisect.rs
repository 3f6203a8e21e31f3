//! Which node is wrong, found by halves: only where two devices disagree is it worth asking the reference.

use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::{Comparison, NodeCheck};
use crate::error::Result;
use crate::graph::{Graph, NodeId, ValueId};
use crate::ops::Tolerance;
use crate::tensor::{DType, Tensor, TensorView};

/// A part of the network, run on the device and on the side it is held against, both from the values that the device had there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Probe {
    /// Positions in execution order.
    pub nodes: Range<usize>,
    /// The name of its first node.
    pub first: String,
    /// The name of its last node.
    pub last: String,
    /// The worst of the values that leave it, within the tolerance of its loosest node.
    pub comparison: Comparison,
    /// How long both sides took, making them ready included.
    pub time: Duration,
}

/// What [`Session::bisect`](crate::Session::bisect) found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// The network's outputs agree. A wrong node whose error does not reach them is not seen: [`Session::verify`](crate::Session::verify)
    /// sees it.
    Agrees,
    /// This node is beyond its operator's tolerance, by the reference on the inputs that it had.
    Node(Box<NodeCheck>),
    /// The smallest part whose ends disagree although no node of it is beyond its tolerance: roundings add up, or decide which integer or
    /// branch is taken.
    Spread(Box<Probe>),
}

/// How a search by halves went.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Bisection {
    /// What it found.
    pub verdict: Verdict,
    /// The parts that were run, in order; the first is the whole network.
    pub probes: Vec<Probe>,
    /// How many nodes the network has.
    pub nodes: usize,
}

/// Runs a part of a network on inputs in its order, and returns its outputs.
pub(crate) type Side<'a> = dyn FnMut(&Graph, &[TensorView<'_>]) -> Result<Vec<Tensor>> + 'a;

/// Searches a specialised graph; `kernel` says what computes a node.
pub(crate) fn bisect(
    graph: &Graph,
    inputs: &[TensorView<'_>],
    tested: &mut Side<'_>,
    right: &mut Side<'_>,
    kernel: &dyn Fn(NodeId) -> String,
) -> Result<Bisection> {
    let mut values: HashMap<ValueId, Tensor> = HashMap::new();
    for (id, input) in graph.inputs().iter().zip(inputs) {
        values.insert(*id, input.to_tensor());
    }
    let mut search = Search { graph, tested, right, kernel, values, probes: vec![], spread: None };
    let nodes = graph.nodes().len();
    let found = if nodes == 0 { None } else { search.part(0..nodes)? };
    let verdict = match (found, search.spread) {
        (Some(check), _) => Verdict::Node(Box::new(check)),
        (None, Some(probe)) => Verdict::Spread(Box::new(probe)),
        (None, None) => Verdict::Agrees,
    };
    Ok(Bisection { verdict, probes: search.probes, nodes })
}

struct Search<'a, 'b> {
    graph: &'a Graph,
    tested: &'a mut Side<'b>,
    right: &'a mut Side<'b>,
    kernel: &'a dyn Fn(NodeId) -> String,
    /// What is known of the run on the device: all that the next part reads.
    values: HashMap<ValueId, Tensor>,
    probes: Vec<Probe>,
    spread: Option<Probe>,
}

impl Search<'_, '_> {
    /// The first bad node of a part whose ends disagree; behind it, `values` are what the device made of it where there is none.
    fn part(&mut self, nodes: Range<usize>) -> Result<Option<NodeCheck>> {
        let (probe, computed) = self.probe(nodes.clone())?;
        let passed = probe.comparison.passed();
        self.probes.push(probe.clone());
        if !passed {
            let found = if nodes.len() == 1 {
                self.check(nodes.start, &computed)?
            } else {
                // The halves start from the values before the part.
                let before = self.values.clone();
                let middle = nodes.start + nodes.len() / 2;
                let found = match self.part(nodes.start..middle)? {
                    Some(check) => Some(check),
                    None => self.part(middle..nodes.end)?,
                };
                self.values = before;
                found
            };
            if found.is_some() {
                return Ok(found);
            }
            // Parts return from the inside out: the first to come back is the smallest.
            self.spread.get_or_insert(probe);
        }
        self.values.extend(computed);
        let read_later: Vec<ValueId> = self.graph.nodes()[nodes.end..].iter().flat_map(|n| n.inputs.iter().flatten()).copied().collect();
        self.values.retain(|id, _| read_later.contains(id));
        Ok(None)
    }

    fn probe(&mut self, nodes: Range<usize>) -> Result<(Probe, HashMap<ValueId, Tensor>)> {
        let start = Instant::now();
        let part = self.graph.part(nodes.clone());
        let views: Vec<TensorView<'_>> = part.inputs().iter().map(|id| self.values[id].view()).collect();
        let (got, expected) = ((self.tested)(&part, &views)?, (self.right)(&part, &views)?);
        let held = got.iter().zip(&expected).map(|(got, expected)| Comparison::new(got, expected, loosest(&part, expected.dtype())));
        let comparison = held.reduce(|worst, next| if next.severity > worst.severity { next } else { worst });
        let name = |at: usize| self.graph.nodes()[at].name.clone();
        let probe = Probe {
            first: name(nodes.start),
            last: name(nodes.end - 1),
            nodes,
            comparison: comparison.expect("some output of each live node is read"),
            time: start.elapsed(),
        };
        Ok((probe, part.outputs().iter().copied().zip(got).collect()))
    }

    /// A node by itself, as `verify` checks it.
    fn check(&self, at: usize, computed: &HashMap<ValueId, Tensor>) -> Result<Option<NodeCheck>> {
        let node = &self.graph.nodes()[at];
        let values = |id: ValueId| self.graph.value(id).constant.as_ref().or_else(|| self.values.get(&id));
        let inputs: Vec<Option<&Tensor>> = node.inputs.iter().map(|id| id.and_then(values)).collect();
        let expected = node.op.operator().reference(&inputs, node.outputs.len()).map_err(|source| self.graph.node_error(node, source))?;
        let checks = node.outputs.iter().zip(&expected).filter_map(|(id, expected)| {
            let got = computed.get(&(*id)?)?;
            Some(NodeCheck::new(self.graph, node, (*id)?, (self.kernel)(NodeId(at as u32)), got, expected))
        });
        let mut failures = checks.filter(|check| !check.comparison.passed());
        Ok(failures.next())
    }
}

/// The tolerance of the loosest node: what a healthy part of a network keeps by far.
fn loosest(part: &Graph, dtype: DType) -> Tolerance {
    part.nodes()
        .iter()
        .map(|node| node.op.operator().tolerance(dtype))
        .fold(Tolerance::EXACT, |a, b| Tolerance { rtol: a.rtol.max(b.rtol), atol: a.atol.max(b.atol) })
}

/// Runs every node of a specialised graph on the reference.
pub(crate) fn run_reference(graph: &Graph, inputs: &[TensorView<'_>]) -> Result<Vec<Tensor>> {
    let mut values: Vec<Option<Tensor>> = graph.values().iter().map(|v| v.constant.clone()).collect();
    for (id, input) in graph.inputs().iter().zip(inputs) {
        values[id.index()] = Some(input.to_tensor());
    }
    for node in graph.nodes() {
        let inputs: Vec<Option<&Tensor>> = node.inputs.iter().map(|id| id.and_then(|id| values[id.index()].as_ref())).collect();
        let outputs = node.op.operator().reference(&inputs, node.outputs.len()).map_err(|source| graph.node_error(node, source))?;
        for (id, tensor) in node.outputs.iter().zip(outputs) {
            if let Some(id) = id {
                values[id.index()] = Some(tensor);
            }
        }
    }
    Ok(graph.outputs().iter().map(|id| values[id.index()].clone().expect("checked by Graph::check")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{InputSpec, Specialized};
    use crate::ops::{Binary, Clip, Concat, Op, Unary};
    use crate::{GraphBuilder, TensorType};

    /// `count` nodes one behind the other, none of which makes an error smaller; every fifth also reads what an earlier one computed.
    fn network(count: usize) -> (Graph, Tensor) {
        let mut b = GraphBuilder::new("chain");
        let mut value = b.input("x", DType::F32, [2, 3, 5, 7]);
        let mut earlier = value;
        for at in 0..count {
            value = match at % 5 {
                3 => b.node(format!("n{at}"), Binary::Add, &[value, earlier]).unwrap(),
                _ => b.node(format!("n{at}"), Unary::Neg, &[value]).unwrap(),
            };
            if at % 10 == 2 {
                earlier = value;
            }
        }
        b.output("y", value);
        let x = Tensor::of([2, 3, 5, 7], (0..210).map(|i| (i as f32 * 0.37).sin() * 3.0).collect());
        (specialized(b.finish().unwrap(), &x), x)
    }

    fn specialized(graph: Graph, x: &Tensor) -> Graph {
        let spec = InputSpec { ty: TensorType::new(x.dtype(), x.shape()), value: None };
        let Specialized::Graph(graph) = graph.specialize(&[spec]).unwrap() else { panic!("no values are needed") };
        graph
    }

    /// Searches a network of which the nodes named compute another operator on the device.
    fn search(graph: &Graph, x: &Tensor, spoiled: &[(&str, Op)]) -> Bisection {
        let mut tested = |part: &Graph, inputs: &[TensorView<'_>]| {
            let mut part = part.clone();
            for node in &mut part.nodes {
                if let Some((_, op)) = spoiled.iter().find(|(name, _)| *name == node.name) {
                    node.op = op.clone();
                }
            }
            run_reference(&part, inputs)
        };
        bisect(graph, &[x.view()], &mut tested, &mut |part, inputs| run_reference(part, inputs), &|_| "test".into()).unwrap()
    }

    fn named(bisection: &Bisection) -> &str {
        match &bisection.verdict {
            Verdict::Node(check) => &check.node,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_right_network_takes_one_run() {
        let (graph, x) = network(40);
        let bisection = search(&graph, &x, &[]);
        assert!(matches!(bisection.verdict, Verdict::Agrees) && bisection.probes.len() == 1 && bisection.nodes == 40);
    }

    #[test]
    fn every_node_is_found_in_few_runs() {
        let (graph, x) = network(40);
        for node in graph.nodes() {
            let bisection =
                search(&graph, &x, &[(&node.name, if node.inputs.len() == 2 { Binary::Sub.into() } else { Unary::Cos.into() })]);
            assert_eq!(named(&bisection), node.name);
            assert!(bisection.probes.len() <= 1 + 2 * 6, "{} runs", bisection.probes.len());
            assert!(!bisection.probes[0].comparison.passed());
        }
    }

    #[test]
    fn of_two_wrong_nodes_the_first_is_named() {
        let (graph, x) = network(23);
        for (first, second) in [("n2", "n20"), ("n10", "n11"), ("n0", "n22")] {
            let wrong = || Op::from(Unary::Cos);
            assert_eq!(named(&search(&graph, &x, &[(second, wrong()), (first, wrong())])), first);
        }
    }

    /// Each node is a little off, within its tolerance; a steep function makes it visible.
    #[test]
    fn roundings_that_add_up_accuse_no_node() {
        let mut b = GraphBuilder::new("steep");
        let x = b.input("x", DType::F32, [2, 3, 5, 7]);
        let low = b.node("low", Unary::Tanh, &[x]).unwrap();
        let sign = b.node("sign", Unary::Sign, &[low]).unwrap();
        b.output("y", sign);
        let x = Tensor::full([2, 3, 5, 7], 0f32);
        let graph = specialized(b.finish().unwrap(), &x);
        let mut tested = |part: &Graph, inputs: &[TensorView<'_>]| {
            let mut inputs: Vec<Tensor> = inputs.iter().map(TensorView::to_tensor).collect();
            // A subnormal number for 0 is within any tolerance.
            if part.nodes()[0].name == "low" {
                inputs[0] = Tensor::full([2, 3, 5, 7], 1e-38f32);
            }
            run_reference(part, &inputs.iter().map(Tensor::view).collect::<Vec<_>>())
        };
        let found = bisect(&graph, &[x.view()], &mut tested, &mut |part, inputs| run_reference(part, inputs), &|_| "test".into()).unwrap();
        let Verdict::Spread(probe) = &found.verdict else { panic!("{found:?}") };
        assert_eq!((probe.first.as_str(), probe.last.as_str(), found.probes.len()), ("low", "sign", 3));
    }

    /// What no value behind it shows is not found, and the verdict does not claim that it is right.
    #[test]
    fn an_error_that_is_wiped_out_is_not_seen() {
        let mut b = GraphBuilder::new("clipped");
        let x = b.input("x", DType::F32, [2, 3, 5, 7]);
        let exp = b.node("exp", Unary::Exp, &[x]).unwrap();
        let cosh = b.node("cosh", Unary::Cosh, &[exp]).unwrap();
        let (low, high) = (b.constant("low", Tensor::scalar(0f32)), b.constant("high", Tensor::scalar(0.5f32)));
        let clip = b.node("clip", Clip, &[cosh, low, high]).unwrap();
        b.output("y", clip);
        let x = Tensor::full([2, 3, 5, 7], 1f32);
        let graph = specialized(b.finish().unwrap(), &x);
        assert!(matches!(search(&graph, &x, &[("exp", Unary::Sigmoid.into())]).verdict, Verdict::Agrees));
    }

    #[test]
    fn parts_take_what_was_computed_long_before() {
        let mut b = GraphBuilder::new("skip");
        let x = b.input("x", DType::F32, [2, 3, 5, 7]);
        let mut value = x;
        for at in 0..9 {
            value = b.node(format!("n{at}"), Unary::Tanh, &[value]).unwrap();
        }
        let joined = b.node("joined", Concat { axis: 1 }, &[value, x]).unwrap();
        b.output("y", joined);
        let x = Tensor::of([2, 3, 5, 7], (0..210).map(|i| (i as f32 * 0.37).sin()).collect());
        let graph = specialized(b.finish().unwrap(), &x);
        assert_eq!(named(&search(&graph, &x, &[("n8", Unary::Cos.into())])), "n8");
    }
}
