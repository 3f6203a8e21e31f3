//! Which part of a network's inputs each of its values sees.

use crate::graph::{Graph, Node, ValueId};
use crate::ops::{AxisReach, Op, Reach, ReachContext, Stencil};
use crate::plan::Plan;
use crate::shape::Shape;

/// The part of one spatial axis of an input that one unit of a value sees.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct AxisField {
    /// How many positions, from the first to the last; padding counts, so that it may be more than the input has.
    /// Where units differ, as behind a transposed convolution, the most that any sees.
    pub size: usize,
    /// How far the field moves from one unit to the next; `None` where it is the same for all, or does not follow one axis.
    pub stride: Option<f64>,
    /// The middle of the first unit's field, 0 being the middle of the input's first element.
    pub centre: f64,
    /// Whether every unit sees the whole axis.
    pub whole: bool,
}

/// The part of an input that one unit of a value sees, for each spatial axis: `[height, width]`.
///
/// Exact for a unit whose field lies within the input: no element outside the field can change the unit, and its first and last
/// positions can. Where branches whose fields move differently come together, or what is read depends on data, the field is the whole
/// axis. Source: A. Araujo, W. Norris, J. Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct ReceptiveField {
    /// One entry for each spatial axis of the input.
    pub axes: Vec<AxisField>,
}

/// The receptive fields of all values of a plan's graph, in all its inputs.
#[derive(Clone, Debug)]
pub struct ReceptiveFields {
    inputs: Vec<(ValueId, Shape)>,
    /// For each value and each input, which positions each unit reads; `None` where it reads none.
    reads: Vec<Vec<Option<Vec<AxisReach>>>>,
    spatial: Vec<Vec<usize>>,
}

impl ReceptiveFields {
    /// Follows what every node reads, from the inputs to the outputs.
    pub fn new(plan: &Plan) -> Self {
        let graph = &plan.graph;
        let inputs: Vec<_> = graph.inputs().iter().map(|&id| (id, graph.tensor_type(id).shape)).collect();
        let mut fields = Self { reads: vec![vec![None; inputs.len()]; graph.values().len()], spatial: vec![], inputs };
        for (at, (id, shape)) in fields.inputs.iter().enumerate() {
            fields.reads[id.index()][at] = Some((0..shape.rank()).map(AxisReach::same).collect());
        }
        for node in graph.nodes() {
            fields.add(graph, node);
        }
        fields.spatial = (0..fields.inputs.len()).map(|input| fields.spatial_axes(graph, input)).collect();
        fields
    }

    /// What one unit of `value` sees of the graph input `input`; `None` where it sees nothing, or the input has no spatial axes.
    pub fn get(&self, value: ValueId, input: ValueId) -> Option<ReceptiveField> {
        let (reads, at) = self.reads(value, input)?;
        let (spatial, shape) = (&self.spatial[at], &self.inputs[at].1);
        let shared = |axis: usize| {
            let follows = |&&d: &&usize| shape[d] > 1 && matches!(reads[d], AxisReach::Along { axis: followed, .. } if followed == axis);
            spatial.iter().filter(follows).count() > 1
        };
        let one = |&d: &usize| match &reads[d] {
            AxisReach::Along { axis, stencil } => {
                let first = stencil.first().unwrap_or_default();
                let stride = (!shared(*axis)).then(|| stencil.stride());
                AxisField { size: stencil.size() as usize, stride, centre: middle(first), whole: false }
            }
            AxisReach::Fixed(range) => {
                let last = shape[d].max(1) as i64 - 1;
                let [first, end] = range.map(|at| at.clamp(0, last));
                AxisField { size: (end - first + 1) as usize, stride: None, centre: middle([first, end]), whole: [first, end] == [0, last] }
            }
        };
        (!spatial.is_empty()).then(|| ReceptiveField { axes: spatial.iter().map(one).collect() })
    }

    /// The first and last position on each spatial axis of `input` that the unit of `value` at `unit` sees. What lies outside the
    /// input is padding, with zeros or with what the network shows there instead.
    pub fn at(&self, value: ValueId, input: ValueId, unit: &[usize]) -> Option<Vec<[i64; 2]>> {
        let (reads, at) = self.reads(value, input)?;
        let one = |&d: &usize| match &reads[d] {
            AxisReach::Along { axis, stencil } => stencil.at(*unit.get(*axis)? as i64),
            AxisReach::Fixed(range) => Some(*range),
        };
        self.spatial[at].iter().map(one).collect()
    }

