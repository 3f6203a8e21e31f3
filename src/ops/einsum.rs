//! Einstein's summation convention.

use std::collections::BTreeMap;

use crate::error::{OpError, Result};
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::build::{cast, list, reshape, transpose};
use crate::ops::{Binary, Gather, MatMul, Operands, Operator, Reduce, ReduceFunction, Tolerance};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// `Einsum`: products of all inputs' elements, summed over every label that the output lacks.
///
/// `equation` is `ij,jk->ik` with one letter an axis; `…` stands for leading axes that broadcast, a letter twice in one input
/// for its diagonal. Without `->` the output has `…` and the letters that occur once, in alphabetical order. Axes of extent 1
/// broadcast. Source: ONNX `Einsum`, opset 12, and NumPy's `einsum`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Einsum {
    /// The equation; spaces mean nothing.
    pub equation: String,
}

/// A letter, or an axis of the ellipsis, counted from its last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Label {
    Ellipsis(usize),
    Letter(char),
}

/// An equation matched with the shapes of its inputs.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Terms {
    /// The label of each axis of each input.
    pub inputs: Vec<Vec<Label>>,
    /// The labels of the output.
    pub output: Vec<Label>,
    /// The extent of each label.
    pub extents: BTreeMap<Label, usize>,
}

impl Terms {
    /// The extents of axes with these labels.
    pub fn shape(&self, labels: &[Label]) -> Shape {
        labels.iter().map(|label| self.extents[label]).collect()
    }
}

fn invalid<T>(message: String) -> Result<T, OpError> {
    Err(OpError::invalid(message))
}

impl Einsum {
    /// The letters before and after the ellipsis of a term, or all of them where there is none.
    fn letters(&self, term: &str) -> Result<(Vec<char>, Option<Vec<char>>), OpError> {
        let letters = |text: &str| match text.chars().find(|c| !c.is_ascii_alphabetic()) {
            Some(other) => invalid(format!("`{other}` in the equation `{}` is no label", self.equation)),
            None => Ok(text.chars().collect()),
        };
        match term.split_once("...") {
            Some((before, after)) => Ok((letters(before)?, Some(letters(after)?))),
            None => Ok((letters(term)?, None)),
        }
    }

    /// The equation for inputs of these shapes.
    pub(crate) fn terms(&self, shapes: &[&Shape]) -> Result<Terms, OpError> {
        let text: String = self.equation.chars().filter(|c| *c != ' ').collect();
        let (left, right) = match text.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (text.as_str(), None),
        };
        let terms: Vec<&str> = left.split(',').collect();
        if terms.len() != shapes.len() {
            return invalid(format!("the equation `{}` has {} terms for {} inputs", self.equation, terms.len(), shapes.len()));
        }
        let mut inputs = vec![];
        let mut extents: BTreeMap<Label, usize> = BTreeMap::new();
        for (term, shape) in terms.iter().zip(shapes) {
            let (before, after) = self.letters(term)?;
            let named = before.len() + after.as_ref().map_or(0, Vec::len);
            let hidden = shape.rank().checked_sub(named).filter(|&hidden| hidden == 0 || after.is_some());
            let Some(hidden) = hidden else {
                return invalid(format!("the term `{term}` of `{}` names {named} axes of {shape}", self.equation));
            };
            let letters = |letters: Vec<char>| letters.into_iter().map(Label::Letter);
            let hidden = (0..hidden).rev().map(Label::Ellipsis);
            let labels: Vec<Label> = letters(before).chain(hidden).chain(letters(after.unwrap_or_default())).collect();
            for (label, &extent) in labels.iter().zip(shape.iter()) {
                let known = extents.entry(*label).or_insert(extent);
                if *known == 1 {
                    *known = extent;
                }
                if extent != 1 && extent != *known {
                    return invalid(format!("a label of `{}` has the extents {known} and {extent}", self.equation));
                }
            }
            inputs.push(labels);
        }
        let ellipsis = extents.keys().filter(|label| matches!(label, Label::Ellipsis(_))).rev().copied();
        let output: Vec<Label> = match right {
            Some(right) => {
                let (before, after) = self.letters(right)?;
                let ellipsis = ellipsis.filter(|_| after.is_some());
                let letters = |letters: Vec<char>| letters.into_iter().map(Label::Letter);
                letters(before).chain(ellipsis).chain(letters(after.clone().unwrap_or_default())).collect()
            }
            None => {
                let count = |label: &Label| inputs.iter().flatten().filter(|other| *other == label).count();
                let once = extents.keys().filter(|label| matches!(label, Label::Letter(_)) && count(label) == 1);
                ellipsis.chain(once.copied()).collect()
            }
        };
        for (at, label) in output.iter().enumerate() {
            if !extents.contains_key(label) || output[..at].contains(label) {
                return invalid(format!("the output of `{}` names a label that is unknown, or twice", self.equation));
            }
        }
        Ok(Terms { inputs, output, extents })
    }
}

