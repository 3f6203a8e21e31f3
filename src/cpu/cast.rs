//! Conversion between the element types that networks convert between.

use half::f16;
use rayon::prelude::*;

use super::{CHUNK, narrow, widen};
use crate::ops::Op;
use crate::tensor::{DType, DataRef, Element, Tensor};

/// `y[i] = x[i]` as another type; `None` for the pairs that only the reference knows.
pub(super) fn cast(op: &Op, inputs: &[Option<&Tensor>]) -> Option<Vec<Tensor>> {
    let Op::Cast(op) = op else { return None };
    let x = inputs[0]?;
    Some(vec![match (x.data_ref(), op.to) {
        (DataRef::F16(_), DType::F32) => widen(x),
        (DataRef::F32(_), DType::F16) => narrow(x.clone()),
        (DataRef::U8(v), DType::F32) => map(x, v, f32::from),
        (DataRef::I8(v), DType::F32) => map(x, v, f32::from),
        (DataRef::I32(v), DType::F32) => map(x, v, |x| x as f32),
        (DataRef::I64(v), DType::F32) => map(x, v, |x| x as f32),
        (DataRef::Bool(v), DType::F32) => map(x, v, |x| f32::from(u8::from(x))),
        (DataRef::U8(v), DType::F16) => map(x, v, f16::from),
        (DataRef::F32(v), DType::U8) => map(x, v, |x| x as u8),
        (DataRef::F32(v), DType::I8) => map(x, v, |x| x as i8),
        (DataRef::F32(v), DType::I32) => map(x, v, |x| x as i32),
        (DataRef::F32(v), DType::I64) => map(x, v, |x| x as i64),
        (DataRef::F32(v), DType::Bool) => map(x, v, |x| x != 0.0),
        (DataRef::I32(v), DType::I64) => map(x, v, i64::from),
        (DataRef::I64(v), DType::I32) => map(x, v, |x| x as i32),
        _ => return None,
    }])
}

fn map<A: Element, B: Element>(x: &Tensor, values: &[A], f: impl Fn(A) -> B + Sync) -> Tensor {
    let mut y = vec![B::default(); values.len()];
    y.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK)).for_each(|(y, x)| {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = f(x);
        }
    });
    Tensor::of(x.shape(), y)
}
