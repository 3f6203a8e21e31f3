//! `RotaryEmbedding`.

use super::invalid;
use crate::error::{OpError, Result};
use crate::graph::{Parts, TensorType, ValueId};
use crate::ops::build::{list, reshape};
use crate::ops::{Binary, Concat, FLOATS, Gather, Operands, Operator, Split};
use crate::plan::{LowerContext, Lowered};
use crate::reference;
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

/// `RotaryEmbedding`: pairs of each head's elements rotated by the angle of their position.
///
/// Inputs: `X [N, heads, L, D]` or `[N, L, heads · D]`; `cos_cache` and `sin_cache`, `[positions, R ÷ 2]` with `position_ids
/// i64[N, L]`, `[N, L, R ÷ 2]` without. Of a head the first `R` elements rotate: `x₁ cos − x₂ sin` and `x₁ sin + x₂ cos`.
/// The output is like `X`. Source: ONNX `RotaryEmbedding`, opset 23; Su et al., <https://arxiv.org/abs/2104.09864>.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RotaryEmbedding {
    /// Heads of a three-axis `X`.
    pub num_heads: Option<usize>,
    /// `R`; 0 for all `D`.
    pub rotary_dim: usize,
    /// Whether the two of a pair are neighbours, rather than half of `R` apart.
    pub interleaved: bool,
}

/// `X` as `[batch, …, …, head]`, and where its axes are.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Rotation {
    /// `X` with four axes: `[batch, heads, length, head]`, or `[batch, length, heads, head]` where it has three.
    pub dims: [usize; 4],
    /// The axis of positions.
    pub position_axis: usize,
    /// Half of the elements that rotate.
    pub half: usize,
}

impl RotaryEmbedding {
    /// The rotation of an `X` of this shape.
    pub(crate) fn rotation(&self, x: &Shape) -> Result<Rotation, OpError> {
        let (dims, position_axis) = match (x.dims(), self.num_heads) {
            (&[_, own, _, _], Some(heads)) if own != heads => {
                return invalid(format!("X {x} has {own} heads, the attribute says {heads}"));
            }
            (&[batch, heads, length, head], _) => ([batch, heads, length, head], 2),
            (&[batch, length, hidden], Some(heads)) if heads > 0 && hidden % heads == 0 => ([batch, length, heads, hidden / heads], 1),
            (&[_, _, hidden], Some(heads)) => return invalid(format!("the {hidden} columns of X {x} do not divide into {heads} heads")),
            (&[_, _, _], None) => return invalid(format!("X {x} needs `num_heads`")),
            _ => return invalid(format!("X {x} must have three or four axes")),
        };
        let rotated = if self.rotary_dim == 0 { dims[3] } else { self.rotary_dim };
        if rotated % 2 != 0 || rotated > dims[3] {
            return invalid(format!("{rotated} elements of a head of {} cannot rotate in pairs", dims[3]));
        }
        Ok(Rotation { dims, position_axis, half: rotated / 2 })
    }
}

