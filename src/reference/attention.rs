//! Attention, and the rotation of positions that goes before it.

use super::{input, optional, rounded};
use crate::error::OpError;
use crate::ops::attention::{Attention, Extents, Rotation, Scores};
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// Elements of an input with four axes `[batch, heads, length, head]`, or three, `[batch, length, heads · head]`.
struct Heads {
    values: Vec<f64>,
    strides: [usize; 4],
}

impl Heads {
    fn new(tensor: &Tensor, heads: usize) -> Self {
        let strides = match *tensor.shape().dims() {
            [_, length, hidden] => [length * hidden, hidden / heads.max(1), hidden, 1],
            [_, heads, length, head] => [heads * length * head, length * head, head, 1],
            _ => unreachable!("the shape rule admits three and four axes"),
        };
        Self { values: tensor.to_f64(), strides }
    }

    fn at(&self, at: [usize; 4]) -> f64 {
        self.values[at.iter().zip(self.strides).map(|(i, stride)| i * stride).sum::<usize>()]
    }
}

/// `y = softmax(cap(scale · q · kᵀ + mask)) · v` for each head, with the keys and values of the past before the new ones.
///
/// Outputs: `Y`, `present_key`, `present_value`, and the scores that the operator names.
pub(crate) fn attention(op: &Attention, e: &Extents, inputs: &[Option<&Tensor>]) -> Vec<Tensor> {
    let (q, k, v) = (input(inputs, 0), input(inputs, 1), input(inputs, 2));
    let query = Heads::new(q, e.q_heads);
    let key = present(k, optional(inputs, 4), e, e.head);
    let value = present(v, optional(inputs, 5), e, e.v_head);
    let lengths = optional(inputs, 6).and_then(Tensor::to_i64);
    let (total, group) = (e.total(), e.q_heads / e.kv_heads);
    let mask = optional(inputs, 3).map(|mask| (mask.dtype() == DType::Bool, mask.to_f64(), mask.shape().clone()));
    let added = |n: usize, h: usize, query: usize, at: usize| {
        let mut sum = 0.0;
        if let Some((boolean, values, shape)) = &mask {
            let last = shape[shape.rank() - 1];
            let strides = shape.broadcast_strides(&Shape::from([e.batch, e.q_heads, e.queries, last]));
            let row = n * strides[0] + h * strides[1] + query * strides[2];
            sum += match boolean {
                _ if at >= last => f64::NEG_INFINITY,
                false => values[row + at],
                true if values[row + at] != 0.0 => 0.0,
                true => f64::NEG_INFINITY,
            };
        }
        if op.is_causal && at > query + e.past || lengths.as_ref().is_some_and(|lengths| at as i64 >= lengths[n]) {
            sum += f64::NEG_INFINITY;
        }
        sum
    };

    let mut y = Tensor::full([e.batch, e.q_heads, e.queries, e.v_head], 0f64);
    let mut shown = Vec::with_capacity(e.batch * e.q_heads * e.queries * total);
    let outputs = y.data_mut::<f64>().expect("just made of f64");
    for n in 0..e.batch {
        for h in 0..e.q_heads {
            for i in 0..e.queries {
                let shared = h / group;
                let keys = |j: usize| (0..e.head).map(move |d| (d, [n, shared, j, d]));
                let product: Vec<f64> =
                    (0..total).map(|j| op.factor(e) * keys(j).map(|(d, at)| query.at([n, h, i, d]) * key.at(at)).sum::<f64>()).collect();
                let masked: Vec<f64> = product.iter().enumerate().map(|(j, score)| score + added(n, h, i, j)).collect();
                let cap = f64::from(op.softcap);
                let capped: Vec<f64> = masked.iter().map(|&x| if cap > 0.0 { cap * (x / cap).tanh() } else { x }).collect();
                let maximum = capped.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let powers: Vec<f64> = capped.iter().map(|x| (x - maximum).exp()).collect();
                let sum: f64 = powers.iter().sum();
                let weights: Vec<f64> = powers.iter().map(|x| x / sum).collect();
                let row = ((n * e.q_heads + h) * e.queries + i) * e.v_head;
                for (d, y) in outputs[row..][..e.v_head].iter_mut().enumerate() {
                    *y = weights.iter().enumerate().map(|(j, weight)| weight * value.at([n, shared, j, d])).sum();
                }
                shown.extend(match op.scores {
                    Scores::Product => product,
                    Scores::Masked => masked,
                    Scores::Capped => capped,
                    Scores::Softmax => weights,
                });
            }
        }
    }
    if q.shape().rank() == 3 {
        let packed = super::movement::transpose(&[0, 2, 1, 3], &y);
        y = packed.reshape([e.batch, e.queries, e.q_heads * e.v_head]).expect("as many elements");
    }
    let of = |like: &Tensor, shape: Shape, values: Vec<f64>| rounded(like, shape, values);
    vec![
        of(q, y.shape().clone(), y.to_f64()),
        of(k, Shape::from([e.batch, e.kv_heads, total, e.head]), key.values),
        of(v, Shape::from([e.batch, e.kv_heads, total, e.v_head]), value.values),
        of(q, Shape::from([e.batch, e.q_heads, e.queries, total]), shown),
    ]
}

