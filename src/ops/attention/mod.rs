//! Attention, and the rotation of positions that goes before it.

mod rotary;

pub use rotary::RotaryEmbedding;
pub(crate) use rotary::Rotation;

use crate::error::{OpError, Result};
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::build::{cast, list, reshape, scalar, transpose};
use crate::ops::{Binary, Comparison, Concat, FLOATS, MatMul, Operands, Operator, Pad, PadMode, Softmax, Tolerance, Unary, Where};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// Which scores output 3 (`qk_matmul_output`) of [`Attention`] shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Scores {
    /// The products of queries and keys.
    #[default]
    Product,
    /// With the mask added.
    Masked,
    /// After the soft cap.
    Capped,
    /// After the softmax.
    Softmax,
}

/// `Attention`: `Y = softmax(cap(scale · Q · Kᵀ + mask)) · V` for each head.
///
/// Inputs: `Q [N, q_num_heads, L, D]` or `[N, L, q_num_heads · D]`, `K` and `V` likewise with `kv_num_heads`, which divides
/// `q_num_heads`; optional `attn_mask`, `past_key [N, kv_num_heads, P, D]`, `past_value`, `nonpad_kv_seqlen i64[N]`.
/// The mask broadcasts to `[N, q_num_heads, L, P + S]`: `bool`, or floats that are added; keys past its end take no part.
/// Outputs: `Y` like `Q`, `present_key`, `present_value`, `qk_matmul_output [N, q_num_heads, L, P + S]`.
/// A query that no key is left for gives NaN. Halves are computed in `f32`. Source: ONNX `Attention`, opset 24.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Attention {
    /// Whether a query sees only keys up to its own position.
    pub is_causal: bool,
    /// Heads of `Q`, which three-axis inputs need.
    pub q_num_heads: Option<usize>,
    /// Heads of `K` and `V`, which three-axis inputs need.
    pub kv_num_heads: Option<usize>,
    /// Factor of the scores; `1 ÷ √D` without it.
    pub scale: Option<f32>,
    /// The bound `c` of `c · tanh(x ÷ c)` on the scores; 0 for none.
    pub softcap: f32,
    /// What output 3 shows.
    pub scores: Scores,
    /// The type that the softmax is asked to be computed in, at least.
    pub softmax_precision: Option<DType>,
}

/// The extents of an attention, all consistent.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Extents {
    pub batch: usize,
    pub q_heads: usize,
    pub kv_heads: usize,
    pub queries: usize,
    pub keys: usize,
    pub past: usize,
    pub head: usize,
    pub v_head: usize,
}

impl Extents {
    /// Keys with those of the past.
    pub fn total(&self) -> usize {
        self.past + self.keys
    }
}

fn invalid<T>(message: String) -> Result<T, OpError> {
    Err(OpError::invalid(message))
}

impl Attention {
    /// `[batch, heads, length, head_size]` of an input.
    fn heads(name: &str, shape: &Shape, heads: Option<usize>) -> Result<[usize; 4], OpError> {
        match (shape.dims(), heads) {
            (&[_, own, _, _], Some(heads)) if own != heads => {
                invalid(format!("{name} {shape} has {own} heads, the attributes say {heads}"))
            }
            (&[batch, heads, length, head], _) => Ok([batch, heads, length, head]),
            (&[batch, length, hidden], Some(heads)) if heads > 0 && hidden % heads == 0 => Ok([batch, heads, length, hidden / heads]),
            (&[_, _, hidden], Some(heads)) => invalid(format!("the {hidden} columns of {name} {shape} do not divide into {heads} heads")),
            (&[_, _, _], None) => invalid(format!("{name} {shape} needs `q_num_heads` and `kv_num_heads`")),
            _ => invalid(format!("{name} {shape} must have three or four axes")),
        }
    }

