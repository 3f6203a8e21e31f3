//! Conversion between element types.

use half::f16;

use crate::shape::Shape;
use crate::tensor::{DType, DataRef, Tensor};

/// `y[i] = x[i]` as `to`: floats to integers toward zero and saturated, integers to narrower ones wrapped, to bool `x ≠ 0`.
pub(crate) fn cast(x: &Tensor, to: DType) -> Tensor {
    match integers(x) {
        Some(values) => from_integers(to, x.shape(), values),
        None => Tensor::from_f64(to, x.shape(), x.to_f64()).expect("one value an element"),
    }
}

/// Every element of an integer or boolean tensor, exactly; `None` for floats.
pub(crate) fn integers(x: &Tensor) -> Option<Vec<i128>> {
    Some(match x.data_ref() {
        DataRef::I8(v) => v.iter().map(|&x| x.into()).collect(),
        DataRef::I16(v) => v.iter().map(|&x| x.into()).collect(),
        DataRef::I32(v) => v.iter().map(|&x| x.into()).collect(),
        DataRef::I64(v) => v.iter().map(|&x| x.into()).collect(),
        DataRef::U8(v) => v.iter().map(|&x| x.into()).collect(),
        DataRef::U16(v) => v.iter().map(|&x| x.into()).collect(),
        DataRef::U32(v) => v.iter().map(|&x| x.into()).collect(),
        DataRef::U64(v) => v.iter().map(|&x| x.into()).collect(),
        DataRef::Bool(v) => v.iter().map(|&x| x.into()).collect(),
        DataRef::F32(_) | DataRef::F16(_) | DataRef::F64(_) => return None,
    })
}

/// A tensor of `dtype` from integers, which wrap at its width and round to floats.
pub(crate) fn from_integers(dtype: DType, shape: &Shape, values: Vec<i128>) -> Tensor {
    match dtype {
        DType::I8 => Tensor::of(shape, values.into_iter().map(|x| x as i8).collect()),
        DType::I16 => Tensor::of(shape, values.into_iter().map(|x| x as i16).collect()),
        DType::I32 => Tensor::of(shape, values.into_iter().map(|x| x as i32).collect()),
        DType::I64 => Tensor::of(shape, values.into_iter().map(|x| x as i64).collect()),
        DType::U8 => Tensor::of(shape, values.into_iter().map(|x| x as u8).collect()),
        DType::U16 => Tensor::of(shape, values.into_iter().map(|x| x as u16).collect()),
        DType::U32 => Tensor::of(shape, values.into_iter().map(|x| x as u32).collect()),
        DType::U64 => Tensor::of(shape, values.into_iter().map(|x| x as u64).collect()),
        DType::Bool => Tensor::of(shape, values.into_iter().map(|x| x != 0).collect()),
        DType::F32 => Tensor::of(shape, values.into_iter().map(|x| x as f32).collect()),
        DType::F64 => Tensor::of(shape, values.into_iter().map(|x| x as f64).collect()),
        DType::F16 => Tensor::of(shape, values.into_iter().map(|x| f16::from_f64(x as f64)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_truncate_and_saturate() {
        let x = Tensor::vector(vec![1.9f32, -1.9, 300.0, -300.0, 3e9, f32::NAN, f32::INFINITY]);
        assert_eq!(cast(&x, DType::I32).data::<i32>().unwrap(), [1, -1, 300, -300, i32::MAX, 0, i32::MAX]);
        assert_eq!(cast(&x, DType::U8).data::<u8>().unwrap(), [1, 0, 255, 0, 255, 0, 255]);
        assert_eq!(cast(&x, DType::I8).data::<i8>().unwrap(), [1, -1, 127, -128, 127, 0, 127]);
        assert_eq!(cast(&x, DType::Bool).data::<bool>().unwrap(), [true; 7]);
    }

    #[test]
    fn integers_wrap() {
        let x = Tensor::vector(vec![-1i64, 256, 0x1_0000_0081]);
        assert_eq!(cast(&x, DType::U8).data::<u8>().unwrap(), [255, 0, 0x81]);
        assert_eq!(cast(&x, DType::I8).data::<i8>().unwrap(), [-1, 0, -127]);
        assert_eq!(cast(&x, DType::U64).data::<u64>().unwrap(), [u64::MAX, 256, 0x1_0000_0081]);
        assert_eq!(cast(&x, DType::Bool).data::<bool>().unwrap(), [true; 3]);
    }

    #[test]
    fn large_integers_stay_exact() {
        let x = Tensor::vector(vec![i64::MAX, (1 << 53) + 1]);
        assert_eq!(cast(&x, DType::I64), x);
        assert_eq!(cast(&x, DType::F32).data::<f32>().unwrap(), [9_223_372_036_854_775_807.0, 9_007_199_254_740_992.0]);
        let truth = Tensor::vector(vec![true, false]);
        assert_eq!(cast(&truth, DType::F16).data::<f16>().unwrap(), [f16::ONE, f16::ZERO]);
    }
}
