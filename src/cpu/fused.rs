//! An operator, and steps on its output while it is in cache.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::kernel::{Packed, widest};
use super::{CHUNK, activation, compute, floats, infer, scratch};
use crate::error::OpError;
use crate::ops::binary::Repeating;
use crate::ops::{Binary, Fused, Op, Step};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// A step with its operand at hand.
enum Ready<'a> {
    Alone(Step),
    With { kind: Kind, values: &'a [f32], run: usize, period: usize },
}

#[derive(Clone, Copy)]
enum Kind {
    Binary(Binary, bool),
    PRelu,
}

/// All steps on `f32`, on each part of an output as soon as it is there; `None` where an operand is something else.
pub(super) fn fused(op: &Fused, inputs: &[Option<&Tensor>], packed: Option<&Packed>) -> Result<Option<Vec<Tensor>>, OpError> {
    let steps = |output: &Shape| op.steps.iter().map(|step| ready(step, inputs, output)).collect::<Option<Vec<_>>>();
    let mut output = match &op.base {
        None => {
            let input = inputs[0].expect("it has an input");
            let (Some(x), Some(steps)) = (floats(inputs, 0), steps(input.shape())) else { return Ok(None) };
            let mut y = scratch::buffer(x.len());
            y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).enumerate().for_each(|(chunk, (y, x))| {
                y.copy_from_slice(x);
                steps.iter().for_each(|step| step.apply(y, chunk * CHUNK));
            });
            return Ok(Some(vec![Tensor::of(input.shape(), y)]));
        }
        Some(base) => {
            let inputs = &inputs[..op.base_inputs];
            if let Op::Conv(conv) = &**base {
                let Some(steps) = steps(&infer(base, inputs, 1)?[0].shape) else { return Ok(None) };
                return super::conv::conv(conv, inputs, packed, &|y, first| steps.iter().for_each(|step| step.apply(y, first)));
            }
            let tensors = match compute(base, inputs, 1, None)? {
                Some(tensors) => tensors,
                None => base.operator().reference(inputs, 1)?,
            };
            tensors.into_iter().next().expect("it has an output")
        }
    };
    let Some(steps) = steps(output.shape()) else { return Ok(None) };
    let Some(y) = output.data_mut::<f32>() else { return Ok(None) };
    y.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, y)| steps.iter().for_each(|step| step.apply(y, chunk * CHUNK)));
    Ok(Some(vec![output]))
}

fn ready<'a>(step: &Step, inputs: &[Option<&'a Tensor>], output: &Shape) -> Option<Ready<'a>> {
    let kind = match *step {
        Step::Unary(_) | Step::Clip { .. } => return Some(Ready::Alone(*step)),
        Step::Binary { op, swapped, .. } if op.combination().is_some() => Kind::Binary(op, swapped),
        Step::Binary { .. } => return None,
        Step::PRelu { .. } => Kind::PRelu,
    };
    let index = step.operand()?;
    let Repeating { run, period, .. } = Repeating::of(inputs[index]?.shape(), output)?;
    Some(Ready::With { kind, values: floats(inputs, index)?, run: run as usize, period: period as usize })
}

impl Ready<'_> {
    /// The step on the elements of `y`, which begin at element `first` of the output.
    fn apply(&self, y: &mut [f32], first: usize) {
        match *self {
            Ready::Alone(Step::Unary(op)) => activation::apply(&op, y),
            Ready::Alone(Step::Clip { min, max }) => activation::apply_clip(y, min, max),
            Ready::Alone(_) => unreachable!("steps with an operand have it"),
            Ready::With { kind, values, run, period } => widest(Combine { kind, pairs: Pairs { values, run, period, first }, y }),
        }
    }
}

/// A step with an operand.
struct Combine<'a> {
    kind: Kind,
    pairs: Pairs<'a>,
    y: &'a mut [f32],
}

impl WithSimd for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Combine { kind, pairs, y } = self;
        match kind {
            Kind::Binary(Binary::Add, _) => pairs.each(y, |a, b| a + b),
            Kind::Binary(Binary::Sub, false) => pairs.each(y, |a, b| a - b),
            Kind::Binary(Binary::Sub, true) => pairs.each(y, |a, b| b - a),
            Kind::Binary(Binary::Mul, _) => pairs.each(y, |a, b| a * b),
            Kind::Binary(Binary::Div, false) => pairs.each(y, |a, b| a / b),
            Kind::Binary(Binary::Div, true) => pairs.each(y, |a, b| b / a),
            Kind::Binary(Binary::Max, _) => pairs.each(y, |a, b| if b > a || b.is_nan() { b } else { a }),
            Kind::Binary(Binary::Min, _) => pairs.each(y, |a, b| if b < a || b.is_nan() { b } else { a }),
            Kind::Binary(_, false) => pairs.each(y, power),
            Kind::Binary(_, true) => pairs.each(y, |a, b| power(b, a)),
            Kind::PRelu => pairs.each(y, |x, slope| if x < 0.0 { slope * x } else { x }),
        }
    }
}

fn power(base: f32, exponent: f32) -> f32 {
    if exponent == 2.0 { base * base } else { f64::from(base).powf(exponent.into()) as f32 }
}

/// The elements beside those of an output from `first` on: each stands for `run` neighbours, all `period` of them over and over.
struct Pairs<'a> {
    values: &'a [f32],
    run: usize,
    period: usize,
    first: usize,
}

impl Pairs<'_> {
    #[inline(always)]
    fn each(&self, y: &mut [f32], f: impl Fn(f32, f32) -> f32) {
        let mut rest = y;
        let mut at = self.first;
        while !rest.is_empty() {
            let position = at / self.run % self.period;
            let length = if self.run == 1 { self.period - position } else { self.run - at % self.run };
            let (piece, next) = rest.split_at_mut(length.min(rest.len()));
            if self.run == 1 {
                piece.iter_mut().zip(&self.values[position..]).for_each(|(y, &value)| *y = f(*y, value));
            } else {
                let value = self.values[position];
                piece.iter_mut().for_each(|y| *y = f(*y, value));
            }
            at += piece.len();
            rest = next;
        }
    }
}