    /// The extents, from the shapes of the inputs.
    pub(crate) fn extents(&self, shapes: &[Option<&Shape>]) -> Result<Extents, OpError> {
        let given = |index: usize| shapes.get(index).copied().flatten();
        let (Some(q), Some(k), Some(v)) = (given(0), given(1), given(2)) else {
            return invalid("Q, K and V are needed".into());
        };
        if q.rank() != k.rank() || q.rank() != v.rank() {
            return invalid(format!("Q {q}, K {k} and V {v} must have as many axes each"));
        }
        let [batch, q_heads, queries, head] = Self::heads("Q", q, self.q_num_heads)?;
        let [k_batch, kv_heads, keys, k_head] = Self::heads("K", k, self.kv_num_heads)?;
        let [v_batch, v_heads, v_keys, v_head] = Self::heads("V", v, self.kv_num_heads)?;
        if [k_batch, v_batch] != [batch; 2] || v_heads != kv_heads || v_keys != keys || k_head != head {
            return invalid(format!("Q {q}, K {k} and V {v} do not fit each other"));
        }
        if kv_heads == 0 || q_heads % kv_heads != 0 {
            return invalid(format!("{q_heads} heads of Q cannot share {kv_heads} heads of K"));
        }
        let past = match (given(4), given(5)) {
            (None, None) => 0,
            (Some(key), Some(value)) => {
                let past = key.get(2).copied().unwrap_or(0);
                if key.dims() != [batch, kv_heads, past, head] || value.dims() != [batch, kv_heads, past, v_head] {
                    return invalid(format!(
                        "past_key {key} and past_value {value} must be [{batch},{kv_heads},P,{head}] and [{batch},{kv_heads},P,{v_head}]"
                    ));
                }
                past
            }
            _ => return invalid("past_key and past_value go together".into()),
        };
        if past.checked_add(keys).is_none() {
            return invalid(format!("{past} keys of the past and {keys} more are too many"));
        }
        Ok(Extents { batch, q_heads, kv_heads, queries, keys, past, head, v_head })
    }

    /// The factor of the scores.
    pub(crate) fn factor(&self, extents: &Extents) -> f64 {
        self.scale.map_or_else(|| 1.0 / (extents.head as f64).sqrt(), f64::from)
    }

    /// What is added to the scores, where anything is: of the shape that they have, or one that broadcasts to it.
    fn bias(&self, parts: &mut Parts<'_>, e: &Extents, work: DType) -> Result<Option<ValueId>> {
        let mut bias = None;
        if let Some(mask) = parts.input(3) {
            let mut mask = match parts.dtype(mask) {
                DType::Bool => admitted(parts, "mask", mask, work)?,
                _ => cast(parts, "mask", mask, work)?,
            };
            let rank = parts.shape(mask).rank();
            let short = e.total() - parts.shape(mask)[rank - 1];
            if short > 0 {
                let mut pads = vec![0; 2 * rank];
                pads[2 * rank - 1] = short;
                let (pads, none) = (parts.constant("mask_pads", list(&pads)), parts.constant("none", scalar(work, f64::NEG_INFINITY)));
                mask = parts.node("padded_mask", Pad { mode: PadMode::Constant }, &[mask, pads, none])?;
            }
            bias = Some(mask);
        }
        if self.is_causal {
            let seen = |query: usize, key: usize| if key <= query + e.past { 0.0 } else { f64::NEG_INFINITY };
            let values = (0..e.queries).flat_map(|query| (0..e.total()).map(move |key| seen(query, key))).collect();
            let causal = Tensor::from_f64(work, [e.queries, e.total()], values).expect("one value for one element");
            let causal = parts.constant("causal", causal);
            bias = Some(bias.map_or(Ok(causal), |bias| parts.node("causal_mask", Binary::Add, &[bias, causal]))?);
        }
        if let Some(lengths) = parts.input(6) {
            let lengths = reshape(parts, "lengths", lengths, &[e.batch, 1, 1, 1])?;
            let positions = parts.constant("positions", list(&(0..e.total()).collect::<Vec<_>>()));
            let kept = parts.node("kept", Comparison::Less, &[positions, lengths])?;
            let padding = admitted(parts, "padding", kept, work)?;
            bias = Some(bias.map_or(Ok(padding), |bias| parts.node("padding_mask", Binary::Add, &[bias, padding]))?);
        }
        Ok(bias)
    }
}