    fn reads(&self, value: ValueId, input: ValueId) -> Option<(&Vec<AxisReach>, usize)> {
        let at = self.inputs.iter().position(|(id, _)| *id == input)?;
        Some((self.reads.get(value.index())?[at].as_ref()?, at))
    }

    fn add(&mut self, graph: &Graph, node: &Node) {
        let (types, operands) = (graph.output_types(node), graph.operands(node));
        for (output, id) in node.outputs.iter().enumerate() {
            let Some(id) = id else { continue };
            for (input, read) in node.inputs.iter().enumerate() {
                let Some(read) = read else { continue };
                if self.reads[read.index()].iter().all(Option::is_none) {
                    continue;
                }
                let rules = match &types {
                    Ok(outputs) => node.op.operator().reach(&ReachContext { inputs: &operands, outputs, input, output }),
                    Err(_) => Reach::Axes(graph.tensor_type(*read).shape.iter().map(|&extent| AxisReach::whole(extent)).collect()),
                };
                let Reach::Axes(rules) = rules else { continue };
                for at in 0..self.inputs.len() {
                    let shape = &self.inputs[at].1;
                    let Some(new) = self.reads[read.index()][at].as_ref().and_then(|inner| through(&rules, inner, shape)) else { continue };
                    let known = &mut self.reads[id.index()][at];
                    *known = Some(match known.take() {
                        None => new,
                        Some(old) => old.into_iter().zip(new).zip(shape.iter()).map(|((a, b), &extent)| union(a, b, extent)).collect(),
                    });
                }
            }
        }
    }

    /// The axes that the first window slides along; without one, all but the first two, as in `[N, C, H, W]`.
    fn spatial_axes(&self, graph: &Graph, input: usize) -> Vec<usize> {
        let slides = graph.nodes().iter().filter(|node| is_window(&node.op)).find_map(|node| {
            let reads = self.reads[node.inputs.first().copied()??.index()][input].as_ref()?;
            let slid = |reach: &AxisReach| matches!(reach, AxisReach::Along { axis, .. } if *axis >= 2);
            let axes: Vec<usize> = (0..reads.len()).filter(|&d| slid(&reads[d])).collect();
            (!axes.is_empty()).then_some(axes)
        });
        slides.unwrap_or_else(|| (2..self.inputs[input].1.rank()).collect())
    }
}

/// Whether an operator slides windows along the axes from the third on.
fn is_window(op: &Op) -> bool {
    match op {
        Op::Fused(fused) => fused.base.as_ref().is_some_and(|base| is_window(base)),
        Op::AveragePool(_)
        | Op::Conv(_)
        | Op::ConvInteger(_)
        | Op::ConvTranspose(_)
        | Op::DeformConv(_)
        | Op::GlobalPool(_)
        | Op::LpPool(_)
        | Op::MaxPool(_)
        | Op::QLinearConv(_) => true,
        _ => false,
    }
}

fn middle([first, last]: [i64; 2]) -> f64 {
    (first + last) as f64 / 2.0
}

/// What a node's output reads of a graph input: by `rules` of a node's input, and that by `inner` of the graph input.
fn through(rules: &[AxisReach], inner: &[AxisReach], shape: &Shape) -> Option<Vec<AxisReach>> {
    let one = |(reach, &extent): (&AxisReach, &usize)| {
        let AxisReach::Along { axis, stencil } = reach else { return Some(reach.clone()) };
        match &rules[*axis] {
            AxisReach::Fixed([first, last]) => stencil.hull(*first, *last).map(AxisReach::Fixed),
            AxisReach::Along { axis, stencil: outer } if *outer == Stencil::identity() => {
                Some(AxisReach::Along { axis: *axis, stencil: stencil.clone() })
            }
            AxisReach::Along { axis, stencil: outer } => Some(AxisReach::along(*axis, outer.of(stencil), extent)),
        }
    };
    inner.iter().zip(shape.iter()).map(one).collect()
}

/// What two inputs of a node read of one axis, as one.
fn union(a: AxisReach, b: AxisReach, extent: usize) -> AxisReach {
    match (a, b) {
        (AxisReach::Fixed(a), AxisReach::Fixed(b)) => AxisReach::Fixed([a[0].min(b[0]), a[1].max(b[1])]),
        (AxisReach::Along { axis, stencil: a }, AxisReach::Along { axis: same, stencil: b }) if axis == same => {
            AxisReach::along(axis, a.union(&b), extent)
        }
        _ => AxisReach::whole(extent),
    }
}