/// A value on the way, and the labels of its axes, each once and of its full extent.
struct Factor {
    value: ValueId,
    labels: Vec<Label>,
}

impl Factor {
    /// An input as a factor: diagonals taken, axes of extent 1 that broadcast dropped.
    fn of(parts: &mut Parts<'_>, name: &str, value: ValueId, own: &[Label], terms: &Terms) -> Result<Self> {
        let shape = parts.shape(value);
        let mut labels: Vec<Label> = vec![];
        for label in own {
            if !labels.contains(label) {
                labels.push(*label);
            }
        }
        let mut value = value;
        let mut extents: Vec<usize> = labels
            .iter()
            .map(|label| own.iter().zip(shape.iter()).filter(|(l, _)| *l == label).map(|(_, &extent)| extent).max().unwrap_or(1))
            .collect();
        if labels.len() < own.len() {
            // Where each element of the diagonal lies; an axis of extent 1 has one place for all.
            let strides = shape.strides();
            let step = |label: &Label| {
                own.iter()
                    .zip(shape.iter().zip(&strides))
                    .filter(|(l, (extent, _))| *l == label && **extent != 1)
                    .map(|(_, (_, s))| *s)
                    .sum()
            };
            let steps: Vec<usize> = labels.iter().map(step).collect();
            let diagonal = Shape::from(extents.as_slice());
            let place = |at: usize| diagonal.coordinates(at).iter().zip(&steps).map(|(i, step)| i * step).sum::<usize>() as i64;
            let places = Tensor::of(&diagonal, (0..diagonal.elements()).map(place).collect());
            let flat = reshape(parts, &format!("{name}.flat"), value, &[shape.elements()])?;
            let places = parts.constant(&format!("{name}.places"), places);
            value = parts.node(&format!("{name}.diagonal"), Gather { axis: 0 }, &[flat, places])?;
        }
        let full = |at: usize| extents[at] == terms.extents[&labels[at]];
        if !(0..labels.len()).all(full) {
            let kept: Vec<usize> = (0..labels.len()).filter(|&at| full(at)).collect();
            labels = kept.iter().map(|&at| labels[at]).collect();
            extents = kept.iter().map(|&at| extents[at]).collect();
            value = reshape(parts, &format!("{name}.narrow"), value, &extents)?;
        }
        Ok(Self { value, labels })
    }

    /// Summed over the labels that nothing else needs.
    fn sum(self, parts: &mut Parts<'_>, name: &str, needed: impl Fn(&Label) -> bool) -> Result<Self> {
        let dropped: Vec<usize> = (0..self.labels.len()).filter(|&at| !needed(&self.labels[at])).collect();
        if dropped.is_empty() {
            return Ok(self);
        }
        let axes = parts.constant(&format!("{name}.axes"), list(&dropped));
        let sum = Reduce { function: ReduceFunction::Sum, keep_dims: false, noop_with_empty_axes: false };
        let value = parts.node(name, sum, &[self.value, axes])?;
        Ok(Self { value, labels: self.labels.into_iter().filter(needed).collect() })
    }

    /// The axes in the order of `groups`, each group one axis.
    fn arrange(&self, parts: &mut Parts<'_>, name: &str, terms: &Terms, groups: [&[Label]; 3]) -> Result<ValueId> {
        let order: Vec<Label> = groups.concat();
        let place = |label: &Label| self.labels.iter().position(|own| own == label).expect("the groups are the factor's labels");
        let value = transpose(parts, &format!("{name}.order"), self.value, order.iter().map(place).collect())?;
        reshape(parts, &format!("{name}.matrix"), value, &groups.map(|group| terms.shape(group).elements()))
    }