/// 0 where `kept` holds, else −∞.
fn admitted(parts: &mut Parts<'_>, name: &str, kept: ValueId, work: DType) -> Result<ValueId> {
    let zero = parts.constant(&format!("{name}.zero"), scalar(work, 0.0));
    let none = parts.constant(&format!("{name}.none"), scalar(work, f64::NEG_INFINITY));
    parts.node(name, Where, &[kept, zero, none])
}

/// An input as `[batch, heads, length, head_size]`.
fn split_heads(parts: &mut Parts<'_>, name: &str, value: ValueId, heads: usize) -> Result<ValueId> {
    let shape = parts.shape(value);
    let [batch, length, hidden] = *shape.dims() else { return Ok(value) };
    let split = reshape(parts, &format!("{name}.split"), value, &[batch, length, heads, hidden / heads])?;
    transpose(parts, name, split, vec![0, 2, 1, 3])
}

impl Operator for Attention {
    fn name(&self) -> &'static str {
        "Attention"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let q = inputs.expect_dtype(0, "Q", FLOATS)?;
        inputs.expect_dtype(1, "K", &[q.dtype])?;
        let v = inputs.expect_dtype(2, "V", FLOATS)?;
        for (index, name, dtype) in [(4, "past_key", q.dtype), (5, "past_value", v.dtype)] {
            inputs.get(index).map(|_| inputs.expect_dtype(index, name, &[dtype])).transpose()?;
        }
        let shapes: Vec<_> = inputs.inputs.iter().map(|input| input.map(|o| o.shape)).collect();
        let e = self.extents(&shapes)?;
        let scores = Shape::from([e.batch, e.q_heads, e.queries, e.total()]);
        if inputs.get(3).is_some() {
            let mask = inputs.expect_dtype(3, "attn_mask", &[DType::Bool, DType::F32, DType::F16, DType::F64])?;
            let fits = mask.shape.split_last().is_some_and(|(&last, leading)| {
                let padded: Shape = leading.iter().copied().chain([e.total()]).collect();
                last <= e.total() && padded.broadcast(&scores).as_ref() == Some(&scores)
            });
            if !fits {
                return invalid(format!("attn_mask {} does not broadcast to {scores}", mask.shape));
            }
        }
        if inputs.get(6).is_some() {
            let lengths = inputs.expect_dtype(6, "nonpad_kv_seqlen", &[DType::I64])?;
            if lengths.shape.dims() != [e.batch] || inputs.get(4).is_some() {
                return invalid(format!("nonpad_kv_seqlen {} must be [{}], without keys of the past", lengths.shape, e.batch));
            }
        }
        let y = match q.shape.rank() {
            3 => Shape::from([e.batch, e.queries, e.q_heads.saturating_mul(e.v_head)]),
            _ => Shape::from([e.batch, e.q_heads, e.queries, e.v_head]),
        };
        Ok(vec![
            TensorType::new(q.dtype, y),
            TensorType::new(q.dtype, [e.batch, e.kv_heads, e.total(), e.head]),
            TensorType::new(v.dtype, [e.batch, e.kv_heads, e.total(), e.v_head]),
            TensorType::new(q.dtype, scores),
        ])
    }

    /// Two products; five operations for the softmax of each score.
    fn flops(&self, inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        let shapes: Vec<_> = inputs.inputs.iter().map(|input| input.map(|o| o.shape)).collect();
        self.extents(&shapes).map_or(0, |e| {
            let scores = [e.batch, e.q_heads, e.queries, e.total()].iter().fold(1u64, |n, &extent| n.saturating_mul(extent as u64));
            scores.saturating_mul(2 * (e.head + e.v_head) as u64 + 5)
        })
    }

    fn decompose(&self, parts: &mut Parts<'_>) -> Result<Option<Vec<ValueId>>> {
        let (Some(q), Some(k), Some(v)) = (parts.input(0), parts.input(1), parts.input(2)) else { return Ok(None) };
        let shapes: Vec<_> = (0..7).map(|index| parts.input(index).map(|id| parts.shape(id))).collect();
        let Ok(e) = self.extents(&shapes.iter().map(Option::as_ref).collect::<Vec<_>>()) else { return Ok(None) };
        let (dtype, packed) = (parts.dtype(q), parts.shape(q).rank() == 3);
        let work = if dtype == DType::F64 { DType::F64 } else { DType::F32 };

        let query = split_heads(parts, "query", q, e.q_heads)?;
        let mut present = [split_heads(parts, "key", k, e.kv_heads)?, split_heads(parts, "value", v, e.kv_heads)?];
        if e.past > 0 {
            for (index, name) in ["present_key", "present_value"].into_iter().enumerate() {
                let past = parts.input(4 + index).expect("the shape rule has seen it");
                present[index] = parts.node(name, Concat { axis: 2 }, &[past, present[index]])?;
            }
        }
        let [key, value] = present;

        // The heads of Q that share one of K are rows of one matrix.
        let rows = e.q_heads / e.kv_heads * e.queries;
        let query = cast(parts, "query_cast", query, work)?;
        let factor = parts.constant("scale", scalar(work, self.factor(&e)));
        let query = parts.node("query_scaled", Binary::Mul, &[query, factor])?;
        let query = reshape(parts, "query_rows", query, &[e.batch, e.kv_heads, rows, e.head])?;
        let columns = cast(parts, "key_cast", key, work)?;
        let columns = transpose(parts, "key_columns", columns, vec![0, 1, 3, 2])?;
        let product = parts.node("scores", MatMul, &[query, columns])?;
        let product = reshape(parts, "scores_heads", product, &[e.batch, e.q_heads, e.queries, e.total()])?;
        let masked = match self.bias(parts, &e, work)? {
            Some(bias) => parts.node("scores_masked", Binary::Add, &[product, bias])?,
            None => product,
        };
        let mut capped = masked;
        if self.softcap > 0.0 {
            let bound = parts.constant("softcap", scalar(work, self.softcap.into()));
            let ratio = parts.node("scores_ratio", Binary::Div, &[masked, bound])?;
            let bounded = parts.node("scores_bounded", Unary::Tanh, &[ratio])?;
            capped = parts.node("scores_capped", Binary::Mul, &[bounded, bound])?;
        }
        let precise = if self.softmax_precision == Some(DType::F64) { DType::F64 } else { work };
        let weights = cast(parts, "scores_cast", capped, precise)?;
        let weights = parts.node("weights", Softmax { axis: -1, log: false, flatten: false }, &[weights])?;
        let weights = cast(parts, "weights_cast", weights, work)?;

        let weight_rows = reshape(parts, "weight_rows", weights, &[e.batch, e.kv_heads, rows, e.total()])?;
        let values = cast(parts, "value_cast", value, work)?;
        let y = parts.node("output", MatMul, &[weight_rows, values])?;
        let mut y = reshape(parts, "output_heads", y, &[e.batch, e.q_heads, e.queries, e.v_head])?;
        if packed {
            y = transpose(parts, "output_positions", y, vec![0, 2, 1, 3])?;
            y = reshape(parts, "output_packed", y, &[e.batch, e.queries, e.q_heads * e.v_head])?;
        }
        let y = cast(parts, "output_cast", y, dtype)?;
        let shown = match self.scores {
            Scores::Product => product,
            Scores::Masked => masked,
            Scores::Capped => capped,
            Scores::Softmax => weights,
        };
        let shown = if parts.outputs() > 3 { cast(parts, "scores_shown", shown, dtype)? } else { shown };
        Ok(Some([y, key, value, shown].into_iter().take(parts.outputs()).collect()))
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs as its parts".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let shapes: Vec<_> = inputs.iter().map(|input| input.map(Tensor::shape)).collect();
        Ok(reference::attention::attention(self, &self.extents(&shapes)?, inputs))
    }

    fn tolerance(&self, dtype: DType) -> Tolerance {
        Tolerance::accumulation(dtype)
    }
}
