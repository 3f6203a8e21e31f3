//! Who makes and who reads each value, and a cursor that walks from a value to what it is made of.

use crate::graph::{Graph, Node, ValueId};
use crate::ops::{Binary, Op, Unary, Variadic};
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// Makers and readers of every value of a graph, kept up to date by [`Index::replace`].
pub(super) struct Index {
    makers: Vec<Option<usize>>,
    readers: Vec<Option<usize>>,
    uses: Vec<usize>,
}

impl Index {
    /// Walks the graph once.
    pub fn new(graph: &Graph) -> Self {
        let values = graph.values.len();
        let mut index = Self { makers: vec![None; values], readers: vec![None; values], uses: vec![0; values] };
        graph.outputs.iter().for_each(|id| index.uses[id.index()] += 1);
        for (at, node) in graph.nodes.iter().enumerate() {
            for id in node.inputs.iter().flatten() {
                index.uses[id.index()] += 1;
                index.readers[id.index()] = Some(at);
            }
            node.outputs.iter().flatten().for_each(|id| index.makers[id.index()] = Some(at));
        }
        index
    }

    /// The position of the node that writes a value.
    pub fn maker(&self, id: ValueId) -> Option<usize> {
        self.makers.get(id.index()).copied().flatten()
    }

    /// The position of the only node that reads a value, and reads it once; `None` for what several read, or a run returns.
    pub fn only_reader(&self, id: ValueId) -> Option<usize> {
        if self.uses(id) == 1 { self.readers.get(id.index()).copied().flatten() } else { None }
    }

    /// How many inputs of nodes, and graph outputs, read a value.
    pub fn uses(&self, id: ValueId) -> usize {
        self.uses.get(id.index()).copied().unwrap_or(0)
    }

    /// The nodes from `root` back to `inputs` in execution order, `root` the last, where nobody else reads what is between.
    pub fn between(&self, graph: &Graph, root: usize, inputs: &[ValueId]) -> Option<Vec<usize>> {
        let mut nodes = vec![root];
        let mut next = 0;
        while let Some(&at) = nodes.get(next) {
            next += 1;
            for id in graph.nodes[at].inputs.iter().flatten().filter(|id| !inputs.contains(id)) {
                if let Some(maker) = self.maker(*id)
                    && !nodes.contains(&maker)
                {
                    nodes.push(maker);
                }
            }
        }
        nodes.sort_unstable();
        let reads = |id: &ValueId| nodes.iter().flat_map(|&at| &graph.nodes[at].inputs).filter(|input| **input == Some(*id)).count();
        let closed = |&at: &usize| at == root || graph.nodes[at].outputs.iter().flatten().all(|id| reads(id) == self.uses(*id));
        nodes.iter().all(closed).then_some(nodes)
    }

    /// Puts `op` of `inputs` where `nodes` were, in the place of the last, whose outputs it writes; it stands for all of them.
    pub fn replace(&mut self, graph: &mut Graph, nodes: &[usize], op: Op, inputs: Vec<Option<ValueId>>) {
        let [.., root] = nodes else { return };
        let old: Vec<ValueId> = nodes.iter().flat_map(|&at| graph.nodes[at].inputs.iter().flatten().copied()).collect();
        old.into_iter().for_each(|id| self.uses[id.index()] -= 1);
        self.uses.resize(graph.values.len(), 0);
        self.readers.resize(graph.values.len(), None);
        for id in inputs.iter().flatten() {
            self.uses[id.index()] += 1;
            self.readers[id.index()] = Some(*root);
        }
        let origins = nodes.iter().flat_map(|&at| graph.nodes[at].origins.clone()).collect();
        // What is left of the others reads nothing, and nobody reads it.
        nodes.iter().for_each(|&at| graph.nodes[at].inputs.clear());
        let node = &mut graph.nodes[*root];
        (node.op, node.inputs, node.origins) = (op, inputs, origins);
    }
}

/// A value, seen from who reads it.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    graph: &'a Graph,
    index: &'a Index,
    /// The value.
    pub id: ValueId,
}

impl PartialEq for Cursor<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<'a> Cursor<'a> {
    pub fn new(graph: &'a Graph, index: &'a Index, id: ValueId) -> Self {
        Self { graph, index, id }
    }