impl Operator for RotaryEmbedding {
    fn name(&self) -> &'static str {
        "RotaryEmbedding"
    }

    fn infer(&self, inputs: &Operands<'_>) -> Result<Vec<TensorType>, OpError> {
        let x = inputs.expect_dtype(0, "X", FLOATS)?;
        let r = self.rotation(x.shape)?;
        let (batch, length) = (r.dims[0], r.dims[r.position_axis]);
        let ids = inputs.get(3).map(|_| inputs.expect_dtype(3, "position_ids", &[DType::I64])).transpose()?;
        if let Some(ids) = ids.filter(|ids| ids.shape.dims() != [batch, length]) {
            return invalid(format!("position_ids {} must be [{batch},{length}]", ids.shape));
        }
        let cos = inputs.expect_dtype(1, "cos_cache", &[x.dtype])?;
        let sin = inputs.expect_dtype(2, "sin_cache", &[x.dtype])?;
        let fits = match *cos.shape.dims() {
            [_, half] => ids.is_some() && half == r.half,
            [n, l, half] => ids.is_none() && [n, l, half] == [batch, length, r.half],
            _ => false,
        };
        if !fits || sin.shape != cos.shape {
            let first = if ids.is_some() { "[positions".into() } else { format!("[{batch},{length}") };
            return invalid(format!("cos_cache {} and sin_cache {} must be {first},{}]", cos.shape, sin.shape, r.half));
        }
        if let (Some(ids), Some(positions)) = (ids.and_then(|ids| ids.constant), cos.shape.first()) {
            reference::movement::positions(&Shape::from([*positions]), 0, ids)?;
        }
        Ok(vec![x.tensor_type()])
    }

    fn flops(&self, inputs: &Operands<'_>, _outputs: &[TensorType]) -> u64 {
        inputs.get(0).map_or(0, |x| 3 * x.shape.elements() as u64)
    }

    fn decompose(&self, parts: &mut Parts<'_>) -> Result<Option<Vec<ValueId>>> {
        let (Some(x), Some(cos), Some(sin)) = (parts.input(0), parts.input(1), parts.input(2)) else { return Ok(None) };
        let shape = parts.shape(x);
        let Ok(r) = self.rotation(&shape) else { return Ok(None) };
        let [a, b, c, head] = r.dims;
        let mut angles = [a, 1, 1, r.half];
        angles[r.position_axis] = r.dims[r.position_axis];
        let angle = |parts: &mut Parts<'_>, name: &str, cache: ValueId| {
            let cache = match parts.input(3) {
                Some(ids) => parts.node(&format!("{name}.gather"), Gather { axis: 0 }, &[cache, ids])?,
                None => cache,
            };
            reshape(parts, name, cache, &angles)
        };
        let (cos, sin) = (angle(parts, "cos", cos)?, angle(parts, "sin", sin)?);

        let heads = reshape(parts, "heads", x, &[a, b, c, head])?;
        let cut = |parts: &mut Parts<'_>, name: &str, value: ValueId, extents: &[usize]| {
            if extents.len() == 1 {
                return Ok(vec![value]);
            }
            let split = parts.constant(&format!("{name}.parts"), list(extents));
            parts.nodes(name, Split { axis: -1 }, &[Some(value), Some(split)], extents.len())
        };
        let rest = head - 2 * r.half;
        let beyond: &[usize] = if rest > 0 { &[rest] } else { &[] };
        let (pair, kept) = if self.interleaved {
            let pieces = cut(parts, "rotated", heads, &[&[2 * r.half], beyond].concat())?;
            let pairs = reshape(parts, "pairs", pieces[0], &[a, b, c, r.half, 2])?;
            let pair = cut(parts, "pair", pairs, &[1, 1])?;
            let dims = [a, b, c, r.half];
            ([reshape(parts, "first", pair[0], &dims)?, reshape(parts, "second", pair[1], &dims)?], pieces.get(1).copied())
        } else {
            let pieces = cut(parts, "rotated", heads, &[&[r.half, r.half], beyond].concat())?;
            ([pieces[0], pieces[1]], pieces.get(2).copied())
        };
        let product = |parts: &mut Parts<'_>, name: &str, by: ValueId, of: ValueId| parts.node(name, Binary::Mul, &[of, by]);
        let (first_cos, second_sin) = (product(parts, "first_cos", cos, pair[0])?, product(parts, "second_sin", sin, pair[1])?);
        let (first_sin, second_cos) = (product(parts, "first_sin", sin, pair[0])?, product(parts, "second_cos", cos, pair[1])?);
        let mut turned = [
            parts.node("turned_first", Binary::Sub, &[first_cos, second_sin])?,
            parts.node("turned_second", Binary::Add, &[first_sin, second_cos])?,
        ];
        let mut joined = turned.to_vec();
        if self.interleaved {
            for (value, name) in turned.iter_mut().zip(["column_first", "column_second"]) {
                *value = reshape(parts, name, *value, &[a, b, c, r.half, 1])?;
            }
            let pairs = parts.node("turned_pairs", Concat { axis: -1 }, &turned)?;
            joined = vec![reshape(parts, "turned", pairs, &[a, b, c, 2 * r.half])?];
        }
        joined.extend(kept);
        let y = if joined.len() > 1 { parts.node("joined", Concat { axis: -1 }, &joined)? } else { joined[0] };
        Ok(Some(vec![reshape(parts, "output", y, shape.dims())?]))
    }

    fn lower(&self, _context: &LowerContext<'_>) -> Lowered {
        Lowered::Host("it runs as its parts".into())
    }

    fn reference(&self, inputs: &[Option<&Tensor>], _outputs: usize) -> Result<Vec<Tensor>, OpError> {
        let rotation = self.rotation(reference::input(inputs, 0).shape())?;
        Ok(vec![reference::attention::rotary_embedding(&rotation, self.interleaved, inputs)?])
    }
}