    /// The product of two factors, summed over the labels of both that nothing else needs.
    fn multiply(self, parts: &mut Parts<'_>, name: &str, other: Factor, terms: &Terms, needed: impl Fn(&Label) -> bool) -> Result<Self> {
        let split =
            |own: &[Label], other: &[Label]| -> (Vec<Label>, Vec<Label>) { own.iter().copied().partition(|label| other.contains(label)) };
        let (shared, left) = split(&self.labels, &other.labels);
        let (_, right) = split(&other.labels, &self.labels);
        let (batch, inner): (Vec<Label>, Vec<Label>) = shared.into_iter().partition(|label| needed(label));
        let a = self.arrange(parts, &format!("{name}.left"), terms, [&batch, &left, &inner])?;
        let b = other.arrange(parts, &format!("{name}.right"), terms, [&batch, &inner, &right])?;
        // Without anything to sum over the matrices are a column and a row.
        let product = if inner.is_empty() { parts.node(name, Binary::Mul, &[a, b])? } else { parts.node(name, MatMul, &[a, b])? };
        let labels = [batch, left, right].concat();
        let value = reshape(parts, &format!("{name}.axes"), product, terms.shape(&labels).dims())?;
        Ok(Self { value, labels })
    }
}

impl Operator for Einsum {
    fn name(&self) -> &'static str {
        "Einsum"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let first = inputs.expect_dtype(0, "Inputs", crate::ops::binary::NUMBERS)?;
        let shapes: Result<Vec<_>, _> =
            (0..inputs.inputs.len()).map(|index| Ok(inputs.expect_dtype(index, "Inputs", &[first.dtype])?.shape)).collect();
        let terms = self.terms(&shapes?)?;
        Ok(vec![TensorType::new(first.dtype, terms.shape(&terms.output))])
    }

    /// A multiply-add for every combination of the labels.
    fn flops(&self, inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        let shapes: Vec<_> = inputs.inputs.iter().flatten().map(|o| o.shape).collect();
        let all = |terms: Terms| terms.extents.values().fold(2u64, |n, &extent| n.saturating_mul(extent as u64));
        self.terms(&shapes).map_or(0, all)
    }

    fn decompose(&self, parts: &mut Parts<'_>) -> Result<Option<Vec<ValueId>>> {
        let mut given = vec![];
        while let Some(value) = parts.input(given.len()) {
            given.push(value);
        }
        let shapes: Vec<Shape> = given.iter().map(|&value| parts.shape(value)).collect();
        let Ok(terms) = self.terms(&shapes.iter().collect::<Vec<_>>()) else { return Ok(None) };
        let dtype = parts.dtype(given[0]);
        // Sums modulo 2^32 are right modulo any smaller width.
        let work = match dtype {
            DType::I8 | DType::I16 => DType::I32,
            DType::U8 | DType::U16 => DType::U32,
            other => other,
        };
        let mut product: Option<Factor> = None;
        for (at, value) in given.iter().enumerate() {
            let later = |label: &Label| terms.output.contains(label) || terms.inputs[at + 1..].iter().any(|term| term.contains(label));
            let value = cast(parts, &format!("factor{at}.cast"), *value, work)?;
            let factor = Factor::of(parts, &format!("factor{at}"), value, &terms.inputs[at], &terms)?;
            let labels = product.as_ref().map_or(vec![], |product| product.labels.clone());
            let factor = factor.sum(parts, &format!("sum{at}"), |label| later(label) || labels.contains(label))?;
            product = Some(match product {
                None => factor,
                Some(product) => {
                    let labels = factor.labels.clone();
                    let product = product.sum(parts, &format!("rest{at}"), |label| later(label) || labels.contains(label))?;
                    product.multiply(parts, &format!("product{at}"), factor, &terms, later)?
                }
            });
        }
        let Some(product) = product else { return Ok(None) };
        let place = |label: &Label| product.labels.iter().position(|own| own == label).expect("some factor has the label's extent");
        let ordered = transpose(parts, "order", product.value, terms.output.iter().map(place).collect())?;
        Ok(Some(vec![cast(parts, "cast", ordered, dtype)?]))
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs as its parts".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let tensors: Vec<&Tensor> = inputs.iter().copied().flatten().collect();
        let terms = self.terms(&tensors.iter().map(|tensor| tensor.shape()).collect::<Vec<_>>())?;
        Ok(vec![reference::einsum::einsum(&terms, &tensors)])
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}