/// The keys or values of the past, and the new ones after them.
fn present(new: &Tensor, past: Option<&Tensor>, e: &Extents, head: usize) -> Heads {
    let new = Heads::new(new, e.kv_heads);
    let past = past.map(|past| Heads::new(past, e.kv_heads));
    let shape = Shape::from([e.batch, e.kv_heads, e.total(), head]);
    let element = |index: usize| {
        let at = shape.coordinates(index);
        match &past {
            Some(past) if at[2] < e.past => past.at([at[0], at[1], at[2], at[3]]),
            _ => new.at([at[0], at[1], at[2] - e.past, at[3]]),
        }
    };
    let values = (0..shape.elements()).map(element).collect();
    Heads { values, strides: [e.kv_heads * e.total() * head, e.total() * head, head, 1] }
}

/// `[x₁ cos − x₂ sin, x₁ sin + x₂ cos]` for each pair of a head's first elements, the angle that of the position.
pub(crate) fn rotary_embedding(r: &Rotation, interleaved: bool, inputs: &[Option<&Tensor>]) -> Result<Tensor, OpError> {
    let (x, cos, sin) = (input(inputs, 0), input(inputs, 1).to_f64(), input(inputs, 2).to_f64());
    let rows: Option<Vec<usize>> = match optional(inputs, 3) {
        Some(ids) => {
            let cache = Shape::from([input(inputs, 1).shape()[0]]);
            Some(super::movement::positions(&cache, 0, ids)?)
        }
        None => None,
    };
    let values = x.to_f64();
    let mut y = values.clone();
    let [batch, b, c, head] = r.dims;
    for n in 0..batch {
        for i in 0..b {
            for j in 0..c {
                let position = n * r.dims[r.position_axis] + if r.position_axis == 1 { i } else { j };
                let angle = rows.as_ref().map_or(position, |rows| rows[position]) * r.half;
                let start = ((n * b + i) * c + j) * head;
                for p in 0..r.half {
                    let (first, second) = if interleaved { (2 * p, 2 * p + 1) } else { (p, p + r.half) };
                    let (x1, x2) = (values[start + first], values[start + second]);
                    let (cos, sin) = (cos[angle + p], sin[angle + p]);
                    y[start + first] = x1 * cos - x2 * sin;
                    y[start + second] = x1 * sin + x2 * cos;
                }
            }
        }
    }
    Ok(rounded(x, x.shape(), y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Operator, RotaryEmbedding};

    fn tensor<const N: usize>(shape: [usize; N], values: &[f64]) -> Tensor {
        Tensor::new(shape, values.to_vec()).unwrap()
    }

    fn close(got: &Tensor, want: &[f64]) {
        assert!(got.to_f64().iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12), "{:?} is not {want:?}", got.to_f64());
        assert_eq!(got.len(), want.len());
    }

    /// One query, two keys with scores ln 1 and ln 3: weights 1/4 and 3/4.
    #[test]
    fn one_query_by_hand() {
        let (q, k, v) = (tensor([1, 1, 1, 1], &[1.0]), tensor([1, 1, 2, 1], &[0.0, 3f64.ln()]), tensor([1, 1, 2, 1], &[8.0, 4.0]));
        let run = |op: Attention, mask: Option<&Tensor>| op.reference(&[Some(&q), Some(&k), Some(&v), mask], 4).unwrap();
        let out = run(Attention::default(), None);
        close(&out[0], &[5.0]);
        close(&out[3], &[0.0, 3f64.ln()]);
        close(&run(Attention { scores: Scores::Softmax, ..Attention::default() }, None)[3], &[0.25, 0.75]);
        let mask = Tensor::new([1, 2], vec![true, false]).unwrap();
        close(&run(Attention::default(), Some(&mask))[0], &[8.0]);
        // A mask of one column leaves the second key out; adding ln 3 to the first makes both alike.
        close(&run(Attention::default(), Some(&tensor([1, 1], &[0.0])))[0], &[8.0]);
        close(&run(Attention::default(), Some(&tensor([1, 2], &[3f64.ln(), 0.0])))[0], &[6.0]);
        close(&run(Attention { is_causal: true, ..Attention::default() }, None)[0], &[8.0]);
        // 2 tanh(ln 3 / 2) = 1, so the weights are 1 and e over 1 + e.
        let capped = Attention { softcap: 2.0, scores: Scores::Capped, ..Attention::default() };
        close(&run(capped, None)[3], &[0.0, 1.0]);
        close(&run(Attention { scale: Some(0.0), ..Attention::default() }, None)[0], &[6.0]);
        assert!(run(Attention::default(), Some(&Tensor::new([2], vec![false; 2]).unwrap()))[0].to_f64()[0].is_nan());
    }

    /// Two heads of Q share one of K; with a past of one key; packed in three axes.
    #[test]
    fn shared_heads_and_a_past_by_hand() {
        let op = Attention { q_num_heads: Some(2), kv_num_heads: Some(1), scale: Some(1.0), ..Attention::default() };
        let (q, k, v) = (tensor([1, 1, 2], &[1.0, 0.0]), tensor([1, 1, 1], &[3f64.ln()]), tensor([1, 1, 1], &[4.0]));
        let past = (tensor([1, 1, 1, 1], &[0.0]), tensor([1, 1, 1, 1], &[8.0]));
        let out = op.reference(&[Some(&q), Some(&k), Some(&v), None, Some(&past.0), Some(&past.1)], 4).unwrap();
        assert_eq!(out[0].shape().dims(), [1, 1, 2]);
        close(&out[0], &[5.0, 6.0]);
        close(&out[1], &[0.0, 3f64.ln()]);
        close(&out[2], &[8.0, 4.0]);
    }

    /// A quarter turn takes (1, 2) to (−2, 1).
    #[test]
    fn a_quarter_turn_by_hand() {
        let x = tensor([1, 1, 2, 6], &[1.0, 5.0, 2.0, 6.0, 7.0, 8.0, 1.0, 5.0, 2.0, 6.0, 7.0, 8.0]);
        let (cos, sin) = (tensor([2, 2], &[1.0, 1.0, 0.0, 0.0]), tensor([2, 2], &[0.0, 0.0, 1.0, 1.0]));
        let ids = Tensor::new([1, 2], vec![0i64, 1]).unwrap();
        let run = |op: RotaryEmbedding| op.reference(&[Some(&x), Some(&cos), Some(&sin), Some(&ids)], 1).unwrap().remove(0).to_f64();
        let halves = run(RotaryEmbedding { rotary_dim: 4, ..RotaryEmbedding::default() });
        assert_eq!(halves, [1.0, 5.0, 2.0, 6.0, 7.0, 8.0, -2.0, -6.0, 1.0, 5.0, 7.0, 8.0]);
        let pairs = run(RotaryEmbedding { rotary_dim: 4, interleaved: true, ..RotaryEmbedding::default() });
        assert_eq!(pairs[6..], [-5.0, 1.0, -6.0, 2.0, 7.0, 8.0]);
    }
}