    /// The node that makes it.
    pub fn node(self) -> Option<&'a Node> {
        self.index.maker(self.id).map(|at| &self.graph.nodes[at])
    }

    /// The operator that makes it.
    pub fn op(self) -> Option<&'a Op> {
        self.node().map(|node| &node.op)
    }

    /// Input `index` of what makes it.
    pub fn input(self, index: usize) -> Option<Cursor<'a>> {
        let id = self.node()?.inputs.get(index).copied().flatten()?;
        Some(Cursor { id, ..self })
    }

    /// The cursor at another value.
    pub fn at(self, id: ValueId) -> Cursor<'a> {
        Cursor { id, ..self }
    }

    /// The shape, once it is known.
    pub fn shape(self) -> Option<&'a Shape> {
        self.graph.value(self.id).ty.as_ref().map(|ty| &ty.shape)
    }

    /// Whether nobody but one input of one node reads it.
    pub fn read_once(self) -> bool {
        self.index.uses(self.id) == 1
    }

    /// The elements, for a constant.
    pub fn constant(self) -> Option<&'a Tensor> {
        self.graph.value(self.id).constant.as_ref()
    }

    /// The number, for a floating-point constant of one element.
    pub fn scalar(self) -> Option<f64> {
        let tensor = self.constant().filter(|tensor| tensor.len() == 1 && tensor.dtype().is_float())?;
        tensor.to_f64().first().copied()
    }

    /// `x`, for `function(x)`.
    pub fn of_unary(self, function: Unary) -> Option<Cursor<'a>> {
        if *self.op()? == Op::Unary(function) { self.input(0) } else { None }
    }

    /// `[a, b]`, for `a op b`.
    pub fn of_binary(self, op: Binary) -> Option<[Cursor<'a>; 2]> {
        let node = self.node()?;
        if node.inputs.len() == 2 && binary(&node.op) == Some(op) { Some([self.input(0)?, self.input(1)?]) } else { None }
    }

    /// What `matched` makes of `a op b`, or of `b op a`, where the order does not matter.
    pub fn either<T>(self, op: Binary, matched: impl Fn(Cursor<'a>, Cursor<'a>) -> Option<T>) -> Option<T> {
        let [a, b] = self.of_binary(op)?;
        matched(a, b).or_else(|| matched(b, a))
    }

    /// `x` and `c`, for `x op c` with a number `c` on either side.
    pub fn and_scalar(self, op: Binary) -> Option<(Cursor<'a>, f64)> {
        self.either(op, |x, c| Some((x, c.scalar()?)))
    }

    /// `x`, for `x + c` with a number `c` that is close to `value`.
    pub fn plus(self, value: f64) -> Option<Cursor<'a>> {
        self.either(Binary::Add, |x, c| if c.is_number(value) { Some(x) } else { None })
    }

    /// Whether it is a constant close to `value`, which the file holds rounded.
    pub fn is_number(self, value: f64) -> bool {
        self.scalar().is_some_and(|number| close(number, value, self.constant().map_or(DType::F32, Tensor::dtype)))
    }

    /// Its factors that are no numbers, and the product of those that are: `[x, y]` and 3 for `x·3·y`. Powers are repeated factors.
    ///
    /// What others read too is one factor, however it is made.
    pub fn factors(self) -> (Vec<Cursor<'a>>, f64) {
        let (mut factors, mut coefficient) = (vec![], 1.0);
        self.collect_factors(0, &mut factors, &mut coefficient);
        (factors, coefficient)
    }

    fn collect_factors(self, depth: usize, factors: &mut Vec<Cursor<'a>>, coefficient: &mut f64) {
        /// No pattern is deeper.
        const DEEPEST: usize = 6;
        if let Some(number) = self.scalar() {
            *coefficient *= number;
            return;
        }
        if depth == 0 || depth < DEEPEST && self.read_once() {
            if let Some([a, b]) = self.of_binary(Binary::Mul) {
                a.collect_factors(depth + 1, factors, coefficient);
                b.collect_factors(depth + 1, factors, coefficient);
                return;
            }
            if let Some([a, b]) = self.of_binary(Binary::Div)
                && let Some(divisor) = b.scalar()
            {
                *coefficient /= divisor;
                a.collect_factors(depth + 1, factors, coefficient);
                return;
            }
            if let Some([base, exponent]) = self.of_binary(Binary::Pow)
                && let Some(times) = [2, 3].into_iter().find(|&times| exponent.scalar() == Some(times as f64))
            {
                factors.extend([base; 3].into_iter().take(times));
                return;
            }
        }
        factors.push(self);
    }
}

/// The operator of two operands that a node's is, where it has two.
fn binary(op: &Op) -> Option<Binary> {
    match op {
        Op::Binary(op) => Some(*op),
        Op::Variadic(Variadic::Max) => Some(Binary::Max),
        Op::Variadic(Variadic::Min) => Some(Binary::Min),
        Op::Variadic(Variadic::Sum) => Some(Binary::Add),
        _ => None,
    }
}

/// Whether a number of a file of type `dtype` stands for `value`.
pub(super) fn close(number: f64, value: f64, dtype: DType) -> bool {
    let tolerance = match dtype {
        DType::F16 => 1e-3,
        DType::F64 => 1e-12,
        _ => 1e-6,
    };
    (number - value).abs() <= tolerance * value.abs()
}
